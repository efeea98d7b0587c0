"""The embedded store: one folder, one process, one writing connection.

The writing connection is the only one that may change or checkpoint the file: with a second, SQLite
before 3.51.3 could corrupt a log that was reset while it was read (source: sqlite.org/wal.html).
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import msgspec

from service import VERSION
from service.core.merkle import BLOCK, CompactRange, range_of
from service.errors import StoreBrokenError, StoreError, StoreFullError, StoreLockedError
from service.ledger import schema
from service.ledger.place import Place
from service.ledger.store import Line, Rows, Store, Tree

FILE_NAME = "ledger.sqlite3"
LOCK_NAME = "lock"
_PAGES_PER_CHECKPOINT = 1000
_BUSY_TIMEOUT_MS = 5000
_PID_BYTES_MAX = 20


class SqliteStore:
    """A store in `folder/ledger.sqlite3`.

    Args:
        folder: the data folder; made with mode 0700 if it is not there.
        new_origin: the identity to give to a folder that has none.
        vfs: the name under which SQLite knows the disk; the system's own if None.

    Attributes:
        migrated_from: the schema version that the file had before this opening; None if it had this one.

    Raises:
        StoreLockedError: another process writes here.
        StoreError: the folder cannot be used or is full, or its file is of a later version.
        StoreBrokenError: the file contradicts itself.
    """

    def __init__(self, folder: Path, *, new_origin: str, vfs: str | None = None) -> None:
        self.path = folder / FILE_NAME
        self.migrated_from: int | None = None
        self._vfs = vfs
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_entry(folder)
            self._lock = lock(folder / LOCK_NAME)
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
            self.tree = self._read_tree()
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
        execute = self._connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            self._connection.executemany(schema.PUT_LINE, map(msgspec.structs.astuple, lines))
            schema.put(self._connection, rows)
            self._refuse_lost()
            execute("COMMIT")
        except apsw.FullError as error:
            if self._connection.in_transaction:
                execute("ROLLBACK")
            raise StoreFullError("the disk is full", remedy="Free space in the data folder.") from error
        self.next_index += len(lines)
        self.tree = rows.tree

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

    def call_lines(self, tool_call_id: str) -> list[Line]:
        """Read one call's lines."""
        query = f'SELECT {schema.LINE} FROM entries WHERE tool_call_id = ? ORDER BY "index"'  # noqa: S608
        return [Line(*row) for row in self._connection.execute(query, (tool_call_id,))]

    def of_ledger(self) -> Iterator[Line]:
        """Give the lines of no call, in order; not those of the provider's books."""
        query = f'SELECT {schema.LINE} FROM entries WHERE {schema.OF_LEDGER} ORDER BY "index"'  # noqa: S608
        return (Line(*row) for row in self._connection.execute(query))

    def select(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run a query of this room's own: it sees all that is committed."""
        return list(self._connection.execute(query, values))

    def lines(self, first: int) -> Iterator[Line]:
        """Give every line from an index on, in order."""
        query = f'SELECT {schema.LINE} FROM entries WHERE "index" >= ? ORDER BY "index"'  # noqa: S608
        return (Line(*row) for row in self._connection.execute(query, (first,)))

    def range_at(self, size: int) -> CompactRange:
        """Give the tree as it was when the log had `size` entries, from stored hashes."""
        whole = size // BLOCK
        blocks = [
            block
            for (block,) in self._connection.execute("SELECT hash FROM blocks ORDER BY number LIMIT ?", (whole,))
        ]
        query = 'SELECT leaf_hash FROM entries WHERE "index" >= ? AND "index" < ? ORDER BY "index"'
        return range_of(blocks, [leaf for (leaf,) in self._connection.execute(query, (whole * BLOCK, size))])

    def noted(self, name: str) -> str | None:
        """Give what `note` noted."""
        found = self._connection.execute("SELECT value FROM meta WHERE key = ?", (name,)).get
        return None if found is None else str(found)

    def note(self, name: str, value: str) -> None:
        """Note something about the file itself, durably; `origin` begins a new identity.

        Raises:
            StoreError: it could not be noted.
        """
        try:
            with self._connection as connection:
                connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
        except apsw.Error as error:
            raise unusable(self.path, error) from error
        if name == "origin":
            self.origin = value

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
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=self._vfs)
        self._closing.callback(connection.close)
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        if int(connection.pragma("user_version")) not in (0, *schema.READABLE):  # 0 is new
            raise schema.other_version(connection, self.path)  # before anything is written
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "fullfsync = ON",
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")
        connection.set_wal_hook(_checkpointed)
        if connection.pragma("user_version") == 0:
            schema.create(connection)
        else:
            self.migrated_from = schema.migrate(connection, self.path)
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

    def _read_tree(self) -> Tree:
        """Take the tree up where it was left; what it covers must be what is there.

        Raises:
            StoreBrokenError: the tables of tree, blocks and leaves contradict each other.
        """
        execute = self._connection.execute
        size, nodes = execute("SELECT size, nodes FROM tree").get or (0, b"")
        blocks = [block for (block,) in execute("SELECT hash FROM blocks ORDER BY number")]
        query = 'SELECT leaf_hash FROM entries WHERE "index" >= ? ORDER BY "index"'
        tail = tuple(leaf for (leaf,) in execute(query, (len(blocks) * BLOCK,)))
        stored, found = CompactRange.unpack(size, nodes), range_of(blocks, tail)
        if stored != found or size != self.next_index:
            raise StoreBrokenError(
                f"{self.path} has a tree of {size} leaves that is not the tree of its {self.next_index} entries",
                remedy="Run `exai ledger verify`, which names the first bad entry; then restore a backup.",
            )
        return Tree(stored, (), tail)


def _sync_entry(folder: Path) -> None:
    """Make the folder's own name durable: a power cut must not take a new folder with all that is in it."""
    with contextlib.suppress(PermissionError):  # the parent of a volume may not be ours to open
        parent = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)


def _checkpointed(connection: apsw.Connection, schema_name: str, pages: int) -> int:
    """Write the log back once it is long. SQLite's own way passes over a disk that failed; only a full one may.

    Raises:
        apsw.Error: out of the commit that called; what it wrote is durable, and nothing more may be.
    """
    if pages >= _PAGES_PER_CHECKPOINT:
        with contextlib.suppress(apsw.FullError, apsw.BusyError):
            connection.wal_checkpoint(schema_name, apsw.SQLITE_CHECKPOINT_PASSIVE)
    return apsw.SQLITE_OK


def unusable(path: Path, error: apsw.Error | UnicodeDecodeError) -> StoreError:
    """Say what is wrong with the file: a damaged one needs a backup, any other trouble must not suggest one."""
    if isinstance(error, apsw.CorruptError | apsw.NotADBError | apsw.SQLError | UnicodeDecodeError):
        return StoreBrokenError(
            f"{path} cannot be read: {error}",
            remedy="Restore the data folder from a backup, or set EXAI_DATA_DIR to a new folder.",
        )
    return StoreError(
        f"{path} cannot be opened: {error}",
        remedy="Check the data folder's space and rights, and that no other program has the file open.",
    )


def lock(path: Path) -> int:
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
