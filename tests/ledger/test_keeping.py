"""A copy is one moment of the log, verified, without a secret, and never in the place of anything."""

import asyncio
import gzip
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest

from service.core.note import VerifierKey
from service.errors import StoreBrokenError, StoreError
from service.ledger import keeping
from service.ledger.checkpoints import Checkpoints
from service.ledger.judging import judge
from service.ledger.keeping import Kept, archive, back_up
from service.ledger.keyfile import FILE_NAME as KEY_NAME
from service.ledger.reading import Reading
from service.ledger.sources import open_export_source, open_store_source
from service.ledger.sqlite import FILE_NAME
from tests.custody import Custody, custody

if TYPE_CHECKING:
    from tests.ledger.conftest import Lives

Keep = Callable[[Path, Checkpoints, Path], Kept]
NAMES: dict[Keep, str] = {back_up: "copy", archive: "log.jsonl.gz"}
CALLS = 100


@pytest.fixture
async def kept(tmp_path: Path, lives: "Lives") -> Custody:
    """A log of some calls, at rest and signed."""
    kept = custody(tmp_path)
    async with kept.writing() as ledger:
        await asyncio.gather(
            *(ledger.append(*lives.opening(number), *lives.ending(number)) for number in range(CALLS))
        )
    return kept


@pytest.fixture(params=[back_up, archive], ids=["backup", "archive"])
def keep(request: pytest.FixtureRequest) -> Keep:
    """Either way to keep a copy."""
    found: Keep = request.param
    return found


def bytes_of(target: Path) -> bytes:
    """Give all bytes of a copy."""
    files = sorted(target.iterdir()) if target.is_dir() else [target]
    return b"".join(
        path.read_bytes() if path.suffix != ".gz" else gzip.decompress(path.read_bytes()) for path in files
    )


def whole(target: Path, key: str) -> int:
    """Judge a copy by a key alone; give how many entries are covered."""
    verifier = VerifierKey.parse(key)
    nowhere = target.parent / "nowhere"
    if target.is_dir():
        with open_store_source(target, nowhere) as source:
            judged = judge(source, key=verifier)
    else:
        with open_export_source(target, compressed=True) as source:
            judged = judge(source, key=verifier)
    assert () == judged.problems
    return judged.covered


def test_a_copy_holds_every_entry(kept: Custody, keep: Keep, tmp_path: Path) -> None:
    """It is verified whole, with nothing but the public key, and says what it holds."""
    target = tmp_path / NAMES[keep]
    told = keep(kept.data, kept.checkpoints, target)
    count = len(kept.entries)
    assert (count, count, 0, kept.origin) == (told.entries, told.covered, told.left_out, told.origin)
    assert count == whole(target, told.public_key)
    assert all(entry in bytes_of(target) for entry in kept.entries)
    assert kept.look(lambda reading: reading.tree().root.hex()) == told.root
    assert NAMES[keep] == told.where
    assert 0 == stat.S_IMODE(target.stat().st_mode) & 0o077


def test_a_copy_holds_no_secret(kept: Custody, keep: Keep, tmp_path: Path) -> None:
    """The signing key stays where it is, in whatever form; so does what else lies in the data folder."""
    (kept.data / "working.sqlite3").write_bytes(b"a text that somebody wrote")
    keep(kept.data, kept.checkpoints, tmp_path / NAMES[keep])
    held = bytes_of(tmp_path / NAMES[keep])
    assert (kept.data / KEY_NAME).read_bytes().strip() not in held
    assert b"somebody wrote" not in held


def test_a_backup_is_complete_in_itself(kept: Custody, tmp_path: Path) -> None:
    """Its file needs no other beside it, and is read where nothing may be written; the README names its files."""
    back_up(kept.data, kept.checkpoints, tmp_path / "copy")
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert {FILE_NAME, "checkpoint", "public.key", "README.txt"} == names
    readme = (tmp_path / "copy" / "README.txt").read_text()
    assert all(name in readme for name in names - {"README.txt"})
    assert str(tmp_path) not in readme
    connection = apsw.Connection(f"file:{tmp_path}/copy/{FILE_NAME}?immutable=1", flags=apsw.SQLITE_OPEN_URI | 1)
    assert "delete" == connection.pragma("journal_mode")
    assert "ok" == connection.pragma("integrity_check")
    connection.close()


