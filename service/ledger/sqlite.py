"""The embedded store: one folder, one process, one writing connection.

The writing connection is the only one that may change or checkpoint the file: with a second, SQLite
before 3.51.3 could corrupt a log that was reset while it was read (source: sqlite.org/wal.html).
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import msgspec

from service import VERSION
from service.errors import StoreBrokenError, StoreError, StoreFullError, StoreLockedError
from service.ledger import rows as views
from service.ledger.place import Place
from service.ledger.store import AttemptRow, CallRow, Line, RollupKey, RollupSums, Rows, Store

SCHEMA_VERSION = 1
FILE_NAME = "ledger.sqlite3"
_LOCK_NAME = "lock"
_PAGES_PER_CHECKPOINT = 1000
_BUSY_TIMEOUT_MS = 5000
_PID_BYTES_MAX = 20

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE entries (
    "index" INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    tool_call_id TEXT,
    leaf_hash BLOB NOT NULL CHECK (length(leaf_hash) = 32),
    entry BLOB NOT NULL
) STRICT;
CREATE INDEX entries_of_call ON entries (tool_call_id, "index") WHERE tool_call_id IS NOT NULL;
CREATE TRIGGER entries_only_follow BEFORE INSERT ON entries -- REPLACE would not wake the triggers below
    WHEN NEW."index" IS NOT (SELECT coalesce(max("index") + 1, 0) FROM entries)
    BEGIN SELECT RAISE(ABORT, 'an entry only follows the last one'); END;
CREATE TRIGGER entries_never_change BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'an entry is never changed'); END;
CREATE TRIGGER entries_never_go BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'an entry is never removed'); END;

CREATE TABLE calls (
    tool_call_id TEXT PRIMARY KEY,
    opened_index INTEGER NOT NULL UNIQUE,
    opened_at TEXT NOT NULL,
    client TEXT NOT NULL,
    tool TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    simulated INTEGER NOT NULL,
    outcome TEXT,
    zero_reason TEXT,
    error_code TEXT,
    closed_at TEXT,
    duration_us INTEGER
) STRICT;
CREATE INDEX calls_open ON calls (opened_index) WHERE outcome IS NULL;

CREATE TABLE attempts (
    tool_call_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    attempt_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    wallet TEXT NOT NULL,
    model TEXT NOT NULL,
    started_at TEXT NOT NULL,
    outcome TEXT NOT NULL,
    http_status INTEGER,
    provider_request_id TEXT,
    simulated INTEGER NOT NULL,
    currency TEXT,
    cost_status TEXT,
    cost_pico INTEGER,
    held_pico INTEGER,
    estimate_pico INTEGER,
    uncached_input_tokens INTEGER,
    cached_input_tokens INTEGER,
    cache_write_tokens INTEGER,
    output_tokens INTEGER,
    reasoning_tokens INTEGER,
    duration_us INTEGER,
    PRIMARY KEY (tool_call_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollups (
    bucket TEXT NOT NULL,
    client TEXT NOT NULL,
    tool TEXT NOT NULL,
    provider TEXT NOT NULL,
    wallet TEXT NOT NULL,
    model TEXT NOT NULL,
    currency TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    in_doubt INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    uncached_input_tokens INTEGER NOT NULL,
    cached_input_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_pico INTEGER NOT NULL,
    held_pico INTEGER NOT NULL,
    PRIMARY KEY (bucket, client, tool, provider, wallet, model, currency, simulated)
) STRICT, WITHOUT ROWID;
"""


def _insert(table: str, row: tuple[str, ...], on_conflict: str) -> str:
    marks = ", ".join("?" * len(row))
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks}) ON CONFLICT {on_conflict}"  # noqa: S608 - our own names


def _put(table: str, row: type[msgspec.Struct], *key: str) -> str:
    """Write the statement that puts a row in place of the one with the same key; any other clash must fail."""
    fresh = ", ".join(f"{name} = excluded.{name}" for name in views.columns(row) if name not in key)
    return _insert(table, views.columns(row), f"({', '.join(key)}) DO UPDATE SET {fresh}")


