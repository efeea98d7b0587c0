"""Restoring: a log again from a copy of it, verified before and derived anew, so that no table is believed."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import apsw
import msgspec

from service import VERSION
from service.core import entries
from service.core.note import NoteError, SigningKey, VerifierKey, opened
from service.errors import StoreBrokenError, StoreError
from service.ledger import keyfile, schema
from service.ledger.checkpoints import Checkpoints
from service.ledger.judging import Judgement, judge
from service.ledger.rebuilding import rebuilt
from service.ledger.scanning import CHECKPOINTED
from service.ledger.sources import Source, look, open_export_source, open_store_source
from service.ledger.sqlite import FILE_NAME, LOCK_NAME, lock, unusable
from service.ledger.store import Line

_UNFINISHED = f"{FILE_NAME}.part"
_ASIDE = ("", "-wal", "-journal")


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """A log that was restored.

    Attributes:
        entries: how many it has.
        covered: how many of them a signed checkpoint vouches for.
        public_key: what that was verified with.
        key_given: whether the key was given, and did not come with the copy.
        refused_until_adopted: why the next start will refuse it; None if it will not.
    """

    origin: str
    entries: int
    covered: int
    public_key: str
    key_given: bool
    refused_until_adopted: str | None


def restore(source: Path, folder: Path, checkpoints: Checkpoints, *, key: VerifierKey | None = None) -> Restored:
    """Restore a ledger into a data folder that has none.

    Args:
        source: the folder of a backup, an archive, or an export.
        folder: made with mode 0700 if it is not there.
        checkpoints: those that were kept apart; read only, to foresee what the next start will say.
        key: whose checkpoint the source must hold; None believes the one that came with it.

    Raises:
        StoreLockedError: a service runs there.
        StoreError: there is a ledger already, the source is no copy, or something cannot be read or written.
        StoreBrokenError: the source is not the log that was signed.
    """
    with _alone(folder), _opened(source, checkpoints) as found:
        judged = judge(found, key=key, quick=True)
        _refuse_unsigned(judged)
        unfinished = folder / _UNFINISHED
        try:
            origin = _build(unfinished, islice(found.lines(), judged.entries), judged.root)
            unfinished.rename(folder / FILE_NAME)
            _sync(folder, os.O_RDONLY | os.O_DIRECTORY)
        finally:
            unfinished.unlink(missing_ok=True)
    return Restored(
        origin=origin,
        entries=judged.entries,
        covered=judged.covered,
        public_key=judged.public_key or "",
        key_given=judged.key_given,
        refused_until_adopted=_foreseen(folder, checkpoints, origin, judged.entries),
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a data folder that has no ledger."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = lock(folder / LOCK_NAME)
    except OSError as error:
        raise StoreError(
            f"the data folder {folder} cannot be written: {error.strerror}",
            remedy="Name a folder that you may write: --data-dir FOLDER.",
        ) from error
    try:
        if there := [name for end in _ASIDE if (folder / (name := FILE_NAME + end)).exists()]:
            raise StoreError(
                f"{folder} has a ledger already: {there[0]}",
                remedy="Restore into another folder with --data-dir, or move this one's ledger away first.",
            )
        yield
    finally:
        os.close(held)


@contextmanager
def _opened(source: Path, checkpoints: Checkpoints) -> Iterator[Source]:
    head = look(source)
    if head.kind == "proof":
        raise StoreError(
            f"{source} is a proof, and no copy of a log", remedy="Name a backup's folder, or an archive."
        )
    if head.kind == "folder":
        with open_store_source(head.path, checkpoints.folder) as found:
            yield found
    else:
        with open_export_source(head.path, compressed=head.kind == "archive") as found:
            yield found


def _refuse_unsigned(judged: Judgement) -> None:
    """Refuse what no checkpoint vouches for, and what is not as it was signed.

    Raises:
        StoreBrokenError: it is so.
    """
    if judged.problems:
        problem = judged.first_bad or judged.problems[0]
        where = "" if problem.index is None else f"entry {problem.index}: "
        raise StoreBrokenError(
            f"{judged.what} is not the log that was signed: {where}{problem.sentence}",
            remedy="Take another copy. `exai ledger verify` says more of this one.",
        )
    if not judged.covered:
        raise StoreBrokenError(
            f"{judged.what} holds no checkpoint, so nothing vouches for it",
            remedy="Take a backup, an archive or an export of this version; each of them holds one.",
        )


def _build(path: Path, lines: Iterable[Line], root: str | None) -> str:
    """Make a ledger's file of a log's lines, whose tree must have a root; give the last one's origin.

    Raises:
        StoreBrokenError: they are not a log.
        StoreError: it cannot be written.
    """
    try:
        path.unlink(missing_ok=True)  # what an earlier attempt left
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            origin, found = _fill(connection, lines)
        finally:
            connection.close()
        _refuse_other(found, root)
        _sync(path)
    except ValueError as error:
        raise StoreBrokenError(
            f"the copy holds what is no log: {error}", remedy="Take another copy. `exai ledger verify` says more."
        ) from error
    except apsw.Error as error:
        raise unusable(path, error) from error
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror}", remedy="Free space in the data folder."
        ) from error
    return origin


def _refuse_other(found: bytes, root: str | None) -> None:
    if found.hex() != root:
        raise ValueError("it changed while it was read")


def _fill(connection: apsw.Connection, lines: Iterable[Line]) -> tuple[str, bytes]:
    """Write a log and all that derives from it into an empty file; give its origin and the root of its tree.

    Raises:
        ValueError: the lines are no log.
    """
    for pragma in (
        "journal_mode = OFF",
        "synchronous = OFF",
    ):  # a file that fails is thrown away; it is synced once
        connection.execute(f"PRAGMA {pragma}")
    schema.create(connection)
    last, root = b"", b""

    def putting() -> Iterator[Line]:
        nonlocal last
        for line in lines:
            connection.execute(schema.PUT_LINE, msgspec.structs.astuple(line))
            last = line.entry
            yield line

    with connection:
        for changed in rebuilt(putting()):
            schema.put(connection, changed)
            root = changed.tree.range.root
        entry = entries.decode(last)
        meta = {"origin": entry.origin, "epoch": str(entry.epoch), "program": VERSION, CHECKPOINTED: "yes"}
        connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
    return entry.origin, root


def _foreseen(folder: Path, checkpoints: Checkpoints, origin: str, count: int) -> str | None:
    """Say why the next start will refuse a log that was restored; None if it will take it up."""
    try:
        note, seed = checkpoints.read(origin), keyfile.read(folder)
        if note is None:
            return f"{checkpoints.folder} holds no checkpoint of it"
        if seed is None:
            return f"its signing key is not in {folder}, and in no copy"
        size = opened(note, SigningKey(origin, seed).verifier).size
    except (StoreError, NoteError) as error:
        return str(error)
    if size <= count:
        return None
    return f"{size} entries were signed, and {count} are restored: the last {size - count} are not in the copy"


def _sync(path: Path, flags: int = os.O_RDONLY) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
