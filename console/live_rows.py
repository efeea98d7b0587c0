"""The live row: one call as finished texts, so that a browser puts them in place and works nothing out.

It says what the Ledger's row says, derived from the same record by the same rules.
"""

from urllib.parse import quote

import msgspec

from console.codes import REASONS
from console.figures import clock, counted, day, grouped, moment
from console.page import PREFIX
from console.rows import Cost, Shown, Tokens, shown
from console.words import BADGES, OUTCOMES, plain
from service.core.record import ToolCall
from service.ledger.choosing import OPEN

_NO_BREAK = "\u00a0"


class Pair(msgspec.Struct, frozen=True):
    """A text and what stands quietly beside it; either may be empty."""

    text: str
    quiet: str = ""


class Charge(msgspec.Struct, frozen=True):
    """One line of what a call cost. `kind` is that of `rows.Cost`."""

    kind: str
    figure: str
    note: str


class LiveRow(msgspec.Struct, frozen=True, kw_only=True):
    """All that one row shows, as text.

    Attributes:
        opened_index: its place among rows; the newest is above.
        sign, verdict, reason: the verdict in the order in which it is read; `sentence` says it in full.
        style: the verdict's class in the style sheet.
    """

    tool_call_id: str
    opened_index: int
    href: str
    label: str
    opened_at: str
    clock: str
    day: str
    tool: str
    client: str
    outcome: str
    error: str
    models: tuple[Pair, ...]
    simulated: str
    tokens: tuple[Pair, ...]
    costs: tuple[Charge, ...]
    sign: str
    verdict: str
    style: str
    reason: str
    sentence: str


def live_row(call: ToolCall, *, as_of: str) -> LiveRow:
    """Show a call as a row of texts."""
    return told(shown(call, as_of=as_of))


def told(row: Shown) -> LiveRow:
    """Write a row of the Ledger as texts."""
    call, verdict = row.line.call, row.verdict
    sign, style = BADGES[verdict.word]
    why = REASONS.get(verdict.code)
    return LiveRow(
        tool_call_id=call.tool_call_id,
        opened_index=call.opened_index,
        href=f"{PREFIX}/calls/{quote(call.tool_call_id, safe='')}",
        label=f"Receipt of the call of {moment(call.opened_at)}",
        opened_at=call.opened_at,
        clock=clock(call.opened_at),
        day=day(call.opened_at),
        tool=call.tool,
        client=call.client,
        outcome=OUTCOMES[call.outcome or OPEN],
        error=plain(call.error_code or ""),
        models=_models(row),
        simulated="SIMULATED" if call.simulated else "",
        tokens=_tokens(row.tokens),
        costs=tuple(_charge(cost) for cost in row.costs),
        sign=sign,
        verdict=verdict.word,
        style=style,
        reason=f"{verdict.code}: {why}" if why else verdict.code,
        sentence=verdict.sentence,
    )


def _models(row: Shown) -> tuple[Pair, ...]:
    pairs = [Pair(model, provider) for provider, model in row.models]
    if not pairs:
        return (Pair("", "no provider was asked"),)
    attempts = row.line.call.attempts
    if attempts > 1:
        pairs[-1] = Pair(pairs[-1].text, f"{pairs[-1].quiet}, {counted(attempts, 'attempt')}")
    return tuple(pairs)


def _tokens(tokens: Tokens | None) -> tuple[Pair, ...]:
    if tokens is None:
        return (Pair("", "none metered"),)
    taken = tokens.uncached_input + tokens.cached_input + tokens.cache_write
    cached = f"{grouped(tokens.cached_input)} cached" if tokens.cached_input else ""
    reasoning = f"{grouped(tokens.reasoning)} reasoning" if tokens.reasoning else ""
    return Pair(f"{grouped(taken)} in", cached), Pair(f"{grouped(tokens.output)} out", reasoning)


def _charge(cost: Cost) -> Charge:
    figure = f"{cost.figure}{_NO_BREAK}{cost.currency}" if cost.currency else cost.figure
    return Charge(cost.kind, figure, cost.note)
