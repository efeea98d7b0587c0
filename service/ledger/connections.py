"""Connections that cannot write: one for each thread, opened when it first reads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from service.ledger.schema import refuse_other_schema
from service.ledger.sqlite import unusable

_BUSY_TIMEOUT_MS = 5000


class Connections:
    """Read-only connections to one ledger's file. Its methods may be called from any thread.

    Every method but `close` raises StoreError where the file cannot be read or is of another version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._all: list[apsw.Connection] = []
        self._guard = threading.Lock()

    def read(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Run a query."""
        try:
            return list(self._connection().execute(query, values))
        except (apsw.Error, UnicodeDecodeError) as error:  # the latter: a text that was damaged
            raise unusable(self._path, error) from error

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reads of this thread in the block see one moment."""
        try:
            with self._connection():
                yield
        except apsw.Error as error:
            raise unusable(self._path, error) from error

    def close(self) -> None:
        """Close every thread's connection."""
        with self._guard:
            for connection in self._all:
                connection.close()
            self._all.clear()

    def _connection(self) -> apsw.Connection:
        """Give this thread's own connection: a connection shared by threads would share snapshots too."""
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            with self._guard:
                self._all.append(connection)
        return connection

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
            connection.execute("PRAGMA query_only = ON")
            refuse_other_schema(connection, self._path)
        except BaseException:
            connection.close()
            raise
        return connection
