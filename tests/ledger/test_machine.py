"""The writer and its stores as a state machine: entries right and wrong, in batches, full disks and crashes.

The model knows nothing but the grammar of a call. Whatever the writer lets through or refuses, and whatever a
start finds, must be what the model says.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from service.core.entries import AnswerEntry, AnyEntry, OfCall, SystemEntry, ToolCallEntry, decode
from service.core.merkle import EMPTY_ROOT, leaf_hash, node_hash
from service.core.words import ZeroReason
from service.errors import StoreFullError
from service.ledger import sweep
from service.ledger.listed import row_of
from service.ledger.memory import Memory, MemoryStore
from service.ledger.reading import Reading
from service.ledger.rows import columns
from service.ledger.sqlite import SqliteStore
from service.ledger.store import JudgedRow, Line, Store
from service.ledger.verify import compare_rows, verify
from service.ledger.writer import Append, Writer
from tests.conftest import Made
from tests.ledger.grammar import Grammar
from tests.ledger.shelf import Found, books, found
from tests.simulation.seeds import SEEDS_MAX

AT = "2026-11-22T16:21:00.000000Z"
ORIGIN = "exai/test"
CALLS = st.integers(1, 3).map(lambda number: f"{number:016x}" * 2)
ATTEMPTS = st.integers(1, 3)
WAITING_MAX = 20
LIFE_MIN = 8
ENDS = ("settlement", "refusal", "lasting refusal", "unsent", "doubt", "doubt")
RESOLUTIONS = ("resolution", "written off", "resolution in another currency")
KINDS = ("tool_call", "accepted", *ENDS, "absurd settlement", "answer", *RESOLUTIONS)
made = Made()


class Disk(Protocol):
    """What outlives an opening, of either kind."""

    def opened(self) -> Store:
        """Open it."""

    def read(self) -> tuple[Sequence[Line], dict[tuple[str, int], str], dict[tuple[str, int], Found]]:
        """Give all lines, and of every attempt by call and number the row's outcome, and what was found of it."""


class InMemory:
    """A disk that is none."""

    def __init__(self, _folder: Path) -> None:
        self._memory = Memory()

    def opened(self) -> Store:
        """Open it."""
        return MemoryStore(self._memory, new_origin=ORIGIN)

    def read(self) -> tuple[Sequence[Line], dict[tuple[str, int], str], dict[tuple[str, int], Found]]:
        """Give what it holds."""
        rows = self._memory.attempts.values()
        judged = {key: _shown(row) for key, row in self._memory.judged.items()}
        return self._memory.lines, {(row.tool_call_id, row.number): str(row.outcome) for row in rows}, judged


