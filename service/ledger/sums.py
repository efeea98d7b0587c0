"""Sums: the SQL that adds spending up by quarter hours, and the reading of its rows. No sum leaves 64 bits.

Calls that are rolled up are read from the roll-ups, as far as whole quarter hours are asked for; all others one by
one. No call is in both, so the two may be added.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from service.core.spending import BY_TIME, COUNTS, Spending
from service.core.words import AttemptOutcome, CostStatus
from service.ledger.rows import NOTHING

_HALF = 1_000_000_000  # amounts are added in two halves: a dozen of the largest would leave SQLite's 64 bits
_QUARTER = "substr(calls.opened_at, 1, 14) || substr('00153045', substr(calls.opened_at, 15, 2) / 15 * 2 + 1, 2)"
_OF_CALLS = frozenset(("tool", "client"))
_STORED_AS = {"spent_pico": "cost_pico"}
CURRENCY = f"CASE WHEN attempts.cost_status IS NOT '{CostStatus.UNKNOWN_PRICE}' THEN attempts.currency END"
"""What an attempt was billed in; of one without a known price the currency is that of its worst case."""
_COUNTED: Mapping[str, str] = {
    "calls": "count(DISTINCT calls.tool_call_id)",
    "calls_without_attempt": "sum(attempts.attempt_id IS NULL)",
    "attempts": "count(attempts.attempt_id)",
    **{str(one): f"count(*) FILTER (WHERE attempts.outcome = '{one}')" for one in AttemptOutcome},
    "free": f"count(*) FILTER (WHERE attempts.cost_status = '{CostStatus.FREE}')",
    "plan": f"count(*) FILTER (WHERE attempts.cost_status = '{CostStatus.PLAN}')",
    "unpriced": f"count(*) FILTER (WHERE attempts.cost_status = '{CostStatus.UNKNOWN_PRICE}')",
}
_ADDED: Mapping[str, str] = {
    **{name: f"attempts.{name}" for name in COUNTS if name.endswith("_tokens")},
    "spent_pico": "attempts.cost_pico",
    "held_pico": f"CASE WHEN attempts.outcome = '{AttemptOutcome.IN_DOUBT}' THEN attempts.held_pico END",
}


def spending_query(by: Sequence[str], where: str) -> str:
    """Write the query that groups calls and their attempts.

    Args:
        by: words of `core.spending.BY`; with a time among them, groups are of one quarter hour each.
        where: the conditions over `calls`, with the word WHERE, or nothing.
    """
    named = _named(by)
    groups = [_QUARTER if BY_TIME & set(by) else "''"]
    groups += [f"{'calls' if name in _OF_CALLS else 'attempts'}.{name}" for name in named]
    groups += [CURRENCY, "coalesce(attempts.simulated, 0)"]
    sums = [*_COUNTED.values(), "max(calls.opened_at)"]
    sums += [f"coalesce(sum({amount} {half} {_HALF}), 0)" for amount in _ADDED.values() for half in "/%"]
    return f"""
        SELECT {", ".join([*groups, *sums])} FROM calls LEFT JOIN attempts USING (tool_call_id){where}
        GROUP BY {", ".join(str(number + 1) for number in range(len(groups)))}
    """  # noqa: S608 - our own names; values are bound


def spending_row(by: Sequence[str], row: tuple[Any, ...]) -> tuple[str, Spending]:
    """Read a row of that query: its quarter hour, and its sums."""
    quarter, *values = row
    names = (*_named(by), "currency", "simulated", *_COUNTED, "last_at")
    read = dict(zip(names, values[: len(names)], strict=True))
    halves = iter(values[len(names) :])
    for name in _ADDED:
        read[name] = next(halves) * _HALF + next(halves)
    return quarter, msgspec.convert(read, Spending, strict=False)


def rolled_up_query(by: Sequence[str], where: str) -> str:
    """Write the query that groups roll-ups; its rows are as those of `spending_query`.

    Args:
        by: as there.
        where: the conditions over `rollups`, with the word WHERE, or nothing.
    """
    named = _named(by)
    groups = ["substr(bucket, 1, 16)" if BY_TIME & set(by) else "''"]
    groups += [name if name in _OF_CALLS else f"nullif({name}, '{NOTHING}')" for name in named]
    groups += [f"nullif(currency, '{NOTHING}')", "simulated"]
    sums = ["0" if name == AttemptOutcome.OPEN else f"sum({name})" for name in _COUNTED]
    sums.append("max(last_at)")
    sums += [f"sum({_STORED_AS.get(name, name)} {half} {_HALF})" for name in _ADDED for half in "/%"]
    return f"""
        SELECT {", ".join([*groups, *sums])} FROM rollups{where}
        GROUP BY {", ".join(str(number + 1) for number in range(len(groups)))}
        HAVING sum(calls) > 0
    """  # noqa: S608 - our own names; values are bound


def _named(by: Sequence[str]) -> list[str]:
    return [name for name in by if name not in BY_TIME]
