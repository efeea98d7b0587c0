"""Proving: for one entry, the text by which anybody can tell offline that it is in the signed log.

The text carries the entry's exact bytes. Before it is handed out it is checked as a stranger would check it.
"""

import time
from collections.abc import Sequence

import msgspec

from service.core import entries
from service.core.entries import AcceptedEntry
from service.core.merkle import inclusion_path
from service.core.note import Checkpoint, NoteError, VerifierKey, opened
from service.core.proof import Proof, ProofError, check, written
from service.errors import StoreBrokenError, StoreError
from service.ledger.checkpoints import Checkpoints
from service.ledger.reading import Reading
from service.ledger.store import Line

_SHOWS = (
    "This shows: entry {index} of the log {origin}, with exactly these bytes, was in it when it had {size}"
    " entries; the holder of the key {key_id} signed that."
)
NOT_SHOWN = (
    "Not shown by this: that the provider charged what the entry says, that what it says is true,"
    " or that nobody else was shown another log."
)
_SIGNS = "Start the service once, `exai serve`: it signs what a crash left unsigned, or says why it does not."
WAIT_S = 3.0
_POLL_S = 0.05


class Vouched(msgspec.Struct, frozen=True):
    """A checkpoint whose signature holds, the text that says it, and the key that signed it."""

    note: str
    checkpoint: Checkpoint
    verifier: VerifierKey


def newest(checkpoints: Checkpoints, origin: str) -> Vouched | None:
    """Give the newest checkpoint of a log that was kept; None if none was, or none over any entry.

    Raises:
        StoreError: it or its key cannot be read.
        StoreBrokenError: the one is not signed by the other.
    """
    note, key = checkpoints.read(origin), checkpoints.public_key(origin)
    if note is None or key is None:
        return None
    try:
        verifier = VerifierKey.parse(key)
        checkpoint = opened(note, verifier)
    except (NoteError, ValueError) as error:
        raise StoreBrokenError(
            f"what {checkpoints.folder} holds of {origin} does not hold: {error}",
            remedy="Run `exai ledger verify`.",
        ) from error
    return Vouched(note, checkpoint, verifier) if checkpoint.size else None


def covering(
    checkpoints: Checkpoints, origin: str, size: int, *, wait_s: float = WAIT_S
) -> tuple[Vouched | None, StoreError | None]:
    """Give a checkpoint over at least `size` entries: the newest, or one that a service signs within its second.

    Nothing is signed here: who only reads must leave the folder as it is.

    Returns:
        The newest checkpoint there is, and why it is over fewer entries, if it is.

    Raises:
        StoreError: what is kept cannot be read.
    """
    ends_at = time.monotonic() + wait_s
    while True:
        found = newest(checkpoints, origin)
        if found is not None and found.checkpoint.size >= size:
            return found, None
        if time.monotonic() >= ends_at:
            said = "no checkpoint of it is kept" if found is None else "nothing has signed them yet"
            return found, StoreError(f"{said} in {checkpoints.folder}", remedy=_SIGNS)
        time.sleep(_POLL_S)


def told(vouched: Vouched, index: int) -> tuple[str, str]:
    """Say in one sentence each what the proof of an entry shows, and what it does not."""
    checkpoint, key_id = vouched.checkpoint, vouched.verifier.key_id.hex()
    shown = _SHOWS.format(index=index, origin=checkpoint.origin, size=checkpoint.size, key_id=key_id)
    return shown, NOT_SHOWN


def proof_of(reading: Reading, vouched: Vouched, index: int) -> str:
    """Write the proof of an entry that a checkpoint covers.

    Raises:
        StoreError: the log cannot be read.
        StoreBrokenError: the log is not the one that was signed; no proof can be written of it.
    """
    size = vouched.checkpoint.size
    try:
        with reading.snapshot():
            line, hashes = reading.line(index), reading.hashes(size)
            if line is None:
                raise ValueError(f"there is no entry {index}")  # noqa: TRY301 - one way out for all
            path = inclusion_path(index, size, hashes)
        text = written(Proof(index, path, vouched.note, line.entry))
        check(text, line.entry, vouched.verifier)
    except (ProofError, ValueError) as error:
        raise StoreBrokenError(
            f"entry {index} cannot be proved: {error}", remedy="Run `exai ledger verify`; it names what is wrong."
        ) from error
    return text


def latest_of_each(lines: Sequence[Line]) -> list[int]:
    """Choose what to prove of some lines: of each attempt its latest entry, which receipts name; else the last."""
    latest: dict[str, int] = {}
    for line in lines:
        entry = entries.decode(line.entry)
        attempt_id: str | None = getattr(entry, "attempt_id", None)
        if attempt_id is not None and not isinstance(entry, AcceptedEntry):
            latest[attempt_id] = line.index
    return sorted(latest.values()) or [lines[-1].index]
