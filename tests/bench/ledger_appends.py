"""The ledger's appends against a bare loop of group commits, in alternating windows of one run.

A machine's speed drifts by itself, so only the ratio of neighbouring windows means anything. The bare loop
does what cannot be left out: one thread, one transaction for all that waits, one fsync, one wake-up. It
writes the same bytes with the same SQLite settings; what the ledger does beyond that is the ratio.
"""

import argparse
import asyncio
import contextlib
import queue
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import count
from pathlib import Path

import apsw
import msgspec

from service.core.entries import OfCall, encode
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.sqlite import SqliteStore
from service.ledger.writer import Writer
from tests.conftest import Made
from tests.ledger.conftest import Lives

WINDOW_S = 0.5
PAIRS = 12
CALLERS = (1, 8, 64)

Append = Callable[[Sequence[OfCall]], Awaitable[object]]


class Real:
    """The machine's clocks."""

    now_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)


class Window(msgspec.Struct, frozen=True):
    """What one window did: appends, and seconds of the clock and of the process's CPU."""

    appends: int
    wall_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Appends per second of the clock."""
        return self.appends / self.wall_s

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU per append."""
        return self.cpu_s / self.appends * 1e6


class Bare:
    """The least that a durable log can be: lines go in, and whoever waits is woken when they are on the disk."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path))
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "fullfsync = ON", "wal_autocheckpoint = 1000"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute('CREATE TABLE entries ("index" INTEGER PRIMARY KEY, entry BLOB NOT NULL) STRICT')
        self._queue: queue.SimpleQueue[tuple[Sequence[bytes], asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="bare-writer")
        self._thread.start()

    def append(self, lines: Sequence[bytes]) -> Awaitable[object]:
        """Write lines; the future is done when they survive a power cut."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((lines, future))
        return future

    async def close(self) -> None:
        """Write what waits, then let go."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            with contextlib.suppress(queue.Empty):
                while (further := self._queue.get_nowait()) is not None:
                    batch.append(further)
                self._queue.put(None)  # the end: seen again by the outer loop, once this batch is written
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT INTO entries (entry) VALUES (?)", [(line,) for lines, _ in batch for line in lines]
            )
            self._connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(_wake, [future for _, future in batch])


def _wake(futures: Sequence[asyncio.Future[None]]) -> None:
    for future in futures:
        future.set_result(None)


@contextlib.asynccontextmanager
async def ledger_appends(folder: Path) -> AsyncIterator[Append]:
    """Open a ledger without listeners."""
    store = SqliteStore(folder, new_origin="exai/bench")
    feed = Feed((), reread=lambda _first, _count: (), next_index=store.next_index)
    feed.start()
    ledger = Ledger(Writer(store), feed, clock=Real())
    await ledger.start({})
    try:
        yield lambda entries: ledger.append(*entries)
    finally:
        await ledger.close()


@contextlib.asynccontextmanager
async def bare_appends(folder: Path) -> AsyncIterator[Append]:
    """Open a bare log. The entries are encoded once, beforehand: only their lengths matter to it."""
    bare = Bare(folder / "bare.sqlite3")
    lines: dict[int, list[bytes]] = {}

    def append(entries: Sequence[OfCall]) -> Awaitable[object]:
        kinds = hash(tuple(type(entry) for entry in entries))
        if kinds not in lines:
            lines[kinds] = [encode(entry) for entry in entries]
        return bare.append(lines[kinds])

    try:
        yield append
    finally:
        await bare.close()


async def window(append: Append, lives: Lives, numbers: "count[int]", callers: int, window_s: float) -> Window:
    """Keep `callers` calls in flight for a while. Every append is awaited, so none is lost uncounted."""
    began, cpu = time.monotonic(), time.process_time()

    async def caller() -> int:
        done = 0
        while time.monotonic() - began < window_s:
            number = next(numbers)
            for part in (lives.opening(number), lives.ending(number)):
                await append(part)
                done += 1
        return done

    done = sum(await asyncio.gather(*(caller() for _ in range(callers))))
    return Window(done, time.monotonic() - began, time.process_time() - cpu)


async def measure(folder: Path, callers: int, pairs: int, window_s: float) -> list[tuple[Window, Window]]:
    """Run (bare, ledger) windows in turn, after one of each that is not counted."""
    lives, numbers = Lives(Made()), count()
    opened: AbstractAsyncContextManager[Append] = bare_appends(folder)
    found: list[tuple[Window, Window]] = []
    async with opened as bare, ledger_appends(folder) as ledger:
        for _ in range(pairs + 1):
            floor = await window(bare, lives, numbers, callers, window_s)
            found.append((floor, await window(ledger, lives, numbers, callers, window_s)))
    return found[1:]


def row(callers: int, found: list[tuple[Window, Window]]) -> str:
    """Write one line of the table."""
    ratios = [bare.rate / ledger.rate for bare, ledger in found]
    cpu = [ledger.cpu_us / bare.cpu_us for bare, ledger in found]
    rates = [statistics.median(side.rate for side in sides) for sides in zip(*found, strict=True)]
    cpu_us = [min(side.cpu_us for side in sides) for sides in zip(*found, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return (
        f"{callers:>8}{rates[0]:>12.0f}{rates[1]:>12.0f}{low:>10.2f}{middle:>10.2f}{high:>10.2f}"
        f"{cpu_us[0]:>12.0f}{cpu_us[1]:>12.0f}{statistics.quantiles(cpu, n=4)[0]:>12.2f}"
    )


HEADS = """\
          appends/s (median)      bare ÷ ledger, paired    CPU µs per append (min)     ratio
 callers        bare      ledger   lower q    median   upper q        bare      ledger     lower q
"""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=Path(".cache"), help="where to write; its disk is what is measured"
    )
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs of windows for each number of callers")
    parser.add_argument("--window-s", type=float, default=WINDOW_S, help="length of a window")
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    sys.stdout.write(HEADS)
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="bench-") as folder:
        for callers in CALLERS:
            place = Path(folder) / str(callers)
            place.mkdir()
            found = asyncio.run(measure(place, callers, arguments.pairs, arguments.window_s))
            sys.stdout.write(row(callers, found) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
