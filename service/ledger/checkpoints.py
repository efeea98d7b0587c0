"""Checkpoints: where the newest signed one is kept, apart from the ledger: so a ledger put back is noticed."""

import os
from pathlib import Path

from service.core.note import CHECKPOINT_BYTES_MAX, VerifierKey, opened
from service.core.times import utc_text
from service.errors import StoreError

_SUFFIX = ".checkpoint"
_APART = b"\n\n"
_PUBLIC = ".pub"
_FOLDER_MODE = 0o700
_FILE_MODE = 0o644  # signed and public: whoever may enter the folder may copy it


class Checkpoints:
    """A folder with the newest checkpoint and the public key of each log that was kept beside it.

    Args:
        folder: made with mode 0700 if it is not there.
        witness: a file that every checkpoint is appended to as well; None for none.
    """

    def __init__(self, folder: Path, *, witness: Path | None = None) -> None:
        self.folder = folder
        self._witness = witness

    def read(self, origin: str) -> str | None:
        """Give the newest note of a log; None if none was ever kept.

        Raises:
            StoreError: it cannot be read.
        """
        return self._text(self._path(origin, _SUFFIX))

    def public_key(self, origin: str) -> str | None:
        """Give the text of a log's public key; None if none was ever kept.

        Raises:
            StoreError: it cannot be read.
        """
        text = self._text(self._path(origin, _PUBLIC))
        return None if text is None else text.strip()

    def keep(self, origin: str, note: str) -> None:
        """Put a note in the place of the one before, durably: after a crash there is the one or the other.

        Raises:
            OSError: it could not be kept.
        """
        _replace(self._path(origin, _SUFFIX), note.encode())
        if self._witness is not None:
            _append(self._witness, note.encode() + b"\n")

    def origins_of(self, public: bytes) -> list[str]:
        """Name the logs of which a checkpoint by this key is kept, one over an entry at least.

        Args:
            public: the 32 bytes of the public key, whatever the name that it bears.

        Raises:
            StoreError: a file cannot be read.
        """
        found = []
        for path in sorted(self.folder.glob(f"*{_PUBLIC}")):
            try:
                key = VerifierKey.parse((self._text(path) or "").strip())
                note = self.read(key.name) if key.public == public else None
                if note is not None and opened(note, key).size:
                    found.append(key.name)
            except ValueError:  # no key, or no checkpoint by it: it shows nothing
                continue
        return found

    def kept_at(self, origin: str) -> str | None:
        """Say when the newest note of a log was kept, as UTC text; None if that cannot be told."""
        try:
            return utc_text(self._path(origin, _SUFFIX).stat().st_mtime_ns)
        except OSError:
            return None

    @property
    def witnessed(self) -> bool:
        """Whether every checkpoint goes to a witness file, too."""
        return self._witness is not None

    def keep_public_key(self, origin: str, text: str) -> None:
        """Keep a log's public key.

        Raises:
            OSError: it could not be kept.
        """
        _replace(self._path(origin, _PUBLIC), f"{text}\n".encode())

    def prepare(self) -> None:
        """Make the folder, and the witness file.

        Raises:
            StoreError: one of them cannot be written.
        """
        try:
            self.folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            writable = os.access(self.folder, os.W_OK | os.X_OK)
        except OSError as error:
            raise self._unusable(f"be made: {error.strerror}") from error
        if not writable:
            raise self._unusable("be written")
        if self._witness is not None:
            try:
                os.close(os.open(self._witness, os.O_CREAT | os.O_WRONLY | os.O_APPEND, _FILE_MODE))
            except OSError as error:
                raise StoreError(
                    f"the witness file {self._witness} cannot be written: {error.strerror}",
                    remedy="Set EXAI_WITNESS_FILE to a file that this user may write.",
                ) from error

    def _path(self, origin: str, suffix: str) -> Path:
        return self.folder / (origin.replace("/", "-") + suffix)

    def _text(self, path: Path) -> str | None:
        try:
            with path.open("rb") as file:
                return file.read(CHECKPOINT_BYTES_MAX + 1).decode()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise self._unusable(f"be read: {path.name}: {why}") from error

    def _unusable(self, why: str) -> StoreError:
        return StoreError(
            f"the folder of checkpoints {self.folder} cannot {why}",
            remedy="Set EXAI_CHECKPOINTS_DIR to a folder that this user may read and write.",
        )


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, _FILE_MODE)
    try:
        _write(descriptor, content)
    finally:
        os.close(descriptor)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _append(path: Path, content: bytes) -> None:
    """Add a note; what stands before it may have been torn by a crash or a full disk, and is parted from it."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, _FILE_MODE)
    except PermissionError:  # it may be written and not read
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, _FILE_MODE)
    try:
        _write(descriptor, _parting(descriptor) + content)
    finally:
        os.close(descriptor)


def _parting(descriptor: int) -> bytes:
    """Give the line feeds that are missing between the file's end and a fresh note."""
    try:
        size = os.fstat(descriptor).st_size
        end = os.pread(descriptor, len(_APART), max(0, size - len(_APART)))
    except OSError:  # a pipe, or a file that may not be read
        return b""
    if not end or end == _APART:
        return b""
    return b"\n" if end.endswith(b"\n") else _APART


def _write(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
    os.fsync(descriptor)
