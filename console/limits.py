"""Limits: a budget's terms in words, and where each of its limits stands, in finished texts."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import msgspec

from service.core.budget import (
    FILTERS,
    BudgetState,
    amount_text,
    amounts,
    governs,
    group,
    number_text,
    percent,
    window,
)
from service.core.entries import BudgetTerms
from service.core.periods import shown
from service.core.words import AttemptOutcome, BudgetPeriod
from service.ledger.reading import CallLine
from service.ledger.used import use

FULL = 100
Place = tuple[str, tuple[str, ...], bool, str]
_NOTHING = (0, 0)
NEARLY_PERCENT = 80
_PER = {
    BudgetPeriod.MINUTE: "a minute",
    BudgetPeriod.DAY: "a day",
    BudgetPeriod.MONTH: "a month",
    BudgetPeriod.TOTAL: "in all",
}


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of one group. Amounts are exact decimals, or whole tokens.

    Attributes:
        group: whose share it is; empty where it is everybody's.
        under_way, in_doubt: for what the reserved amount is held.
        percent: used of the limit, rounded down; more than 100 is possible.
        warned: the highest threshold that is passed; 0 for none.
        begins, ends: UTC texts of the window; it begins nowhere and ends nowhere where all time is meant.
    """

    budget: str
    group: str
    unit: str
    simulated: bool
    limit: str
    spent: str
    reserved: str
    under_way: str
    in_doubt: str
    left: str
    percent: int
    warned: int
    begins: str
    ends: str | None

    @property
    def bar(self) -> str:
        """How long a bar of it is, of the whole width."""
        return f"{min(self.percent, FULL)}%"

    @property
    def stopped(self) -> bool:
        """Whether nothing is left."""
        return self.percent >= FULL


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """One budget: its terms and its present window in words, and its limits."""

    name: str
    terms: str
    window: str
    limits: tuple[Limit, ...]


def visible(states: Iterable[BudgetState], owner: str | None) -> tuple[BudgetState, ...]:
    """Choose what a reader may see: of one client's calls alone, the limits that are this client's own.

    What several clients share would say what the others spent.
    """
    if owner is None:
        return tuple(states)
    return tuple(state for state in states if _client(state) == owner)


def _client(state: BudgetState) -> str | None:
    return dict(zip(state.terms.each, state.group, strict=True)).get("client", state.terms.client)


def reserved_under_way(states: Iterable[BudgetState], open_calls: Iterable[CallLine]) -> dict[Place, int]:
    """Add up what is held for attempts that are under way, by limit; the rest is held for those in doubt."""
    found: dict[Place, int] = {}
    uses = [
        use(attempt, opened_at=line.call.opened_at, client=line.call.client, tool=line.call.tool)
        for line in open_calls
        for attempt in line.attempts
        if attempt.outcome is AttemptOutcome.OPEN
    ]
    for state in states:
        found[_place(state)] = sum(
            amounts(one).get(state.unit, _NOTHING)[1]
            for one in uses
            if one.simulated is state.simulated
            and governs(state.terms, one)
            and group(state.terms, one) == state.group
            and window(state.terms, one.opened_at) == state.window
        )
    return found


def told(state: BudgetState, under_way: Mapping[Place, int]) -> Limit:
    """Write one limit."""
    moving = min(state.reserved, under_way.get(_place(state), 0))
    return Limit(
        budget=state.terms.name,
        group=_group(state),
        unit=state.unit,
        simulated=state.simulated,
        limit=number_text(state.unit, state.limit),
        spent=number_text(state.unit, state.spent),
        reserved=number_text(state.unit, state.reserved),
        under_way=number_text(state.unit, moving),
        in_doubt=number_text(state.unit, state.reserved - moving),
        left=number_text(state.unit, max(0, state.limit - state.used)),
        percent=state.used * FULL // state.limit if state.limit else FULL,
        warned=percent(state.used, state.limit),
        begins=state.window.begins,
        ends=state.window.ends,
    )


def budgets(limits: Iterable[Limit], terms: Iterable[BudgetTerms], *, at: str) -> tuple[Budget, ...]:
    """Put limits under their budgets, in the budgets' order; a budget of groups may have none in use."""
    of = {name: tuple(each) for name, each in groupby(limits, key=lambda limit: limit.budget)}
    return tuple(
        Budget(name=one.name, terms=sentence(one), window=_window(one, at), limits=of.get(one.name, ()))
        for one in terms
    )


def sentence(stated: BudgetTerms) -> str:
    """Say a budget's terms in words, without its name."""
    *others, last = (f"{text} {unit}" for unit, text in stated.limits.items())
    sums = f"{', '.join(others)} and {last}" if others else last
    zone = f" ({stated.zone})" if stated.period in (BudgetPeriod.DAY, BudgetPeriod.MONTH) else ""
    only = [f"{word} {value}" for word in FILTERS if (value := getattr(stated, word)) is not None]
    said = f"{sums} {_PER[stated.period]}{zone}"
    said += f", for {', '.join(only)}" if only else ", for all attempts"
    if stated.each:
        said += f"; each {' and '.join(stated.each)} has the whole limit"
    if stated.allow_unknown_price:
        said += "; attempts whose price is not known pass"
    return f"{said}."


def near(states: Sequence[BudgetState]) -> tuple[BudgetState, ...]:
    """Choose the limits that are nearly used up, or wholly."""
    return tuple(state for state in states if state.used * FULL >= state.limit * NEARLY_PERCENT)


def in_short(state: BudgetState) -> str:
    """Say in a few words how much of a limit is used."""
    whose = f" ({named})" if (named := _group(state)) else ""
    share = state.used * FULL // state.limit if state.limit else FULL
    marked = ", SIMULATED" if state.simulated else ""
    return f"{state.terms.name}{whose}: {share} % of {amount_text(state.unit, state.limit)}{marked}"


def _place(state: BudgetState) -> Place:
    return state.terms.name, state.group, state.simulated, state.unit


def _group(state: BudgetState) -> str:
    return ", ".join(f"{word} {value}" for word, value in zip(state.terms.each, state.group, strict=True))


def _window(stated: BudgetTerms, at: str) -> str:
    within = window(stated, at)
    if within.ends is None:
        return "It counts all that was ever used, and never begins anew."
    begins, ends = (shown(one, stated.zone) for one in (within.begins, within.ends))
    return f"It counts since {begins}, and begins anew at {ends}."
