"""The export: the log as text that anybody can check, one JSON object per line.

{"entry":<the entry's exact bytes>,"leaf_hash":"<64 hex digits>"}
"""

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from service.core import entries, merkle
from service.core.entries import SystemEntry
from service.ledger.store import Line

LINE_BYTES_MAX = 4 * 1024 * 1024
UNREADABLE = "unreadable"


class _Exported(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of an export; Raw keeps the entry's bytes as they stand."""

    entry: msgspec.Raw
    leaf_hash: str


_decoder = msgspec.json.Decoder(_Exported)


def export_line(line: Line) -> bytes:
    """Write a line of the log, with its newline."""
    return b'{"entry":%b,"leaf_hash":"%b"}\n' % (line.entry, line.leaf_hash.hex().encode())


def read_export(file: BinaryIO) -> Iterator[Line]:
    """Read an export's lines, at most LINE_BYTES_MAX of each.

    What is no line of an export is given all the same, at the place where it stands, with the kind
    `unreadable` and without a hash, so that who verifies the log can report it and go on.
    """
    index = 0
    while text := file.readline(LINE_BYTES_MAX):
        line = _line(text, index) or Line(index, UNREADABLE, None, b"", text)
        yield line
        index = line.index + 1


def _line(text: bytes, place: int) -> Line | None:
    """Read one line; None if it differs in any byte from what an export holds.

    The index that an entry states counts only if its hash vouches for it; else its place in the file does.
    """
    try:
        exported = _decoder.decode(text)
        leaf = bytes.fromhex(exported.leaf_hash)
        entry = entries.decode(bytes(exported.entry))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    call_id = None if isinstance(entry, SystemEntry) else entry.tool_call_id
    index = entry.index if merkle.leaf_hash(bytes(exported.entry)) == leaf else place
    line = Line(index, entries.kind(entry), call_id, leaf, bytes(exported.entry))
    return line if export_line(line) == text else None
