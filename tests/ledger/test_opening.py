"""A log is opened only if it is the one that was signed last, or if somebody adopts it."""

import os
import secrets
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest

from service.core.entries import ADOPT, ActionEntry, SystemEntry
from service.core.merkle import CompactRange
from service.core.note import Checkpoint, SigningKey, VerifierKey, opened, signed
from service.errors import RolledBackError, StoreBrokenError, StoreError
from service.ledger import keyfile
from service.ledger.checkpoints import Checkpoints
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.opening import adopt, open_store
from service.ledger.reading import Reading
from service.ledger.sources import read_notes
from service.ledger.sqlite import FILE_NAME
from service.ledger.verify import verify
from service.ledger.writer import Append, Writer
from tests.conftest import AT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.ledger.conftest import Lives, Ticking


class Desk:
    """A data folder and its checkpoints, written to by one start after the other."""

    def __init__(self, root: Path, lives: "Lives", clock: "Ticking") -> None:
        self.data, self.checkpoints = root / "data", Checkpoints(root / "apart")
        self._lives, self._clock = lives, clock

    async def run(self, *numbers: int) -> None:
        """Start, write calls, stop."""
        made = open_store(self.data, self.checkpoints, entropy=secrets.token_bytes)
        made.notary.start()
        feed = Feed((), reread=lambda *_: (), next_index=made.store.next_index)
        feed.start()
        ledger = Ledger(Writer(made.store), feed, clock=self._clock, notary=made.notary)
        await ledger.start({})
        for number in numbers:
            await ledger.append(*self._lives.opening(number), *self._lives.ending(number))
        await ledger.close()

    async def adopt(self) -> dict[str, str]:
        """Take the log as it is, and write that down."""
        made, detail = adopt(self.data, self.checkpoints, entropy=secrets.token_bytes)
        made.notary.start()
        feed = Feed((), reread=lambda *_: (), next_index=made.store.next_index)
        feed.start()
        ledger = Ledger(Writer(made.store), feed, clock=self._clock, notary=made.notary)
        ledger_is_up = ledger.start({}, ActionEntry(action=ADOPT, by="anna", detail=detail))
        await ledger_is_up
        await ledger.close()
        return detail

    def note(self) -> str:
        """Give the newest checkpoint of the log that is there."""
        note = self.checkpoints.read(self.origin())
        assert note is not None
        return note

    def origin(self) -> str:
        """Name the log that is there."""
        reading = Reading(self.data)
        try:
            return reading.head().origin
        finally:
            reading.close()


@pytest.fixture
def desk(tmp_path: Path, lives: "Lives", clock: "Ticking") -> Desk:
    """A data folder that does not exist yet."""
    return Desk(tmp_path, lives, clock)


async def test_the_stop_signs_all_that_was_written(desk: Desk) -> None:
    """The newest checkpoint covers the last entry, holds by the public key alone, and states the log's root."""
    await desk.run(1, 2)
    reading = Reading(desk.data)
    head, tree = reading.head(), reading.tree()
    reading.close()
    public = desk.checkpoints.public_key(head.origin)
    assert public is not None
    checkpoint = opened(desk.note(), VerifierKey.parse(public))
    assert (head.origin, head.next_index, tree.root) == (checkpoint.origin, checkpoint.size, checkpoint.root)
    assert 0 == tree.size - head.next_index


async def test_a_second_start_takes_the_same_log_up(desk: Desk) -> None:
    """Key and origin stay, and the newer checkpoint begins with the older one's entries."""
    await desk.run(1)
    first, key = desk.note(), keyfile.read(desk.data)
    await desk.run(2)
    assert key == keyfile.read(desk.data)
    assert first.splitlines()[0] == desk.note().splitlines()[0]
    assert int(first.splitlines()[1]) < int(desk.note().splitlines()[1])


def test_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    """The file is readable by nobody else, and is made once."""
    seed = keyfile.create(tmp_path, secrets.token_bytes)
    assert (seed, 0o600) == (keyfile.read(tmp_path), (tmp_path / keyfile.FILE_NAME).stat().st_mode & 0o777)
    with pytest.raises(StoreError, match="cannot be written"):
        keyfile.create(tmp_path, secrets.token_bytes)


