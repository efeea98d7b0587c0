"""The audit finds whatever was changed, while the ledger is written to, and finds nothing where nothing was."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest

from service.core.entries import AnyEntry, BudgetEntry, BudgetTerms, SystemEntry
from service.core.merkle import leaf_hash
from service.core.note import Checkpoint, SigningKey, signed
from service.core.times import utc_text
from service.core.words import BudgetEvent, BudgetPeriod
from service.errors import StoreError
from service.ledger.auditing import LOOKS, STEP_ENTRIES, Audit, Doubts, Held
from service.ledger.budgets import Budgets
from service.ledger.notary import Signed
from service.ledger.patrol import AGAIN_EVERY_S, PAUSE_S_MAX, SHARE, WHOLE_EVERY_S, Patrol
from service.ledger.reading import Reading
from service.ledger.sqlite import FILE_NAME, SqliteStore
from service.ledger.used import read_used
from service.ledger.writer import Append, Writer
from tests.ledger import shelf
from tests.ledger.conftest import BEGUN_NS, ORIGIN, Lives

if TYPE_CHECKING:
    from tests.conftest import Made

KEY = SigningKey(ORIGIN, b"k" * 32)
DAILY = BudgetTerms(name="daily", period=BudgetPeriod.DAY, limits={"USD": "1000", "tokens": "1000000"})


class House:
    """A ledger that is written to without a thread, its audit, and a hand that may change the file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = SqliteStore(folder, new_origin=ORIGIN)
        self.reading = Reading(folder)
        self.budgets = Budgets(lambda terms, within: read_used(self.reading.select, terms, within))
        self.writer = Writer(self.store, budgets=self.budgets)
        self.at_ns = BEGUN_NS
        self.doubts = Doubts(-1, 0, 0)
        self.signed: Signed | None = None
        held = Held(
            key=KEY.verifier,
            signed=lambda: self.signed,
            budgets=self.budgets.states,
            counted=lambda: self.writer.counted,
            doubts=lambda: self.doubts,
            now=self.now,
        )
        self.audit = Audit(self.reading, held)
        self.write(SystemEntry(event="start", detail={}))
        self.write(BudgetEntry(event=BudgetEvent.SET, name="daily", terms=DAILY, warning=None, by="somebody"))

    def now(self) -> str:
        """Say the time."""
        return utc_text(self.at_ns)

    def write(self, *entries: AnyEntry) -> None:
        """Write entries together."""
        (outcome,) = self.writer.write([Append(entries, self.now())])
        assert isinstance(outcome, tuple), outcome

    def sign(self) -> None:
        """Sign what is there."""
        tree = self.store.tree.range
        self.note(Checkpoint(ORIGIN, tree.size, tree.root))

    def note(self, checkpoint: Checkpoint) -> None:
        """Sign whatever is said."""
        self.signed = Signed(checkpoint, signed(checkpoint, KEY))

    def forge(self, statement: str, *values: object, cancel: str = "") -> None:
        """Change the file as somebody would who can write it."""
        with apsw.Connection(str(self.folder / FILE_NAME)) as connection:
            if cancel:
                connection.execute(f"DROP TRIGGER {cancel}")
            connection.execute(statement, values)
            assert connection.changes()

    def walk(self) -> list[str]:
        """Look at everything once; give what is wrong, first of all where."""
        for _ in (*self.audit.whole(), *self.audit.again()):
            pass
        return self.wrong

    @property
    def wrong(self) -> list[str]:
        """What was found so far."""
        return [f"{one.where}: {one.sentence}" for one in self.audit._findings.problems]

    def close(self) -> None:
        """End it."""
        self.reading.close()
        self.store.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """An empty house."""
    made = House(tmp_path)
    yield made
    made.close()


