"""Reading gives what was written, filtered, page by page and added up; and it cannot write."""

import asyncio
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import VERSION
from service.core.entries import AnyEntry
from service.core.money import pico
from service.core.words import CostStatus, ZeroReason
from service.errors import StoreError
from service.ledger.choosing import CallFilter
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.reading import Head, Reading
from service.ledger.schema import SCHEMA_VERSION
from service.ledger.sqlite import FILE_NAME, SqliteStore
from service.ledger.verify import compare_rows, verify
from service.ledger.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Made
    from tests.ledger.conftest import Full, Kept, Lives, Opened

BEGUN_NS = 1_795_364_460_000_000_000

One = dict[str, Any]
ATTEMPTS = st.fixed_dictionaries(
    {
        "provider": st.sampled_from(["kimi", "glm"]),
        "wallet": st.sampled_from(["w-1", "w-2"]),
        "model": st.sampled_from(["m-1", "m-2"]),
        "currency": st.sampled_from(["USD", "CNY", None]),
        "simulated": st.booleans(),
        "end": st.sampled_from(["settlement", "settlement", "refusal", "unsent", "doubt", "open"]),
        "amount": st.sampled_from(["0", "0.25", "0.000000000001", "1000000"]),
        "tokens": st.integers(0, 10**8),
    }
)
CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "client": st.sampled_from(["ann", "bob"]),
            "tool": st.sampled_from(["chat", "compare"]),
            "attempts": st.lists(ATTEMPTS, max_size=3),
            "closed": st.booleans(),
        }
    ),
    max_size=8,
)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "provider": st.sampled_from([("kimi",), ("glm", "kimi")]),
        "wallet": st.just(("w-1",)),
        "model": st.just(("m-2",)),
        "client": st.just(("ann",)),
        "tool": st.just(("chat",)),
        "outcome": st.sampled_from([("open",), ("ok",), ("ok", "open")]),
    },
)


class Slow:
    """A clock that goes on by ten minutes whenever it is asked: calls fall into several quarter hours."""

    def __init__(self) -> None:
        self.at_ns = BEGUN_NS

    def now_ns(self) -> int:
        """Say the time, then let it pass."""
        self.at_ns += 600 * 1_000_000_000
        return self.at_ns

    def monotonic_ns(self) -> int:
        """Say the same."""
        return self.now_ns()


def is_closed(call: One) -> bool:
    """Tell whether a drawn call may close and does."""
    return bool(call["closed"]) and all(one["end"] != "open" for one in call["attempts"])


def drafts(made: "Made", number: int, call: One) -> list[AnyEntry]:
    """Write a drawn call as entries."""
    call_id = f"{number:032x}"
    entries: list[AnyEntry] = [made.tool_call(tool_call_id=call_id, client=call["client"], tool=call["tool"])]
    for place, one in enumerate(call["attempts"], 1):
        amount = one["amount"] if one["currency"] else None
        worst = {"input_tokens": 1, "output_tokens": 1, "currency": one["currency"], "amount": amount}
        named = {name: one[name] for name in ("provider", "wallet", "model", "simulated")}
        intent = made.intent(place, tool_call_id=call_id, **named)
        entries.append(_replaced(intent, worst_case=type(intent.worst_case)(**worst)))
        status = CostStatus.PRICED if one["currency"] else CostStatus.UNKNOWN_PRICE
        match one["end"]:
            case "open":
                continue
            case "settlement":
                cost = made.cost(status=status, currency=one["currency"], amount=amount)
                usage = made.usage(uncached_input_tokens=one["tokens"])
                entries.append(made.settlement(place, tool_call_id=call_id, cost=cost, usage=usage))
            case end:
                entries.append(getattr(made, end)(place, tool_call_id=call_id))
    if is_closed(call):
        reason = None if call["attempts"] else ZeroReason.CACHED
        entries.append(made.answer(tool_call_id=call_id, zero_reason=reason))
    return entries


def _replaced(entry: Any, **changed: Any) -> Any:  # noqa: ANN401 - any entry
    return type(entry)(**{name: getattr(entry, name) for name in entry.__struct_fields__} | changed)


def chosen(call: One, only: dict[str, Any]) -> bool:
    """Decide as a filter must."""
    outcome = "ok" if is_closed(call) else "open"
    of_call = {"client": call["client"], "tool": call["tool"], "outcome": outcome}
    if any(of_call[name] not in only.get(name, (of_call[name],)) for name in of_call):
        return False
    wanted = {name: only[name] for name in ("provider", "wallet", "model") if name in only}
    return not wanted or any(all(one[name] in wanted[name] for name in wanted) for one in call["attempts"])