@pytest.mark.parametrize("text", [b"", b"no base64", b"c2hvcnQ=\n", b"\xff"])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, text: bytes) -> None:
    """Nothing is signed with what is no key; the error says what to do."""
    (tmp_path / keyfile.FILE_NAME).write_bytes(text)
    with pytest.raises(StoreError, match=r"no key|cannot be read") as caught:
        keyfile.read(tmp_path)
    assert "adopt" in caught.value.remedy


def _yesterday(desk: Desk, copy: Path) -> None:
    shutil.rmtree(desk.data)
    shutil.copytree(copy, desk.data)


def _keyless(desk: Desk, _copy: Path) -> None:
    (desk.data / keyfile.FILE_NAME).unlink()


def _other_key(desk: Desk, _copy: Path) -> None:
    (desk.data / keyfile.FILE_NAME).unlink()
    keyfile.create(desk.data, secrets.token_bytes)


def _no_checkpoints(desk: Desk, _copy: Path) -> None:
    shutil.rmtree(desk.checkpoints.folder)


def _rewritten_note(desk: Desk, _copy: Path) -> None:
    size = desk.note().splitlines()[1]
    desk.checkpoints.keep(desk.origin(), desk.note().replace(f"\n{size}\n", f"\n{int(size) - 1}\n", 1))


def _other_past(desk: Desk, _copy: Path) -> None:
    """Sign another root by the right key, as a log with another past would have."""
    seed, origin = keyfile.read(desk.data), desk.origin()
    assert seed is not None
    key = SigningKey(origin, seed)
    stated = opened(desk.note(), key.verifier)
    desk.checkpoints.keep(origin, signed(type(stated)(origin, stated.size, bytes(32)), key))


REFUSED: "dict[str, tuple[Callable[[Desk, Path], None], str]]" = {
    "yesterday's copy": (_yesterday, r"has \d+ entries; \d+ were signed: it is an older copy"),
    "no key": (_keyless, "is gone"),
    "another key": (_other_key, "does not hold"),
    "no checkpoints": (_no_checkpoints, "holds no checkpoint of this log, and there was one"),
    "a checkpoint that was changed": (_rewritten_note, "does not hold"),
    "another past": (_other_past, "are not those that were signed"),
}


@pytest.mark.parametrize("how", REFUSED)
async def test_another_log_than_was_signed_is_refused_until_it_is_adopted(
    desk: Desk, tmp_path: Path, how: str
) -> None:
    """The refusal says why and what to do; an adopted log goes on under a new origin, and verifies whole."""
    await desk.run(1)
    shutil.copytree(desk.data, tmp_path / "copy")
    await desk.run(2)
    change, why = REFUSED[how]
    change(desk, tmp_path / "copy")
    with pytest.raises(RolledBackError, match=why):
        await desk.run(3)
    with pytest.raises(RolledBackError, match=why) as caught:  # it is as true the second time
        await desk.run(3)
    assert "exai ledger adopt" in caught.value.remedy
    before = desk.origin()
    detail = await desk.adopt()
    assert before == detail["origin_before"] != desk.origin()
    await desk.run(4)
    reading = Reading(desk.data)
    assert None is verify(reading.lines()).first
    reading.close()


async def test_entries_after_the_checkpoint_are_held_to_their_hashes(desk: Desk) -> None:
    """A crash leaves entries that no checkpoint covers; the start looks at the bytes of each."""
    await desk.run(1)
    origin, note = desk.origin(), desk.note()
    await desk.run(2)
    desk.checkpoints.keep(origin, note)  # as if the service had died before it signed again
    connection = apsw.Connection(str(desk.data / FILE_NAME))
    connection.execute("DROP TRIGGER entries_never_change")
    changed = "CAST(replace(entry, 'chat', 'chut') AS BLOB)"
    last = "(SELECT max(\"index\") FROM entries WHERE kind = 'tool_call')"
    connection.execute(f'UPDATE entries SET entry = {changed} WHERE "index" = {last}')  # noqa: S608 - our own words
    connection.close()
    with pytest.raises(StoreBrokenError, match="is not the one that was written"):
        await desk.run(3)


