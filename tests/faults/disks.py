"""Disks for SQLite that fill up, or fail at a write as told.

They stand over the system's own VFS: what they let through is real. One thing differs. SQLite passes over a
checkpoint that fails after a commit or while a file is closed; APSW raises what a disk written in Python raised
meanwhile. So a store on such a disk must checkpoint by `checkpoint_quietly`, which does what SQLite's own hook
does, and close by `close_quietly`.
"""

import contextlib
from collections.abc import Callable
from itertools import count
from pathlib import Path

import apsw

from service.ledger.sqlite import SqliteStore, unusable
from service.ledger.store import Store

_numbers = count()


def checkpoint_quietly(store: SqliteStore, pages: int) -> None:
    """Checkpoint after commits once the log has so many pages; try again at the next commit if that fails."""

    def checkpoint(connection: apsw.Connection, name: str, held: int) -> int:
        if held >= pages:
            with contextlib.suppress(apsw.Error):
                connection.wal_checkpoint(name)
        return apsw.SQLITE_OK

    store._connection.set_wal_hook(checkpoint)


def close_quietly(store: Store) -> None:
    """Close a store, whatever becomes of its last checkpoint."""
    with contextlib.suppress(apsw.Error):
        store.close()


class FaultyDisk(apsw.VFS):
    """A disk whose every write, truncation and sync is done by `plan`, which may fail before or after."""

    def __init__(self) -> None:
        self.vfs = f"faulty-{next(_numbers)}"
        self.plan: Callable[[Callable[[], None]], object] = do
        super().__init__(self.vfs, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "_FaultyFile":  # noqa: N802 - APSW's
        """Open a file."""
        assert name is not None
        return _FaultyFile(self, name, flags)


class _FaultyFile(apsw.VFSFile):
    """A file on such a disk."""

    def __init__(self, disk: FaultyDisk, name: str | apsw.URIFilename, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - APSW's
        """Write, as planned."""
        self._disk.plan(lambda: super(_FaultyFile, self).xWrite(data, offset))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - APSW's
        """Shorten, as planned."""
        self._disk.plan(lambda: super(_FaultyFile, self).xTruncate(newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802, ARG002 - APSW's
        """Sync, as planned; a real one would only make the test slow."""
        self._disk.plan(lambda: None)


class SmallDisk(apsw.VFS):
    """A disk of `size_bytes` that holds a folder and whatever else takes room on it.

    Attributes:
        size_bytes: of all.
        taken_bytes: what is taken from outside.
    """

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self.vfs = f"small-{next(_numbers)}"
        self.size_bytes = size_bytes
        self.taken_bytes = 0
        self._folder = folder
        super().__init__(self.vfs, "")

    def free_bytes(self, _folder: Path | None = None) -> int:
        """Say how much room is left."""
        return max(0, self.size_bytes - self.taken_bytes - _held(self._folder))

    def fill(self) -> None:
        """Take all room from outside."""
        self.taken_bytes += self.free_bytes()

    def empty(self) -> None:
        """Give back what was taken from outside."""
        self.taken_bytes = 0

    def store(self, folder: Path, *, new_origin: str, vfs: str | None = None) -> SqliteStore:
        """Open a store on this disk."""
        try:
            store = SqliteStore(folder, new_origin=new_origin, vfs=vfs or self.vfs)
        except apsw.FullError as error:  # of the checkpoint at the end of an opening that failed
            raise unusable(folder, error) from error
        checkpoint_quietly(store, pages=1000)
        return store

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "_SmallFile":  # noqa: N802 - APSW's
        """Open a file."""
        assert name is not None
        return _SmallFile(self, name, flags)


class _SmallFile(apsw.VFSFile):
    """A file on such a disk."""

    def __init__(self, disk: SmallDisk, name: str | apsw.URIFilename, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - APSW's
        """Write, unless the file had to grow beyond the disk."""
        grows_bytes = offset + len(data) - super().xFileSize()
        if grows_bytes > 0 and grows_bytes > self._disk.free_bytes():
            raise apsw.FullError("database or disk is full")
        super().xWrite(data, offset)


def _held(folder: Path) -> int:
    """Add up a folder's files, but for the one that only lives in memory."""
    return sum(path.stat().st_size for path in folder.glob("*") if not path.name.endswith("-shm"))


def do(deed: Callable[[], None]) -> None:
    """Do it: nothing fails."""
    deed()
