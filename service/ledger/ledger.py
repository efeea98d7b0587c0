"""The ledger: the asyncio face of the log's only writer. What it has returned survives a power cut.

One thread drives the writer. It takes whatever waits, has it written in one transaction and so one fsync, then
offers the committed steps to the feed, the tree to the notary, and wakes the waiting callers.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence

import msgspec

from service.core import budget
from service.core.entries import AnyEntry, BudgetEntry, SystemEntry
from service.core.record import Step
from service.core.shapes import Clock
from service.core.times import utc_text
from service.errors import LedgerClosedError, LedgerFailedError, StoreBrokenError, StoreFullError
from service.ledger import sweep
from service.ledger.feed import Feed
from service.ledger.notary import Notary
from service.ledger.writer import Append, Outcome, Writer

ENTRIES_PER_COMMIT_MAX = 1024
WAITING_MAX = 2000
FEED_TIMEOUT_S = 2.0

_log = logging.getLogger(__name__)


class _Waiting(msgspec.Struct, frozen=True):
    """An append on its way, and who waits for it."""

    append: Append
    future: asyncio.Future[tuple[Step, ...]]


class Ledger:
    """The log's writer for one epoch, used from one event loop.

    Args:
        writer: owned from now on; its store is closed by `close`.
        feed: gets every committed step; stopped by `close`.
        clock: gives entries their time.
        notary: signs what was committed; closed by `close`. Without one nothing is signed.
        on_failure: called once, from the writer's thread, when the disk has failed; the service must stop.
    """

    def __init__(
        self,
        writer: Writer,
        feed: Feed,
        *,
        clock: Clock,
        notary: Notary | None = None,
        on_failure: Callable[[Exception], None] | None = None,
    ) -> None:
        self._writer = writer
        self._store = writer.store
        self._feed = feed
        self._clock = clock
        self._notary = notary
        self._on_failure = on_failure
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
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
    def writer(self) -> Writer:
        """What this drives. Only its attributes that say so may be read from another thread."""
        return self._writer

    @property
    def notary(self) -> Notary | None:
        """Who signs what was committed."""
        return self._notary

    @property
    def checkpoint(self) -> str | None:
        """The newest signed note; None if nothing is signed."""
        signed = self._notary.latest if self._notary is not None else None
        return None if signed is None else signed.note

    @property
    def failed(self) -> bool:
        """Whether the disk failed: nothing is written any more."""
        return self._failed is not None

    @property
    def full(self) -> bool:
        """Whether the disk is full: the last write found no room, or no call begins for want of it."""
        return self._full or self._writer.cramped

    @property
    def waiting(self) -> int:
        """How many appends wait to become durable."""
        return self._waiting

    async def start(self, detail: dict[str, str], *first: AnyEntry) -> int:
        """Begin the epoch and sweep: what an earlier epoch left open becomes in doubt and is closed.

        Args:
            detail: of the entry `start`.
            first: entries that must stand before it.

        Returns:
            The number of tool calls swept.

        Raises:
            StoreBrokenError: the open calls in the store contradict themselves.
            LedgerError: as `append`; the ledger must then be closed.
        """
        self._loop = asyncio.get_running_loop()
        left = await asyncio.to_thread(self._writer.load)
        self._thread.start()
        await self.append(*first, SystemEntry(event="start", detail=detail))
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
            BudgetStopError: an intent would pass a budget's limit; nothing was written.
            StoreFullError: the disk is full; nothing was written.
            LedgerFailedError: the disk failed; what was written is unknown until the next start.
            LedgerClosedError: the ledger is closed, or too many appends wait.
        """
        if not of:
            raise ValueError("an append holds an entry at least")
        future: asyncio.Future[tuple[Step, ...]] = asyncio.get_running_loop().create_future()
        if self._failed is not None:
            _fail_seen(future, _failure(self._failed))
        elif self._closed or not self._thread.is_alive() or self._waiting >= WAITING_MAX:
            _fail_seen(future, LedgerClosedError("the ledger takes no more entries now"))
        else:
            self._waiting += 1
            self._queue.put(_Waiting(Append(of, utc_text(self._clock.now_ns())), future))
        return future

    async def close(self, *, feed_timeout_s: float = FEED_TIMEOUT_S) -> None:
        """Write what waits and the epoch's end, sign it, then let go of the store. It may be called at any time.

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
        """Let the threads end, in order, then close the store."""
        if self._thread.ident is not None:
            self._thread.join()
        if self._notary is not None:
            self._notary.close()
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
                self._wake(batch, [error] * len(batch))
            except Exception as error:  # noqa: BLE001 - whatever it was, the file's state is unknown now
                self._fail(batch, error)
            if self._writer.due and self._failed is None and not self._closed:
                self._warn(batch[-1].append.at)

    def _take(self) -> list[_Waiting] | None:
        """Wait for one append, then take all that wait with it."""
        first = self._queue.get()
        if first is None:
            return None
        batch, count = [first], len(first.append.entries)
        while count < ENTRIES_PER_COMMIT_MAX:
            try:
                further = self._queue.get_nowait()
            except queue.Empty:
                break
            if further is None:
                self._queue.put(None)
                break
            batch.append(further)
            count += len(further.append.entries)
        return batch

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        if self._failed is not None:
            self._wake(batch, [_failure(self._failed)] * len(batch))
            return
        outcomes = self._writer.write([waiting.append for waiting in batch])
        self._tell([step for outcome in outcomes if not isinstance(outcome, Exception) for step in outcome])
        self._wake(batch, outcomes)

    def _tell(self, steps: Sequence[Step]) -> None:
        """Offer what was committed to those who follow the log."""
        if steps:
            self._note_full(full=False)
            self._feed.offer(steps)
            if self._notary is not None:
                self._notary.offer(self._store.tree.range)

    def _warn(self, at: str) -> None:
        """Write and log the warnings of budgets that are due, once those who wait for the batch were woken."""
        try:
            outcome = self._writer.warn(at)
        except StoreFullError:
            self._note_full(full=True)
        except Exception as error:  # noqa: BLE001 - as any other write
            self._fail((), error)
        else:
            if isinstance(outcome, Exception):
                _log.error("warnings of budgets may not be written", exc_info=outcome)
                return
            self._tell(outcome)
            for step in outcome:
                if isinstance(step.entry, BudgetEntry):
                    _log.warning("%s", budget.warned(step.entry))

    def _note_full(self, *, full: bool) -> None:
        if full is not self._full:
            self._full = full
            _log.warning("the disk of the ledger %s", "is full; calls are refused" if full else "has room again")

    def _fail(self, batch: Sequence[_Waiting], error: Exception) -> None:
        self._failed = error
        _log.critical("the ledger cannot write any more", exc_info=error)
        self._wake(batch, [_failure(error)] * len(batch))
        if self._on_failure is not None:
            try:
                self._on_failure(error)
            except Exception:  # noqa: BLE001 - the thread must live on to refuse what still waits
                _log.exception("the ledger's failure could not be reported")

    def _wake(self, batch: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
        """Wake the callers, all with one hop to their loop."""
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._resolve, batch, outcomes)
        except RuntimeError:  # the loop is closed; what is written stays written
            _log.debug("nobody is left to be woken")

    def _resolve(self, batch: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
        self._waiting -= len(outcomes)
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.future.done():
                continue
            if isinstance(outcome, Exception):
                _fail_seen(waiting.future, outcome)
            else:
                waiting.future.set_result(outcome)


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
