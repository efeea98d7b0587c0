"""The audit: the log, the tables and what the service holds in memory, compared again and again while it runs.

It reads only, in small steps; who drives it pauses between them, however long. What is written meanwhile does no
harm: rows that may still change are compared in a snapshot, after the walk has caught up with it.

    whole   every entry's bytes, the tree, the newest checkpoint; every row of calls, attempts, roll-ups, and of
            the provider's books
    again   the same of new entries; limits in memory against the tables; the count in doubt; the newest checkpoint
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import msgspec

from service.core.budget import BudgetState
from service.core.entries import UnreadableEntryError
from service.core.merkle import consistency_path, verify_consistency
from service.core.note import NoteError, VerifierKey, opened
from service.ledger import quarters, shelving
from service.ledger.budgets import Standing
from service.ledger.findings import Findings, Problem
from service.ledger.following import Following
from service.ledger.notary import Signed
from service.ledger.reading import Reading

STEP_ENTRIES = 250
LOOKS = 5
"""Times that limits are looked at in one round: while entries are written they cannot be compared."""

_NOTHING = (0, 0)
_Place = tuple[str, str, tuple[str, ...], bool, str]
_log = logging.getLogger(__name__)


class Doubts(msgspec.Struct, frozen=True):
    """How many attempts are in doubt, as the metrics count them, as of the entry of an index."""

    index: int
    real: int
    simulated: int


@dataclass(frozen=True)
class Held:
    """What the running service holds in memory, and the tables must agree with. Any thread may ask.

    Attributes:
        key: whose signature checkpoints bear.
        signed: gives the newest checkpoint that is kept.
        budgets: says where limits stand in the windows that hold a time, a UTC text, as far as they are held.
        counted: says how many entries the budgets have heard of.
        doubts: gives the count of the metrics.
        now: gives the time as UTC text.
    """

    key: VerifierKey
    signed: Callable[[], Signed | None]
    budgets: Callable[[str], Standing]
    counted: Callable[[], int]
    doubts: Callable[[], Doubts]
    now: Callable[[], str]


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit found out so far.

    Attributes:
        verified: how many of the log's first entries were looked at and compared; None before the first whole
            round.
        walked: how far the present round has come.
        rounds: whole rounds since the start.
        at: UTC text of when `verified` was found out last.
        whole_at: UTC text of when the newest whole round ended; roll-ups, and rows of open calls, are as of then.
        problems: how many things are wrong; what was found once stays until the service starts again.
        first: the first of them.
        failure: why the last look could not be made; None if it could.
    """

    verified: int | None = None
    walked: int = 0
    rounds: int = 0
    at: str | None = None
    whole_at: str | None = None
    problems: int = 0
    first: Problem | None = None
    failure: str | None = None


