"""Booking: entries of the provider's books become rows, each of its kind, in the log's order."""

from typing import TYPE_CHECKING

import msgspec

from service.core.entries import OfBooks, SystemEntry
from service.core.record import Step
from service.ledger.booking import booked, books_joined
from service.ledger.rows import rows
from service.ledger.store import NO_BOOKS, BookRows, OwnRow, ReadingRow, VerificationRow, WindowRow
from tests.ledger import shelf

if TYPE_CHECKING:
    from tests.conftest import Made

READING = ReadingRow(index=1, wallet="kimi-main", counter="balance", outcome="read", at="t", simulated=False)
WINDOW = WindowRow(
    index=2,
    at="t",
    provider="kimi",
    wallet="kimi-main",
    simulated=False,
    after=0,
    until=1,
    word="MISMATCH",
    code="M2",
)
OWN = OwnRow(attempt_id="a", index=3, code="M4")
SAID = VerificationRow(tool_call_id="c", attempt_id="a", index=4, outcome="valid")
ENTRIES: list[OfBooks] = [
    shelf.reading(index=1, at="t"),
    shelf.window(0, 1, "M2", index=2, at="t"),
    shelf.own("a", "b", "a", index=3),
    msgspec.structs.replace(shelf.verification("c", "a"), index=4),
]


def test_each_entry_is_a_row_of_its_kind() -> None:
    """A verdict on attempts is a row for each of them, once, and none of a window."""
    owns = (OWN, msgspec.structs.replace(OWN, attempt_id="b"))
    assert BookRows((READING,), (WINDOW,), owns, (SAID,)) == booked(ENTRIES)


def test_rows_of_batches_follow_one_another() -> None:
    """Those of one batch come before those of the next."""
    parts = [booked(ENTRIES[:1]), NO_BOOKS, booked(ENTRIES[1:2]), booked(ENTRIES[:1])]
    assert BookRows((READING, READING), (WINDOW,)) == books_joined(parts)


def test_most_batches_hold_none() -> None:
    """They cost nothing then: it is the one empty object."""
    assert booked([SystemEntry(event="start", detail={})]) is NO_BOOKS
    assert books_joined([NO_BOOKS, NO_BOOKS]) is NO_BOOKS
    assert books_joined([]) is NO_BOOKS


def test_the_rows_of_steps_hold_them(made: "Made") -> None:
    """They stand beside the rows of calls of the same batch."""
    call = made.call(made.intent())
    steps = [Step(made.intent(), call), *(Step(entry, None) for entry in ENTRIES)]
    assert booked(ENTRIES) == rows(steps).books
