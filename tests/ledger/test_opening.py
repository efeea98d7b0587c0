"""A log is opened only if it is the one that was signed last, or if somebody adopts it."""

import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest

from service.core.entries import ADOPT, ActionEntry
from service.core.note import SigningKey, VerifierKey, opened, signed
from service.errors import RolledBackError, StoreBrokenError, StoreError
from service.ledger import keyfile
from service.ledger.checkpoints import Checkpoints
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.opening import adopt, open_store
from service.ledger.reading import Reading
from service.ledger.sqlite import FILE_NAME
from service.ledger.verify import verify
from service.ledger.writer import Writer

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