class Audit:
    """The audit of one ledger. One thread may drive it; `audited` may be read from any.

    Its rounds are generators: they do a little, and yield. They raise StoreError where the ledger cannot be read.

    Args:
        reading: closed by whom it belongs to, after the last step.
        held: what the service holds in memory.
    """

    def __init__(self, reading: Reading, held: Held) -> None:
        self._reading = reading
        self._held = held
        self._findings = Findings()
        self._done: Following | None = None  # the newest walk over the whole log
        self._before: Signed | None = None  # the newest checkpoint that was found right
        self.audited = Audited()  # replaced whole

    @property
    def follows(self) -> bool:
        """Whether a walk over the whole log is gone on with; if not, a whole round is due."""
        return self._done is not None

    def whole(self) -> Iterator[None]:
        """Look at every entry and every row."""
        walk = Following(self._reading, self._findings, self._held.signed())
        self._say(walked=0)
        yield from self._follow(walk)
        yield from walk.compare_open()
        yield from quarters.compare(self._reading, self._findings)
        yield from shelving.compare(self._reading, self._findings)
        self._done, self._before = walk, walk.target
        now = self._held.now()
        self._say(verified=walk.next_index, rounds=self.audited.rounds + 1, at=now, whole_at=now, failure=None)

    def again(self) -> Iterator[None]:
        """Look at what is new, and at what memory holds."""
        walk, self._done = self._done, None  # one that could not go on must not be gone on with
        if walk is not None:
            yield from self._follow(walk)
            self._done = walk
            self._say(verified=walk.next_index, at=self._held.now())
        yield from self._compare_budgets()
        self._compare_doubts()
        yield
        self._compare_checkpoints()
        self._say(failure=None if self.follows else self.audited.failure)

    def fail(self, why: str) -> None:
        """Take note that a look could not be made."""
        self._say(failure=why)

    def _follow(self, walk: Following) -> Iterator[None]:
        lines = self._reading.lines(walk.next_index)
        while batch := list(islice(lines, STEP_ENTRIES)):
            walk.take(batch)
            self._say(walked=walk.next_index)
            yield

    def _compare_budgets(self) -> Iterator[None]:
        """Compare limits in memory with the tables (spent is what was settled, reserved is what is held)."""
        for _ in range(LOOKS):
            found = self._differing()
            if found is not None:
                for sentence in found:
                    self._findings.note(None, sentence)
                return
            yield

    def _differing(self) -> list[str] | None:
        """Name the limits that differ; None where something was written meanwhile: then nothing can be said."""
        at, size = self._held.now(), self._held.counted()
        ours = self._held.budgets(at)
        try:
            with self._reading.snapshot():
                head, theirs = self._reading.head(), self._reading.budgets(at)
        except UnreadableEntryError as error:
            return [f"the budgets cannot be read: {error}"]
        if head.next_index != size or self._held.counted() != size or self._held.budgets(at) != ours:
            return None
        elsewhere = {terms.name for terms in ours.unheld}
        held, stored = _amounts(ours.states), _amounts(one for one in theirs if one.terms.name not in elsewhere)
        said = "budget {!r} has {} spent and reserved of {} in memory, {} by the tables"
        return [
            said.format(place[0], held.get(place, _NOTHING), place[-1], stored.get(place, _NOTHING))
            for place in sorted({*held, *stored})
            if held.get(place) != stored.get(place)
        ]

    def _compare_doubts(self) -> None:
        counted = self._held.doubts()
        with self._reading.snapshot():
            head, stored = self._reading.head(), quarters.in_doubt(self._reading)
        found = counted.real, counted.simulated
        if counted.index == head.next_index - 1 and found != stored:  # else the metrics are on their way
            said = "the metrics count {} real and {} simulated attempts in doubt, the tables {} and {}"
            self._findings.note(None, said.format(*found, *stored))

    def _compare_checkpoints(self) -> None:
        """Look whether the newest checkpoint is signed, and goes on from the one before."""
        old, new = self._before, self._held.signed()
        if new is None or new == old:
            return
        try:
            checkpoint = opened(new.note, self._held.key)
            fits = old is None or self._goes_on(old, new)
        except NoteError as error:
            self._findings.note(None, f"the newest checkpoint does not hold: {error}")
            return
        except ValueError as error:
            self._findings.note(None, f"the stored tree cannot be read: {error}")
            return
        if checkpoint != new.checkpoint or not fits:
            sentence = f"the checkpoint over {checkpoint.size} entries does not go on from the one before"
            self._findings.note(None, sentence)
            return
        self._before = new

    def _goes_on(self, old: Signed, new: Signed) -> bool:
        before, after = old.checkpoint, new.checkpoint
        if after.size < before.size:
            return False
        with self._reading.snapshot():
            path = consistency_path(before.size, after.size, self._reading.hashes(after.size))
        return verify_consistency(before.size, before.root, after.size, after.root, path)

    def _say(self, **changed: object) -> None:
        """Put what is known in place of what was; the first problem is logged."""
        first = self._findings.problems[0] if self._findings.problems else None
        if first is not None and self.audited.first is None:
            _log.critical("the audit found that the record was changed: %s: %s", first.where, first.sentence)
        self.audited = msgspec.structs.replace(self.audited, problems=self._findings.total, first=first, **changed)


def _amounts(states: Iterable[BudgetState]) -> dict[_Place, tuple[int, int]]:
    """Give spent and reserved by budget, window, group, kind and unit."""
    return {
        (state.terms.name, state.window.begins, state.group, state.simulated, state.unit): (
            state.spent,
            state.reserved,
        )
        for state in states
    }