@pytest.fixture
def lived(house: House, lives: Lives, made: "Made") -> House:
    """A house with every kind of call: settled, in doubt, resolved, open; and a verdict on their window."""
    for number in range(1, 6):
        house.write(*lives.opening(number))
        house.write(*lives.ending(number))
        house.at_ns += 3600 * 10**9 * 5
    for number in (6, 7):
        call_id = lives.call_id(number)
        house.write(*lives.opening(number))
        house.write(made.doubt(tool_call_id=call_id), made.answer(tool_call_id=call_id))
    house.write(made.resolution(tool_call_id=lives.call_id(6)))
    house.write(shelf.window(-1, house.store.next_index - 1))
    house.write(*lives.opening(8))
    house.sign()
    house.doubts = Doubts(house.store.next_index - 1, 1, 0)
    return house


def test_a_whole_ledger_is_verified_to_its_end(lived: House, lives: Lives) -> None:
    """Nothing is known before the first whole round; then all is verified, and later what came since."""
    audit = lived.audit
    assert (None, 0, False) == (audit.audited.verified, audit.audited.rounds, audit.follows)
    assert lived.walk() == []
    size = lived.store.next_index
    assert (size, 1, 0, True) == (
        audit.audited.verified,
        audit.audited.rounds,
        audit.audited.problems,
        audit.follows,
    )
    assert lived.now() == audit.audited.at
    lived.write(*lives.ending(8))
    assert size == audit.audited.verified
    for _ in audit.again():
        pass
    assert (size + 2, []) == (audit.audited.verified, lived.wrong)


