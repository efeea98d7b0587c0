"""Deciding: tables, memory and a rebuild say of every attempt what looking at every pair of entries says."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.entries import AnyEntry, decode
from service.ledger import schema
from service.ledger.listed import row_of
from service.ledger.memory import Memory, MemoryStore
from service.ledger.reading import Reading
from service.ledger.rebuilding import rebuilt
from service.ledger.rows import columns
from service.ledger.sqlite import SqliteStore
from service.ledger.store import JudgedRow, Line, Store
from service.ledger.verify import compare_rows
from service.ledger.writer import Append, Writer
from tests.conftest import Made
from tests.ledger import shelf
from tests.ledger.shelf import WALLET, Found

AT = "2026-11-22T16:21:00.000000Z"
EVENTS_MAX = 24
MADE = Made()
Judged = dict[tuple[str, int], Found]


@st.composite
def histories(draw: st.DrawFn) -> list[list[AnyEntry]]:
    """Draw batches of appends: attempts that begin and end while the provider's books are looked at."""
    batches: list[list[AnyEntry]] = [[]]
    opened: list[tuple[str, str]] = []
    still_open: list[tuple[str, str]] = []
    length = 0
    for number in range(draw(st.integers(4, EVENTS_MAX))):
        call_id, attempt_id = f"{number:032x}", f"{number:016x}{0:016x}"
        what = draw(st.sampled_from(["begin", "end", "end", "book", "book", "book"]))
        if what == "begin" or not opened:
            wallet, simulated = draw(st.sampled_from([WALLET, WALLET, "other"])), draw(st.booleans())
            fresh: list[AnyEntry] = [
                MADE.tool_call(tool_call_id=call_id),
                MADE.intent(tool_call_id=call_id, attempt_id=attempt_id, wallet=wallet, simulated=simulated),
            ]
            opened.append((call_id, attempt_id))
            still_open.append((call_id, attempt_id))
        elif what == "end" and still_open:
            call_id, attempt_id = still_open.pop(draw(st.integers(0, len(still_open) - 1)))
            make = MADE.settlement if draw(st.integers(0, 3)) else MADE.doubt
            fresh = [make(tool_call_id=call_id, attempt_id=attempt_id)]
        else:
            fresh = [draw(shelf.books(opened, length))]
        length += len(fresh)
        cut: bool = draw(st.booleans())
        if cut and batches[-1]:
            batches.append([])
        batches[-1] += fresh
    return batches


def write(store: Store, batches: list[list[AnyEntry]]) -> None:
    """Write batches, each in one transaction, each entry in an append of its own."""
    writer = Writer(store)
    for batch in batches:
        outcomes = writer.write([Append((entry,), AT) for entry in batch])
        assert not [one for one in outcomes if isinstance(one, Exception)]
    store.close()


def shown(rows: Iterator[JudgedRow]) -> Judged:
    """Show rows as `shelf.found` does."""
    return {
        (row.tool_call_id, row.number): Found(
            row.own_index, row.window_index, row.last_index, row.verification_index, row.tries
        )
        for row in rows
    }


def made_again(lines: list[Line], size: int) -> Judged:
    """Make the tables anew, so many lines at once."""
    connection = apsw.Connection(":memory:")
    schema.create(connection)
    with patch("service.ledger.rebuilding._LINES_PER_BATCH", size):
        for rows in rebuilt(lines):
            schema.put(connection, rows)
    found = connection.execute(f"SELECT {', '.join(columns(JudgedRow))} FROM judged")  # noqa: S608 - our own names
    return shown(row_of(JudgedRow, row) for row in found)


@given(batches=histories())
def test_every_way_decides_the_same(batches: list[list[AnyEntry]]) -> None:
    """However the log was cut into batches: by SQL as it is written or made anew, and by Python in memory."""
    with tempfile.TemporaryDirectory() as folder:
        write(SqliteStore(Path(folder), new_origin="o"), batches)
        memory = Memory()
        write(MemoryStore(memory, new_origin="o"), batches)
        reading = Reading(Path(folder))
        lines = list(reading.lines())
        expected = shelf.found(decode(line.entry) for line in lines)
        rows = reading.select(f"SELECT {', '.join(columns(JudgedRow))} FROM judged")  # noqa: S608 - our own names
        assert expected == shown(row_of(JudgedRow, row) for row in rows)
        assert expected == shown(iter(memory.judged.values()))
        for size in (1, 5, 1000):
            assert expected == made_again(lines, size)
        assert () == compare_rows(reading).problems
        _compare_judged(reading, expected)
        reading.close()


