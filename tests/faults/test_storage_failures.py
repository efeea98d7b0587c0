"""Storage failures: each deed of the disk and each statement of a commit fails, before it is done and after.

Whatever the caller was told holds after the next start: what was acknowledged is there; what failed is there whole
or not at all, is never doubled, and is then closed or in doubt as it was written.
"""

import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest

from service.clock import SystemClock
from service.core.entries import OfCall, SystemEntry
from service.core.words import AttemptOutcome, ToolOutcome
from service.errors import StoreFullError
from service.ledger import sweep
from service.ledger.checkpoints import Checkpoints
from service.ledger.choosing import CallFilter
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.opening import open_store
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore
from service.ledger.verify import compare_rows, verify
from service.ledger.writer import Append, Writer
from tests.conftest import AT, Made
from tests.faults.disks import FaultyDisk, checkpoint_quietly, do

ORIGIN = "exai/test"
_made = Made()
_LIFE: tuple[tuple[str, tuple[OfCall, ...]], ...] = (
    ("intent", (_made.tool_call(), _made.intent())),
    ("settlement", (_made.accepted(), _made.settlement())),
    ("answer", (_made.answer(),)),
)
_DOUBTED: tuple[tuple[str, tuple[OfCall, ...]], ...] = (
    ("intent", (_made.tool_call(), _made.intent())),
    ("doubt", (_made.doubt(), _made.answer())),
    ("resolution", (_made.resolution(),)),
)
_SWEPT = (ToolOutcome.FAILED, AttemptOutcome.IN_DOUBT)
# What is written, in which life; and what the next start makes of it, if it was not written and if it was.
STEPS = [
    (_LIFE, "intent", None, _SWEPT),
    (_LIFE, "settlement", _SWEPT, (ToolOutcome.FAILED, AttemptOutcome.SETTLED)),
    (_LIFE, "answer", (ToolOutcome.FAILED, AttemptOutcome.SETTLED), (ToolOutcome.OK, AttemptOutcome.SETTLED)),
    (_DOUBTED, "doubt", _SWEPT, (ToolOutcome.OK, AttemptOutcome.IN_DOUBT)),
    (
        _DOUBTED,
        "resolution",
        (ToolOutcome.OK, AttemptOutcome.IN_DOUBT),
        (ToolOutcome.OK, AttemptOutcome.RECONCILED),
    ),
]
State = tuple[str | None, AttemptOutcome] | None


