"""Rebuilding: the derived tables again, from the log's lines alone."""

import re
from collections.abc import Iterable, Iterator

from service.core import entries, merkle, record
from service.core.entries import AnyEntry, OfLedger, ToolCallEntry
from service.core.record import Step, ToolCall
from service.ledger.rows import joined, rows
from service.ledger.store import Line, Rows, Tree

_LINES_PER_BATCH = 1000
_OURS = re.compile(r"[0-9a-f]{32}")


class Folding:
    """Records, folded from a log's entries in order. It holds those alone that something may follow.

    Attributes:
        open: calls without an answer.
        doubtful: calls that were answered and have an attempt in doubt, which may be resolved.
    """

    def __init__(self) -> None:
        self.open: dict[str, ToolCall] = {}
        self.doubtful: dict[str, ToolCall] = {}
        self._calls: set[bytes] = set()  # every id that there was, some 80 bytes each: none may come again

    def take(self, entry: AnyEntry, leaf: bytes) -> Step:
        """Fold the next entry.

        Raises:
            BrokenRecordError: it may not follow.
        """
        if isinstance(entry, OfLedger):
            return Step(entry, None)
        call_id = entry.tool_call_id
        call = record.after(self.open.get(call_id) or self.doubtful.get(call_id), entry, leaf)
        if isinstance(entry, ToolCallEntry):
            _enter(self._calls, call_id)
        _keep(self.open, call, kept=call.answer is None)
        _keep(self.doubtful, call, kept=call.answer is not None and call.doubtful)
        return Step(entry, call)


def _enter(known: set[bytes], call_id: str) -> None:
    """Take up a call's id, as the bytes that it writes where it is one of ours.

    Raises:
        BrokenRecordError: it is known.
    """
    packed = bytes.fromhex(call_id) if _OURS.fullmatch(call_id) else call_id.encode()
    if packed in known:
        raise record.BrokenRecordError(f"tool call {call_id} was opened twice")
    known.add(packed)


def _keep(calls: dict[str, ToolCall], call: ToolCall, *, kept: bool) -> None:
    if kept:
        calls[call.tool_call_id] = call
    else:
        calls.pop(call.tool_call_id, None)


def _filed(line: Line) -> AnyEntry:
    """Read a line's entry; what finds it must be what it says.

    Raises:
        ValueError: it is filed under another place, kind or call, or cannot be read.
    """
    entry = entries.decode(line.entry)
    said = entry.index, entries.kind(entry), entries.call_id(entry)
    if said != (line.index, line.kind, line.tool_call_id):
        raise ValueError(f"it says that it is {said}, and is filed otherwise")
    return entry


def rebuilt(lines: Iterable[Line]) -> Iterator[Rows]:
    """Derive the tables' rows from all lines, in order, a batch at a time.

    Raises:
        ValueError: a line cannot be read, may not follow the ones before it, or is not the one that was hashed.
    """
    folding, tree = Folding(), Tree()
    steps: list[Step] = []
    leaves: list[bytes] = []
    for index, line in enumerate(lines):
        if line.index != index:
            raise ValueError(f"entry {index} is missing: {line.index} stands in its place")
        if merkle.leaf_hash(line.entry) != line.leaf_hash:
            raise ValueError(f"entry {index} is not the one that was written: its leaf hash differs")
        try:
            steps.append(folding.take(_filed(line), line.leaf_hash))
        except ValueError as error:
            raise ValueError(f"entry {index}: {error}") from error
        leaves.append(line.leaf_hash)
        if len(leaves) == _LINES_PER_BATCH:
            tree = tree.extended(leaves)
            yield joined([rows(steps)], tree)
            steps, leaves = [], []
    yield joined([rows(steps)], tree.extended(leaves))
