"""A ledger over any store, and a store that fails, stalls and counts on demand."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.core.entries import OfCall
from service.core.record import Step
from service.core.shapes import Listener
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.memory import Memory, MemoryStore
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore
from service.ledger.store import Line, Rows, Store, Tree
from service.ledger.writer import Writer

if TYPE_CHECKING:
    from tests.conftest import Made

WAIT_S = 20
BEGUN_NS = 1_795_364_460_000_000_000  # 2026-11-22T16:21:00Z
ORIGIN = "exai/test"


class Ticking:
    """A clock that goes on by one second whenever it is asked."""

    def __init__(self) -> None:
        self.at_ns = BEGUN_NS

    def now_ns(self) -> int:
        """Say the time, then let a second pass."""
        self.at_ns += 1_000_000_000
        return self.at_ns

    def monotonic_ns(self) -> int:
        """Say the same, for durations."""
        return self.now_ns()


class Probe:
    """A store around a store: it counts commits, waits at a gate, and fails on an entry's kind.

    `fault` = (kind, error, persisted): an append with an entry of that kind raises the error, after it was
    kept or instead.
    """

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.origin = inner.origin
        self.epoch = inner.epoch
        self.commits: list[int] = []
        self.fault: tuple[str, Exception, bool] | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Event()

    @property
    def next_index(self) -> int:
        """The inner store's."""
        return self.inner.next_index

    @next_index.setter
    def next_index(self, value: int) -> None:
        self.inner.next_index = value

    def append(self, lines: Sequence[Line], rows: Rows) -> None:
        """Append once the gate is open, or fail as told."""
        self.reached.set()
        assert self.gate.wait(WAIT_S)
        kinds = {line.kind for line in lines}
        if self.fault is not None and self.fault[0] in kinds:
            _, error, persisted = self.fault
            if persisted:
                self.inner.append(lines, rows)
            raise error
        self.inner.append(lines, rows)
        self.commits.append(len(lines))

    def open_calls(self) -> Iterator[Line]:
        """The inner store's."""
        return self.inner.open_calls()

    def has_call(self, tool_call_id: str) -> bool:
        """Ask the inner store."""
        return self.inner.has_call(tool_call_id)

    @property
    def tree(self) -> Tree:
        """The inner store's."""
        return self.inner.tree

    @tree.setter
    def tree(self, value: Tree) -> None:
        self.inner.tree = value

    def call_lines(self, tool_call_id: str) -> Sequence[Line]:
        """Ask the inner store."""
        return self.inner.call_lines(tool_call_id)

    def of_ledger(self) -> Iterator[Line]:
        """Ask the inner store."""
        return self.inner.of_ledger()

    def close(self) -> None:
        """Close the inner store."""
        self.inner.close()


class Kept:
    """A listener that keeps every step."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def take(self, steps: Sequence[Step]) -> None:
        """Keep them."""
        self.steps.extend(steps)


class Lives:
    """Calls by number, in the two appends that a run makes of each."""

    def __init__(self, made: "Made") -> None:
        self._made = made

    @staticmethod
    def call_id(number: int) -> str:
        """Name the call of a number."""
        return f"{number:032x}"

    def opening(self, number: int) -> list[OfCall]:
        """Open a call and intend its one attempt."""
        call_id = self.call_id(number)
        return [self._made.tool_call(tool_call_id=call_id), self._made.intent(tool_call_id=call_id)]

    def ending(self, number: int) -> list[OfCall]:
        """Settle the attempt and answer."""
        call_id = self.call_id(number)
        return [self._made.settlement(tool_call_id=call_id), self._made.answer(tool_call_id=call_id)]


Opened = Callable[..., AbstractAsyncContextManager[Ledger]]
OpenStore = Callable[[], Store]


def no_reread(first: int, count: int) -> list[Step]:
    """Fail a test in which the feed forgot."""
    message = f"steps {first}, {count} were read again"
    raise AssertionError(message)


@pytest.fixture
def lives(made: "Made") -> Lives:
    """Calls by number."""
    return Lives(made)


@pytest.fixture
def probe() -> type[Probe]:
    """A store around a store."""
    return Probe


@pytest.fixture
def kept() -> Kept:
    """A listener that keeps."""
    return Kept()


@pytest.fixture
def clock() -> Ticking:
    """A clock that ticks when asked."""
    return Ticking()


@pytest.fixture
def opened(clock: Ticking) -> Opened:
    """Open a ledger over a store, started; it is closed at the block's end."""

    @asynccontextmanager
    async def opening(
        store: Store, *listeners: Listener, on_failure: Callable[[Exception], None] | None = None
    ) -> AsyncIterator[Ledger]:
        feed = Feed(listeners, reread=no_reread, next_index=store.next_index)
        feed.start()
        ledger = Ledger(Writer(store), feed, clock=clock, on_failure=on_failure)
        try:
            await ledger.start({})
            yield ledger
        finally:
            await ledger.close()

    return opening


@pytest.fixture(params=["memory", "sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Open the same store again and again, of each kind."""
    if request.param == "memory":
        memory = Memory()
        return lambda: MemoryStore(memory, new_origin=ORIGIN)
    return lambda: SqliteStore(tmp_path, new_origin=ORIGIN)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder that does not exist yet."""
    return tmp_path / "kept"


Full = Callable[[int], AbstractAsyncContextManager[Reading]]


@pytest.fixture
def written(folder: Path, lives: Lives, opened: Opened) -> Full:
    """Write a number of calls and read them; the last one stays open."""

    @asynccontextmanager
    async def writing(calls: int) -> AsyncIterator[Reading]:
        store = SqliteStore(folder, new_origin=ORIGIN)
        async with opened(store) as ledger:
            for number in range(1, calls + 1):
                await ledger.append(*lives.opening(number))
                if number < calls:
                    await ledger.append(*lives.ending(number))
            reading = Reading(folder)
            yield reading
            reading.close()

    return writing
