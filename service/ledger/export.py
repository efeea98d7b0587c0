"""The export: the log as text that anybody can check, one JSON object per line.

    {"entry":<the entry's exact bytes>,"leaf_hash":"<64 hex digits>"}
    …
    {"checkpoint":"<the signed text that covers these entries>","public_key":"<the key that signed it>"}

An export of an earlier version has no such last line; no checkpoint covers it.
"""

import zlib
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from service.core import entries, merkle
from service.errors import StoreError
from service.ledger.seals import Row
from service.ledger.store import Line

LINE_BYTES_MAX = 4 * 1024 * 1024
UNREADABLE = "unreadable"

_HEAD, _MIDDLE, _TAIL = b'{"entry":', b',"leaf_hash":"', b'"}\n'
_HEX_DIGITS = 2 * merkle.HASH_BYTES
_FRAME_BYTES = len(_HEAD) + len(_MIDDLE) + _HEX_DIGITS + len(_TAIL)
_CLOSES = b'{"checkpoint":'


class Closing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last line: the text of a checkpoint, and of the public key that signed it."""

    checkpoint: str
    public_key: str


class _Placed(msgspec.Struct, frozen=True):
    """An entry, as far as its place is asked for."""

    index: int


_closing_decoder = msgspec.json.Decoder(Closing)
_placed_decoder = msgspec.json.Decoder(_Placed)


def export_line(line: Line) -> bytes:
    """Write a line of the log, with its newline."""
    return b"%b%b%b%b%b" % (_HEAD, line.entry, _MIDDLE, line.leaf_hash.hex().encode(), _TAIL)


def closing_line(closing: Closing) -> bytes:
    """Write the last line, with its newline."""
    return msgspec.json.encode(closing) + b"\n"


def read_export(file: BinaryIO) -> Iterator[Line]:
    """Read an export's entries, at most LINE_BYTES_MAX of each line.

    What is no line of an export is given all the same, at the place where it stands, with the kind
    `unreadable` and without a hash, so that who verifies the log can report it and go on.

    Raises:
        StoreError: the file cannot be read on.
    """
    for index, leaf, text in rows_of(file):
        yield _line(index, leaf, text)


def rows_of(file: BinaryIO) -> Iterator[Row]:
    """Read the same as the hash pass needs it: of what is no line of an export the hash is empty.

    The index that an entry states counts only if its hash vouches for it; else its place in the file does.

    Raises:
        StoreError: the file cannot be read on.
    """
    index = 0
    for text in _texts(file):
        row = _row(text, index)
        yield row
        index = row[0] + 1


def closing_of(file: BinaryIO) -> Closing | None:
    """Read an export to its end and give its last line; None if it closes with an entry, or cannot be read."""
    last = b""
    try:
        while text := _read(file):
            last = text
    except StoreError:
        return None
    return _closing(last)


def _texts(file: BinaryIO) -> Iterator[bytes]:
    """Give the lines but the closing one, which is that only at the end."""
    text = _read(file)
    while text:
        after = _read(file)
        if after or _closing(text) is None:
            yield text
        text = after


def _read(file: BinaryIO) -> bytes:
    try:
        return file.readline(LINE_BYTES_MAX)
    except (OSError, EOFError, zlib.error) as error:  # what a compressed file that was cut or changed raises
        raise StoreError(f"the file is damaged: {error}", remedy="Take another copy of it.") from error


def _closing(text: bytes) -> Closing | None:
    if not text.startswith(_CLOSES):
        return None
    try:
        closing = _closing_decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return closing if closing_line(closing) == text else None


def _row(text: bytes, place: int) -> Row:
    digits = text[-_HEX_DIGITS - len(_TAIL) : -len(_TAIL)]
    entry = text[len(_HEAD) : -_FRAME_BYTES + len(_HEAD)]
    try:
        leaf = bytes.fromhex(digits.decode())
    except ValueError:
        return place, b"", text
    if text != b"%b%b%b%b%b" % (_HEAD, entry, _MIDDLE, leaf.hex().encode(), _TAIL):
        return place, b"", text
    stated = _stated_index(entry) if merkle.leaf_hash(entry) == leaf else None
    return place if stated is None else stated, leaf, entry


def _stated_index(entry: bytes) -> int | None:
    try:
        return _placed_decoder.decode(entry).index
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _line(index: int, leaf: bytes, text: bytes) -> Line:
    try:
        entry = entries.decode(text)
    except ValueError:
        return Line(index, UNREADABLE, None, leaf, text)
    return Line(index, entries.kind(entry), entries.call_id(entry), leaf, text)
