"""Custody: a data folder and its checkpoints, opened by one start after the other, as services and commands do."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.core.entries import AnyEntry, OfCall
from service.core.note import VerifierKey, opened
from service.ledger.checkpoints import Checkpoints
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.opening import open_store
from service.ledger.reading import Reading
from service.ledger.writer import Writer
from tests.naming import NOW_NS

if TYPE_CHECKING:
    from tests.conftest import Made


class Day:
    """A clock that goes on by a second whenever it is asked."""

    def __init__(self) -> None:
        self._at_ns = NOW_NS

    def now_ns(self) -> int:
        """Say the time."""
        self._at_ns += 1_000_000_000
        return self._at_ns

    def monotonic_ns(self) -> int:
        """Say the same, for durations."""
        return self.now_ns()


@dataclass(frozen=True)
class Custody:
    """Where a log is kept."""

    data: Path
    checkpoints: Checkpoints

    @asynccontextmanager
    async def writing(self, *, pause_s: float | None = None) -> AsyncIterator[Ledger]:
        """Start, and stop at the end."""
        made = open_store(self.data, self.checkpoints, entropy=secrets.token_bytes)
        if pause_s is not None:
            made.notary._pause_s = pause_s
        made.notary.start()
        feed = Feed((), reread=lambda *_: (), next_index=made.store.next_index)
        feed.start()
        ledger = Ledger(Writer(made.store), feed, clock=Day(), notary=made.notary)
        await ledger.start({})
        try:
            yield ledger
        finally:
            await ledger.close()

    async def write(self, *of: AnyEntry) -> None:
        """Start, write, stop."""
        async with self.writing() as ledger:
            if of:
                await ledger.append(*of)

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Read it."""
        reading = Reading(self.data)
        try:
            yield reading
        finally:
            reading.close()

    def look(self, what: Callable[[Reading], object]) -> object:
        """Ask a reader one thing."""
        with self.reading() as reading:
            return what(reading)

    @property
    def entries(self) -> list[bytes]:
        """The exact bytes of every entry."""
        with self.reading() as reading:
            return [line.entry for line in reading.lines()]

    @property
    def origin(self) -> str:
        """The log's name now."""
        with self.reading() as reading:
            return reading.head().origin

    @property
    def words(self) -> list[str]:
        """What a command is told of it."""
        return ["--data-dir", str(self.data), "--checkpoints-dir", str(self.checkpoints.folder)]

    def signed(self) -> int:
        """Say how many entries the newest checkpoint covers; it must hold."""
        note, key = self.checkpoints.read(self.origin), self.checkpoints.public_key(self.origin)
        assert note is not None
        assert key is not None
        return opened(note, VerifierKey.parse(key)).size


def lived(made: "Made", number: int) -> list[OfCall]:
    """Write a whole call, with ids of its own, that was settled."""
    of: dict[str, Any] = {"tool_call_id": f"{number:032x}"}
    its: dict[str, Any] = {**of, "attempt_id": f"{number:031x}a"}
    return [made.tool_call(**of), made.intent(**its), made.settlement(**its), made.answer(**of)]


def doubted(made: "Made", number: int) -> list[OfCall]:
    """Write one whose attempt is in doubt."""
    of: dict[str, Any] = {"tool_call_id": f"{number:032x}"}
    its: dict[str, Any] = {**of, "attempt_id": f"{number:031x}a"}
    return [made.tool_call(**of), made.intent(**its), made.doubt(**its), made.answer(**of)]


def custody(root: Path) -> Custody:
    """Choose a place for a log that does not exist yet."""
    return Custody(root / "data", Checkpoints(root / "apart"))