def test_a_checkpoint_is_durable_before_it_takes_the_place_of_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes are synced, it gets its name, the folder is synced: a power cut leaves one or the other."""
    said: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        said.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        said.append("name")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    Checkpoints(tmp_path).keep("exai/a", "note\n")
    assert ["file", "name", "folder"] == said


async def test_bytes_that_changed_after_the_checkpoint_are_refused(desk: Desk) -> None:
    """What was not signed yet is held to the leaf hashes beside it."""
    await desk.run(1)
    connection = apsw.Connection(str(desk.data / FILE_NAME))
    connection.execute("DROP TRIGGER entries_never_change")
    connection.execute(
        "UPDATE entries SET entry = CAST(replace(entry, 'chat', 'chut') AS BLOB) WHERE kind = 'tool_call'"
    )
    connection.execute("DELETE FROM meta WHERE key = 'checkpointed'")
    connection.close()
    shutil.rmtree(desk.checkpoints.folder)  # as if none had ever been kept: all bytes are looked at
    with pytest.raises(StoreBrokenError, match=r"entry 1 of .* is not the one that was written"):
        await desk.run(2)


def _unsigned(desk: Desk) -> None:
    """Write as a service that is killed between its first commit and its first checkpoint."""
    made = open_store(desk.data, desk.checkpoints, entropy=secrets.token_bytes)
    writer = Writer(made.store)
    assert (None,) * 2 == (made.notary.latest, desk.checkpoints.read(made.store.origin))
    assert not isinstance(writer.write([Append((SystemEntry(event="start", detail={}),), AT)])[0], Exception)
    made.store.close()


async def test_nothing_is_signed_of_an_empty_log(desk: Desk) -> None:
    """A checkpoint over no entry would hold for every log of that name: not kept, not witnessed."""
    desk.checkpoints = Checkpoints(desk.checkpoints.folder, witness=desk.data.with_name("witness"))
    open_store(desk.data, desk.checkpoints, entropy=secrets.token_bytes).store.close()
    assert None is desk.checkpoints.read(desk.origin())
    assert b"" == desk.data.with_name("witness").read_bytes()
    await desk.run(1)
    assert "\n0\n" not in desk.data.with_name("witness").read_text()


async def test_a_first_start_that_died_before_its_first_checkpoint_starts_again(desk: Desk) -> None:
    """What is there is signed, and from then on a checkpoint must be there."""
    _unsigned(desk)
    made = open_store(desk.data, desk.checkpoints, entropy=secrets.token_bytes)
    made.store.close()
    assert "1" == desk.note().splitlines()[1]
    shutil.rmtree(desk.checkpoints.folder)
    with pytest.raises(RolledBackError, match="and there was one"):
        await desk.run(1)


async def test_a_checkpoint_over_no_entry_vouches_for_no_log(desk: Desk) -> None:
    """It was signed by an earlier version; put in the place of the newest, it would let any past through."""
    await desk.run(1)
    seed, origin = keyfile.read(desk.data), desk.origin()
    assert seed is not None
    empty = Checkpoint(origin, 0, CompactRange().root)
    desk.checkpoints.keep(origin, signed(empty, SigningKey(origin, seed)))
    with pytest.raises(RolledBackError, match="covers no entry"):
        await desk.run(2)


async def test_a_new_log_under_a_key_that_signed_another_is_refused_until_it_is_adopted(desk: Desk) -> None:
    """The ledger's file is gone: the start does not make a fresh one as if nothing had been."""
    await desk.run(1)
    before = desk.origin()
    for path in desk.data.glob(f"{FILE_NAME}*"):
        path.unlink()
    for _ in range(2):
        with pytest.raises(RolledBackError, match=before) as caught:
            await desk.run(2)
        assert "exai ledger adopt" in caught.value.remedy
    await desk.adopt()
    await desk.run(2)


