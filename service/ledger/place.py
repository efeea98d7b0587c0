"""A database's place: whether its path still leads to the file it led to at first, with the log beside it."""

import os
from pathlib import Path


class Place:
    """The file at a path and the `-wal` beside it, as they stood when this was made.

    Of the log only the presence is looked at, so one that was replaced is not seen: asking for its inode
    while it is written made the commits of a single caller a fifth slower.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = f"{path}-wal"
        self._was = self._identity()
        self._had_log = self._has_log()

    @property
    def lost(self) -> bool:
        """Whether the file was moved, deleted or replaced, or its log has gone; False if there was no file."""
        if self._was is None:
            return False
        return self._identity() != self._was or (self._had_log and not self._has_log())

    def _has_log(self) -> bool:
        return os.access(self._log, os.F_OK)

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino
