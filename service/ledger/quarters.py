"""Quarter hours: the roll-ups against the calls that they sum up, by SQL, a day at a time and at one moment."""

from collections.abc import Iterator
from typing import Any

from service.core.words import AttemptOutcome, CostStatus
from service.ledger.findings import Findings
from service.ledger.reading import Reading
from service.ledger.rows import NOTHING, SUM_MAX, SUMMED, columns
from service.ledger.store import RollupKey

_HALF = 1_000_000_000  # sums are made in two halves: a dozen of the largest would leave SQLite's 64 bits
_AFTER = "~"  # after every time of a day
_KEYS = {
    "bucket": (
        "substr(calls.opened_at, 1, 14)"
        " || substr('00153045', substr(calls.opened_at, 15, 2) / 15 * 2 + 1, 2) || ':00Z'"
    ),
    "client": "calls.client",
    "tool": "calls.tool",
    **{name: f"coalesce(attempts.{name}, '{NOTHING}')" for name in ("provider", "wallet", "model", "currency")},
    "simulated": "coalesce(attempts.simulated, 0)",
}
_COUNTED = {
    "calls": "coalesce(attempts.number, 1) = 1",
    "calls_without_attempt": "attempts.number IS NULL",
    "attempts": "attempts.number IS NOT NULL",
    **{str(one): f"attempts.outcome = '{one}'" for one in AttemptOutcome if one is not AttemptOutcome.OPEN},
    "free": f"attempts.cost_status = '{CostStatus.FREE}'",
    "plan": f"attempts.cost_status = '{CostStatus.PLAN}'",
    "unpriced": f"attempts.cost_status = '{CostStatus.UNKNOWN_PRICE}'",
}
_NEXT_DAY = """
    SELECT min(substr(at, 1, 10)) FROM (
        SELECT min(bucket) AS at FROM rollups WHERE bucket >= ?1
        UNION ALL SELECT min(opened_at) FROM calls WHERE opened_at >= ?1
    )
"""
_IN_DOUBT = f"""
    SELECT simulated, sum(found) FROM (
        SELECT simulated, in_doubt AS found FROM rollups
        UNION ALL SELECT attempts.simulated, 1 FROM calls CROSS JOIN attempts USING (tool_call_id)
        WHERE calls.rolled_up = 0 AND attempts.outcome = '{AttemptOutcome.IN_DOUBT}'
    ) GROUP BY simulated
"""  # noqa: S608 - our own words
_Key = tuple[Any, ...]
_Sums = tuple[int, ...]


def compare(reading: Reading, findings: Findings) -> Iterator[None]:
    """Look whether every roll-up is the sum of its calls, and note what differs."""
    day = next_day(reading, "")
    while day is not None:
        with reading.snapshot():
            stored, found = _stored(reading, day), _summed(reading, day)
        for key in sorted({*stored, *found}):
            left, right = found.get(key, _NOTHING), stored.get(key, _NOTHING)
            names = [name for name, one, other in zip(SUMMED, left, right, strict=True) if one != other]
            if names:
                where = f"of {key[_WALLET] or 'no wallet'} in the quarter hour {key[0]}"
                findings.note(None, f"the sums {where} are not those of its calls, in {', '.join(names)}")
        yield
        day = next_day(reading, day + _AFTER)


def in_doubt(reading: Reading) -> tuple[int, int]:
    """Count the real and the simulated attempts that are in doubt."""
    found = {bool(simulated): int(count) for simulated, count in reading.select(_IN_DOUBT)}
    return found.get(False, 0), found.get(True, 0)


def next_day(reading: Reading, after: str) -> str | None:
    """Name the first day after a UTC text of which there are calls or sums; None if there is none."""
    ((found,),) = reading.select(_NEXT_DAY, (after,))
    return None if found is None else str(found)


def _stored(reading: Reading, day: str) -> dict[_Key, _Sums]:
    """Read a day's roll-ups; one that all was taken back from says nothing."""
    rows = reading.select(_STORED, (day, day + _AFTER))
    found = {tuple(row[: len(_KEYS)]): tuple(row[len(_KEYS) :]) for row in rows}
    return {key: sums for key, sums in found.items() if any(sums)}


def _summed(reading: Reading, day: str) -> dict[_Key, _Sums]:
    found = {}
    for row in reading.select(_SUMS_OF_CALLS, (day, day + _AFTER)):
        halves = iter(row[len(_KEYS) :])
        sums = (high * _HALF + low for high, low in zip(halves, halves, strict=True))
        found[tuple(row[: len(_KEYS)])] = tuple(min(one, SUM_MAX) for one in sums)
    return found


def _sum_of(name: str) -> str:
    one = _COUNTED.get(name, f"attempts.{name}")
    return ", ".join(f"coalesce(sum(({one}) {half} {_HALF}), 0)" for half in "/%")


_NOTHING = (0,) * len(SUMMED)
_WALLET = columns(RollupKey).index("wallet")
_STORED = (
    f"SELECT {', '.join((*columns(RollupKey), *SUMMED))} FROM rollups"  # noqa: S608 - our own names
    " WHERE bucket >= ? AND bucket < ?"
)
_SUMS_OF_CALLS = (
    f"SELECT {', '.join(_KEYS[name] for name in columns(RollupKey))}, {', '.join(map(_sum_of, SUMMED))}"  # noqa: S608 - as above
    " FROM calls LEFT JOIN attempts USING (tool_call_id)"
    " WHERE calls.opened_at >= ? AND calls.opened_at < ? AND calls.rolled_up = 1"
    f" GROUP BY {', '.join(str(number + 1) for number in range(len(_KEYS)))}"
)
