"""The ledger: the only writer of the log. What it has returned survives a power cut.

One thread writes to the store. It takes whatever waits, writes it in one transaction and so one fsync, then
offers the committed steps to the feed and wakes the waiting callers. The records of open calls live in
that thread: an entry that its call's history does not allow is refused before it is written.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence

import msgspec

from service.core import entries, merkle, record
from service.core.entries import AnyEntry, SystemEntry, ToolCallEntry
from service.core.record import BrokenRecordError, Step, ToolCall
from service.core.shapes import Clock
from service.core.times import utc_text
from service.errors import LedgerClosedError, LedgerFailedError, StoreBrokenError, StoreFullError
from service.ledger import sweep
from service.ledger.feed import Feed
from service.ledger.rows import joined, rows
from service.ledger.store import Line, Rows, Store

ENTRIES_PER_COMMIT_MAX = 1024
WAITING_MAX = 2000
FEED_TIMEOUT_S = 2.0

_log = logging.getLogger(__name__)


class _Append(msgspec.Struct, frozen=True):
    """Entries that one caller wants written together."""

    entries: Sequence[AnyEntry]
    at: str
    future: asyncio.Future[tuple[Step, ...]]


class _Folded(msgspec.Struct, frozen=True):
    """An append that its calls' histories allow: what to write, and what is true once it is written."""

    append: _Append
    lines: Sequence[Line]
    steps: tuple[Step, ...]
    calls: dict[str, ToolCall]
    rows: Rows


_Outcome = tuple[_Append, tuple[Step, ...] | Exception]


