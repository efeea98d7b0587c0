"""The live hub: committed steps on their way to the streams that are open, bounded at every place.

The feed's thread tells a step once, for all readers; each reader's own loop takes it from there. A reader
that falls behind loses what waits for it and is told so: the ledger has it. Without readers a step costs nothing.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec
from aiohttp import web

from console.live_rows import live_row
from service.core.entries import (
    AnswerEntry,
    DoubtEntry,
    IntentEntry,
    RefusalEntry,
    SettlementEntry,
    ToolCallEntry,
    UnsentEntry,
)
from service.core.entry import Entry
from service.core.record import Step
from service.core.shapes import Clock
from service.core.times import utc_text

READERS_MAX = 32
EVENTS_WAITING_MAX = 256

STEPS: dict[type[Entry], str] = {
    ToolCallEntry: "opened",
    IntentEntry: "intended",
    SettlementEntry: "settled",
    RefusalEntry: "refused",
    UnsentEntry: "unsent",
    DoubtEntry: "in doubt",
    AnswerEntry: "closed",
}
"""The steps that are told, by the entry that makes them."""


class NoRoomError(RuntimeError):
    """No stream may be opened now; the text is fit to show."""


class Event(msgspec.Struct, frozen=True):
    """One step, written for the wire. `index` is its entry's place in the ledger."""

    index: int
    client: str
    body: str


class Heard(msgspec.Struct, frozen=True):
    """What a reader is given at one time.

    Attributes:
        lost: events before these were dropped; they are in the ledger.
        closed: nothing will follow.
    """

    events: tuple[Event, ...]
    lost: bool
    closed: bool


def events(steps: Sequence[Step], *, as_of: str) -> list[Event]:
    """Write the steps that are told, each with its call's row as it was after it."""
    found = []
    for step in steps:
        word = STEPS.get(type(step.entry))
        if word is not None and step.call is not None:
            body = {"index": step.entry.index, "step": word, "row": live_row(step.call, as_of=as_of)}
            found.append(Event(step.entry.index, step.call.opened.client, msgspec.json.encode(body).decode()))
    return found


class Reader:
    """One open stream's queue. The hub may fill it from any thread; one task of the loop empties it.

    Args:
        owner: the one client whose calls it may see; None for all.
        waiting_max: how many events may wait.
    """

    def __init__(self, owner: str | None, *, waiting_max: int) -> None:
        self._owner = owner
        self._waiting_max = waiting_max
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._lock = threading.Lock()  # guards what follows
        self._waiting: deque[Event] = deque()
        self._lost = False
        self._closed = False
        self._is_called = False  # whether the loop was told and has not looked yet

    async def next(self, timeout_s: float) -> Heard:
        """Wait for events, or for the time to run out; give what came, which may be nothing."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        with self._lock:
            self._is_called = False
            if not self._closed:
                self._woken.clear()
            heard = Heard(tuple(self._waiting), self._lost, self._closed)
            self._waiting.clear()
            self._lost = False
        return heard

    def offer(self, told: Sequence[Event]) -> None:
        """Queue what this reader may see; past the bound, drop all that waits and say so. Never blocks."""
        mine = [event for event in told if self._owner is None or event.client == self._owner]
        with self._lock:
            if not mine or self._lost:
                return
            if len(self._waiting) + len(mine) > self._waiting_max:
                self._drop()
            else:
                self._waiting.extend(mine)
            self._call()

    def lose(self) -> None:
        """Say that events are missing."""
        with self._lock:
            self._drop()
            self._call()

    def close(self) -> None:
        """Say that nothing will follow."""
        with self._lock:
            self._closed = True
            self._call()

    def _drop(self) -> None:
        self._waiting.clear()
        self._lost = True

    def _call(self) -> None:
        """Wake the loop, once for all that comes before it looks."""
        if not self._is_called:
            self._is_called = True
            self._loop.call_soon_threadsafe(self._woken.set)


class Live:
    """A listener of the ledger's feed that passes steps on to readers.

    Args:
        clock: for the time up to which evidence was weighed.
        readers_max: how many streams may be open.
        waiting_max: how many events may wait for one reader.
    """

    def __init__(
        self, clock: Clock, *, readers_max: int = READERS_MAX, waiting_max: int = EVENTS_WAITING_MAX
    ) -> None:
        self._clock = clock
        self._readers_max = readers_max
        self._waiting_max = waiting_max
        self._next_index: int | None = None  # of the feed's thread alone
        self._lock = threading.Lock()  # guards what follows
        self._readers: set[Reader] = set()
        self._closed = False

    @property
    def readers(self) -> int:
        """How many streams are open."""
        with self._lock:
            return len(self._readers)

    def take(self, steps: Sequence[Step]) -> None:
        """Pass the next steps on; called by the feed, on its thread."""
        # Whoever begins to read after this line finds these steps in the ledger: they are committed.
        with self._lock:
            readers = tuple(self._readers)
        expected, self._next_index = self._next_index, steps[-1].entry.index + 1
        if not readers:
            return
        if expected not in (None, steps[0].entry.index):  # the feed could not read what is between
            _lose(readers)
        try:
            told = events(steps, as_of=utc_text(self._clock.now_ns()))
        except Exception:
            _lose(readers)
            raise
        for reader in readers:
            reader.offer(told)

    @contextmanager
    def reading(self, owner: str | None) -> Iterator[Reader]:
        """Open a reader for as long as the context lasts: it gets every step that is committed from now on.

        Raises:
            NoRoomError: too many streams are open, or the service stops.
        """
        reader = Reader(owner, waiting_max=self._waiting_max)
        with self._lock:
            if self._closed:
                raise NoRoomError("The service is stopping; it opens no live stream any more.")
            if len(self._readers) >= self._readers_max:
                raise NoRoomError(
                    f"{self._readers_max} live streams are open, and no more may be. Close a page that shows one."
                )
            self._readers.add(reader)
        try:
            yield reader
        finally:
            with self._lock:
                self._readers.discard(reader)

    def close(self) -> None:
        """End every stream and open none again."""
        with self._lock:
            self._closed = True
            readers = tuple(self._readers)
        for reader in readers:
            reader.close()


LIVE = web.AppKey("LIVE", Live)


def _lose(readers: Sequence[Reader]) -> None:
    for reader in readers:
        reader.lose()
