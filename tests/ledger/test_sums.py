"""Sums: whatever was written, SQL adds it up as plain arithmetic does, in any zone and beyond 64 bits."""

import asyncio
import random
import tempfile
from collections import defaultdict
from datetime import datetime
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.entries import DoubtEntry, WorstCase
from service.core.spending import BY, COUNTS, Spending
from service.core.times import utc_text
from service.core.words import AttemptOutcome, CostStatus
from service.errors import InvalidArgumentsError
from service.ledger.choosing import CallFilter, split, where_clause
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.reading import CallLine, Reading
from service.ledger.rows import AMOUNT_PICO_MAX
from service.ledger.sqlite import SqliteStore
from service.ledger.store import AttemptRow, CallRow
from service.ledger.sums import rolled_up_query, spending_query
from service.ledger.writer import Append, Writer
from tests.ledger.test_reading import BEGUN_NS, CALLS, FILTERS, One, drafts, write_all

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.ledger.conftest import Full

UNBOUND = WorstCase(input_tokens=5, output_tokens=5, currency=None, amount=None)
TOKENS = tuple(name for name in COUNTS if name.endswith("_tokens"))
STATUSES = {"free": CostStatus.FREE, "plan": CostStatus.PLAN, "unpriced": CostStatus.UNKNOWN_PRICE}
ZONES = ("UTC", "Asia/Kolkata", "America/Los_Angeles")
Sums = dict[tuple[object, ...], dict[str, Any]]


def local(at: str, zone: str) -> dict[str, str]:
    """Say which day and hour of a zone a time is in."""
    there = datetime.fromisoformat(at).astimezone(ZoneInfo(zone))
    return {"day": f"{there:%Y-%m-%d}", "hour": f"{there:%Y-%m-%dT%H}:00{there.isoformat()[-6:]}"}


def counted(attempt: AttemptRow) -> dict[str, int]:
    """Count one attempt by hand."""
    counts = {"attempts": 1, str(attempt.outcome): 1, "spent_pico": attempt.cost_pico or 0}
    if attempt.outcome is AttemptOutcome.IN_DOUBT:
        counts["held_pico"] = attempt.held_pico or 0
    counts |= {name: 1 for name, status in STATUSES.items() if attempt.cost_status == status}
    return counts | {name: getattr(attempt, name) or 0 for name in TOKENS}


def added_up(lines: list[CallLine], by: tuple[str, ...], zone: str) -> Sums:
    """Add calls up by hand."""
    sums: Sums = defaultdict(lambda: dict.fromkeys(COUNTS, 0) | {"last_at": "", "of": set()})

    def group(call: CallRow, attempt: AttemptRow | None) -> dict[str, Any]:
        of_call = {"tool": call.tool, "client": call.client, **local(call.opened_at, zone)}
        values = tuple(of_call[name] if name in of_call else getattr(attempt, name, None) for name in by)
        priced = attempt is not None and attempt.cost_status != CostStatus.UNKNOWN_PRICE
        row = sums[
            *values, attempt.currency if priced and attempt else None, bool(getattr(attempt, "simulated", False))
        ]
        row["of"].add(call.tool_call_id)
        row["last_at"] = max(row["last_at"], call.opened_at)
        return row

    for line in lines:
        if not line.attempts:
            group(line.call, None)["calls_without_attempt"] += 1
        for attempt in line.attempts:
            row = group(line.call, attempt)
            for name, count in counted(attempt).items():
                row[name] += count
    for row in sums.values():
        row["calls"] = len(row.pop("of"))
    return dict(sums)


def seen(rows: list[Spending], by: tuple[str, ...]) -> Sums:
    """Give rows as adding by hand gives them; no two may be of one group."""
    found = {
        (*(getattr(row, name) for name in by), row.currency, row.simulated): {
            name: getattr(row, name) for name in (*COUNTS, "last_at")
        }
        for row in rows
    }
    assert len(rows) == len(found)
    return found


@settings(max_examples=20)
@given(calls=CALLS, only=FILTERS, zone=st.sampled_from(ZONES))
def test_spending_is_plain_arithmetic(made: "Made", calls: list[One], only: dict[str, Any], zone: str) -> None:
    """By any two words and by none: every count, amount and time is what adding by hand gives."""
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(write_all(Path(place), [drafts(made, number, call) for number, call in enumerate(calls)]))
        reading = Reading(Path(place))
        lines = reading.calls(CallFilter(**only), limit=100)
        for by in ((), *combinations(BY, 1), *combinations(BY, 2)):
            rows = reading.spending(CallFilter(**only), by=by, zone=ZoneInfo(zone))
            assert added_up(lines, by, zone) == seen(rows, by)
            order = [
                (*(getattr(row, name) or "" for name in by), row.currency or "", row.simulated) for row in rows
            ]
            assert sorted(order) == order
        reading.close()