@dataclass
class Plan:
    """Which deed fails, and how; deeds are only counted while it is armed.

    Attributes:
        number: of the deed that fails, from 1; 0 for none.
        after: whether it fails once it was done.
        error: what is raised.
        met: deeds so far.
    """

    number: int
    after: bool
    error: Exception
    armed: bool = False
    met: int = 0

    def run(self, deed: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the deed gives
        """Do a deed, or fail as planned."""
        if not self.armed:
            return deed()
        self.met += 1
        if self.met == self.number and not self.after:
            raise self.error
        done = deed()
        if self.met == self.number:
            raise self.error
        return done


class FaultyConnection:
    """A connection whose statements may fail as planned."""

    def __init__(self, inner: apsw.Connection, plan: Plan) -> None:
        self._inner = inner
        self._plan = plan

    def execute(self, *of: Any) -> Any:  # noqa: ANN401 - as the connection
        """Execute a statement; one that only reads is none of the commit."""
        if of[0].lstrip().startswith("SELECT"):
            return self._inner.execute(*of)
        return self._plan.run(lambda: self._inner.execute(*of))

    def executemany(self, *of: Any) -> Any:  # noqa: ANN401 - as the connection
        """Execute a statement for many rows."""
        return self._plan.run(lambda: self._inner.executemany(*of))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the connection
        return getattr(self._inner, name)


def begin(folder: Path, vfs: str | None = None) -> Writer:
    """Start as the service does: open, begin the epoch, sweep."""
    writer = Writer(SqliteStore(folder, new_origin=ORIGIN, vfs=vfs))
    left = writer.load()
    writer.write([Append((SystemEntry(event="start", detail={}),), AT)])
    for call in left:
        writer.write([Append(tuple(sweep.closing(call)), AT)])
    return writer


def told(writer: Writer, entries: tuple[OfCall, ...]) -> Exception | None:
    """Write; give what the caller is told if it failed."""
    try:
        (outcome,) = writer.write([Append(entries, AT)])
    except Exception as error:  # noqa: BLE001 - each error is one way to fail
        return error
    assert not isinstance(outcome, Exception), outcome
    return None


def state(folder: Path, vfs: str | None = None) -> State:
    """Start once more, then say what the one call is; log and tables must be whole, and nothing doubled."""
    begin(folder, vfs).store.close()
    reading = Reading(folder)
    assert () == verify(reading.lines()).problems
    assert () == compare_rows(reading).problems
    ends = [line.kind for line in reading.lines() if line.kind in {"settlement", "doubt", "resolution", "answer"}]
    assert sorted(set(ends)) == sorted(ends)
    found = reading.calls(CallFilter())
    reading.close()
    if not found:
        return None
    (call,) = found
    return (call.call.outcome, call.attempts[0].outcome)


@dataclass
class Ground:
    """Where a step is tried again and again, from the same beginning."""

    folder: Path
    before: Path  # the folder as it was before the step, unswept
    entries: tuple[OfCall, ...]
    untold: State
    done: State
    disk: FaultyDisk

    def try_with(self, plan: Plan, *, by: str) -> tuple[Exception | None, Writer]:
        """Take the step from the beginning, with a plan; give what the caller was told, and the writer."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.before, self.folder)
        store = SqliteStore(self.folder, new_origin=ORIGIN, vfs=self.disk.vfs)
        checkpoint_quietly(store, pages=1)
        writer = Writer(store)
        writer.load()
        if by == "disk":
            self.disk.plan = plan.run
        else:
            faulty: Any = FaultyConnection(store._connection, plan)
            store._connection = faulty
        plan.armed = True
        heard = told(writer, self.entries)
        plan.armed = False
        return heard, writer

    def state(self, folder: Path) -> State:
        """Start once more when nothing fails, and say what the call is."""
        self.disk.plan = do
        return state(folder, self.disk.vfs)

    def deeds(self, by: str) -> int:
        """Count the deeds of the step when nothing fails."""
        plan = Plan(0, after=False, error=ValueError())
        heard, writer = self.try_with(plan, by=by)
        writer.store.close()
        assert (None, self.done) == (heard, self.state(self.folder))
        return plan.met


@pytest.fixture(params=STEPS, ids=lambda step: step[1])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    """Live a call up to the step, whose commit is followed by a checkpoint, which may fail too."""
    life, name, untold, done = request.param
    writer = begin(tmp_path / "before")
    for kind, entries in life:
        if kind == name:
            break
        assert told(writer, entries) is None
    writer.store.close()
    disk = FaultyDisk()
    yield Ground(tmp_path / "tried", tmp_path / "before", entries, untold, done, disk)
    disk.unregister()


@pytest.mark.parametrize("after", [False, True], ids=["not kept", "kept"])
@pytest.mark.parametrize("by", ["disk", "statement"])
def test_a_deed_that_fails_takes_nothing_back_and_doubles_nothing(ground: Ground, by: str, *, after: bool) -> None:
    """The step is done or not, never half, if the process then dies or closes; what was told as done is done."""
    seen = set()
    for number in range(1, ground.deeds(by) + 1):
        error = apsw.IOError("disk I/O error")
        heard, writer = ground.try_with(Plan(number, after=after, error=error), by=by)
        assert heard in {None, error}
        died = ground.folder.with_name("died")
        shutil.copytree(ground.folder, died)
        writer.store.close()
        for folder in (died, ground.folder):
            found = ground.state(folder)
            assert found in ({ground.done} if heard is None else {ground.done, ground.untold}), (number, folder)
            seen.add((heard is None, found == ground.done))
        shutil.rmtree(died)
    assert (False, False) in seen
    # Told as failed, and recognised as done: so it is when the last write was kept, and only its sync failed.
    assert (after or by == "disk") is ((False, True) in seen)


@pytest.mark.parametrize("by", ["disk", "statement"])
def test_a_full_disk_at_any_deed_leaves_nothing_behind(ground: Ground, by: str) -> None:
    """The writer goes on: the same step succeeds once there is room, and is there once."""
    for number in range(1, ground.deeds(by) + 1):
        error = apsw.FullError("database or disk is full")
        heard, writer = ground.try_with(Plan(number, after=False, error=error), by=by)
        if heard is not None:
            assert isinstance(heard, StoreFullError), (number, heard)
            assert told(writer, ground.entries) is None
        writer.store.close()
        assert ground.done == ground.state(ground.folder), number


@pytest.mark.parametrize("kept", [False, True], ids=["not kept", "kept"])
async def test_a_checkpoint_that_cannot_be_kept_delays_no_call(tmp_path: Path, *, kept: bool) -> None:
    """Entries are durable all the same; the failure is counted, and the next start takes the log as it is."""
    folder, checkpoints = tmp_path / "data", Checkpoints(tmp_path / "checkpoints")

    def fail(note: str) -> None:
        if kept:
            checkpoints.keep(begun.store.origin, note)
        raise OSError(5, "Input/output error")

    begun = open_store(folder, checkpoints, entropy=secrets.token_bytes)
    begun.notary._keep = fail
    begun.notary.start()
    feed = Feed((), reread=lambda _first, _count: (), next_index=begun.store.next_index)
    feed.start()
    ledger = Ledger(Writer(begun.store), feed, clock=SystemClock(), notary=begun.notary)
    await ledger.start({})
    for _, entries in _LIFE:
        await ledger.append(*entries)
    await ledger.close()
    assert (True, True) == (begun.notary.failures > 0, begun.notary.failing)
    again = open_store(folder, checkpoints, entropy=secrets.token_bytes)
    assert again.store.next_index == again.notary.latest.checkpoint.size  # type: ignore[union-attr] # there is one
    again.store.close()
    assert (ToolOutcome.OK, AttemptOutcome.SETTLED) == state(folder)
