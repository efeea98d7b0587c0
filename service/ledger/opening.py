"""Opening: the embedded store, its signing key, and the comparison with the newest checkpoint that was kept apart.

What cannot be the log that was signed is refused: a copy of yesterday, a log with another past, a missing key.
Who knows why it is so may `adopt` it: the log goes on under a new origin, so nothing that was signed before is
contradicted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from service.core import entries
from service.core.merkle import leaf_hash
from service.core.note import Checkpoint, NoteError, SigningKey, opened, signed
from service.errors import RolledBackError, StoreBrokenError, StoreError
from service.ledger import keyfile
from service.ledger.checkpoints import Checkpoints
from service.ledger.notary import Notary, Signed
from service.ledger.sqlite import SqliteStore
from service.ledger.store import Line

_CHECKPOINTED = "checkpointed"
_ID_BYTES = 16
_NAMED_MAX = 3


@dataclass(frozen=True)
class Opened:
    """A store that may be written to, and who signs its tree."""

    store: SqliteStore
    notary: Notary


def new_origin(entropy: Callable[[int], bytes]) -> str:
    """Make up an identity for a log."""
    return f"exai/{entropy(_ID_BYTES).hex()}"


def open_store(
    folder: Path, checkpoints: Checkpoints, *, entropy: Callable[[int], bytes], vfs: str | None = None
) -> Opened:
    """Open the ledger of a data folder for writing.

    Raises:
        RolledBackError: it is not the log that was signed last.
        StoreError: it cannot be used.
    """
    store = SqliteStore(folder, new_origin=new_origin(entropy), vfs=vfs)
    try:
        checkpoints.prepare()
        _check_past(store, folder, checkpoints)
        return _ready(store, folder, checkpoints, entropy)
    except BaseException:
        store.close()
        raise


def adopt(
    folder: Path, checkpoints: Checkpoints, *, entropy: Callable[[int], bytes]
) -> tuple[Opened, dict[str, str]]:
    """Take a log as it is, under a new origin, whatever was signed before.

    Until the entry about it is written, the log is refused as before: it would go on without a word.

    Returns:
        The store, and what the entry about it must say.

    Raises:
        StoreError: it cannot be used, or is the log that was signed last, which needs no adoption.
    """
    store = SqliteStore(folder, new_origin=new_origin(entropy))
    try:
        checkpoints.prepare()
        _refuse_sound(store, folder, checkpoints)
        before = _origin_written(store) or store.origin
        detail = {
            "origin_before": before,
            "size": str(store.tree.range.size),
            "root": store.tree.range.root.hex(),
            "checkpoint_before": (checkpoints.read(before) or "none").strip(),
        }
        store.note("origin", new_origin(entropy))
        store.note(_CHECKPOINTED, "")
        if not _readable(folder):
            keyfile.set_aside(folder)
        return _ready(store, folder, checkpoints, entropy), detail
    except BaseException:
        store.close()
        raise


def _check_past(store: SqliteStore, folder: Path, checkpoints: Checkpoints) -> None:
    """Compare the log with the newest checkpoint, then its end with the hashes that stand beside it."""
    written = _origin_written(store)
    if written not in (None, store.origin):
        _refuse(f"the log in {folder} was to go on as {store.origin}, but {written} wrote it: adopt did not end")
    note = checkpoints.read(store.origin)
    if note is None and not store.noted(_CHECKPOINTED):
        _check_unsigned(store, folder, checkpoints)
        return
    if note is None:
        _refuse(f"{checkpoints.folder} holds no checkpoint of this log, and there was one")
    try:
        seed = keyfile.read(folder)
    except StoreError as error:
        _refuse(error.message)
    if seed is None:
        _refuse(f"the key {folder / keyfile.FILE_NAME} is gone")
    try:
        checkpoint = opened(note, SigningKey(store.origin, seed).verifier)
    except NoteError as error:
        _refuse(f"the newest checkpoint in {checkpoints.folder} does not hold: {error}")
    if store.next_index and not checkpoint.size:
        _refuse(f"the newest checkpoint in {checkpoints.folder} covers no entry; the log has {store.next_index}")
    if checkpoint.size > store.next_index:
        _refuse(
            f"the log in {folder} has {store.next_index} entries; {checkpoint.size} were signed:"
            " it is an older copy, or its end was cut off"
        )
    if store.range_at(checkpoint.size).root != checkpoint.root:
        _refuse(f"the first {checkpoint.size} entries of the log in {folder} are not those that were signed")
    _check_bytes(store, checkpoint.size)


def _check_unsigned(store: SqliteStore, folder: Path, checkpoints: Checkpoints) -> None:
    """Look at a log of which no checkpoint was ever kept: it is new, or died before its first one."""
    _check_bytes(store, 0)
    seed = None if keyfile.is_torn(folder) else keyfile.read(folder)
    if seed is None:
        return
    others = checkpoints.origins_of(SigningKey(store.origin, seed).verifier.public)
    if others:
        _refuse(
            f"nothing of the log in {folder} was ever signed, but its key signed another that is not there:"
            f" {', '.join(others[:_NAMED_MAX])}"
        )


def _origin_written(store: SqliteStore) -> str | None:
    """Say under which origin the last entry was written; None if there is none."""
    for line in store.lines(max(0, store.next_index - 1)):
        try:
            return entries.decode(line.entry).origin
        except ValueError as error:
            raise _damaged(store, line, str(error)) from error
    return None


def _refuse_sound(store: SqliteStore, folder: Path, checkpoints: Checkpoints) -> None:
    """Refuse to adopt what needs no adoption: a new origin cuts it off from all that was signed."""
    try:
        _check_past(store, folder, checkpoints)
    except RolledBackError:
        return
    raise StoreError(
        f"the log in {folder} is the one that was signed last: there is nothing to adopt",
        remedy="Start the service: `exai serve`.",
    )


def _check_bytes(store: SqliteStore, first: int) -> None:
    for line in store.lines(first):
        if leaf_hash(line.entry) != line.leaf_hash:
            raise _damaged(store, line, "it is not the one that was written: its leaf hash differs")


def _damaged(store: SqliteStore, line: Line, why: str) -> StoreBrokenError:
    return StoreBrokenError(
        f"entry {line.index} of {store.path} cannot be read: {why}",
        remedy="Run `exai ledger verify`, then restore a backup.",
    )


def _ready(store: SqliteStore, folder: Path, checkpoints: Checkpoints, entropy: Callable[[int], bytes]) -> Opened:
    """Have a key, and a checkpoint over what is there, before anything is written.

    Of an empty log nothing is ever signed: such a checkpoint would hold for every log of that name. The notary
    signs the first entry; that there is a checkpoint is noted at the next start, which finds or makes it.
    """
    if keyfile.is_torn(folder):  # never signed with: whatever was signed is refused before
        keyfile.set_aside(folder)
    key = SigningKey(store.origin, keyfile.read(folder) or keyfile.create(folder, entropy))
    tree, kept = store.tree.range, None
    try:
        checkpoints.keep_public_key(store.origin, key.verifier.text)
        if tree.size:
            checkpoint = Checkpoint(store.origin, tree.size, tree.root)
            kept = Signed(checkpoint, signed(checkpoint, key))
            checkpoints.keep(store.origin, kept.note)
    except OSError as error:
        raise StoreError(
            f"no checkpoint can be kept in {checkpoints.folder}: {error.strerror}",
            remedy="Free space there, or set EXAI_CHECKPOINTS_DIR to another folder.",
        ) from error
    if kept is not None:
        store.note(_CHECKPOINTED, "yes")
    return Opened(store, Notary(key, lambda text: checkpoints.keep(store.origin, text), signed=kept))


def _readable(folder: Path) -> bool:
    try:
        keyfile.read(folder)
    except StoreError:
        return False
    return True


def _refuse(why: str) -> NoReturn:
    raise RolledBackError(
        why,
        remedy="Restore the data folder and the checkpoints that belong to it (EXAI_CHECKPOINTS_DIR). If you know"
        " why it is so, `exai ledger adopt --why TEXT` takes the log as it is, under a new origin, and notes it.",
    )