@pytest.mark.parametrize("seed", range(6))
def test_resolutions_leave_nothing_behind(made: "Made", folder: Path, seed: int) -> None:
    """Calls that a resolution moves into another sum, or out of all, leave no row and no time where they were."""
    chance, at_ns, store = random.Random(seed), BEGUN_NS, SqliteStore(folder, new_origin="o")  # noqa: S311 - a history
    writer, doubts = Writer(store), list[tuple[str, str]]()
    for number in range(40):
        at_ns += chance.choice([0, 10**9, 60 * 10**9, 900 * 10**9])
        call_id = f"{number:032x}"
        of: dict[str, Any] = {"tool_call_id": call_id, "attempt_id": call_id}
        worst = made.intent().worst_case if chance.random() < 0.4 else UNBOUND
        opened = (
            made.tool_call(tool_call_id=call_id, client=chance.choice("ab")),
            made.intent(**of, worst_case=worst),
        )
        unknown = made.cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None)
        end = made.settlement(**of, cost=unknown) if chance.random() < 0.3 else made.doubt(**of)
        writer.write([Append((*opened, end, made.answer(tool_call_id=call_id)), utc_text(at_ns))])
        if isinstance(end, DoubtEntry):
            doubts.append((call_id, worst.currency or chance.choice(["USD", "CNY"])))
        if doubts and chance.random() < 0.6:
            found, currency = doubts.pop(chance.randrange(len(doubts)))
            stated: dict[str, Any] = {"currency": currency, "amount": chance.choice(["0", "0.5", "1500"])}
            resolved = made.resolution(tool_call_id=found, attempt_id=found, **stated)
            writer.write([Append((resolved,), utc_text(at_ns))])
    reading = Reading(folder)
    cuts = [None, *(utc_text(BEGUN_NS + chance.randrange(at_ns - BEGUN_NS)) for _ in range(3))]
    for since, until, provider in product(cuts, cuts, [(), ("",), ("", "kimi")]):
        only = CallFilter(since=since, until=until, provider=provider)
        for by in ((), ("client", "hour")):
            expected = added_up(reading.calls(only, limit=100), by, "UTC")
            assert expected == seen(reading.spending(only, by=by), by), only
    reading.close()
    store.close()


async def test_amounts_beyond_64_bits_are_added(made: "Made", folder: Path) -> None:
    """Ten of the largest amounts leave SQLite's integers; their sum is exact all the same."""
    reading = await read_after(folder, [settled(made, number, "1000000") for number in range(10)])
    (row,) = reading.spending(CallFilter())
    assert 10 * AMOUNT_PICO_MAX == row.spent_pico > 2**63
    (wallet,) = reading.sums(CallFilter())
    assert 10 * AMOUNT_PICO_MAX == wallet.cost_pico
    reading.close()


async def test_times_are_those_of_the_call(made: "Made", folder: Path) -> None:
    """An attempt that began in the next day belongs to the day its call was opened in."""
    appends = [[entry] for entry in settled(made, 1, "0.25")]
    reading = await read_after(folder, appends, begin="2026-11-22T23:55:00Z")
    assert [("2026-11-22", 1)] == [(row.day, row.settled) for row in reading.spending(CallFilter(), by=("day",))]
    assert "2026-11-23" == reading.calls(CallFilter())[0].attempts[0].started_at[:10]
    reading.close()


async def test_an_unknown_word_is_no_sql(folder: Path) -> None:
    """What is grouped by comes from a closed list."""
    reading = await read_after(folder, [])
    assert [] == reading.spending(CallFilter())
    with pytest.raises(InvalidArgumentsError):
        reading.spending(CallFilter(), by=("1; DROP TABLE calls",))
    reading.close()


def settled(made: "Made", number: int, amount: str) -> list[Any]:
    """Write one call that cost an amount."""
    of: dict[str, Any] = {"tool_call_id": f"{number:032x}"}
    cost = made.cost(amount=amount)
    return [made.tool_call(**of), made.intent(**of), made.settlement(**of, cost=cost), made.answer(**of)]


class Stepping:
    """A clock that goes on by ten minutes whenever it is asked."""

    def __init__(self, at_ns: int) -> None:
        self.at_ns = at_ns

    def now_ns(self) -> int:
        """Say the time, then let it pass."""
        self.at_ns += 600 * 10**9
        return self.at_ns - 600 * 10**9

    def monotonic_ns(self) -> int:
        """Say the same."""
        return self.now_ns()


async def read_after(folder: Path, appends: list[list[Any]], begin: str | None = None) -> Reading:
    """Write appends and read them; the first entry of a call is written when the ledger's clock says `begin`."""
    at_ns = BEGUN_NS if begin is None else int(datetime.fromisoformat(begin).timestamp()) * 10**9 - 600 * 10**9
    feed = Feed((), reread=lambda _first, _count: (), next_index=0)
    feed.start()
    ledger = Ledger(Writer(SqliteStore(folder, new_origin="o")), feed, clock=Stepping(at_ns))
    await ledger.start({})
    for entries in appends:
        await ledger.append(*entries)
    await ledger.close()
    return Reading(folder)


async def test_a_range_reads_no_more_than_its_edges(written: "Full") -> None:
    """However long the log, calls are looked up by their time and roll-ups by theirs; nothing is read whole."""
    async with written(3) as reading:
        only = CallFilter(since="2026-10-24T16:21:07Z", until="2026-11-23T16:21:07Z", client=("owner",))
        apart, rolled = split(only)
        assert rolled is not None
        for query, values in (
            (spending_query(("day",), where_clause(apart[0])), apart[1]),
            (rolled_up_query(("day",), where_clause(rolled[0])), rolled[1]),
        ):
            plan = [str(row[-1]) for row in reading.select(f"EXPLAIN QUERY PLAN {query}", tuple(values))]
            scans = [step for step in plan if step.startswith("SCAN") and "calls_apart" not in step]
            assert [] == scans, plan
