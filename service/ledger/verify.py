"""Verification: whether a log is whole, judged from its bytes alone, and whether the tables still agree with it.

What a walk over the log cannot see is an end that was cut off: a log without its last entries is whole in
itself. Whoever knows how long it must be says so with `next_index_min`.
"""

from collections.abc import Iterable, Iterator

import msgspec

from service.core import entries, merkle, record
from service.core.canonical import is_canonical
from service.core.entries import AnyEntry, SystemEntry
from service.core.record import Step, ToolCall
from service.core.times import utc_ns, utc_text
from service.ledger.reading import CallLine, Reading
from service.ledger.rows import added_up_to_max, attempt_row, call_row, rows
from service.ledger.store import Line, RollupKey, RollupSums

PROBLEMS_MAX = 100


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong. `index` is the entry's; None if it belongs to no entry."""

    index: int | None
    sentence: str


class Report(msgspec.Struct, frozen=True):
    """What a check found.

    Attributes:
        entries: how many were seen.
        problems: the first of them, in the order they were met.
        problems_total: how many there are, kept or not.
    """

    entries: int
    problems: tuple[Problem, ...]
    problems_total: int

    @property
    def first(self) -> Problem | None:
        """The first problem; None if nothing is wrong."""
        return self.problems[0] if self.problems else None


class _Walk:
    """A walk over a log. It holds the records of open calls only, however long the log is."""

    def __init__(self) -> None:
        self.entries = 0
        self.next_index = 0
        self.open: dict[str, ToolCall] = {}
        self.problems: list[Problem] = []
        self.problems_total = 0
        self._origin: str | None = None
        self._epoch = 0

    def report(self) -> Report:
        """Say what was found so far."""
        return Report(self.entries, tuple(self.problems), self.problems_total)

    def note(self, index: int | None, sentence: str) -> None:
        """Count a problem, and keep it if it is among the first."""
        self.problems_total += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(index, sentence))

    def take(self, line: Line) -> Step | None:
        """Check the next line; give its step if it can be read and may follow."""
        self.entries += 1
        if line.index != self.next_index:
            self.note(min(line.index, self.next_index), f"index {self.next_index} expected, {line.index} found")
        self.next_index = line.index + 1
        if merkle.leaf_hash(line.entry) != line.leaf_hash:
            self.note(line.index, "the leaf hash is not that of the entry's bytes")
        if not is_canonical(line.entry):
            self.note(line.index, "the bytes are no canonical JSON")
        try:
            entry = entries.decode(line.entry)
        except ValueError as error:
            self.note(line.index, f"the entry cannot be read: {error}")
            return None
        for sentence in self._against(line, entry):
            self.note(line.index, sentence)
        return self._fold(line, entry)

    def _against(self, line: Line, entry: AnyEntry) -> Iterator[str]:
        """Compare an entry with the columns that it is filed under, and with the entries before it."""
        if entry.index != line.index:
            yield f"the entry says it is index {entry.index}"
        if entries.kind(entry) != line.kind:
            yield f"the entry is of kind {entries.kind(entry)}, filed as {line.kind!r}"
        if _call_id(entry) != line.tool_call_id:
            yield f"the entry is of tool call {_call_id(entry)!r}, filed under {line.tool_call_id!r}"
        self._origin = self._origin or entry.origin
        if not entry.origin or entry.origin != self._origin:
            yield f"the origin is {entry.origin!r}, and {self._origin!r} before"
        if entry.epoch < max(1, self._epoch):
            yield f"epoch {entry.epoch} after epoch {self._epoch}"
        self._epoch = max(self._epoch, entry.epoch)
        if not _is_time(entry.at):
            yield f"{entry.at!r} is no UTC time with microseconds"

    def _fold(self, line: Line, entry: AnyEntry) -> Step | None:
        if isinstance(entry, SystemEntry):
            return Step(entry, None)
        try:
            call = record.after(self.open.get(entry.tool_call_id), entry, line.leaf_hash)
        except ValueError as error:
            self.note(line.index, str(error))
            return None
        if call.answer is None:
            self.open[entry.tool_call_id] = call
        else:
            self.open.pop(entry.tool_call_id, None)
        return Step(entry, call)


