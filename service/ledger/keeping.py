"""Keeping: copies of the log that leave this machine. No copy holds the signing key or working text.

A copy is made by whoever reads, never by the writer: it holds one moment of the log, and the writer goes on. It
counts only when it was read again and found to be the log that was signed.
"""

import gzip
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import apsw
import msgspec

from service.core.note import Checkpoint, VerifierKey, opened
from service.errors import StoreBrokenError, StoreError
from service.ledger.checkpoints import Checkpoints
from service.ledger.export import Closing, closing_line, export_line
from service.ledger.judging import judge
from service.ledger.reading import Reading
from service.ledger.sources import BACKUP_CHECKPOINT, BACKUP_KEY, Source, open_export_source, open_store_source
from service.ledger.sqlite import FILE_NAME, unusable

README = "README.txt"
COVERED_WITHIN_S = 3.0
"""For so long a checkpoint that covers the newest entry is waited for: one is signed every second."""
_POLL_S = 0.1
_PAGES_PER_STEP = 256
_PAUSE_S = 0.002  # after each step: whoever writes has disk and processor in between
_BUSY_TIMEOUT_MS = 5000
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_COMPRESSION = 6
_UNFINISHED = ".part"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A copy that was made and read again.

    Attributes:
        entries: how many it holds.
        covered: how many of them the checkpoint in it vouches for.
        left_out: how many the log had beside these, which no checkpoint covers yet.
        root: of the tree of all entries in it, hex.
        where: the last part of its path.
    """

    origin: str
    entries: int
    covered: int
    left_out: int
    root: str
    size_bytes: int
    where: str
    public_key: str


class _Signed(msgspec.Struct, frozen=True):
    """The newest checkpoint of a log, as it is kept, and the key that it holds by."""

    checkpoint: Checkpoint
    note: str
    public_key: str


def back_up(folder: Path, checkpoints: Checkpoints, target: Path) -> Kept:
    """Copy a ledger's file into a new folder, with its newest checkpoint and its public key.

    A service may go on writing. The signing key stays where it is: who has it can sign another past.

    Raises:
        StoreError: there is no log that was signed, the target is there already or cannot be written.
        StoreBrokenError: the copy is not the log that was signed.
    """
    with _reading(folder) as reading:
        newest = _newest(reading, checkpoints)  # before the copy, which is never shorter then
    with _new_folder(target):
        _copy(folder / FILE_NAME, target / FILE_NAME)
        _write(target / BACKUP_CHECKPOINT, newest.note.encode())
        _write(target / BACKUP_KEY, f"{newest.public_key}\n".encode())
        with open_store_source(target, checkpoints.folder) as source:
            kept = _judged(source, newest, target, target / FILE_NAME)
        _write(target / README, _readme(kept, newest).encode())
        _sync_folder(target)
        _sync_folder(target.parent)
    return kept


def archive(folder: Path, checkpoints: Checkpoints, target: Path) -> Kept:
    """Write an export to one compressed file: all entries that a checkpoint covers, that, and the public key.

    The same entries and checkpoint make the same bytes.

    Raises:
        StoreError: there is no log that was signed, the target is there already or cannot be written.
        StoreBrokenError: what was written is not the log that was signed.
    """
    unfinished = target.with_name(target.name + _UNFINISHED)
    with _reading(folder) as reading:
        newest = _newest(reading, checkpoints)
        with _new_file(target, unfinished) as file:
            with gzip.GzipFile("", "wb", _COMPRESSION, file, mtime=0) as packed:
                _export(reading, newest, packed)
            file.flush()
            os.fsync(file.fileno())
            with open_export_source(unfinished, compressed=True) as source:
                kept = _judged(source, newest, target, unfinished)
        return msgspec.structs.replace(kept, left_out=max(0, reading.head().next_index - kept.entries))


def _newest(reading: Reading, checkpoints: Checkpoints) -> _Signed:
    """Give the newest checkpoint, once it covers what is there now, or after a while the newest that there is.

    Raises:
        StoreError: there is none, or it does not hold.
    """
    head, ends_at = reading.head(), time.monotonic() + COVERED_WITHIN_S
    while True:
        note, key = checkpoints.read(head.origin), checkpoints.public_key(head.origin)
        if note is None or key is None:
            raise StoreError(
                f"{checkpoints.folder} holds no checkpoint of this log, {head.origin}",
                remedy="Name the folder with EXAI_CHECKPOINTS_DIR, or start the service once: `exai serve`.",
            )
        try:
            found = _Signed(opened(note, VerifierKey.parse(key)), note, key)
        except ValueError as error:
            raise StoreError(
                f"the newest checkpoint in {checkpoints.folder} does not hold: {error}",
                remedy="Run `exai ledger verify`.",
            ) from error
        if found.checkpoint.size >= head.next_index or time.monotonic() >= ends_at:
            return found
        time.sleep(_POLL_S)


@contextmanager
def _reading(folder: Path) -> Iterator[Reading]:
    reading = Reading(folder)
    try:
        yield reading
    finally:
        reading.close()


def _copy(source: Path, target: Path) -> None:
    """Copy a database at one moment, in steps, so that whoever writes has the disk in between.

    A transaction holds the moment: a copy that only goes step by step begins anew whenever somebody wrote.

    Raises:
        StoreError: it cannot be read or written.
    """
    _write(target, b"")
    try:
        reader = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            reader.set_busy_timeout(_BUSY_TIMEOUT_MS)
            reader.execute("BEGIN")
            reader.execute("SELECT 1 FROM meta").get  # noqa: B018 - the first read fixes the moment
            _copy_pages(reader, target)
        finally:
            reader.close()
    except apsw.Error as error:
        raise unusable(source, error) from error
    _sync(target)


def _copy_pages(reader: apsw.Connection, target: Path) -> None:
    writer = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        writer.execute("PRAGMA synchronous = OFF")  # it is synced once, at the end
        with writer.backup("main", reader, "main") as copying:
            while not copying.step(_PAGES_PER_STEP):
                time.sleep(_PAUSE_S)
        writer.execute("PRAGMA journal_mode = DELETE")  # one file: it can be read where nothing may be written
    finally:
        writer.close()


def _export(reading: Reading, newest: _Signed, file: gzip.GzipFile) -> None:
    for line in reading.lines():
        if line.index >= newest.checkpoint.size:
            break
        file.write(export_line(line))
    file.write(closing_line(Closing(newest.note, newest.public_key)))


def _judged(source: Source, newest: _Signed, target: Path, file: Path) -> Kept:
    """Read a copy again, by the key of the log that it was taken from.

    Raises:
        StoreBrokenError: it is not the log that was signed.
    """
    found = judge(source, key=VerifierKey.parse(newest.public_key), quick=True)
    if found.problems or found.root is None:
        problem = found.first_bad or found.problems[0]
        where = "" if problem.index is None else f"entry {problem.index}: "
        raise StoreBrokenError(
            f"the copy is not the log that was signed, so it was taken away again: {where}{problem.sentence}",
            remedy="Run `exai ledger verify`: if the ledger is damaged itself, restore an earlier backup.",
        )
    return Kept(
        origin=found.origin,
        entries=found.entries,
        covered=found.covered,
        left_out=0,
        root=found.root,
        size_bytes=file.stat().st_size,
        where=target.name,
        public_key=newest.public_key,
    )


@contextmanager
def _new_folder(target: Path) -> Iterator[None]:
    """Have an empty folder; what a backup has in it is taken away if the block fails.

    Raises:
        StoreError: it cannot be made or written, or is not empty.
    """
    try:
        target.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        _refuse_present(target, present=any(target.iterdir()))
        try:
            yield
        except BaseException:
            for name in (FILE_NAME, f"{FILE_NAME}-journal", BACKUP_CHECKPOINT, BACKUP_KEY, README):
                (target / name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unwritable(target, error) from error


@contextmanager
def _new_file(target: Path, unfinished: Path) -> Iterator[BinaryIO]:
    """Write a new file; it has its name only when the block has ended well.

    Raises:
        StoreError: it cannot be written, or there is one of its name.
    """
    try:
        _refuse_present(target, present=target.exists())
        descriptor = os.open(unfinished, os.O_CREAT | os.O_RDWR | os.O_TRUNC, _FILE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
            unfinished.rename(target)
            _sync_folder(target.parent)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(target, error) from error


def _refuse_present(target: Path, *, present: bool) -> None:
    if present:
        raise StoreError(
            f"{target} is there already, and not empty",
            remedy="Name a new place: a copy never overwrites anything.",
        )


def _unwritable(target: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{target} cannot be written: {error.strerror or error}",
        remedy="Name a place that you may write to and that has room.",
    )


def _write(path: Path, content: bytes) -> None:
    """Write a new file, durably.

    Raises:
        OSError: it cannot be written, or is there.
    """
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE_MODE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path, flags: int = os.O_RDONLY) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _readme(kept: Kept, newest: _Signed) -> str:
    return f"""A backup of an EXAI ledger.

log         {kept.origin}
entries     {kept.entries}
root        {kept.root} (of the tree of these entries)
signed      {kept.covered} of them are covered by the checkpoint
public key  {newest.public_key}

{FILE_NAME:<16}the ledger: SQLite, complete in itself
{BACKUP_CHECKPOINT:<16}its newest signed checkpoint, as C2SP tlog-checkpoint has it
{BACKUP_KEY:<16}the public key that the checkpoint holds by

The signing key is not here, nor is any text of a question or an answer.

To check it:    exai ledger verify THIS_FOLDER --key {newest.public_key}
                The key that stands here came with the rest: compare it with one that was noted down elsewhere.
To restore it:  exai ledger restore THIS_FOLDER --data-dir A_NEW_FOLDER
"""
