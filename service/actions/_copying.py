"""Copying: a backup or archive that was made is written down, if it is one of this log."""

import asyncio

import msgspec

from service.actions._action import Stand
from service.core.entries import ActionEntry
from service.core.merkle import HASH_BYTES, inclusion_path, verify_inclusion
from service.errors import ActionError
from service.ledger.reading import Reading

_NAME_CHARS_MAX = 255


class Copied(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was copied.

    Attributes:
        entries: how many of the first.
        root: of their tree, hex.
        where: the last part of the copy's path.
    """

    entries: int
    root: str
    size_bytes: int
    where: str


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is written down."""

    index: int
    at: str


async def note(action: str, copied: Copied, stand: Stand, by: str) -> Noted:
    """Write down that a copy was made.

    Raises:
        ActionError: the copy is of another log, or another past of this one.
    """
    if not await asyncio.to_thread(_is_ours, stand.reading, copied):
        raise ActionError(
            "the copy is not of the log that this service writes: its root is another",
            remedy="Name the service's own data folder with EXAI_DATA_DIR.",
        )
    detail = {
        "entries": str(copied.entries),
        "root": copied.root,
        "size_bytes": str(copied.size_bytes),
        "where": copied.where[:_NAME_CHARS_MAX],
    }
    (step,) = await stand.ledger.append(ActionEntry(action=action, by=by, detail=detail))
    return Noted(index=step.entry.index, at=step.entry.at)


def _is_ours(reading: Reading, copied: Copied) -> bool:
    """Tell whether the root is that of this log's first entries."""
    last = copied.entries - 1
    with reading.snapshot():
        line = reading.line(last) if last >= 0 else None
        if line is None or len(copied.root) != 2 * HASH_BYTES:
            return False
        path = inclusion_path(last, copied.entries, reading.hashes(copied.entries))
    try:
        root = bytes.fromhex(copied.root)
    except ValueError:
        return False
    return verify_inclusion(line.leaf_hash, last, copied.entries, path, root)