def verify(lines: Iterable[Line], *, next_index_min: int = 0) -> Report:
    """Walk a log from its first line on and report what is wrong with it.

    Args:
        lines: all lines, in the order they are kept.
        next_index_min: the length that the log must have at least, known from elsewhere.
    """
    walk = _Walk()
    for line in lines:
        walk.take(line)
    if walk.next_index < next_index_min:
        walk.note(walk.next_index, f"the log ends here; it had {next_index_min} entries once")
    return walk.report()


def compare_rows(reading: Reading) -> Report:
    """Rebuild the tables from the log and report where the stored ones differ.

    The log itself is not judged here: an entry that cannot be read or may not follow is reported and left out.
    """
    walk, sums = _Walk(), dict[RollupKey, RollupSums]()
    calls, attempts = 0, 0
    with reading.snapshot():
        for line in reading.lines():
            step = walk.take(line)
            if step is None or step.call is None:
                continue
            _add(walk, sums, step)
            if step.call.answer is not None:
                calls, attempts = calls + 1, attempts + len(step.call.attempts)
                _compare_call(walk, step.call, reading)
        for call in walk.open.values():
            calls, attempts = calls + 1, attempts + len(call.attempts)
            _compare_call(walk, call, reading)
        if (calls, attempts) != reading.row_counts():
            stored = reading.row_counts()
            walk.note(
                None, f"{calls} calls and {attempts} attempts in the log, {stored[0]} and {stored[1]} as rows"
            )
        _compare_rollups(walk, sums, reading.rollups())
    return walk.report()


def _add(walk: _Walk, sums: dict[RollupKey, RollupSums], step: Step) -> None:
    try:
        fresh = rows([step]).rollups
    except ValueError as error:
        walk.note(step.entry.index, f"no rows can be made of it: {error}")
        return
    for key, more in fresh:
        sums[key] = added_up_to_max(sums.get(key, RollupSums()), more)


def _compare_call(walk: _Walk, call: ToolCall, reading: Reading) -> None:
    index = call.opened.index
    try:
        rebuilt = CallLine(call_row(call), tuple(attempt_row(attempt) for attempt in call.attempts))
        stored = reading.call_row(call.tool_call_id)
    except ValueError as error:
        walk.note(index, f"the rows of tool call {call.tool_call_id} cannot be compared: {error}")
        return
    if stored is None:
        walk.note(index, f"tool call {call.tool_call_id} has no row")
    elif rebuilt != stored:
        walk.note(
            index, f"tool call {call.tool_call_id}: the rows differ in {', '.join(_differing(rebuilt, stored))}"
        )


def _differing(rebuilt: CallLine, stored: CallLine) -> Iterator[str]:
    """Name the columns that differ, `number/column` for those of an attempt."""
    yield from _columns(rebuilt.call, stored.call, "")
    if len(rebuilt.attempts) != len(stored.attempts):
        yield "the number of attempt rows"
        return
    for left, right in zip(rebuilt.attempts, stored.attempts, strict=True):
        yield from _columns(left, right, f"{left.number}/")


def _columns(left: msgspec.Struct, right: msgspec.Struct, prefix: str) -> Iterator[str]:
    for name in left.__struct_fields__:
        if getattr(left, name) != getattr(right, name):
            yield prefix + name


def _compare_rollups(
    walk: _Walk, rebuilt: dict[RollupKey, RollupSums], stored: dict[RollupKey, RollupSums]
) -> None:
    for key in sorted({*rebuilt, *stored}, key=msgspec.structs.astuple):
        left, right = rebuilt.get(key), stored.get(key)
        if left is None or right is None:
            where = "stored only" if left is None else "not stored"
            walk.note(None, f"the sums of {key.wallet} in the quarter hour {key.bucket} are {where}")
        elif left != right:
            names = ", ".join(_columns(left, right, ""))
            walk.note(None, f"the sums of {key.wallet} in the quarter hour {key.bucket} differ in {names}")


def _call_id(entry: AnyEntry) -> str | None:
    return None if isinstance(entry, SystemEntry) else entry.tool_call_id


def _is_time(text: str) -> bool:
    try:
        return utc_text(utc_ns(text)) == text
    except (ValueError, OverflowError):
        return False