def test_writing_meanwhile_does_no_harm(house: House, lives: Lives, made: "Made") -> None:
    """Calls that are opened, closed and resolved between any two steps of the audit are no finding."""
    for number in range(1, 2 * STEP_ENTRIES // 4 + 10):
        house.write(*lives.opening(number))
        house.write(*lives.ending(number))
    doubtful = [lives.call_id(number) for number in range(1001, 1121)]
    for number in range(1001, 1121):
        house.write(*lives.opening(number))
        house.write(
            made.doubt(tool_call_id=lives.call_id(number)), made.answer(tool_call_id=lives.call_id(number))
        )
    house.sign()
    number, steps = 5000, 0
    for _ in (step for work in (house.audit.whole, house.audit.again) for step in work()):
        steps += 1
        number += 1
        house.write(*lives.opening(number))
        if steps % 3:
            house.write(*lives.ending(number))
        house.write(made.resolution(tool_call_id=doubtful.pop()))
        house.sign()
    assert steps > 8
    house.doubts = Doubts(house.store.next_index - 1, len(doubtful), 0)
    assert house.walk() == []
    assert house.store.next_index == house.audit.audited.verified


A_ROW_MORE = """
    INSERT INTO calls
    SELECT 'x', 99, opened_at, client, tool, trace_id, 0, 0, outcome, zero_reason, error_code, closed_at,
        duration_us, NULL, NULL, 0, 0
    FROM calls LIMIT 1
"""
FORGERIES: dict[str, tuple[str, str, str]] = {
    "an entry's bytes": (
        "UPDATE entries SET entry = CAST(replace(entry, 'kimi', 'kimj') AS BLOB) WHERE \"index\" = 3",
        "entries_never_change",
        "entry 3: ",
    ),
    "an entry taken out": (
        'DELETE FROM entries WHERE "index" = 3',
        "entries_never_go",
        "entry 3: index 3 expected, 4 found",
    ),
    "a call's row": ("UPDATE calls SET client = 'mallory' WHERE opened_index = 2", "", "differ in client"),
    "an open call's row": ("UPDATE calls SET attempts = 9 WHERE outcome IS NULL", "", "differ in attempts"),
    "an attempt's cost": ("UPDATE attempts SET cost_pico = 1 WHERE outcome = 'settled'", "", "1/cost_pico"),
    "an attempt's hold": ("UPDATE attempts SET held_pico = 1 WHERE outcome = 'in_doubt'", "", "1/held_pico"),
    "a row too many": (
        A_ROW_MORE,
        "",
        "8 calls and 8 attempts in the log, 9 and 8 as rows",
    ),
    "a roll-up": ("UPDATE rollups SET cost_pico = cost_pico + 1", "", "of its calls, in cost_pico"),
    "a roll-up too few": ("DELETE FROM rollups", "", "of its calls, in calls, attempts, settled"),
    "a decision": ("UPDATE judged SET window_code = 'M2'", "", "is not what decides it: window_code"),
    "the tree": ("UPDATE tree SET nodes = zeroblob(length(nodes))", "", "is not that of the log"),
    "the tree's form": ("UPDATE tree SET nodes = x'00'", "", "the stored tree cannot be read"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_what_was_changed_is_found(lived: House, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each change is found, said with its place, logged once, and said as long as the service runs."""
    statement, trigger, expected = FORGERIES[name]
    lived.forge(statement, cancel=trigger)
    found = lived.walk()
    assert [one for one in found if expected in one], found
    before = lived.audit.audited
    assert before.first is not None
    assert lived.walk() == found
    assert before.problems == lived.audit.audited.problems
    assert 1 == sum(record.levelname == "CRITICAL" for record in caplog.records)


def test_an_entry_rewritten_with_its_hash_is_found_by_the_signature(lived: House) -> None:
    """Bytes and hash that fit each other, and a tree made anew, do not lead to the root that was signed."""
    text, trigger = (
        lived.store.call_lines(Lives.call_id(1))[0].entry.replace(b"owner", b"other"),
        "entries_never_change",
    )
    lived.forge(
        'UPDATE entries SET entry = ?, leaf_hash = ? WHERE "index" = 2', text, leaf_hash(text), cancel=trigger
    )
    signed_over = lived.store.next_index
    assert f"the root that was signed over {signed_over} entries is not theirs" in "".join(lived.walk())


def test_a_block_that_was_changed_is_found(house: House, lives: Lives) -> None:
    """The hash of a whole block is compared with its entries."""
    for number in range(1, 260):
        house.write(*lives.opening(number), *lives.ending(number))
    house.forge("UPDATE blocks SET hash = zeroblob(32)", cancel="blocks_never_change")
    assert "one of the entries 0 to 1023: the stored hash of these entries is not theirs" in house.walk()


def test_a_checkpoint_that_does_not_go_on_is_found(lived: House, lives: Lives) -> None:
    """Each checkpoint must be signed by our key, and go on from the one before."""
    assert lived.walk() == []
    lived.write(*lives.ending(8))
    lived.sign()
    assert lived.walk() == []
    assert lived.signed is not None
    good = lived.signed
    lived.write(*lives.opening(9))
    lived.note(Checkpoint(ORIGIN, lived.store.next_index, b"r" * 32))
    for _ in lived.audit.again():
        pass
    assert f"the checkpoint over {lived.store.next_index} entries does not go on" in lived.wrong[0]
    lived.signed = Signed(good.checkpoint, "nonsense")
    for _ in lived.audit.again():
        pass
    assert "the newest checkpoint does not hold" in lived.wrong[1]
    lived.note(Checkpoint(ORIGIN, 1, good.checkpoint.root))
    for _ in lived.audit.again():
        pass
    assert "the checkpoint over 1 entries does not go on" in lived.wrong[2]


def test_a_budget_that_forgot_something_is_found(lived: House) -> None:
    """What memory holds of a limit must be what the tables say."""
    assert lived.walk() == []
    (rule,) = lived.budgets.rules()
    for kept in rule.windows.values():
        kept.cells.clear()
    assert "budget 'daily' has (0, 0) spent and reserved of USD in memory" in "".join(lived.walk())


def test_a_window_that_memory_does_not_hold_is_no_finding(house: House, made: "Made") -> None:
    """The tables have it: a clock that is put back, or a start behind the last entry, changes nothing."""
    terms = BudgetTerms(name="each", period=BudgetPeriod.MINUTE, limits={"USD": "100"})
    house.write(BudgetEntry(event=BudgetEvent.SET, name="each", terms=terms, warning=None, by="somebody"))
    for number in range(5):
        house.at_ns += 61 * 10**9
        call_id = f"{number:032x}"
        house.write(made.tool_call(tool_call_id=call_id), made.intent(tool_call_id=call_id))
    house.at_ns -= 3 * 60 * 10**9
    assert ["each"] == [one.name for one in house.budgets.states(house.now()).unheld]
    assert [] == house.walk()
    house.forge("UPDATE attempts SET held_pico = held_pico + 1")
    assert "budget 'daily' has" in "".join(house.walk())


def test_a_budget_that_only_lags_is_no_finding(lived: House) -> None:
    """Between a commit and what memory makes of it they differ: they are compared when it has heard of it."""
    (rule,) = lived.budgets.rules()
    kept = list(rule.windows.values())[-1]
    before = dict(kept.cells)
    kept.cells.clear()
    lived.writer.counted -= 1
    steps = lived.audit.again()
    assert [None] * LOOKS == [next(steps) for _ in range(LOOKS)]
    assert lived.wrong == []
    lived.writer.counted += 1
    assert lived.walk() != []
    kept.cells.update(before)
    lived.audit = Audit(lived.reading, lived.audit._held)
    assert lived.walk() == []


def test_a_count_in_doubt_that_differs_is_found(lived: House) -> None:
    """The metrics' count is compared once they have seen the log's last entry, not before."""
    lived.doubts = Doubts(lived.store.next_index - 2, 7, 0)
    assert lived.walk() == []
    lived.doubts = Doubts(lived.store.next_index - 1, 7, 0)
    assert [
        "the log as a whole: the metrics count 7 real and 0 simulated attempts in doubt, the tables 1 and 0"
    ] == lived.walk()


def test_a_ledger_that_cannot_be_read_is_said(lived: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that fails is no finding: it is said, and the whole round is made again once it can be."""
    patrol = Patrol(lived.audit, spent_s=lambda: 0.0, monotonic_s=lambda: 0.0)

    def fail(_first: int) -> None:
        raise StoreError("the disk is away")

    with monkeypatch.context() as broken:
        broken.setattr(lived.reading, "lines", fail)
        pauses = patrol.pauses()
        until(pauses, AGAIN_EVERY_S)
        assert ("the ledger cannot be read; see the service's log", None, []) == (
            lived.audit.audited.failure,
            lived.audit.audited.verified,
            lived.wrong,
        )
    until(pauses, AGAIN_EVERY_S)
    assert (None, lived.store.next_index) == (lived.audit.audited.failure, lived.audit.audited.verified)


def test_what_is_wrong_with_the_audit_itself_is_said(lived: House, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of ours neither ends the patrol nor stays unsaid."""
    pauses = Patrol(lived.audit, spent_s=lambda: 0.0, monotonic_s=lambda: 0.0).pauses()
    lived.doubts = None  # type: ignore[assignment] # a fault
    until(pauses, AGAIN_EVERY_S)
    assert "the audit failed (AttributeError)" in str(lived.audit.audited.failure)
    assert [record.message for record in caplog.records] == ["the audit failed"]


def test_the_patrol_is_gentle_and_comes_again(lived: House) -> None:
    """It pauses so that it takes its share alone; the whole log is walked at once, and again a day later."""
    now_s, worked_s = 0.0, 0.0

    def spent() -> float:
        nonlocal worked_s
        worked_s += 0.5
        return worked_s

    pauses = Patrol(lived.audit, spent_s=spent, monotonic_s=lambda: now_s).pauses()
    assert 0.5 == pytest.approx((0.5 + (pause := next(pauses))) * SHARE / 0.05 * 0.05)
    assert PAUSE_S_MAX >= pause > 0
    until(pauses, AGAIN_EVERY_S)
    assert 1 == lived.audit.audited.rounds
    until(pauses, AGAIN_EVERY_S)
    assert 1 == lived.audit.audited.rounds
    now_s = WHOLE_EVERY_S
    until(pauses, AGAIN_EVERY_S)
    assert 2 == lived.audit.audited.rounds


def test_the_patrol_stops_at_once(lived: House) -> None:
    """A thread that pauses is woken to end; closing again does no harm, nor does closing what never began."""
    with Patrol(lived.audit) as patrol:
        pass
    assert patrol.close()
    assert Patrol(lived.audit).close()


def until(pauses: Iterator[float], wanted_s: float) -> None:
    """Let the patrol work until it makes this pause."""
    assert any(pause == wanted_s for pause in pauses)
