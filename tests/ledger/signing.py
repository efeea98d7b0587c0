"""Logs that are signed: a data folder with its checkpoints beside it, as a start and a stop leave them."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import apsw

from service.core.entries import AnyEntry, SystemEntry
from service.ledger.checkpoints import Checkpoints
from service.ledger.judging import Judgement, judge
from service.ledger.opening import open_store
from service.ledger.reading import Reading
from service.ledger.scanning import Scan
from service.ledger.sources import open_store_source
from service.ledger.sqlite import FILE_NAME
from service.ledger.writer import Append, Writer
from tests.conftest import AT, Made
from tests.ledger.conftest import Lives

_CALLS_PER_COMMIT = 64


def dice(seed: str) -> Callable[[int], bytes]:
    """Make bytes that look random and are the same in every run."""
    made = 0

    def entropy(count: int) -> bytes:
        nonlocal made
        made += 1
        return hashlib.shake_256(f"{seed} {made}".encode()).digest(count)

    return entropy


@dataclass(frozen=True)
class Place:
    """A data folder, and where its checkpoints are."""

    folder: Path
    seed: str = "a log"

    @property
    def checkpoints(self) -> Checkpoints:
        """Beside the folder."""
        return Checkpoints(self.folder.with_name(f"{self.folder.name}-checkpoints"))

    @property
    def origin(self) -> str:
        """The log's name."""
        with Scan(self.folder) as scan:
            return scan.origin

    @property
    def note(self) -> str:
        """The newest checkpoint's text."""
        return self.checkpoints.read(self.origin) or ""

    @property
    def key(self) -> str:
        """The public key's text."""
        return self.checkpoints.public_key(self.origin) or ""

    def write(self, *batches: Sequence[AnyEntry], signed: bool = True) -> None:
        """Append, in one epoch; then have it signed as the next start would."""
        opened = open_store(self.folder, self.checkpoints, entropy=dice(self.seed))
        writer = Writer(opened.store)
        try:
            for number in range(0, len(batches), _CALLS_PER_COMMIT):
                done = writer.write(
                    [Append(tuple(one), AT) for one in batches[number : number + _CALLS_PER_COMMIT]]
                )
                assert not any(isinstance(outcome, Exception) for outcome in done), done
        finally:
            opened.store.close()
        if signed:
            open_store(self.folder, self.checkpoints, entropy=dice(self.seed)).store.close()

    def live(self, calls: int, *, first: int = 1, signed: bool = True) -> None:
        """Write a start and a number of calls, four entries each."""
        lives = Lives(Made())
        numbers = range(first, first + calls)
        start = SystemEntry(event="start", detail={})
        self.write([start], *([*lives.opening(one), *lives.ending(one)] for one in numbers), signed=signed)

    def judge(self, *notes: str, quick: bool = False) -> Judgement:
        """Judge it by the key that is kept with its checkpoints."""
        with open_store_source(self.folder, self.checkpoints.folder) as source:
            return judge(source, notes=notes or None, quick=quick)

    def change(self, *statements: str) -> None:
        """Change the file as somebody would who owns it: no trigger stands in the way."""
        with closing(apsw.Connection(str(self.folder / FILE_NAME))) as connection:
            for (name,) in list(connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")):
                connection.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                connection.execute(statement)

    def entries(self) -> list[bytes]:
        """Read every entry's bytes."""
        with closing(Reading(self.folder)) as reading:
            return [line.entry for line in reading.lines()]
