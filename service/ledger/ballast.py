"""The ballast: room that is given up when the disk is full, so that what was begun can still end.

A full disk refuses the end of a call as it refuses its beginning, and an end that cannot be written leaves an
attempt in doubt that the provider has answered. So a file takes some room beforehand: it goes when a write finds
none, no call begins while it is away, and it is made again once there is room for it twice.
"""

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from service.core.entries import AnyEntry, IntentEntry, ToolCallEntry
from service.core.times import NS_PER_S
from service.errors import RolledBackError, StoreBrokenError, StoreError, StoreFullError, StoreLockedError

FILE_NAME = "ballast"
SIZE_BYTES = 8 * 1024 * 1024
ROOM_FACTOR = 2
RETRY_NS = NS_PER_S
_BYTES_PER_BLOCK = 512  # what `st_blocks` counts in
_PIECE_BYTES = 1024 * 1024
_MIB = 1024 * 1024
_Store = TypeVar("_Store")

_log = logging.getLogger(__name__)


def free_bytes(folder: Path) -> int:
    """Say how many bytes may still be written to a folder's disk.

    Raises:
        OSError: the folder cannot be looked at.
    """
    return shutil.disk_usage(folder).free


def begins(written: Iterable[AnyEntry]) -> bool:
    """Tell whether entries begin something that will need room for its end."""
    return any(isinstance(entry, ToolCallEntry | IntentEntry) for entry in written)


class Ballast:
    """A file of `size_bytes` in a data folder, owned by whoever holds the folder's lock; used by one thread.

    Attributes:
        present: whether its room is kept; another thread may read it.
        room_bytes_min: how much must be free for it to be made again.
    """

    def __init__(
        self,
        folder: Path,
        size_bytes: int = SIZE_BYTES,
        *,
        free_bytes: Callable[[Path], int] = free_bytes,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.room_bytes_min = ROOM_FACTOR * size_bytes
        self._folder = folder
        self._path = folder / FILE_NAME
        self._unfinished = folder / f"{FILE_NAME}.new"
        self._size_bytes = size_bytes
        self._free_bytes = free_bytes
        self._monotonic_ns = monotonic_ns
        self._tried_ns: int | None = None
        self.present = self._is_whole()

    def release(self) -> bool:
        """Give the room back; say whether there was any. It does not fail: what needs the room will tell."""
        if not self.present:
            return False
        self.present = False
        _log.warning("the disk is full: the ballast is given up, and no call begins until there is room for it")
        try:
            os.truncate(self._path, 0)  # whoever has it open, a backup say, would keep an unlinked file's room
            self._path.unlink()
            self._sync_folder()  # a journalling file system gives blocks back when this is durable, not before
        except OSError:
            _log.exception("the ballast could not be given up in order")
            return False
        return True

    def restore(self) -> bool:
        """Make it again if it is not there and there is room for it twice; say whether it is there."""
        if self.present:
            return True
        try:
            self._unfinished.unlink(missing_ok=True)  # what a dead process began takes room
            if self._free_bytes(self._folder) < self.room_bytes_min:
                return False
            self._make()
        except OSError:  # the disk filled up meanwhile; any other trouble is the store's too, which tells it
            with contextlib.suppress(OSError):
                self._unfinished.unlink(missing_ok=True)
            return False
        self.present = True
        return True

    def refuse_beginning(self) -> None:
        """Let nothing begin while it is away. Whether it can be made again is tried once a second at most.

        Raises:
            StoreFullError: it is away.
        """
        if self.present:
            return
        now_ns = self._monotonic_ns()
        if self._tried_ns is None or now_ns - self._tried_ns >= RETRY_NS:
            self._tried_ns = now_ns
            if self.restore():
                _log.warning("the disk has room again: the ballast is kept, and calls are taken")
                return
        raise StoreFullError("the disk is full: no call is begun that could not be ended", remedy=self.remedy)

    @property
    def remedy(self) -> str:
        """What an operator can do while it is away."""
        needed = f"{self.room_bytes_min // _MIB} MiB"
        return f"Have {needed} free in the data folder: the next call then finds it, no restart is needed."

    def opened(self, open_store: Callable[[], _Store]) -> _Store:
        """Open a store, on a full disk in the ballast's room; then keep the ballast, if that can be.

        Raises:
            StoreError: it cannot be opened, or not without more room.
        """
        try:
            store = open_store()
        except (StoreLockedError, StoreBrokenError, RolledBackError):
            raise
        except StoreError:
            if not self._is_cramped() or not self.release():
                raise
            store = open_store()
        if not self.restore():
            _log.warning("the disk has no room for the ballast: no call is taken. %s", self.remedy)
        return store

    def _is_cramped(self) -> bool:
        try:
            return self._free_bytes(self._folder) < self._size_bytes
        except OSError:
            return False

    def _is_whole(self) -> bool:
        try:
            return self._path.stat().st_size == self._size_bytes
        except OSError:
            return False

    def _make(self) -> None:
        """Take the room, surely: some file systems promise it without keeping it.

        Raises:
            OSError: there is none.
        """
        descriptor = os.open(self._unfinished, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, 0, self._size_bytes)
            if os.fstat(descriptor).st_blocks * _BYTES_PER_BLOCK < self._size_bytes:
                self._fill(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._unfinished.rename(self._path)
        self._sync_folder()

    def _fill(self, descriptor: int) -> None:
        """Write bytes that no file system can make smaller."""
        for offset in range(0, self._size_bytes, _PIECE_BYTES):
            piece = os.urandom(min(_PIECE_BYTES, self._size_bytes - offset))
            while piece:
                done = os.pwrite(descriptor, piece, offset)
                piece, offset = piece[done:], offset + done  # noqa: PLW2901 - a write may be short

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
