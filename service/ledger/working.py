"""Working text: what a client may be given once more, for a while. Never money, never record, never exported.

It stands in a file of its own beside the ledger, which no log, export or backup includes. Losing it costs a text
and nothing else, so a file that cannot be read is begun anew.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import apsw

from service.core.shapes import Clock
from service.core.times import NS_PER_S
from service.ledger.place import Place

FILE_NAME = "working.sqlite3"
TEXT_BYTES_MAX = 8 * 2**20
ALL_BYTES_MAX = 256 * 2**20
ROW_BYTES = 256
"""What a row counts beside its text, so that the cap holds for small ones too."""
SWEEP_EVERY_S = 60.0
_VERSION = 1
_BUSY_TIMEOUT_MS = 5000
_SCHEMA = f"""
CREATE TABLE texts (
    kind TEXT NOT NULL,
    client TEXT NOT NULL,
    key TEXT NOT NULL,
    expires_at_ns INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (kind, client, key)
) STRICT;
CREATE INDEX texts_in_time ON texts (expires_at_ns, bytes);
PRAGMA user_version = {_VERSION};
"""
_PUT = "INSERT INTO texts (kind, client, key, expires_at_ns, bytes, content) VALUES (?, ?, ?, ?, ?, ?)"
_OF_KEY = "kind = ? AND client = ? AND key = ?"
_Found = TypeVar("_Found")

_log = logging.getLogger(__name__)


class Kind(StrEnum):
    """What a working text is kept for."""

    ANSWER = "answer"


class _OtherVersionError(Exception):
    """The file is not one that this version wrote."""


_UNREADABLE = (_OtherVersionError, apsw.CorruptError, apsw.NotADBError, apsw.SQLError)


class Working:
    """The working texts of one data folder, whose lock the caller must hold.

    Its methods block, may be called from any thread and never raise for the file's sake: what cannot be kept is
    not kept, and a line of the log says so.

    Args:
        folder: the data folder.
        clock: decides what has expired.
        text_bytes_max: no longer text is kept.
        all_bytes_max: beyond it, what expires first goes first.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,
        text_bytes_max: int = TEXT_BYTES_MAX,
        all_bytes_max: int = ALL_BYTES_MAX,
    ) -> None:
        self._path = folder / FILE_NAME
        self._clock = clock
        self._text_bytes_max = text_bytes_max
        self._all_bytes_max = all_bytes_max
        self._guard = threading.Lock()
        self._connection: apsw.Connection | None = None
        self._place: Place | None = None
        self._bytes = 0  # of all rows
        self._sweep_at_ns = 0  # monotonic
        self._closed = False
        self.sweep()

    def put(self, kind: Kind, client: str, key: str, content: bytes, *, expires_at_ns: int) -> bool:
        """Keep a text in place of an earlier one of the same name; durable when this returns True.

        Returns:
            False if it is too long, has expired already, or the file could not be written.
        """
        if len(content) > min(self._text_bytes_max, self._all_bytes_max - ROW_BYTES):
            _log.warning("a working text of %d bytes is too long to be kept", len(content))
            return False
        if expires_at_ns <= self._clock.now_ns():
            return False

        def write(connection: apsw.Connection) -> bool:
            if self._clock.monotonic_ns() >= self._sweep_at_ns:
                self._sweep(connection)
            self._put(connection, (kind, client, key), expires_at_ns, content)
            return True

        return self._do(write, failed=False)

    def get(self, kind: Kind, client: str, key: str) -> bytes | None:
        """Give a text to the client it is bound to; None if there is none, it has expired or cannot be read."""

        def read(connection: apsw.Connection) -> bytes | None:
            query = f"SELECT content FROM texts WHERE {_OF_KEY} AND expires_at_ns > ?"  # noqa: S608 - our own words
            found: bytes | None = connection.execute(query, (kind, client, key, self._clock.now_ns())).get
            return found

        return self._do(read, failed=None)

    def sweep(self) -> int:
        """Delete what has expired, from the file and its log; give the number of texts."""
        return self._do(self._sweep, failed=0)

    def close(self) -> None:
        """Let go of the file; nothing is kept or given after it."""
        with self._guard:
            self._closed = True
            self._let_go()

    def _put(
        self, connection: apsw.Connection, name: tuple[str, str, str], expires_at_ns: int, content: bytes
    ) -> None:
        size = len(content) + ROW_BYTES
        with connection:
            total = self._bytes + size - _drop(connection, f"WHERE {_OF_KEY}", name)
            while total > self._all_bytes_max:
                total -= _drop(connection, "ORDER BY expires_at_ns LIMIT 1")
            connection.execute(_PUT, (*name, expires_at_ns, size, content))
        self._bytes = total

    def _sweep(self, connection: apsw.Connection) -> int:
        self._sweep_at_ns = self._clock.monotonic_ns() + int(SWEEP_EVERY_S * NS_PER_S)
        connection.execute("DELETE FROM texts WHERE expires_at_ns <= ?", (self._clock.now_ns(),))
        deleted = connection.changes()
        if deleted:
            self._bytes = _sum(connection)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the log still holds what the file does not
        return deleted

    def _do(self, work: Callable[[apsw.Connection], _Found], *, failed: _Found) -> _Found:
        """Work on the file, on a new one if this one cannot be read; give `failed` if that cannot be."""
        with self._guard:
            if self._closed:
                return failed
            for _ in range(2):
                try:
                    return work(self._opened())
                except _UNREADABLE as error:
                    _log.warning("the working texts are begun anew, none can be given again: %s", error)
                    self._discard()
                except (apsw.Error, OSError) as error:
                    _log.warning("the working texts cannot be used now: %s", error)
                    self._let_go()
                    break
            return failed

    def _opened(self) -> apsw.Connection:
        if self._place is not None and self._place.lost:
            _log.warning("the working texts' file was moved, deleted or replaced: what stands there now is used")
            self._let_go()
        if self._connection is None:
            self._connection = _open(self._path)
            self._place = Place(self._path)
            self._bytes = _sum(self._connection)
        return self._connection

    def _let_go(self) -> None:
        connection, self._connection, self._place = self._connection, None, None
        if connection is not None:
            with suppress(apsw.Error):
                connection.close()

    def _discard(self) -> None:
        self._let_go()
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):
                Path(f"{self._path}{suffix}").unlink()


async def swept(
    working: Working, *, every_s: float = SWEEP_EVERY_S, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Sweep for as long as the service runs: a text must go when it has expired, also when nobody writes."""
    while True:
        await pause(every_s)
        await asyncio.to_thread(working.sweep)


def _open(path: Path) -> apsw.Connection:
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # its log and index take its mode over
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "fullfsync = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")
        _make_tables(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_tables(connection: apsw.Connection) -> None:
    version = int(connection.pragma("user_version"))
    if version not in (0, _VERSION):
        raise _OtherVersionError(f"their file is of version {version}; this program knows {_VERSION}")
    if version == 0:
        with connection:
            connection.execute(_SCHEMA)


def _drop(connection: apsw.Connection, which: str, values: tuple[str, ...] = ()) -> int:
    """Delete one text, if there is such a one; give what it counted."""
    found = connection.execute(f"SELECT rowid, bytes FROM texts {which}", values).get  # noqa: S608 - our own words
    if found is None:
        return 0
    row, freed = found
    connection.execute("DELETE FROM texts WHERE rowid = ?", (row,))
    return int(freed)


def _sum(connection: apsw.Connection) -> int:
    return int(connection.execute("SELECT coalesce(sum(bytes), 0) FROM texts").get)