class OnDisk:
    """A data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def opened(self) -> Store:
        """Open it."""
        return SqliteStore(self._folder, new_origin=ORIGIN)

    def read(self) -> tuple[Sequence[Line], dict[tuple[str, int], str], dict[tuple[str, int], Found]]:
        """Give what it holds; its tables must be those of its log."""
        reading = Reading(self._folder)
        try:
            assert () == compare_rows(reading).problems
            lines = list(reading.lines())
            calls = [reading.call_row(name) for name in {str(line.tool_call_id) for line in lines}]
            rows = [row for call in calls if call is not None for row in call.attempts]
            names = ", ".join(columns(JudgedRow))
            kept = [row_of(JudgedRow, row) for row in reading.select(f"SELECT {names} FROM judged")]  # noqa: S608 - ours
        finally:
            reading.close()
        judged = {(row.tool_call_id, row.number): _shown(row) for row in kept}
        return lines, {(row.tool_call_id, row.number): str(row.outcome) for row in rows}, judged


class Machine(RuleBasedStateMachine):
    """One disk, its writer, and the model beside them."""

    disk_kind: type[InMemory | OnDisk] = InMemory

    def __init__(self) -> None:
        super().__init__()
        self.closing = ExitStack()
        self.disk: Disk = self.disk_kind(Path(self.closing.enter_context(tempfile.TemporaryDirectory())))
        self.model = Grammar()
        self.batch: list[list[AnyEntry]] = []
        self.said: list[AnyEntry] = []
        self.begun = 0
        self._start()

    @precondition(lambda self: self._waiting() < WAITING_MAX)
    @rule(data=st.data(), steps=st.integers(1, 6), waits=st.booleans())
    def go_on(self, data: st.DataObject, steps: int, *, waits: bool) -> None:
        """Say some things that may follow, each in an append of its own or in the last one; maybe write them."""
        for _ in range(steps):
            call, together = data.draw(CALLS), data.draw(st.booleans())
            entry = self._next(data, call)
            if entry is not None and together and self.batch:
                self.batch[-1].append(entry)
            elif entry is not None:
                self.batch.append([entry])
        if not waits:
            self.write()

    @precondition(lambda self: self._waiting() < WAITING_MAX)
    @rule(call=CALLS, attempt=ATTEMPTS, what=st.sampled_from(KINDS), zero=st.booleans())
    def blunder(self, call: str, attempt: int, what: str, *, zero: bool) -> None:
        """Say anything."""
        self.batch.append([_entry(what, call, attempt, zero=zero)])

    @precondition(lambda self: self.said and self._waiting() < WAITING_MAX)
    @rule(data=st.data())
    def say_again(self, data: st.DataObject) -> None:
        """Say what was let through before."""
        self.batch.append([data.draw(st.sampled_from(self.said))])

    @precondition(lambda self: self._waiting() < WAITING_MAX)
    @rule(call=CALLS, attempt=ATTEMPTS, ahead=st.integers(-1, 1), retry_of=st.none() | ATTEMPTS)
    def intend(self, call: str, attempt: int, ahead: int, retry_of: int | None) -> None:
        """Intend what may be there already, under a number that may be wrong, in place of what may not be."""
        due = self.model.after(self.batch).attempts(call) + 1
        self.batch.append([_intent(call, attempt, due + ahead, retry_of)])

    @precondition(lambda self: self._waiting() < WAITING_MAX)
    @rule(data=st.data())
    def look_up(self, data: st.DataObject) -> None:
        """Say something of the provider's books, about attempts that there may be."""
        named = [
            (call, _attempt_id(call, number))
            for call in (f"{one:016x}" * 2 for one in (1, 2, 3))
            for number in (1, 2)
        ]
        self.batch.append([data.draw(books(named, self.model.length + self._waiting()))])

    @precondition(lambda self: len(self.batch) > 1)
    @rule()
    def join(self) -> None:
        """Have the last two appends stand or fall together."""
        last = self.batch.pop()
        self.batch[-1].extend(last)

    @precondition(lambda self: self.batch)
    @rule()
    def write(self) -> None:
        """Write what waits in one transaction; each append must be let through or refused as the model says."""
        outcomes = self.writer.write(self._appends())
        expected = [self.model.take(entries) for entries in self.batch]
        through = [entries for entries, was in zip(self.batch, expected, strict=True) if was]
        self.said += [entry for entries in through for entry in entries]
        assert expected == [not isinstance(outcome, Exception) for outcome in outcomes], outcomes
        self.batch.clear()

    @precondition(lambda self: self.model.after(self.batch).length > self.model.length)
    @rule()
    def find_no_room(self) -> None:
        """A full disk writes nothing; what waited may be written later."""
        with _failing(self.store), pytest.raises(StoreFullError):
            self.writer.write(self._appends())

    @precondition(lambda self: self.model.length - self.begun > LIFE_MIN)
    @rule()
    def crash(self) -> None:
        """What waits is lost; what was left open is ended by the next start."""
        self.batch.clear()
        self.store.close()
        self._start()

    @precondition(lambda self: self.batch and self.model.length - self.begun > LIFE_MIN)
    @rule()
    def crash_untold(self) -> None:
        """A transaction may be kept though nobody was told."""
        self.write()
        self.crash()

    @invariant()
    def nothing_else_is_written(self) -> None:
        """The log is as long as what was let through, and so is its tree."""
        assert [self.model.length] * 2 == [self.store.next_index, self.store.tree.range.size]

    def teardown(self) -> None:
        """Read all: the log verifies, its tree is that of its lines, its rows are what the model says."""
        self.store.close()
        with self.closing:
            lines, outcomes, judged = self.disk.read()
            assert () == verify(lines).problems
            assert _root([leaf_hash(line.entry) for line in lines]) == self.store.tree.range.root
            assert self.model.outcomes() == outcomes
            assert found(decode(line.entry) for line in lines) == judged

    def _waiting(self) -> int:
        return sum(map(len, self.batch))

    def _next(self, data: st.DataObject, call: str) -> AnyEntry | None:
        """Draw an entry that may follow in a call, after all that waits; None if there is none."""
        later = self.model.after(self.batch)
        steps = later.next_of(call)
        if not steps:
            return None
        what, number = data.draw(st.sampled_from(steps))
        due = later.attempts(call) + 1
        if what == "intent":
            return _intent(call, due, due, number or None)
        how = data.draw(st.sampled_from(ENDS)) if what == "end" else what
        return _entry(how, call, number, zero=due == 1)

    def _appends(self) -> list[Append]:
        return [Append(tuple(entries), AT) for entries in self.batch]

    def _start(self) -> None:
        """Open the disk as a start does: what is left open must be what the model says, and is swept."""
        self.store = self.disk.opened()
        self.writer = Writer(self.store)
        left = self.writer.load()
        assert self.model.open_calls() == sorted(call.tool_call_id for call in left)
        self.batch += [[SystemEntry(event="start", detail={})], *map(sweep.closing, left)]
        length = self.model.length + sum(map(len, self.batch))
        self.write()
        self.begun = length
        assert (length, []) == (self.model.length, self.model.open_calls())


