"""The sentences on windows: both sides in numbers, each of which stands in the verdict's sums."""

from collections.abc import Sequence

from service.core.books import WindowSums
from service.core.movement import CREDITS, TOKENS
from service.core.placing import Edges
from service.core.weighing import AT_EDGES, BETWEEN_RATES, NOT_FINAL

SIMULATED = "SIMULATED: "
_BLIND = {
    "U8": "the plan's quota is told in percent only, and the calls in this window are too small to see in it.",
    "U12": "the counter began anew or ran backwards, so its readings at both ends cannot be compared.",
}
_NOT_FINAL = "The provider's books on them are not final before {due} UTC."
_DISAGREED = (
    "The provider's own counts of tokens disagreed with its answers before, and cannot be compared any more."
)
_WHO = "Somebody else spends from this account, or it is overcharged."
_LATE = "Bills of calls before this window that came later than usual would explain it."
_SAID = {
    "U3": "at least {added} was paid in or given, and more was taken than ours: {calls}. {who}",
    "U8": "{moved}, and {calls}. The counter's own steps may hide {tolerance}: too coarse to tell.",
    "U12": "{moved}, and {calls}. The counter's own steps may hide {tolerance}: too {why} to tell.",
    "U13": "at least {added} was paid in or given, which hides how much was taken; {calls}.",
    "U15": "{moved}, but {calls}: a token package may have paid for them first.",
    "M2": "{moved}, but {calls}, and the provider's books are final.",
    "M9": "{moved}, but {calls}. The provider counts the same tokens and took more.",
}
_SAID_MOVED = {
    "U3": "{moved}, and {calls}. {who}",
    "U13": "{moved}, but {calls}: a payment that the counter does not show apart would explain it.",
}
_STRADDLES = {
    AT_EDGES: "at its edges",
    NOT_FINAL: "whose books are not final",
    BETWEEN_RATES: "at a change of rates",
}


def span(edges: Edges) -> str:
    """Name the times at which both readings were asked for; the second date only if it is another."""
    first, second = (edge.asked_at for edge in (edges.opening, edges.closing))
    until = second[11:19] if first[:10] == second[:10] else moment(second)
    return f"{moment(first)} and {until} UTC"


def moment(text: str) -> str:
    """Shorten a UTC text to the second."""
    return f"{text[:10]} {text[11:19]}"


def sentence(
    code: str,
    edges: Edges,
    figure: str,
    sums: WindowSums,
    *,
    due_at: str | None = None,
    unbounded: bool = False,
    straddles: Sequence[str] = (AT_EDGES,),
    coarse: bool = False,
    by_tokens: bool = False,
    disagreed: bool = False,
    late: bool = False,
    after: str = "",
) -> str:
    """Say what was found.

    Args:
        code: of the reason.
        edges: the readings at both ends.
        figure: which of the counter's numbers moved.
        sums: what every number is taken from.
        due_at: when it is looked at again.
        unbounded: whether some attempt has no bound.
        straddles: why metered calls may have added to the movement, or not.
        coarse: whether the counter's steps alone are too large.
        by_tokens: whether the provider's token counts, not what it took, are what does not fit.
        disagreed: whether they did not before, and cannot be compared any more.
        late: whether bills of earlier calls would explain what is over.
        after: a sentence more.
    """
    parts = {
        "moved": _moved(figure, sums),
        "calls": _calls(sums, straddles, unbounded=unbounded),
        "tolerance": f"{sums.tolerance} {sums.unit}",
        "added": f"{sums.added} {sums.unit}",
        "why": "little" if coarse else "blurred",
        "due": "" if due_at is None else moment(due_at),
        "who": _LATE if late else _WHO,
    }
    if code == "M7":
        pattern = f"{_tokens(sums)}; {{calls}}."
    elif by_tokens and code == "U12":
        pattern = f"{_tokens(sums)}; {{calls}}. Other calls may be in its counts: too blurred to tell."
    elif disagreed and not by_tokens and code in {"U2", "U12"}:
        pattern = f"{{moved}}, and {{calls}}. {_DISAGREED}{f' {_NOT_FINAL}' if due_at else ''}"
    elif code == "U2":
        said = f"{_tokens(sums)}; {{calls}}." if by_tokens else "{moved}, but {calls}."
        pattern = said if due_at is None else f"{said} {_NOT_FINAL}"
    elif code == "U8" and sums.moved is None:
        pattern = "{moved}, which may hide how much was taken; {calls}."
    elif code in _SAID_MOVED and (sums.moved is not None or sums.unit == CREDITS):
        pattern = _SAID_MOVED[code]
    else:
        pattern = _SAID.get(code, "{moved}; {calls}.")
    said = pattern.format_map(parts)
    return f"{_begin(edges)} {said}{' ' if after else ''}{after}"


def blind(code: str, edges: Edges) -> str:
    """Say why a window's movement cannot be told at all."""
    return f"{_begin(edges)} {_BLIND[code]}"


def _begin(edges: Edges) -> str:
    return f"{SIMULATED if edges.closing.simulated else ''}Between {span(edges)}"


def _moved(figure: str, sums: WindowSums) -> str:
    by = f"by {sums.moved} {sums.unit}"
    if sums.unit == CREDITS and sums.moved is None:
        ends = f"from {sums.opening} to {sums.closing} {sums.unit}"
        return f"the plan's quota counter went {ends} and stands at its cap"
    if sums.unit == CREDITS:
        return f"the plan's quota counter rose {by}"
    if sums.unit == TOKENS:
        return f"the token packages fell {by}"
    if figure == "spent":
        return f"the account's spend counter rose {by}"
    paid = "" if sums.added is None else f", with {sums.added} {sums.unit} paid in or given,"
    return f"the balance{paid} fell {by}"


def _calls(sums: WindowSums, straddles: Sequence[str], *, unbounded: bool) -> str:
    """Say what our attempts come to; a counter proves a window, never one call alone, so calls stand together."""
    come = "call in this window comes" if sums.attempts == 1 else "calls in this window come"
    surely = f"{sums.attempts} {come} to {sums.surely} {sums.unit}"
    parts = [surely if sums.attempts else "no call in this window was surely charged"]
    if sums.straddling != "0":
        which = " or ".join(_STRADDLES[why] for why in straddles)
        parts.append(f"calls {which} may come to {sums.straddling} {sums.unit}")
    if sums.in_doubt != "0":
        parts.append(f"calls in doubt or under way may come to {sums.in_doubt} {sums.unit}")
    if sums.disputed is None:
        parts.append("calls that were judged MISMATCH before have no bound")
    elif sums.disputed != "0":
        parts.append(f"calls that were judged MISMATCH before may come to {sums.disputed} {sums.unit}")
    if unbounded:
        parts.append("calls whose usage or price is not known have no bound")
    return ", ".join(parts)


def _tokens(sums: WindowSums) -> str:
    """Name the first class in which the provider counted fewer, else the first in which it counted otherwise."""
    other = [each for each in sums.classes if each.theirs is not None and each.theirs != each.ours]
    first = min(other, key=lambda each: (each.theirs or 0) > each.ours)
    name = first.name.replace("_", " ")
    return f"the provider counted {first.theirs} {name} tokens where its answers told {first.ours}"