class Ledger:
    """The log's writer for one epoch, used from one event loop.

    Args:
        store: owned from now on; closed by `close`.
        feed: gets every committed step; stopped by `close`.
        clock: gives entries their time.
        on_failure: called once, from the writer's thread, when the disk has failed; the service must stop.
    """

    def __init__(
        self, store: Store, feed: Feed, *, clock: Clock, on_failure: Callable[[Exception], None] | None = None
    ) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock
        self._on_failure = on_failure
        self._open: dict[str, ToolCall] = {}  # owned by the writer's thread once it runs
        self._queue: queue.SimpleQueue[_Append | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None  # set by `start`
        self._waiting = 0  # owned by the loop's thread; a cancelled waiter's entries still count
        self._closed = False
        self._failed: Exception | None = None  # set once, by the writer's thread
        self._full = False  # what the last write found; owned by the writer's thread
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)

    @property
    def origin(self) -> str:
        """The data folder's identity."""
        return self._store.origin

    @property
    def epoch(self) -> int:
        """The number of this start."""
        return self._store.epoch

    @property
    def failed(self) -> bool:
        """Whether the disk failed: nothing is written any more."""
        return self._failed is not None

    @property
    def full(self) -> bool:
        """Whether the last write found no room on the disk."""
        return self._full

    @property
    def waiting(self) -> int:
        """How many appends wait to become durable."""
        return self._waiting

    async def start(self, detail: dict[str, str]) -> int:
        """Begin the epoch and sweep: what an earlier epoch left open becomes in doubt and is closed.

        Returns:
            The number of tool calls swept.

        Raises:
            StoreBrokenError: the open calls in the store contradict themselves.
            LedgerError: as `append`; the ledger must then be closed.
        """
        self._loop = asyncio.get_running_loop()
        self._open = await asyncio.to_thread(lambda: sweep.open_calls(self._store.open_calls()))
        left = tuple(self._open.values())
        self._thread.start()
        await self.append(SystemEntry(event="start", detail=detail))
        for call in left:
            await self.append(*sweep.closing(call))
        return len(left)

    def append(self, *of: AnyEntry) -> asyncio.Future[tuple[Step, ...]]:
        """Write entries in one transaction. Must be called on the loop that started the ledger.

        Returns:
            A future of the committed steps, in order. It need not be awaited: the entries are written all
            the same, in the order of the calls to this method, even if the future is cancelled.

        Raises (through the future):
            BrokenRecordError: an entry may not follow its call's history; nothing was written.
            ValueError: an entry has no canonical form, or holds an amount beyond any price; nothing was written.
            StoreFullError: the disk is full; nothing was written.
            LedgerFailedError: the disk failed; what was written is unknown until the next start.
            LedgerClosedError: the ledger is closed, or too many appends wait.
        """
        future: asyncio.Future[tuple[Step, ...]] = asyncio.get_running_loop().create_future()
        if self._failed is not None:
            _fail_seen(future, _failure(self._failed))
        elif self._closed or not self._thread.is_alive() or self._waiting >= WAITING_MAX:
            _fail_seen(future, LedgerClosedError("the ledger takes no more entries now"))
        else:
            self._waiting += 1
            self._queue.put(_Append(of, utc_text(self._clock.now_ns()), future))
        return future

    async def close(self, *, feed_timeout_s: float = FEED_TIMEOUT_S) -> None:
        """Write what waits and the epoch's end, then let go of the store. It may be called at any time, again too.

        It raises nothing of the store's: who waited for an entry has been told, and the log says the rest.
        """
        if self._closed:
            return
        last = self.append(SystemEntry(event="stop", detail={}))
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._stop, feed_timeout_s)
        if not last.done() or last.exception() is not None:  # its outcome came before the threads' end did
            _log.warning("the epoch's end could not be written")

    def _stop(self, feed_timeout_s: float) -> None:
        """Let both threads end, in order, then close the store."""
        if self._thread.ident is not None:
            self._thread.join()
        if not self._feed.close(feed_timeout_s):
            _log.warning("listeners were left behind at the stop", extra={"steps": self._feed.lag})
        try:
            self._store.close()
        except Exception:  # noqa: BLE001 - all that was promised is durable already
            _log.exception("the store could not be closed in order; the next start recovers it")

    def _run(self) -> None:
        while (batch := self._take()) is not None:
            try:
                self._commit(batch)
            except StoreFullError as error:
                self._note_full(full=True)
                self._wake([(append, error) for append in batch])
            except Exception as error:  # noqa: BLE001 - whatever it was, the file's state is unknown now
                self._fail(batch, error)

    def _take(self) -> list[_Append] | None:
        """Wait for one append, then take all that wait with it."""
        first = self._queue.get()
        if first is None:
            return None
        batch, count = [first], len(first.entries)
        while count < ENTRIES_PER_COMMIT_MAX:
            try:
                further = self._queue.get_nowait()
            except queue.Empty:
                break
            if further is None:
                self._queue.put(None)
                break
            batch.append(further)
            count += len(further.entries)
        return batch

    def _commit(self, batch: Sequence[_Append]) -> None:
        if self._failed is not None:
            self._wake([(append, _failure(self._failed)) for append in batch])
            return
        folded, refused = self._fold_all(batch)
        if folded:
            lines = [line for one in folded for line in one.lines]
            goal = self._store.next_index + len(lines)
            self._store.append(lines, joined([one.rows for one in folded]))
            if self._store.next_index != goal:
                raise StoreBrokenError(f"the store stands at index {self._store.next_index}, not {goal}")
            self._note_full(full=False)
            for one in folded:
                self._remember(one.calls)
            self._feed.offer([step for one in folded for step in one.steps])
        self._wake([*refused, *((one.append, one.steps) for one in folded)])

    def _fold_all(self, batch: Sequence[_Append]) -> tuple[list[_Folded], list[_Outcome]]:
        """Fold a batch in order; an append that is refused leaves no trace in those after it."""
        changed: dict[str, ToolCall] = {}
        folded: list[_Folded] = []
        refused: list[_Outcome] = []
        index = self._store.next_index
        for append in batch:
            try:
                one = self._fold(append, changed, index)
            except ValueError as error:
                refused.append((append, error))
                continue
            changed |= one.calls
            index += len(one.lines)
            folded.append(one)
        return folded, refused

    def _fold(self, append: _Append, changed: dict[str, ToolCall], first: int) -> _Folded:
        """Stamp, encode and fold one append, without touching what others see.

        Raises:
            ValueError: one of its entries may not be written, so none of them is.
        """
        lines: list[Line] = []
        steps: list[Step] = []
        calls: dict[str, ToolCall] = {}
        for index, draft in enumerate(append.entries, first):
            entry = msgspec.structs.replace(
                draft, origin=self._store.origin, epoch=self._store.epoch, index=index, at=append.at
            )
            written = entries.encode(entry)
            leaf = merkle.leaf_hash(written)
            call_id, call = None, None
            if not isinstance(entry, SystemEntry):
                call_id = entry.tool_call_id
                before = calls.get(call_id) or changed.get(call_id) or self._open.get(call_id)
                if before is None and isinstance(entry, ToolCallEntry) and self._store.has_call(call_id):
                    raise BrokenRecordError(f"tool call {call_id} was opened twice")
                call = calls[call_id] = record.after(before, entry, leaf)
            lines.append(Line(index, entries.kind(entry), call_id, leaf, written))
            steps.append(Step(entry, call))
        return _Folded(append, lines, tuple(steps), calls, rows(steps))

    def _note_full(self, *, full: bool) -> None:
        if full is not self._full:
            self._full = full
            _log.warning("the disk of the ledger %s", "is full; calls are refused" if full else "has room again")

    def _remember(self, calls: dict[str, ToolCall]) -> None:
        for call_id, call in calls.items():
            if call.answer is None:
                self._open[call_id] = call
            else:
                self._open.pop(call_id, None)

    def _fail(self, batch: Sequence[_Append], error: Exception) -> None:
        self._failed = error
        _log.critical("the ledger cannot write any more", exc_info=error)
        self._wake([(append, _failure(error)) for append in batch])
        if self._on_failure is not None:
            try:
                self._on_failure(error)
            except Exception:  # noqa: BLE001 - the thread must live on to refuse what still waits
                _log.exception("the ledger's failure could not be reported")

    def _wake(self, outcomes: Sequence[_Outcome]) -> None:
        """Wake the callers, all with one hop to their loop."""
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._resolve, outcomes)
        except RuntimeError:  # the loop is closed; what is written stays written
            _log.debug("nobody is left to be woken")

    def _resolve(self, outcomes: Sequence[_Outcome]) -> None:
        self._waiting -= len(outcomes)
        for append, outcome in outcomes:
            if append.future.done():
                continue
            if isinstance(outcome, Exception):
                _fail_seen(append.future, outcome)
            else:
                append.future.set_result(outcome)


def _fail_seen(future: asyncio.Future[tuple[Step, ...]], error: Exception) -> None:
    """Set an outcome that was looked at, so that an append that nobody awaits does not warn when it fails."""
    future.set_exception(error)
    future.exception()


def _failure(error: Exception) -> LedgerFailedError:
    if isinstance(error, StoreBrokenError):  # our own words, fit for everybody
        return LedgerFailedError(f"the ledger failed: {error}", remedy=error.remedy)
    return LedgerFailedError(
        f"the ledger's disk failed: {type(error).__name__}",
        remedy="Check the disk of the data folder, then start the service again.",
    )
