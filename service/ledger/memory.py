"""The store in memory: nothing survives the process, and every breach of the contract is caught.

It is what tests put in the place of a disk. `Memory` is the disk; a `MemoryStore` is one opening of it.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from service.core.merkle import leaf_hash
from service.errors import StoreLockedError
from service.ledger.booking import Decisions, Key
from service.ledger.rows import added_up_to_max, rollup_key
from service.ledger.store import (
    NO_BOOKS,
    AttemptRow,
    BookRows,
    CallRow,
    JudgedRow,
    Line,
    ReadingRow,
    RollupKey,
    RollupSums,
    Rows,
    Store,
    Tree,
    WindowRow,
)

_OF_BOOKS = frozenset({"reading", "verification", "verdict"})


class ContractBrokenError(AssertionError):
    """The store was used in a way that its contract forbids."""


class Memory:
    """What outlives an opening: the log, its rows, the identity, and who writes."""

    def __init__(self) -> None:
        self.origin: str | None = None
        self.epoch = 0
        self.locked = False
        self.lines: tuple[Line, ...] = ()
        self.calls: dict[str, CallRow] = {}
        self.attempts: dict[tuple[str, int], AttemptRow] = {}
        self.rollups: dict[RollupKey, RollupSums] = {}
        self.readings: dict[int, ReadingRow] = {}
        self.windows: dict[int, WindowRow] = {}
        self.judged: dict[Key, JudgedRow] = {}
        self.tree = Tree()


class MemoryStore:
    """A store in a `Memory`.

    Args:
        memory: where lines and rows are kept.
        new_origin: the identity to give to a memory that has none.

    Raises:
        StoreLockedError: another opening writes here.
    """

    def __init__(self, memory: Memory, *, new_origin: str) -> None:
        if memory.locked:
            raise StoreLockedError("another store writes to this memory", remedy="Close it first.")
        memory.locked = True
        memory.origin = memory.origin or new_origin
        memory.epoch += 1
        self.origin = memory.origin
        self.epoch = memory.epoch
        self.next_index = len(memory.lines)
        self.tree = memory.tree
        self._memory = memory
        self._in_use = threading.Lock()
        self._closed = False
        self._unknown = False  # whether an append failed: the contract then forbids another

    def append(self, lines: Sequence[Line], rows: Rows) -> None:
        """Keep lines and rows, all or nothing; see the contract.

        Raises:
            ContractBrokenError: they must not be kept, or not now.
        """
        with self._alone():
            if self._unknown:
                raise ContractBrokenError("written to after a failure, without opening anew")
            self._unknown = True
            self._check(lines, rows.tree)
            self._memory.lines += tuple(lines)
            self._memory.calls.update({row.tool_call_id: row for row in rows.calls})
            self._memory.attempts.update({(row.tool_call_id, row.number): row for row in rows.attempts})
            for key, sums in rows.rollups:
                self._memory.rollups[key] = added_up_to_max(self._memory.rollups.get(key, RollupSums()), sums)
                if sums.calls < 0:
                    self._seen_last(key)
            if rows.books is not NO_BOOKS:
                self._book(rows.books)
            self.next_index += len(lines)
            self.tree = self._memory.tree = rows.tree
            self._unknown = False

    def open_calls(self) -> Iterator[Line]:
        """Give the lines of every call without an answer, in order."""
        with self._alone():
            found = {call_id for call_id, row in self._memory.calls.items() if row.outcome is None}
        return iter([line for line in self._memory.lines if line.tool_call_id in found])

    def has_call(self, tool_call_id: str) -> bool:
        """Look the call up."""
        with self._alone():
            return tool_call_id in self._memory.calls

    def call_lines(self, tool_call_id: str) -> list[Line]:
        """Pick one call's lines."""
        with self._alone():
            return [line for line in self._memory.lines if line.tool_call_id == tool_call_id]

    def of_ledger(self) -> Iterator[Line]:
        """Pick the lines of no call; not those of the provider's books."""
        with self._alone():
            lines = [line for line in self._memory.lines if line.tool_call_id is None]
        return iter([line for line in lines if line.kind not in _OF_BOOKS])

    def close(self) -> None:
        """Let another opening write."""
        if not self._closed:
            with self._alone():
                self._closed = True
                self._memory.locked = False

    def _book(self, books: BookRows) -> None:
        memory = self._memory
        memory.readings.update({row.index: row for row in books.readings})
        memory.windows.update({row.index: row for row in books.windows})
        decisions = Decisions(memory.attempts.values(), memory.judged.values())
        decisions.take(books)
        memory.judged = decisions.judged

    def _seen_last(self, key: RollupKey) -> None:
        """Look up anew when the newest call of a quarter hour was opened, after one has left it."""
        memory = self._memory
        times = (
            row.opened_at
            for row in memory.calls.values()
            for one in (memory.attempts.get((row.tool_call_id, 1)),)
            if row.rolled_up and rollup_key(row.opened_at, row.client, row.tool, one) == key
        )
        memory.rollups[key] = msgspec.structs.replace(memory.rollups[key], last_at=max(times, default=""))

    def _check(self, lines: Sequence[Line], tree: Tree) -> None:
        for index, line in enumerate(lines, len(self._memory.lines)):
            if line.index != index:
                raise ContractBrokenError(f"line {line.index} where {index} belongs")
            if line.leaf_hash != leaf_hash(line.entry):
                raise ContractBrokenError(f"the leaf hash of line {index} is not that of its bytes")
        if tree != self.tree.extended([line.leaf_hash for line in lines]):
            raise ContractBrokenError("the tree is not that of the lines")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Refuse a second thread, and any use after the end."""
        if not self._in_use.acquire(blocking=False):
            raise ContractBrokenError("two threads use the store at once")
        try:
            if self._closed:
                raise ContractBrokenError("used after it was closed")
            yield
        finally:
            self._in_use.release()


if TYPE_CHECKING:
    _: type[Store] = MemoryStore