def added_up(calls: list[One]) -> dict[tuple[object, ...], dict[str, int]]:
    """Add drawn attempts up, per wallet and currency."""
    sums: dict[tuple[object, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for call in calls:
        for one in call["attempts"]:
            settled, doubt = one["end"] == "settlement", one["end"] == "doubt"
            worth = pico(one["amount"]) if one["currency"] else 0
            of = sums[one["provider"], one["wallet"], one["currency"], one["simulated"]]
            of["attempts"] += 1
            of["settled"] += settled
            of["in_doubt"] += doubt
            of["unpriced"] += settled and one["currency"] is None
            of["uncached_input_tokens"] += one["tokens"] * settled
            of["output_tokens"] += 50 * settled
            of["cost_pico"] += worth * settled
            of["held_pico"] += worth * doubt
    return sums


async def write_all(folder: Path, appends: list[list[AnyEntry]]) -> None:
    """Write appends in one epoch."""
    feed = Feed((), reread=lambda _first, _count: (), next_index=0)
    ledger = Ledger(Writer(SqliteStore(folder, new_origin="o")), feed, clock=Slow())
    await ledger.start({})
    await asyncio.gather(*(ledger.append(*entries) for entries in appends))
    await ledger.close()


@settings(max_examples=25)
@given(calls=CALLS, only=FILTERS)
def test_lists_and_sums_agree_with_plain_arithmetic(made: "Made", calls: list[One], only: dict[str, Any]) -> None:
    """Whatever was written: counts, pages, sums and quarter hours are what adding by hand gives."""
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(write_all(Path(place), [drafts(made, number, call) for number, call in enumerate(calls)]))
        reading = Reading(Path(place))
        wanted = [number for number, call in enumerate(calls) if chosen(call, only)]
        expected = added_up([calls[number] for number in wanted])
        assert len(wanted) == reading.count(CallFilter(**only))
        listed = reading.calls(CallFilter(**only), limit=100)
        assert [f"{number:032x}" for number in reversed(wanted)] == [line.call.tool_call_id for line in listed]
        found = reading.sums(CallFilter(**only))
        assert set(expected) == {(one.provider, one.wallet, one.currency, one.simulated) for one in found}
        for one in found:
            of = expected[one.provider, one.wallet, one.currency, one.simulated]
            assert of == {name: getattr(one, name) for name in of}
        assert verify(reading.lines()).problems == ()
        assert compare_rows(reading).problems == ()
        reading.close()


async def test_pages_follow_each_other(written: "Full", lives: "Lives") -> None:
    """Pages of any size give every call once, newest first, and no page is larger than asked."""
    async with written(11) as reading:
        expected = [lives.call_id(number) for number in range(11, 0, -1)]
        for limit in (1, 4, 11, 50):
            before, seen = None, []
            while page := reading.calls(CallFilter(), before=before, limit=limit):
                assert len(page) <= limit
                seen += [line.call.tool_call_id for line in page]
                before = page[-1].call.opened_index
            assert expected == seen


@pytest.mark.parametrize(("limit", "rows"), [(-1, 0), (0, 0), (2, 2), (4, 3)])
async def test_a_page_is_bounded(written: "Full", monkeypatch: pytest.MonkeyPatch, limit: int, rows: int) -> None:
    """A limit below zero means nothing, not everything; one above the bound means the bound."""
    monkeypatch.setattr("service.ledger.listed.PAGE_ROWS_MAX", 3)
    async with written(4) as reading:
        assert rows == len(reading.calls(CallFilter(), limit=limit))


async def test_times_filter_half_open(written: "Full", lives: "Lives") -> None:
    """`since` is included, `until` is not; any zone may be named, none may not."""
    async with written(5) as reading:
        at = [line.call.opened_at for line in reversed(reading.calls(CallFilter()))]
        found = reading.calls(CallFilter(since=at[1], until=at[3]))
        assert [lives.call_id(3), lives.call_id(2)] == [line.call.tool_call_id for line in found]
        shifted = at[1].replace("T16:", "T17:").replace("Z", "+01:00")
        assert reading.count(CallFilter(since=shifted)) == 4
        with pytest.raises(ValueError, match="time zone"):
            reading.count(CallFilter(since="2026-11-22T16:21:00"))


async def test_filters_are_values_not_sql(written: "Full") -> None:
    """A filter's text is compared, never run."""
    async with written(2) as reading:
        assert reading.count(CallFilter(tool=("' OR 1=1 --",))) == 0
        assert reading.count(CallFilter(tool=("chat", "' OR 1=1 --"))) == 2


async def test_facets_name_what_can_be_chosen(written: "Full") -> None:
    """Each filter's values are those that stand in the tables."""
    async with written(3) as reading:
        expected = {
            "tool": ["chat"],
            "client": ["owner"],
            "provider": ["kimi"],
            "model": ["kimi-k3"],
            "wallet": ["kimi-main"],
        }
        assert expected == reading.facets()


async def test_one_call_is_folded_from_its_entries(written: "Full", lives: "Lives") -> None:
    """A call's record, now or before an index, is its committed entries folded; its rows are beside it."""
    async with written(2) as reading:
        call = reading.call(lives.call_id(1))
        line = reading.call_row(lives.call_id(1))
        assert call is not None
        assert call.answer is not None
        assert line is not None
        assert (line.call.outcome, line.attempts[0].cost_pico) == ("ok", pico("0.25"))
        before = reading.call(lives.call_id(1), before=call.answer.index)
        assert before is not None
        assert before.answer is None
        assert reading.call("e" * 32) is None
        assert reading.call_row("e" * 32) is None
        assert Head("exai/test", 1, 7) == reading.head()


async def test_steps_are_read_again_as_they_were(
    folder: Path, opened: "Opened", lives: "Lives", kept: "Kept"
) -> None:
    """Whatever part of the log is read again, its steps equal those that the listeners got."""
    async with opened(SqliteStore(folder, new_origin="o"), kept) as ledger:
        for number in range(4):
            await ledger.append(*lives.opening(number))
        for number in range(3):
            await ledger.append(*lives.ending(number))
    reading = Reading(folder)
    for first in range(len(kept.steps)):
        for count in (1, 3, 100):
            assert kept.steps[first : first + count] == reading.steps(first, count)
    reading.close()


STATEMENTS = [
    "INSERT INTO entries VALUES (99, 'system', NULL, zeroblob(32), x'00')",
    "UPDATE calls SET outcome = 'ok'",
    "DELETE FROM attempts",
    "DROP TABLE rollups",
    "PRAGMA user_version = 9",
]


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_reading_cannot_write(written: "Full", statement: str) -> None:
    """A reader's connection refuses every statement that would change the file, in and out of a snapshot."""
    async with written(1) as reading:
        with pytest.raises(StoreError) as alone:
            reading._read(statement)
        with reading.snapshot(), pytest.raises(StoreError) as inside:
            reading._read(statement)
        assert isinstance(alone.value.__cause__, apsw.ReadOnlyError)
        assert isinstance(inside.value.__cause__, apsw.ReadOnlyError)


async def test_a_snapshot_stands_still(folder: Path, opened: "Opened", lives: "Lives") -> None:
    """Inside a snapshot a reader does not see what is written meanwhile; after it, it does."""
    async with opened(SqliteStore(folder, new_origin="o")) as ledger:
        reading = Reading(folder)
        with reading.snapshot():
            assert reading.head().next_index == 1
            await ledger.append(*lives.opening(1))
            assert reading.head().next_index == 1
            assert reading.count(CallFilter()) == 0
        assert reading.head().next_index == 3
        reading.close()


async def test_threads_read_at_once(written: "Full") -> None:
    """Each thread has a connection of its own; closing closes them all."""
    async with written(3) as reading:
        counts: list[int] = []
        threads = [threading.Thread(target=lambda: counts.append(reading.count(CallFilter()))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert [3, 3, 3, 3] == counts
        reading.close()
        reading.close()


def test_a_folder_without_a_ledger_is_refused(folder: Path) -> None:
    """Reading never makes a folder; it says how to get one."""
    with pytest.raises(StoreError, match="holds no ledger") as caught:
        Reading(folder)
    assert "exai serve" in caught.value.remedy
    assert not folder.exists()


USES: "dict[str, Callable[[Reading], object]]" = {
    "snapshot": lambda reading: reading.snapshot().__enter__(),
    "head": lambda reading: reading.head(),
    "lines": lambda reading: list(reading.lines()),
    "steps": lambda reading: reading.steps(0, 1),
    "call": lambda reading: reading.call("c" * 32),
    "call_row": lambda reading: reading.call_row("c" * 32),
    "calls": lambda reading: reading.calls(CallFilter()),
    "count": lambda reading: reading.count(CallFilter()),
    "sums": lambda reading: reading.sums(CallFilter()),
    "verdict_counts": lambda reading: reading.verdict_counts(CallFilter()),
    "verdict_sums": lambda reading: reading.verdict_sums(CallFilter()),
    "facets": lambda reading: reading.facets(),
    "rollups": lambda reading: reading.rollups(),
    "row_counts": lambda reading: reading.row_counts(),
}


def _no_database(path: Path) -> None:
    path.write_bytes(b"not a database at all, and long enough to be looked at" * 40)


def _later(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", SCHEMA_VERSION + 1)
    connection.close()


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_no_database, "cannot be read"),
        (Path.mkdir, "cannot be opened"),
        (Path.touch, "holds no ledger"),
        (lambda _path: None, "cannot be opened"),
        (_later, f"schema version {SCHEMA_VERSION + 1}, written by version {VERSION} of this program"),
    ],
    ids=["no database", "a folder", "empty", "gone", "a later version"],
)
def test_what_is_no_ledger_is_refused_by_every_method(
    folder: Path, use: "Callable[[Reading], object]", spoil: "Callable[[Path], object]", sentence: str
) -> None:
    """A file that is none of ours is an error of the store, with a remedy, each time it is read."""
    SqliteStore(folder, new_origin="o").close()
    reading = Reading(folder)
    if spoil is not _later:
        (folder / FILE_NAME).unlink()
    spoil(folder / FILE_NAME)
    for _ in range(2):
        with pytest.raises(StoreError, match=sentence) as caught:
            use(reading)
        assert caught.value.remedy
    reading.close()