def _add() -> str:
    keys, sums = views.columns(RollupKey), views.columns(RollupSums)
    # SQLite adds beyond 64 bits as a float, which is the greater of the two and so never chosen.
    more = ", ".join(f"{name} = min({name} + excluded.{name}, {views.SUM_MAX})" for name in sums)
    return _insert("rollups", (*keys, *sums), f"({', '.join(keys)}) DO UPDATE SET {more}")


_PUT_LINE = 'INSERT INTO entries ("index", kind, tool_call_id, leaf_hash, entry) VALUES (?, ?, ?, ?, ?)'
_PUT_CALL = _put("calls", CallRow, "tool_call_id")
_PUT_ATTEMPT = _put("attempts", AttemptRow, "tool_call_id", "number")
_ADD_ROLLUP = _add()


class SqliteStore:
    """A store in `folder/ledger.sqlite3`.

    Args:
        folder: the data folder; made with mode 0700 if it is not there.
        new_origin: the identity to give to a folder that has none.

    Raises:
        StoreLockedError: another process writes here.
        StoreError: the folder cannot be used or is full, or its file is of a later version.
        StoreBrokenError: the file contradicts itself.
    """

    def __init__(self, folder: Path, *, new_origin: str) -> None:
        self.path = folder / FILE_NAME
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _lock(folder / _LOCK_NAME)
        except OSError as error:
            why = "it is no folder" if isinstance(error, FileExistsError) else error.strerror
            raise StoreError(
                f"the data folder {folder} cannot be written: {why}",
                remedy="Set EXAI_DATA_DIR to a folder that this user may write.",
            ) from error
        self._closing = contextlib.ExitStack()
        self._closing.callback(os.close, self._lock)
        try:
            self._connection = self._open()
            self.origin, self.epoch = self._begin_epoch(new_origin)
            self.next_index = self._next_index()
            self._place = Place(self.path)  # only now: the first commit has made the log
        except apsw.Error as error:
            self._closing.close()
            raise unusable(self.path, error) from error
        except BaseException:
            self._closing.close()
            raise

    def append(self, lines: Sequence[Line], rows: Rows) -> None:
        """Make lines and rows durable in one transaction; see the contract."""
        if [line.index for line in lines] != list(range(self.next_index, self.next_index + len(lines))):
            raise StoreBrokenError(f"lines must follow index {self.next_index - 1} without a gap")
        execute, executemany = self._connection.execute, self._connection.executemany
        try:
            execute("BEGIN IMMEDIATE")
            executemany(_PUT_LINE, map(msgspec.structs.astuple, lines))
            executemany(_PUT_CALL, map(msgspec.structs.astuple, rows.calls))
            executemany(_PUT_ATTEMPT, map(msgspec.structs.astuple, rows.attempts))
            executemany(_ADD_ROLLUP, (_values(*rollup) for rollup in rows.rollups))
            self._refuse_lost()
            execute("COMMIT")
        except apsw.FullError as error:
            if self._connection.in_transaction:
                execute("ROLLBACK")
            raise StoreFullError("the disk is full", remedy="Free space in the data folder.") from error
        self.next_index += len(lines)

    def open_calls(self) -> Iterator[Line]:
        """Give the lines of every call without an answer, in order."""
        query = """
            SELECT entries."index", kind, entries.tool_call_id, leaf_hash, entry FROM entries
            JOIN calls ON calls.tool_call_id = entries.tool_call_id AND calls.outcome IS NULL
            ORDER BY entries."index"
        """
        try:
            for row in self._connection.execute(query):
                yield Line(*row)
        except apsw.Error as error:
            raise unusable(self.path, error) from error

    def has_call(self, tool_call_id: str) -> bool:
        """Look the call up."""
        return bool(self._connection.execute("SELECT 1 FROM calls WHERE tool_call_id = ?", (tool_call_id,)).get)

    def close(self) -> None:
        """Checkpoint, close the file, release the folder; the latter whatever becomes of the former."""
        self._closing.close()

    def _refuse_lost(self) -> None:
        """Find out before a commit whether the next start would see it: SQLite writes on without a word.

        Raises:
            StoreBrokenError: it would not; its text names no path.
        """
        if self._place.lost:
            raise StoreBrokenError(
                "the ledger's file was moved, deleted or replaced",
                remedy="Restore the data folder, the ledger's file and its -wal together; then start again.",
            )

    def _open(self) -> apsw.Connection:
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        self._closing.callback(connection.close)
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        if connection.pragma("user_version") != 0:  # 0 is new
            refuse_other_schema(connection, self.path)  # before anything is written
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "fullfsync = ON",
            "trusted_schema = OFF",
            f"wal_autocheckpoint = {_PAGES_PER_CHECKPOINT}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        if connection.pragma("user_version") == 0:
            with connection:
                connection.execute(_SCHEMA)
                connection.pragma("user_version", SCHEMA_VERSION)
        return connection

    def _begin_epoch(self, new_origin: str) -> tuple[str, int]:
        """Number this opening, at once: an epoch without an entry does no harm, one used twice would."""
        with self._connection as connection:
            connection.execute("INSERT OR IGNORE INTO meta VALUES ('origin', ?), ('epoch', '0')", (new_origin,))
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('program', ?)", (VERSION,))
            connection.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'epoch'")
        found = dict(self._connection.execute("SELECT key, value FROM meta"))
        return str(found["origin"]), int(str(found["epoch"]))

    def _next_index(self) -> int:
        last = self._connection.execute('SELECT max("index") FROM entries').get
        return 0 if last is None else int(last) + 1