@pytest.mark.parametrize("died", ["before the log", "before an entry"])
async def test_a_first_start_that_died_after_the_key_was_made_starts_again(desk: Desk, died: str) -> None:
    """No checkpoint by that key was ever kept, so nothing is missing."""
    open_store(desk.data, desk.checkpoints, entropy=secrets.token_bytes).store.close()
    if died == "before the log":
        for path in desk.data.glob(f"{FILE_NAME}*"):
            path.unlink()
    key = keyfile.read(desk.data)
    await desk.run(1)
    assert key == keyfile.read(desk.data)


@pytest.mark.parametrize("torn", [b"", b"c2hvcnQ=\n"])
async def test_a_torn_key_of_a_log_that_was_never_signed_is_made_anew(desk: Desk, torn: bytes) -> None:
    """A power cut in the first start does not need somebody who knows; what was there is moved aside."""
    _unsigned(desk)
    (desk.data / keyfile.FILE_NAME).write_bytes(torn)
    await desk.run(1)
    assert keyfile.read(desk.data) is not None
    assert torn == (desk.data / f"{keyfile.FILE_NAME}.aside-1").read_bytes()


async def test_a_torn_key_of_a_signed_log_is_refused_until_it_is_adopted(desk: Desk) -> None:
    """The adopted log goes on with a new key."""
    await desk.run(1)
    (desk.data / keyfile.FILE_NAME).write_bytes(b"torn")
    with pytest.raises(RolledBackError, match="holds no key"):
        await desk.run(2)
    await desk.adopt()
    await desk.run(2)
    assert b"torn" == (desk.data / f"{keyfile.FILE_NAME}.aside-1").read_bytes()


def test_a_key_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What dies while it is made leaves no key; the next attempt makes one."""

    def dies(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", dies)
        with pytest.raises(StoreError, match="No space left"):
            keyfile.create(tmp_path, secrets.token_bytes)
    assert None is keyfile.read(tmp_path)
    assert keyfile.create(tmp_path, secrets.token_bytes) == keyfile.read(tmp_path)


def test_checkpoints_that_cannot_be_kept_stop_the_start(tmp_path: Path) -> None:
    """Without a place for checkpoints nothing is written; the error names the setting."""
    (tmp_path / "apart").write_text("a file")
    with pytest.raises(StoreError, match="cannot be made") as caught:
        open_store(tmp_path / "data", Checkpoints(tmp_path / "apart"), entropy=secrets.token_bytes)
    assert "EXAI_CHECKPOINTS_DIR" in caught.value.remedy


def test_a_witness_gets_every_checkpoint(tmp_path: Path) -> None:
    """The folder keeps the newest one, the witness all of them."""
    checkpoints = Checkpoints(tmp_path, witness=tmp_path / "witness")
    for text in ("first\n", "second\n"):
        checkpoints.keep("exai/a", text)
    assert ("second\n", "first\n\nsecond\n\n") == (checkpoints.read("exai/a"), (tmp_path / "witness").read_text())
    assert None is checkpoints.read("exai/b")


@pytest.mark.parametrize(
    "torn", ["exai/a\n1", "exai/a\n1\n", "exai/a\n1\nroot\n\n", "exai/a\n1\nroot\n\n— exai/a AA"]
)
def test_a_note_that_was_torn_does_not_spoil_the_next(tmp_path: Path, torn: str) -> None:
    """A full disk cut the last one: the next begins behind an empty line, and alone counts."""
    witness = tmp_path / "witness"
    key = SigningKey("exai/a", bytes(32))
    whole = signed(Checkpoint("exai/a", 7, bytes(32)), key)
    witness.write_text(torn)
    Checkpoints(tmp_path / "apart", witness=witness).prepare()
    Checkpoints(tmp_path / "apart", witness=witness).keep("exai/a", whole)
    assert [None, whole] == list(read_notes(witness))


def test_a_witness_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    """It is tried before anything is written; the error names the setting."""
    with pytest.raises(StoreError, match="witness file") as caught:
        Checkpoints(tmp_path, witness=tmp_path / "nowhere" / "witness").prepare()
    assert "EXAI_WITNESS_FILE" in caught.value.remedy
