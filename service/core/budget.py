"""Budgets: what may be used up, by whom and in which window; and the sentence that stops an attempt.

An attempt belongs to the window in which its call was opened, as in every other sum. What it uses of a limit is
what was settled or stated; until that is known it is the worst case, which is reserved. Real and simulated use
never share a sum.
"""

from collections.abc import Mapping

import msgspec

from service.core import periods
from service.core.entries import BudgetEntry, BudgetTerms, BudgetWarning
from service.core.money import decimal_text, pico
from service.core.periods import Window
from service.core.words import BudgetPeriod
from service.errors import BudgetStopError

TOKENS = "tokens"
FILTERS = ("client", "provider", "wallet", "model", "tool")
"""What a budget's attempts are chosen by, and what they can be told apart by."""
THRESHOLDS = (95, 80, 50)
"""Percent of a limit at which a budget warns."""
_OR_FILE = " (in exai.toml if it is stated there)"
_PER = {
    BudgetPeriod.MINUTE: "a minute",
    BudgetPeriod.DAY: "a day",
    BudgetPeriod.MONTH: "a month",
    BudgetPeriod.TOTAL: "in all",
}


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, as far as budgets look at it.

    Attributes:
        opened_at: UTC text of when its call was opened, with microseconds.
        cost_pico: what it cost, in `currency`; None if that is not known, or not yet.
        held_pico: its worst case, while that is reserved: also once it is settled, as long as no price is known.
            None where there is no bound.
        tokens: what was metered or stated; None if that is not known, or not yet.
        held_tokens: its worst case, while that is reserved.
    """

    opened_at: str
    client: str
    provider: str
    wallet: str
    model: str
    tool: str
    simulated: bool
    currency: str | None
    cost_pico: int | None
    held_pico: int | None
    tokens: int | None
    held_tokens: int | None


Cell = tuple[tuple[str, ...], bool, str]
"""A group, whether simulated use is meant, and a unit."""
Cells = Mapping[Cell, tuple[int, int]]
"""What is spent and reserved in one window of a budget."""


class BudgetState(msgspec.Struct, frozen=True, kw_only=True):
    """Where one limit of a budget stands: pico-units of its unit, or tokens.

    Attributes:
        group: values of the terms' `each`, in its order.
        simulated: whether simulated use is meant.
    """

    terms: BudgetTerms
    window: Window
    group: tuple[str, ...]
    simulated: bool
    unit: str
    limit: int
    spent: int
    reserved: int

    @property
    def used(self) -> int:
        """What is spent or reserved."""
        return self.spent + self.reserved


def states(stated: BudgetTerms, within: Window, cells: Cells) -> tuple[BudgetState, ...]:
    """Say where every limit of a budget stands, in order. Unless groups have it, an unused one stands at zero."""
    found = sorted({(who, simulated) for who, simulated, _ in cells}) or ([] if stated.each else [((), False)])
    return tuple(
        BudgetState(
            terms=stated,
            window=within,
            group=who,
            simulated=simulated,
            unit=unit,
            limit=limit,
            spent=cells.get((who, simulated, unit), (0, 0))[0],
            reserved=cells.get((who, simulated, unit), (0, 0))[1],
        )
        for who, simulated in found
        for unit, limit in limits_of(stated).items()
    )


def limits_of(stated: BudgetTerms) -> dict[str, int]:
    """Give the limits as numbers: pico-units by currency, and tokens."""
    return {unit: int(text) if unit == TOKENS else pico(text) for unit, text in stated.limits.items()}


def amount_text(unit: str, amount: int) -> str:
    """Write an amount with its unit: `5 USD` of pico-units, `100000 tokens`."""
    return f"{number_text(unit, amount)} {unit}"


def number_text(unit: str, amount: int) -> str:
    """Write an amount without its unit."""
    return str(amount) if unit == TOKENS else decimal_text(amount)


def window(stated: BudgetTerms, at: str) -> Window:
    """Find the window of a budget that a time, a UTC text, lies in."""
    return periods.window(stated.period, stated.zone, at)


def governs(stated: BudgetTerms, use: Use) -> bool:
    """Tell whether a budget bounds an attempt."""
    return (
        stated.client in (None, use.client)
        and stated.provider in (None, use.provider)
        and stated.wallet in (None, use.wallet)
        and stated.model in (None, use.model)
        and stated.tool in (None, use.tool)
    )


def group(stated: BudgetTerms, use: Use) -> tuple[str, ...]:
    """Name the attempts that share one limit with this one."""
    return tuple(getattr(use, word) for word in stated.each)


def amounts(use: Use) -> dict[str, tuple[int, int]]:
    """Say what an attempt uses: spent and reserved, by unit."""
    found: dict[str, tuple[int, int]] = {}
    if use.currency is not None:
        known = use.cost_pico is not None
        found[use.currency] = (use.cost_pico or 0, 0 if known else use.held_pico or 0)
    known = use.tokens is not None
    found[TOKENS] = (use.tokens or 0, 0 if known else use.held_tokens or 0)
    return found


def percent(used: int, limit: int) -> int:
    """Give the highest of `THRESHOLDS` that is reached; 0 for none."""
    return next((one for one in THRESHOLDS if used and used * 100 >= one * limit), 0)


def warning(state: BudgetState, reached: int) -> BudgetWarning:
    """Say that a share of a limit is used up."""
    return BudgetWarning(
        unit=state.unit,
        group=state.group,
        window=state.window.begins,
        percent=reached,
        used=number_text(state.unit, state.used),
        limit=number_text(state.unit, state.limit),
        simulated=state.simulated,
    )


def warned(entry: BudgetEntry) -> str:
    """Say in one line what an entry warns of; the values of a group are quoted, for clients choose them."""
    said = entry.warning
    if said is None:
        return f"budget {entry.name}: {entry.event}"
    group = f" for {', '.join(map(repr, said.group))}" if said.group else ""
    marked = ", SIMULATED" if said.simulated else ""
    return (
        f"budget {entry.name}{group} has {said.used} of {said.limit} {said.unit} spent and reserved,"
        f" {said.percent} % or more{marked}"
    )


def stop(state: BudgetState, worst: int) -> BudgetStopError:
    """Say why an attempt is stopped that could use `worst` at most, and when and how it could be made.

    The sentence goes to the client: what is spent and reserved stands in it only where that is the client's own.
    """
    unit, ends = state.unit, state.window.ends
    most = f"{amount_text(unit, worst)} at most"
    said = (
        f"Budget {_for_whom(state.terms, state.group)} allows {amount_text(unit, state.limit)}"
        f" {_PER[state.terms.period]}{_used(state)}, and this attempt could use {most}."
    )
    ways = ["lower max_output_tokens", f"raise it with `exai budget set {state.terms.name} --limit …`{_OR_FILE}"]
    waiting_helps = ends is not None and worst <= state.limit
    if ends is not None:
        said += f" It begins anew at {periods.shown(ends, state.terms.zone)}."
    if waiting_helps:
        ways.insert(0, "wait until then")
    remedy = f"{', '.join(ways[:-1])}, or {ways[-1]}."
    return BudgetStopError(said, remedy=remedy[:1].upper() + remedy[1:], resets_at=ends, retryable=waiting_helps)


def unbounded(stated: BudgetTerms, use: Use) -> BudgetStopError | None:
    """Say why an attempt is stopped whose worst case is no amount in a unit of this budget; None if it is one.

    What is not bounded in money passes a budget of tokens alone, and one that allows unknown prices; what can
    cost no money at all, as what a plan pays, passes every one.
    """
    units = [unit for unit in stated.limits if unit != TOKENS]
    if not units or stated.allow_unknown_price or use.held_pico == 0:
        return None
    said = f"Budget {_for_whom(stated, group(stated, use))} limits {' and '.join(units)}, and"
    allow = f"let it pass with `exai budget set {stated.name} --allow-unknown-price`{_OR_FILE}"
    if use.currency is None or use.held_pico is None:
        return BudgetStopError(
            f"{said} no price is known of {use.model} at {use.wallet}: what it could cost has no bound.",
            remedy=f"Add its price to the file that EXAI_PRICES names, or {allow}.",
        )
    if use.currency not in units:
        return BudgetStopError(
            f"{said} the wallet {use.wallet} is billed in {use.currency}, which it does not name.",
            remedy=f"Add a limit in {use.currency} with `exai budget set {stated.name} --limit …`, or {allow}.",
        )
    return None


def _used(state: BudgetState) -> str:
    if state.terms.client is None and "client" not in state.terms.each:
        return ""  # it would say what others spent
    spent, reserved = amount_text(state.unit, state.spent), amount_text(state.unit, state.reserved)
    return f": {spent} spent, {reserved} reserved"


def _for_whom(stated: BudgetTerms, values: tuple[str, ...]) -> str:
    named = [f"{word} {value}" for word, value in zip(stated.each, values, strict=True)]
    return f"{stated.name!r} for {' and '.join(named)}" if named else repr(stated.name)
