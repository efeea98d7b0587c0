"""What of a budget is used, by the ledger's tables: one query, and so one moment.

An attempt counts when its call was opened, as in every other sum. Windows longer than a minute are whole quarter
hours: of calls that are rolled up the sums are read, however many there are; all others, as open ones, one by one.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from service.core.budget import (
    FILTERS,
    TOKENS,
    BudgetState,
    Cell,
    Cells,
    Use,
    amounts,
    governs,
    group,
    states,
    window,
)
from service.core.entries import BudgetTerms
from service.core.periods import Window
from service.core.words import BudgetPeriod
from service.ledger.store import AttemptRow

Execute = Callable[[str, tuple[Any, ...]], Iterable[tuple[Any, ...]]]
_HALF = 1_000_000_000  # sums are made in two halves: a dozen of the largest would leave SQLite's 64 bits
_NO_END = "~"  # after every time
_TOKENS = ("uncached_input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
_SUMS = ("cost_pico", "held_pico", *_TOKENS, "stated_tokens", "held_tokens")
_OF_CALLS = frozenset(("client", "tool"))
_ONE_BY_ONE = "calls CROSS JOIN attempts USING (tool_call_id)", "calls.opened_at"
_APART = "calls.rolled_up = 0 AND "
_ROLLED_UP = "rollups", "rollups.bucket"


def use(row: AttemptRow, *, opened_at: str, client: str, tool: str) -> Use:
    """Look at an attempt of a call as budgets do."""
    counts = [getattr(row, name) for name in _TOKENS]
    metered = None if row.output_tokens is None else sum(count or 0 for count in counts)
    return Use(
        opened_at=opened_at,
        client=client,
        provider=row.provider,
        wallet=row.wallet,
        model=row.model,
        tool=tool,
        simulated=row.simulated,
        currency=row.currency,
        cost_pico=row.cost_pico,
        held_pico=row.held_pico,
        tokens=row.stated_tokens if metered is None else metered,
        held_tokens=row.held_tokens,
    )


def read_used(execute: Execute, terms: BudgetTerms, within: Window) -> Cells:
    """Read what is spent and reserved in one window of a budget, of everything that is committed.

    Args:
        execute: runs SQL on the ledger's tables.
        terms: the budget's.
        within: one of its windows.
    """
    if terms.period is BudgetPeriod.MINUTE:
        parts = [_part(*_ONE_BY_ONE, "", terms)]
    else:
        parts = [_part(*_ROLLED_UP, "", terms), _part(*_ONE_BY_ONE, _APART, terms)]
    said = [getattr(terms, name) for name in FILTERS]
    values = (within.begins, within.ends or _NO_END, *(value for value in said if value is not None))
    rows = execute(" UNION ALL ".join(parts), values * len(parts))
    return added(one for row in rows for one in _read(terms, row))


def used_of(uses: Iterable[Use], terms: BudgetTerms, within: Window) -> Cells:
    """Add up the same from attempts, where there are no tables."""
    return added(
        ((group(terms, one), one.simulated, unit), amount)
        for one in uses
        if governs(terms, one) and within.begins <= one.opened_at < (within.ends or _NO_END)
        for unit, amount in amounts(one).items()
        if unit in terms.limits
    )


def states_of(execute: Execute, terms: Iterable[BudgetTerms], at: str) -> tuple[BudgetState, ...]:
    """Say where every limit stands in the windows that hold `at`, by the tables alone.

    Budgets are read one after the other: who wants one moment of all must hold a snapshot.
    """
    found = ((one, window(one, at)) for one in terms)
    return tuple(state for one, within in found for state in states(one, within, read_used(execute, one, within)))


def added(parts: Iterable[tuple[Cell, tuple[int, int]]]) -> Cells:
    """Add spent and reserved by place; what comes to nothing is left out."""
    sums: dict[Cell, tuple[int, int]] = {}
    for place, (spent, reserved) in parts:
        before = sums.get(place, (0, 0))
        sums[place] = before[0] + spent, before[1] + reserved
    return {place: amount for place, amount in sums.items() if amount != (0, 0)}


def _part(source: str, time: str, further: str, terms: BudgetTerms) -> str:
    """Write the query of one source; every part binds the same values."""
    table = "rollups" if source == "rollups" else "attempts"
    columns = {
        name: f"{'calls' if name in _OF_CALLS and table == 'attempts' else table}.{name}" for name in FILTERS
    }
    keys = [*(columns[name] for name in terms.each), f"{table}.simulated", f"{table}.currency"]
    sums = [f"coalesce(sum({table}.{name} {half} {_HALF}), 0)" for name in _SUMS for half in "/%"]
    only = "".join(f" AND {columns[name]} = ?" for name in FILTERS if getattr(terms, name) is not None)
    return (
        f"SELECT {', '.join([*keys, *sums])} FROM {source}"  # noqa: S608 - our own names; values are bound
        f" WHERE {further}{time} >= ? AND {time} < ?{only}"
        f" GROUP BY {', '.join(str(number + 1) for number in range(len(keys)))}"
    )


def _read(terms: BudgetTerms, row: tuple[Any, ...]) -> Iterator[tuple[Cell, tuple[int, int]]]:
    """Read a row: what it says of each unit that the budget limits."""
    count = len(terms.each)
    who, simulated, currency = tuple(row[:count]), bool(row[count]), row[count + 1]
    halves = iter(row[count + 2 :])
    sums = {name: high * _HALF + low for name, high, low in zip(_SUMS, halves, halves, strict=False)}
    if currency in terms.limits:
        yield (who, simulated, currency), (sums["cost_pico"], sums["held_pico"])
    if TOKENS in terms.limits:
        spent = sum(sums[name] for name in (*_TOKENS, "stated_tokens"))
        yield (who, simulated, TOKENS), (spent, sums["held_tokens"])