BEGUN: list[AnyEntry] = [MADE.tool_call(), MADE.intent()]
ENDED = [*BEGUN, MADE.settlement()]  # indexes 0, 1, 2
OWN = shelf.own(MADE.attempt_id())
ASKED = shelf.verification("c" * 32, MADE.attempt_id())
CASES: dict[str, tuple[list[AnyEntry], Found]] = {
    "a window around it": ([*ENDED, shelf.window(0, 2)], Found(window=3, last=3)),
    "one that begins with its intent": ([*ENDED, shelf.window(1, 2)], Found()),
    "one that ends before it": ([*ENDED, shelf.window(0, 1)], Found()),
    "one of another wallet": ([*ENDED, shelf.window(0, 2, wallet="other")], Found()),
    "one of a simulator": ([*ENDED, shelf.window(0, 2, simulated=True)], Found()),
    "one of the future": ([*BEGUN, shelf.window(0, 9), MADE.settlement()], Found()),
    "in doubt": ([*BEGUN, MADE.doubt(), shelf.window(0, 2)], Found()),
    "a newer one": ([*ENDED, shelf.window(0, 2, "U2"), shelf.window(0, 2, "M2")], Found(window=4, last=4)),
    "proven at last": ([*ENDED, shelf.window(0, 2, "U2"), shelf.window(0, 2)], Found(window=4, last=4)),
    "proven stays": ([*ENDED, shelf.window(0, 2, "P2"), shelf.window(0, 2, "M2")], Found(window=3, last=4)),
    "no doubt covers a mismatch": (
        [*ENDED, shelf.window(0, 2, "M2"), shelf.window(0, 2, "U3")],
        Found(window=3, last=4),
    ),
    "another mismatch takes its place": (
        [*ENDED, shelf.window(0, 2, "M2"), shelf.window(0, 2, "M7")],
        Found(window=4, last=4),
    ),
    "a proof takes its place": ([*ENDED, shelf.window(0, 2, "M2"), shelf.window(0, 2)], Found(window=4, last=4)),
    "its own": ([*ENDED, OWN, OWN], Found(own=4)),
    "its own before it began": ([OWN, *ENDED], Found()),
    "asked twice": ([*ENDED, ASKED, ASKED], Found(verification=4, tries=2)),
    "asked before it began": ([ASKED, *ENDED], Found()),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [1, 9])
def test_who_decides(tmp_path: Path, case: str, size: int) -> None:
    """What is proven stays, no doubt covers a mismatch; else the newest of what it lies in holds."""
    entries, one = CASES[case]
    batches = [entries[at : at + size] for at in range(0, len(entries), size)]
    write(SqliteStore(tmp_path, new_origin="o"), batches)
    memory = Memory()
    write(MemoryStore(memory, new_origin="o"), batches)
    reading = Reading(tmp_path)
    expected = {} if one == Found() else {("c" * 32, 1): one}
    assert expected == shelf.found(decode(line.entry) for line in reading.lines())
    rows = reading.select(f"SELECT {', '.join(columns(JudgedRow))} FROM judged")  # noqa: S608 - our own names
    assert expected == shown(row_of(JudgedRow, row) for row in rows)
    assert expected == shown(iter(memory.judged.values()))
    assert () == compare_rows(reading).problems
    reading.close()


def _compare_judged(reading: Reading, expected: Judged) -> None:
    """What a reader is given are the entries that are meant; in its history all that speak of the attempt."""
    calls = {call_id: reading.call(call_id) for call_id, _ in expected}
    found = reading.judged(calls)
    assert len(expected) == len(found)
    for (call_id, number), one in expected.items():
        call = calls[call_id]
        assert call is not None
        judged = found[call.attempts[number - 1].intent.attempt_id]
        indexes = (entry and entry.index for entry in (judged.own, judged.window, judged.verification))
        assert (one.own, one.window, one.verification) == tuple(indexes)
        history = [entry.index for entry in judged.history]
        assert history == sorted(set(history))
        assert {one.own, one.window, one.last} - {None} <= set(history)
