"""Sources: what can be verified, and what stands beside it: a data folder, its backup, an export, an archive."""

import gzip
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from service.core.note import CHECKPOINT_BYTES_MAX, read_base64
from service.errors import StoreError
from service.ledger.checkpoints import Checkpoints
from service.ledger.export import closing_of, read_export, rows_of
from service.ledger.reading import Reading
from service.ledger.scanning import Scan
from service.ledger.seals import Row, Stored
from service.ledger.sqlite import FILE_NAME
from service.ledger.store import Line

BACKUP_CHECKPOINT = "checkpoint"
BACKUP_KEY = "public.key"
"""In the folder of a backup: the newest checkpoint that it holds all entries of, and the key that signed it."""

_PROOF = b"c2sp.org/tlog-proof@"
_GZIP = b"\x1f\x8b"
_SQLITE = b"SQLite format 3\x00"
_BUFFER_BYTES = 1024 * 1024
_SIGNED = "— ".encode()
_SIGNATURE_BYTES = 4 + 64  # a key's id, and what it signed with
_BLOCK_LINES_MAX = 1000  # more than a checkpoint may have, so it stays none


@dataclass(frozen=True)
class Source:
    """A log, and what was found with it.

    Attributes:
        kind: `store`, `export` or `archive`.
        what: the same in words.
        origin: as the store says it; None where only the entries say it.
        notes: texts of checkpoints.
        key: text of the public key; None if there is none.
        was_signed: whether it says itself that a checkpoint was kept.
        stored: reads the tree that is stored beside the entries, if one is.
        rows, lines: read all of it, each time from the beginning.
        reading: of its tables, if it has such.
        complaints: what is wrong with the file as a file.
    """

    kind: str
    what: str
    origin: str | None
    notes: tuple[str, ...]
    key: str | None
    was_signed: bool
    stored: Callable[[], Stored | None]
    rows: Callable[[], Iterator[Row]]
    lines: Callable[[], Iterator[Line]]
    reading: Reading | None = None
    complaints: Callable[[], list[str]] = list


class Head(msgspec.Struct, frozen=True):
    """What a path leads to: `folder`, `proof`, `archive` or `export`, which is whatever is nothing else."""

    kind: str
    path: Path


def look(path: Path) -> Head:
    """Tell by its first bytes what a path leads to.

    Raises:
        StoreError: it cannot be read.
    """
    if path.is_dir():
        return Head("folder", path)
    with _opened(path) as file:
        begin = file.read(len(_PROOF))
    if begin.startswith(_SQLITE) and path.name == FILE_NAME:
        return Head("folder", path.parent)
    if begin.startswith(_PROOF):
        return Head("proof", path)
    return Head("archive" if begin.startswith(_GZIP) else "export", path)


@contextmanager
def open_store_source(folder: Path, checkpoints: Path) -> Iterator[Source]:
    """Open a data folder, or the backup of one, at this moment; a service may go on writing to it.

    Args:
        folder: that holds the ledger.
        checkpoints: where the newest checkpoint is looked for, unless it stands in the folder, as in a backup.

    Raises:
        StoreError: it cannot be read.
    """
    with ExitStack() as stack:
        with Scan(folder) as before:
            origin = before.origin
        note, key = _beside(folder, checkpoints, origin)  # before the entries: so they are never fewer
        scan = stack.enter_context(Scan(folder))
        reading = Reading(folder)
        stack.callback(reading.close)
        yield Source(
            kind="store",
            what=f"the log in {folder}",
            origin=scan.origin,
            notes=() if note is None else (note,),
            key=key,
            was_signed=scan.was_signed,
            stored=scan.stored,
            rows=scan.rows,
            lines=reading.lines,
            reading=reading,
            complaints=scan.complaints,
        )


@contextmanager
def open_export_source(path: Path, *, compressed: bool) -> Iterator[Source]:
    """Open an export, or an archive, which is a compressed one.

    Raises:
        StoreError: it cannot be read.
    """
    with ExitStack() as stack:

        def anew() -> BinaryIO:
            return stack.enter_context(_opened(path, compressed=compressed))

        closing = closing_of(anew())
        yield Source(
            kind="archive" if compressed else "export",
            what=str(path),
            origin=None,
            notes=() if closing is None else (closing.checkpoint,),
            key=None if closing is None else closing.public_key,
            was_signed=False,
            stored=lambda: None,
            rows=lambda: rows_of(anew()),
            lines=lambda: read_export(anew()),
        )


def read_text(path: Path, bytes_max: int = CHECKPOINT_BYTES_MAX) -> str:
    """Read a text that somebody keeps: a key, a proof, a checkpoint.

    Raises:
        StoreError: it cannot be read, or is larger than a stranger's may be.
    """
    with _opened(path) as file:
        text = file.read(bytes_max + 1)
    if len(text) > bytes_max:
        raise StoreError(f"{path} is larger than {bytes_max} bytes", remedy="Name another file.")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise StoreError(f"{path} cannot be read: it is no text", remedy="Name another file.") from error


def read_notes(path: Path) -> Iterator[str | None]:
    """Read checkpoints that stand one behind the other, as a witness file has them; none is verified.

    However many there are, one is held at a time. In the place of one that was torn by a crash stands None.

    Raises:
        StoreError: the file cannot be read.
    """
    with _opened(path) as file:
        try:
            yield from notes_of(iter(partial(file.readline, CHECKPOINT_BYTES_MAX), b""))
        except OSError as error:
            raise StoreError(
                f"{path} cannot be read: {error.strerror}", remedy="Take another copy of it."
            ) from error


def notes_of(lines: Iterable[bytes]) -> Iterator[str | None]:
    """Part a text's lines, each with its end, into the checkpoints in it; None for one that is not whole."""
    body: list[bytes] = []
    for block in _blocks(lines):
        if not block[0].startswith(_SIGNED):
            if body:
                yield None
            body = block
            continue
        whole = body and all(map(_is_signature, block))
        yield (b"\n".join([*body, b"", *block]) + b"\n").decode(errors="replace") if whole else None
        body = []
    if body:
        yield None


def _blocks(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Part lines at the empty ones."""
    block: list[bytes] = []
    for line in lines:
        if text := line.rstrip(b"\n"):
            if len(block) < _BLOCK_LINES_MAX:
                block.append(text[:CHECKPOINT_BYTES_MAX])
        elif block:
            yield block
            block = []
    if block:
        yield block


def _is_signature(line: bytes) -> bool:
    """Tell whether a signature's line can be whole: none is shorter than an Ed25519 one."""
    try:
        return len(read_base64(line.rpartition(b" ")[2].decode())) >= _SIGNATURE_BYTES
    except ValueError:
        return False


def _beside(folder: Path, checkpoints: Path, origin: str) -> tuple[str | None, str | None]:
    if (folder / BACKUP_CHECKPOINT).is_file():
        key = folder / BACKUP_KEY
        return read_text(folder / BACKUP_CHECKPOINT), read_text(key).strip() if key.is_file() else None
    kept = Checkpoints(checkpoints)
    return kept.read(origin), kept.public_key(origin)


def _opened(path: Path, *, compressed: bool = False) -> BinaryIO:
    try:
        if not compressed:
            return path.open("rb", buffering=_BUFFER_BYTES)
        return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(path)), _BUFFER_BYTES)  # closes its file, too
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: {error.strerror}",
            remedy="Name a file that `exai ledger export` wrote, or none for the data folder.",
        ) from error