def refuse_other_schema(connection: apsw.Connection, path: Path) -> None:
    """Refuse a file whose tables may mean something else than ours.

    Raises:
        StoreError: another version wrote it, or it has no tables yet.
    """
    version = connection.pragma("user_version")
    if version == SCHEMA_VERSION:
        return
    if version == 0:
        raise StoreError(f"{path} holds no ledger", remedy="Start the service once: `exai serve`.")
    try:
        writer = connection.execute("SELECT value FROM meta WHERE key = 'program'").get
    except apsw.SQLError:  # another schema may keep it elsewhere
        writer = None
    named = f"version {writer} of this program" if writer else "another version of this program"
    raise StoreError(
        f"{path} has schema version {version}, written by {named}; this one, {VERSION}, knows {SCHEMA_VERSION}",
        remedy="Start the version that wrote it, or set EXAI_DATA_DIR to a new folder.",
    )


def unusable(path: Path, error: apsw.Error) -> StoreError:
    """Say what is wrong with the file: a damaged one needs a backup, any other trouble must not suggest one."""
    if isinstance(error, apsw.CorruptError | apsw.NotADBError | apsw.SQLError):
        return StoreBrokenError(
            f"{path} cannot be read: {error}",
            remedy="Restore the data folder from a backup, or set EXAI_DATA_DIR to a new folder.",
        )
    return StoreError(
        f"{path} cannot be opened: {error}",
        remedy="Check the data folder's space and rights, and that no other program has the file open.",
    )


def _values(key: RollupKey, sums: RollupSums) -> tuple[object, ...]:
    return (*msgspec.structs.astuple(key), *msgspec.structs.astuple(sums))


def _lock(path: Path) -> int:
    """Take the folder's lock and write our process id into it; it lasts as long as the file descriptor.

    Raises:
        StoreLockedError: another process holds it.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, _PID_BYTES_MAX, 0).strip()
        os.close(descriptor)
        named = f" (process {holder.decode()})" if holder.isdigit() else ""
        raise StoreLockedError(
            f"another process{named} writes to {path.parent}",
            remedy="Stop it, or set EXAI_DATA_DIR to another folder.",
        ) from error
    with contextlib.suppress(OSError):  # the lock holds without a name, too: on a full disk there is none
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


if TYPE_CHECKING:
    _: type[Store] = SqliteStore
