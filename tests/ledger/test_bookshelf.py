"""The provider's books, read back: each question gets the entries that it means, and no others."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.core.entries import AnyEntry, BudgetEntry, SystemEntry
from service.core.evidence import Signature
from service.core.times import utc_text
from service.core.words import BudgetEvent, ReadingOutcome, VerdictWord, VerificationOutcome
from service.ledger.bookshelf import HISTORY_MAX, TRIES_MAX
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore
from service.ledger.writer import Append, Writer
from tests.ledger import shelf
from tests.ledger.conftest import BEGUN_NS, Lives
from tests.ledger.shelf import WALLET

if TYPE_CHECKING:
    from tests.conftest import Made

LONG_AGO = "2026-01-01T00:00:00.000000Z"


class Desk:
    """A ledger that is written to at a second each, and its reader."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore(folder, new_origin="exai/test")
        self.writer = Writer(self.store)
        self.reading = Reading(folder)
        self.second = 0

    def write(self, *entries: AnyEntry) -> int:
        """Write entries together, a second after the last; give the last one's index."""
        self.second += 1
        (outcome,) = self.writer.write([Append(entries, self.at(self.second))])
        assert isinstance(outcome, tuple), outcome
        return outcome[-1].entry.index

    @staticmethod
    def at(second: int) -> str:
        """Say the time of a second."""
        return utc_text(BEGUN_NS + second * 1_000_000_000)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An empty one."""
    found = Desk(tmp_path)
    yield found
    found.reading.close()
    found.store.close()


def test_readings_are_listed_as_asked(desk: Desk) -> None:
    """By wallet, counter, outcome and place, oldest first or newest first."""
    refused = shelf.reading(outcome=ReadingOutcome.REFUSED, figures=(), status=401)
    wanted = [
        shelf.reading(),
        shelf.reading(counter="quota"),
        refused,
        shelf.reading(wallet="other"),
        shelf.reading(),
    ]
    indexes = [desk.write(entry) for entry in wanted]
    read = desk.reading.readings
    assert [0, 1, 2, 4] == [entry.index for entry in read(WALLET)]
    assert [4, 2] == [entry.index for entry in read(WALLET, newest=True, limit=2)]
    assert [2, 4] == [entry.index for entry in read(WALLET, after=1)]
    assert [0, 1] == [entry.index for entry in read(WALLET, before=2)]
    assert [0, 4] == [entry.index for entry in read(WALLET, counter="balance", read_only=True)]
    assert [1, 4] == [entry.index for entry in desk.reading.latest_readings(WALLET)]
    assert () == desk.reading.latest_readings("nobody's")
    assert indexes == [0, 1, 2, 3, 4]


def test_entries_of_the_books_are_not_the_ledgers_own(desk: Desk, made: "Made") -> None:
    """They have questions of their own: budgets and tokens are found without reading a million of them."""
    desk.write(SystemEntry(event="start", detail={}))
    desk.write(shelf.reading())
    desk.write(shelf.window(-1, 0))
    desk.write(made.tool_call(), made.intent(), made.doubt(), made.resolution())
    desk.write(shelf.verification("c" * 32, made.attempt_id()))
    last = desk.write(BudgetEntry(event=BudgetEvent.REMOVED, name="x", terms=None, warning=None, by="me"))
    assert [0, last] == [entry.index for entry in desk.reading.of_ledger()]
    assert [last, 6, 0] == [entry.index for entry in desk.reading.told()]
    assert [0, last] == [line.index for line in desk.store.of_ledger()]
    plan = desk.reading.select(
        "EXPLAIN QUERY PLAN SELECT entry FROM entries WHERE tool_call_id IS NULL"
        " AND kind NOT IN ('reading', 'verification', 'verdict') ORDER BY \"index\""
    )
    assert "entries_of_ledger" in str(plan)


def test_an_entry_of_another_kind_is_none(desk: Desk, made: "Made") -> None:
    """What an index names is given only if it is what was asked for."""
    desk.write(shelf.reading(), shelf.window(-1, 0), shelf.own(made.attempt_id()))
    reading = desk.reading
    found = [[one is not None for one in (reading.reading(index), reading.verdict(index))] for index in range(4)]
    assert [[True, False], [False, True], [False, True], [False, False]] == found


def test_verdicts_on_windows_are_listed_newest_first(desk: Desk, made: "Made") -> None:
    """Of all wallets or one, before an index, of some words; those on single attempts are not among them."""
    for entry in (
        shelf.window(-1, 0),
        shelf.window(-1, 0, "M2"),
        shelf.own(made.attempt_id()),
        shelf.window(-1, 0, "U2", wallet="other"),
    ):
        desk.write(entry)
    verdicts = desk.reading.verdicts
    assert [3, 1, 0] == [entry.index for entry in verdicts()]
    assert [1, 0] == [entry.index for entry in verdicts(wallet=WALLET)]
    assert [1] == [entry.index for entry in verdicts(before=3, limit=1)]
    assert [1] == [entry.index for entry in verdicts(words=[VerdictWord.MISMATCH])]


def test_the_newest_are_asked_for_by_time(desk: Desk) -> None:
    """By when they were written; a clock that was put back meanwhile hides nothing."""
    desk.second = 4000
    desk.write(shelf.reading(), shelf.window(-1, 0, "M2", simulated=True))
    desk.second = 0
    desk.write(shelf.reading(), shelf.window(-1, 0, "M2"))
    desk.second = 5000
    desk.write(shelf.reading(), shelf.window(-1, 0))
    readings, verdicts = desk.reading.readings, desk.reading.verdicts
    assert [0, 4] == [entry.index for entry in readings(WALLET, counter="balance", since=Desk.at(3000))]
    assert [5, 1] == [entry.index for entry in verdicts(wallet=WALLET, since=Desk.at(3000))]
    assert [5] == [entry.index for entry in verdicts(since=Desk.at(4002))]
    assert [5, 3] == [entry.index for entry in verdicts(simulated=False)]
    assert [1] == [entry.index for entry in verdicts(simulated=True, words=[VerdictWord.MISMATCH])]


def test_verdicts_on_attempts_are_listed_newest_first(desk: Desk, made: "Made") -> None:
    """Each once, whatever the number of its attempts; of the codes that are meant."""
    one, two = made.attempt_id(1), made.attempt_id(2)
    for entry in (shelf.own(one, two), shelf.own(one, code="M8"), shelf.window(-1, 0, "M2"), shelf.own(two)):
        desk.write(entry)
    found = desk.reading.verdicts_on_attempts
    assert [3, 1, 0] == [entry.index for entry in found(codes=("M4", "M8"))]
    assert [0] == [entry.index for entry in found(codes=("M4",), before=3)]


def test_attempts_of_wallets_since(desk: Desk, made: "Made", lives: Lives) -> None:
    """The open ones, however old, and those that ended then or later, in the order of their intents."""
    desk.write(*lives.opening(1))  # stays open
    desk.write(*lives.opening(2))
    desk.write(*lives.opening(3))
    desk.write(*lives.ending(3))  # at second 4
    desk.write(*lives.ending(2))  # at second 5
    desk.write(made.tool_call(tool_call_id="f" * 32), made.intent(tool_call_id="f" * 32, wallet="other"))
    of = desk.reading.attempts_of
    everything = [lives.call_id(1), lives.call_id(2), lives.call_id(3)]
    assert everything == [row.tool_call_id for row in of([WALLET], since=LONG_AGO)]
    assert everything[:2] == [row.tool_call_id for row in of([WALLET], since=Desk.at(5))]
    assert everything[:1] == [row.tool_call_id for row in of([WALLET], since=Desk.at(6))]
    assert 4 == len(of([WALLET, "other"], since=LONG_AGO))
    assert [] == of([], since=LONG_AGO)


def test_a_clock_that_was_put_back_hides_nothing(desk: Desk, lives: Lives) -> None:
    """What ended before a step back of the clock, at a later time, is found all the same."""
    desk.second = 600
    desk.write(*lives.opening(1), *lives.ending(1))
    desk.second = 0
    desk.write(*lives.opening(2), *lives.ending(2))
    found = desk.reading.attempts_of([WALLET], since=Desk.at(300))
    assert [lives.call_id(1)] == [row.tool_call_id for row in found]


def test_the_unverified_are_signed_and_not_yet_told(desk: Desk, made: "Made", lives: Lives) -> None:
    """A signature waits until the provider has said whose it is, or was asked three times."""
    signature = Signature(nonce="n", model="m", signature="s", timestamp="1")
    for number in (1, 2, 3, 4):
        call_id = lives.call_id(number)
        signed = made.settlement(tool_call_id=call_id, signature=signature if number < 4 else None)
        desk.write(*lives.opening(number), signed, made.answer(tool_call_id=call_id))
    rows = desk.reading.attempts_of([WALLET], since=LONG_AGO)
    expected = [(row.tool_call_id, row.attempt_id, row.end_index) for row in rows if row.signed]
    assert [lives.call_id(number) for number in (1, 2, 3)] == [call_id for call_id, _, _ in expected]
    unverified = partial(desk.reading.unverified, WALLET)
    assert expected == unverified(since=LONG_AGO, limit=10)
    assert expected[:1] == unverified(since=LONG_AGO, limit=1)
    assert expected[1:] == unverified(since=rows[1].ended_at or "", limit=10)
    assert expected[2:] == unverified(since=LONG_AGO, after=expected[1][2] or 0, limit=10)
    assert [] == desk.reading.unverified("other", since=LONG_AGO, limit=10)
    desk.write(shelf.verification(*expected[0][:2], VerificationOutcome.INVALID))
    for _ in range(TRIES_MAX):
        assert expected[1] in unverified(since=LONG_AGO, limit=10)
        desk.write(shelf.verification(*expected[1][:2], VerificationOutcome.UNAVAILABLE))
    assert expected[2:] == unverified(since=LONG_AGO, limit=10)


def test_one_provider_id_on_two_attempts_is_found(desk: Desk, made: "Made") -> None:
    """However old the other one is; two providers may choose the same."""
    for number, (provider, wallet, given) in enumerate(
        [
            ("kimi", WALLET, "a"),
            ("kimi", "other", "a"),
            ("glm", "g", "a"),
            ("kimi", WALLET, "b"),
            ("kimi", WALLET, "c"),
        ],
        1,
    ):
        name = f"{number:032x}"
        desk.write(
            made.tool_call(tool_call_id=name),
            made.intent(tool_call_id=name, attempt_id=name, provider=provider, wallet=wallet),
            made.settlement(tool_call_id=name, attempt_id=name, provider_ids={"x-request-id": given}),
        )
    found = [("a", (f"{1:032x}", f"{2:032x}"))]
    assert found == desk.reading.doubled([WALLET, "other", "g"], since=LONG_AGO)
    assert found == desk.reading.doubled(["other"], since=Desk.at(2))
    assert [] == desk.reading.doubled([WALLET], since=Desk.at(2))


def test_a_long_history_is_bounded(desk: Desk, made: "Made") -> None:
    """The newest verdicts are given, oldest first; what holds is among them even if it is older."""
    last = desk.write(made.tool_call(), made.intent(), made.settlement())
    first = desk.write(shelf.window(-1, last))
    newest = [desk.write(shelf.window(-1, last, "U2")) for _ in range(HISTORY_MAX)]
    (found,) = desk.reading.judged(["c" * 32]).values()
    assert newest == [entry.index for entry in found.history]
    assert found.window is not None
    assert first == found.window.index
    assert {} == desk.reading.judged(["d" * 32]) == desk.reading.judged([])


def test_a_simulators_window_is_in_no_real_calls_history(desk: Desk, made: "Made") -> None:
    """Wallets of one name, one of them a simulator's: each call's verdicts are those of its own kind."""
    real, played = (made.tool_call(tool_call_id=name * 32) for name in "cd")
    last = desk.write(
        *(real, made.intent(), made.settlement(), made.answer(), played),
        made.intent(tool_call_id="d" * 32, attempt_id="e" * 32, simulated=True),
        made.settlement(tool_call_id="d" * 32, attempt_id="e" * 32),
    )
    windows = [desk.write(shelf.window(-1, last, simulated=simulated)) for simulated in (False, True, False)]
    found = desk.reading.judged(["c" * 32, "d" * 32])
    assert {made.attempt_id(): [windows[0], windows[2]], "e" * 32: [windows[1]]} == {
        name: [entry.index for entry in one.history] for name, one in found.items()
    }