class MachineOnDisk(Machine):
    """The same over SQLite."""

    disk_kind = OnDisk


@pytest.mark.parametrize(("machine", "examples"), [(Machine, SEEDS_MAX), (MachineOnDisk, SEEDS_MAX // 20)])
def test_the_writer_keeps_to_the_grammar(machine: type[Machine], examples: int) -> None:
    """Nothing that may follow is refused, nothing else is let through, and a crash changes neither."""
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=50))


def _shown(row: JudgedRow) -> Found:
    return Found(row.own_index, row.window_index, row.last_index, row.verification_index, row.tries)


def _attempt_id(call: str, attempt: int) -> str:
    """Name an attempt as no other call names one: that ids are unique, dice see to, and nobody looks."""
    return call[:16] + f"{attempt:016x}"


def _intent(call: str, attempt: int, number: int, retry_of: int | None) -> AnyEntry:
    repeated = None if retry_of is None else _attempt_id(call, retry_of)
    return made.intent(number, tool_call_id=call, attempt_id=_attempt_id(call, attempt), retry_of=repeated)


def _entry(what: str, call: str, attempt: int, *, zero: bool) -> AnyEntry:
    """Make an entry of a call, plausible but for what its name says."""
    of: dict[str, OfCall] = {
        "tool_call": made.tool_call(),
        "accepted": made.accepted(attempt),
        "settlement": made.settlement(attempt),
        "absurd settlement": made.settlement(attempt, cost=made.cost(amount="-1")),
        "refusal": made.refusal(attempt),
        "lasting refusal": made.refusal(attempt, retryable=False),
        "unsent": made.unsent(attempt),
        "doubt": made.doubt(attempt),
        "answer": made.answer(zero_reason=ZeroReason.NO_MODEL_STEP if zero else None),
        "resolution": made.resolution(attempt),
        "written off": made.written_off(attempt),
        "resolution in another currency": made.resolution(attempt, currency="CNY"),
    }
    entry = of[what]
    if isinstance(entry, ToolCallEntry | AnswerEntry):
        return msgspec.structs.replace(entry, tool_call_id=call)
    return msgspec.structs.replace(entry, tool_call_id=call, attempt_id=_attempt_id(call, attempt))


@contextmanager
def _failing(store: Store) -> Iterator[None]:
    with patch.object(store, "append", side_effect=StoreFullError("the disk is full")):
        yield


def _root(leaves: Sequence[bytes]) -> bytes:
    """Hash a tree as RFC 6962 §2.1 defines it, by its recursion."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(_root(leaves[:split]), _root(leaves[split:]))
