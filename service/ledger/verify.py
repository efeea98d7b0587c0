"""Verification: whether a log is whole, judged from its bytes alone, and whether the tables still agree with it.

What a walk over the log cannot see is an end that was cut off: a log without its last entries is whole in
itself. Whoever knows how long it must be says so with `next_index_min`.
"""

from collections.abc import Iterable, Iterator

import msgspec

from service.core import entries, merkle
from service.core.canonical import is_canonical
from service.core.entries import ADOPT, ActionEntry, AnyEntry, OfBooks
from service.core.record import Step, ToolCall
from service.core.times import utc_ns, utc_text
from service.ledger import shelving
from service.ledger.findings import Findings, Report
from service.ledger.reading import CallLine, Reading
from service.ledger.rebuilding import Folding
from service.ledger.rows import SUMMED, added_up_to_max, attempt_row, call_row, rows
from service.ledger.seals import NOT_ITS_HASH, as_bytes
from service.ledger.shelving import Shelf
from service.ledger.store import Line, RollupKey, RollupSums


class Walk:
    """A walk over a log. It holds only the records that something may follow, however long the log is."""

    def __init__(self, findings: Findings) -> None:
        self.entries = 0
        self.next_index = 0
        self.folding = Folding()
        self.note = findings.note
        self._origin: str | None = None
        self._epoch = 0

    def take(self, line: Line) -> Step | None:
        """Check the next line; give its step if it can be read and may follow."""
        self.entries += 1
        if line.index != self.next_index:
            self.note(min(line.index, self.next_index), f"index {self.next_index} expected, {line.index} found")
        self.next_index = line.index + 1
        written = as_bytes(line.entry)
        if merkle.leaf_hash(written) != line.leaf_hash:
            self.note(line.index, NOT_ITS_HASH)
        if not is_canonical(written):
            self.note(line.index, "the bytes are no canonical JSON")
        try:
            entry = entries.decode(written)
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
        if entries.call_id(entry) != line.tool_call_id:
            yield f"the entry is of tool call {entries.call_id(entry)!r}, filed under {line.tool_call_id!r}"
        if self._origin is None or (isinstance(entry, ActionEntry) and entry.action == ADOPT):
            self._origin = entry.origin
        if not entry.origin or entry.origin != self._origin:
            yield f"the origin is {entry.origin!r}, and {self._origin!r} before"
        if entry.epoch < max(1, self._epoch):
            yield f"epoch {entry.epoch} after epoch {self._epoch}"
        self._epoch = max(self._epoch, entry.epoch)
        if not _is_time(entry.at):
            yield f"{entry.at!r} is no UTC time with microseconds"

    def _fold(self, line: Line, entry: AnyEntry) -> Step | None:
        try:
            return self.folding.take(entry, line.leaf_hash)
        except ValueError as error:
            self.note(line.index, str(error))
            return None


def verify(lines: Iterable[Line], *, next_index_min: int = 0, findings: Findings | None = None) -> Report:
    """Walk a log from its first line on and report what is wrong with it.

    Args:
        lines: all lines, in the order they are kept.
        next_index_min: the length that the log must have at least, known from elsewhere.
        findings: what was found before, to be added to.
    """
    findings = findings or Findings()
    walk = Walk(findings)
    for line in lines:
        walk.take(line)
    if walk.next_index < next_index_min:
        walk.note(walk.next_index, f"the log ends here; it had {next_index_min} entries once")
    return findings.report(walk.entries)


def compare_rows(reading: Reading, *, findings: Findings | None = None) -> Report:
    """Rebuild the tables from the log and report where the stored ones differ.

    The log itself is not judged here: an entry that cannot be read or may not follow is reported and left out.
    """
    findings = findings or Findings()
    walk, sums = Walk(findings), dict[RollupKey, RollupSums]()
    shelf = Shelf(reading, findings)
    calls, attempts = 0, 0
    with reading.snapshot():
        for line in reading.lines():
            step = walk.take(line)
            if step is not None and isinstance(step.entry, OfBooks):
                shelf.take(step.entry)
            if step is None or step.call is None:
                continue
            _add(walk, sums, step)
            if step.call.answer is not None and not step.call.doubtful:
                calls, attempts = calls + 1, attempts + len(step.call.attempts)
                compare_call(walk, step.call, reading)
        for call in (*walk.folding.open.values(), *walk.folding.doubtful.values()):
            calls, attempts = calls + 1, attempts + len(call.attempts)
            compare_call(walk, call, reading)
        if (calls, attempts) != reading.row_counts():
            stored = reading.row_counts()
            walk.note(
                None, f"{calls} calls and {attempts} attempts in the log, {stored[0]} and {stored[1]} as rows"
            )
        _compare_rollups(walk, sums, reading.rollups())
        shelf.compare_counts()
        for _ in shelving.compare(reading, findings):
            pass
    return findings.report(walk.entries)


def _add(walk: Walk, sums: dict[RollupKey, RollupSums], step: Step) -> None:
    try:
        fresh = rows([step]).rollups
    except ValueError as error:
        walk.note(step.entry.index, f"no rows can be made of it: {error}")
        return
    for key, more in fresh:
        sums[key] = added_up_to_max(sums.get(key, RollupSums()), more)


def compare_call(walk: Walk, call: ToolCall, reading: Reading) -> None:
    """Compare the stored rows of a call with its record."""
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
    walk: Walk, rebuilt: dict[RollupKey, RollupSums], stored: dict[RollupKey, RollupSums]
) -> None:
    for key in sorted({*rebuilt, *stored}, key=msgspec.structs.astuple):
        left, right = rebuilt.get(key, RollupSums()), stored.get(key, RollupSums())
        names = [name for name in SUMMED if getattr(left, name) != getattr(right, name)]
        if left.calls and left.last_at != right.last_at:  # what all was taken back from says nothing
            names.append("last_at")
        if names:
            of = f"{key.wallet or 'calls without an attempt'} in the quarter hour {key.bucket}"
            walk.note(None, f"the sums of {of} differ in {', '.join(names)}")


def _is_time(text: str) -> bool:
    try:
        return utc_text(utc_ns(text)) == text
    except (ValueError, OverflowError):
        return False
