"""A disk for SQLite whose power can fail at any write. What was not synced then survives by chance.

SQLite reaches its files through a VFS. This one stands over the system's own: what it lets through is real, so
WAL, locks and shared memory are what the service has. `-shm` is not written through a VFS, and no start believes
it: after a cut it holds garbage.
"""

import random
from itertools import count
from pathlib import Path

import apsw

SECTOR_BYTES = 512
_SYNCS_FOLDER = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
_numbers = count()


class PowerCutError(apsw.IOError):
    """The power is off."""


class _Inode:
    """A file's bytes: those that are synced, and the writes since, in order."""

    def __init__(self, synced: bytes = b"") -> None:
        self.synced = bytearray(synced)
        self.unsynced: list[tuple[int, bytes | None]] = []  # (offset, bytes), or (length, None) for a truncation

    def sync(self) -> None:
        """Make all writes survive."""
        for offset, written in self.unsynced:
            _apply(self.synced, offset, written)
        self.unsynced.clear()

    def survivor(self, dice: random.Random) -> bytes:
        """Let each sector that was written since the last sync survive or not."""
        left = bytearray(self.synced)
        for offset, written in self.unsynced:
            if written is None:
                if dice.random() < 0.5:
                    _apply(left, offset, None)
                continue
            for begin, piece in _sectors(offset, written):
                if dice.random() < 0.5:
                    _apply(left, begin, piece)
        return bytes(left)


class CrashDisk(apsw.VFS):
    """A disk whose power fails at the `cut_at`th write, sync, truncation, creation or removal of a file.

    Nothing can be written then. `survivor` makes a folder of what the disk holds when the power is back:
    what was synced; each 512-byte sector, truncation, creation and removal that was not, with p = 0.5.

    Attributes:
        steps: how many such deeds there were.
        off: whether the power is off.
        was_at: the deed at which it failed.
    """

    def __init__(self, folder: Path, dice: random.Random, *, cut_at: int | None = None) -> None:
        self.vfs = f"crash-{next(_numbers)}"
        self.steps = 0
        self.off = False
        self.was_at = ""
        self._cut_at = cut_at
        self._dice = dice
        self.inodes = {path.name: _Inode(path.read_bytes()) for path in _files(folder)}
        self._durable = dict(self.inodes)
        self._names: list[tuple[str, _Inode | None]] = []  # creations and removals that are not synced
        super().__init__(self.vfs, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "_CrashFile":  # noqa: N802 - APSW's
        """Open a file; one that is new may be gone again."""
        assert name is not None
        path = Path(name if isinstance(name, str) else name.filename())
        if path.name not in self.inodes:
            self.step(f"create {path.name}")
            self.inodes[path.name] = _Inode()
            self._names.append((path.name, self.inodes[path.name]))
        syncs_folder = bool(flags[0] & _SYNCS_FOLDER and flags[0] & apsw.SQLITE_OPEN_CREATE)
        return _CrashFile(self, path.name, name, flags, syncs_folder=syncs_folder)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802, FBT001 - APSW's
        """Remove a file; it may come back."""
        name = Path(filename).name
        if not self.off:
            self.step(f"remove {name}", raising=False)
            self._names.append((name, None))
            self.inodes.pop(name, None)
            if syncdir and not self.off:
                self.sync_folder()
        super().xDelete(filename, syncdir)

    def sync_folder(self) -> None:
        """Make all creations and removals survive."""
        for name, inode in self._names:
            _enter(self._durable, name, inode)
        self._names.clear()

    def step(self, deed: str, *, raising: bool = True) -> None:
        """Count a deed; fail if the power is off, or fails now.

        Raises:
            PowerCutError: it does.
        """
        self.steps += 1
        if self.steps == self._cut_at:
            self.off, self.was_at = True, deed
        if self.off and raising:
            raise PowerCutError("the power is off")

    def survivor(self, folder: Path) -> None:
        """Make a folder of what the disk holds when the power is back."""
        folder.mkdir(parents=True)
        names = dict(self._durable)
        for name, inode in self._names:
            if self._dice.random() < 0.5:
                _enter(names, name, inode)
        for name, inode in names.items():
            (folder / name).write_bytes(inode.survivor(self._dice))
        for name in [name for name in names if name.endswith("-wal")]:
            (folder / name.replace("-wal", "-shm")).write_bytes(self._dice.randbytes(32768))


class _CrashFile(apsw.VFSFile):
    """A file on such a disk."""

    def __init__(
        self, disk: CrashDisk, name: str, opened: str | apsw.URIFilename, flags: list[int], *, syncs_folder: bool
    ) -> None:
        self._disk = disk
        self._name = name
        self._inode = disk.inodes[name]
        self._syncs_folder = syncs_folder
        super().__init__("", opened, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - APSW's
        """Write; it may be lost until the next sync."""
        if not self._disk.off:
            self._inode.unsynced.append((offset, bytes(data)))
        self._disk.step(f"write {self._name}")
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - APSW's
        """Shorten; it may be lost until the next sync."""
        if not self._disk.off:
            self._inode.unsynced.append((newsize, None))
        self._disk.step(f"truncate {self._name}")
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802, ARG002 - APSW's
        """Make the file survive; the first sync of a new log or journal also its name, as SQLite's VFS does."""
        self._disk.step(f"sync {self._name}")
        self._inode.sync()
        if self._syncs_folder:
            self._disk.sync_folder()
            self._syncs_folder = False
        # Not passed on: a real sync would only make the test slow.


def _files(folder: Path) -> list[Path]:
    """List a folder's files, but for what only lives in memory."""
    return [path for path in folder.glob("*") if path.is_file() and not path.name.endswith("-shm")]


def _enter(names: dict[str, _Inode], name: str, inode: _Inode | None) -> None:
    if inode is None:
        names.pop(name, None)
    else:
        names[name] = inode


def _apply(content: bytearray, offset: int, written: bytes | None) -> None:
    """Write into bytes as into a file; None shortens them to `offset`."""
    if written is None:
        del content[offset:]
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(written)] = written


def _sectors(offset: int, written: bytes) -> list[tuple[int, bytes]]:
    """Cut a write where the disk's sectors meet."""
    edges = [offset, *range(offset - offset % SECTOR_BYTES + SECTOR_BYTES, offset + len(written), SECTOR_BYTES)]
    ends = [*edges[1:], offset + len(written)]
    return [(begin, written[begin - offset : end - offset]) for begin, end in zip(edges, ends, strict=True)]