def test_an_archive_is_the_same_for_the_same_log(
    kept: Custody, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither time nor name is in its bytes."""
    for at, name in enumerate(("a.gz", "b.gz")):
        monkeypatch.setattr("time.time", lambda at=at: 1e9 + at)
        archive(kept.data, kept.checkpoints, tmp_path / name)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@pytest.mark.parametrize("name", ["there", "there/below/deep", "file"])
def test_a_copy_replaces_nothing(kept: Custody, keep: Keep, tmp_path: Path, name: str) -> None:
    """What is there stays as it is, and nothing unfinished is left."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    before = sorted(path for path in tmp_path.rglob("*") if kept.data not in path.parents)
    with pytest.raises(StoreError, match=r"is there already|cannot be written") as caught:
        keep(kept.data, kept.checkpoints, tmp_path / name)
    assert caught.value.remedy.startswith("Name a ")
    assert before == sorted(path for path in tmp_path.rglob("*") if kept.data not in path.parents)
    assert "mine" == (tmp_path / "file").read_text()


async def test_a_copy_is_one_moment_while_others_write(
    kept: Custody, keep: Keep, lives: "Lives", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries come between any two steps; the copy ends all the same, and is the beginning of the log."""
    monkeypatch.setattr(keeping, "_PAGES_PER_STEP", 1)
    loop, copied = asyncio.get_running_loop(), asyncio.Event()
    async with kept.writing(pause_s=0.01) as ledger:

        async def write() -> int:
            number = CALLS
            while not copied.is_set():
                await ledger.append(*lives.opening(number), *lives.ending(number))
                number += 1
            return number - CALLS

        writing = asyncio.create_task(write())
        told = await loop.run_in_executor(None, keep, kept.data, kept.checkpoints, tmp_path / NAMES[keep])
        copied.set()
        assert 0 < await writing
    assert told.covered >= 4 * CALLS
    assert told.covered == whole(tmp_path / NAMES[keep], told.public_key)
    assert told.entries < len(kept.entries)


async def test_what_no_checkpoint_covers_is_told(
    kept: Custody, lives: "Lives", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash the newest entries are not signed: a backup has them and tells, an archive leaves them out."""
    monkeypatch.setattr(keeping, "COVERED_WITHIN_S", 0)
    note = kept.checkpoints.read(kept.origin)
    assert note is not None
    before = len(kept.entries)
    await kept.write(*lives.opening(CALLS), *lives.ending(CALLS))
    kept.checkpoints.keep(kept.origin, note)  # as if it had died before it signed
    later = len(kept.entries) - before
    told = back_up(kept.data, kept.checkpoints, tmp_path / "copy")
    assert (before + later, before, 0) == (told.entries, told.covered, told.left_out)
    told = archive(kept.data, kept.checkpoints, tmp_path / "log.gz")
    assert (before, before, later) == (told.entries, told.covered, told.left_out)


def test_a_log_without_a_checkpoint_is_not_copied(kept: Custody, keep: Keep, tmp_path: Path) -> None:
    """Nothing could show later what it was; the remedy names the setting."""
    with pytest.raises(StoreError, match="holds no checkpoint of this log") as caught:
        keep(kept.data, Checkpoints(tmp_path / "other"), tmp_path / NAMES[keep])
    assert "EXAI_CHECKPOINTS_DIR" in caught.value.remedy
    assert not (tmp_path / NAMES[keep]).exists()


def test_a_folder_without_a_ledger_has_no_copy(keep: Keep, tmp_path: Path) -> None:
    """It is told that there is nothing."""
    with pytest.raises(StoreError, match="holds no ledger"):
        keep(tmp_path, Checkpoints(tmp_path / "apart"), tmp_path / NAMES[keep])


def test_a_damaged_log_makes_no_copy(kept: Custody, keep: Keep, tmp_path: Path) -> None:
    """What is read again is not what was signed: the first bad entry is named, and the copy is taken away."""
    connection = apsw.Connection(str(kept.data / FILE_NAME))
    connection.execute("DROP TRIGGER entries_never_change")
    connection.execute(
        "UPDATE entries SET entry = CAST(replace(entry, 'chat', 'chut') AS BLOB) WHERE \"index\" = 41"
    )
    connection.close()
    with pytest.raises(StoreBrokenError, match="entry 41: ") as caught:
        keep(kept.data, kept.checkpoints, tmp_path / NAMES[keep])
    assert "exai ledger verify" in caught.value.remedy
    left = tmp_path / NAMES[keep]
    assert not left.exists() or [] == list(left.iterdir())


def test_a_full_disk_leaves_nothing(
    kept: Custody, keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that cannot be made durable is none."""

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        keep(kept.data, kept.checkpoints, tmp_path / NAMES[keep])
    left = tmp_path / NAMES[keep]
    assert not left.exists() or [] == list(left.iterdir())


def test_the_copy_is_read_again(kept: Custody, tmp_path: Path) -> None:
    """A reader of ours reads the backup as it reads a data folder."""
    told = back_up(kept.data, kept.checkpoints, tmp_path / "copy")
    reading = Reading(tmp_path / "copy")
    assert told.entries == reading.head().next_index
    assert kept.entries == [line.entry for line in reading.lines()]
    reading.close()
