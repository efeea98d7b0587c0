"""The store on disk: one folder, one writer, and entries that SQL itself cannot change."""

import asyncio
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest

from service.core.entries import SystemEntry
from service.errors import LedgerFailedError, StoreBrokenError, StoreError, StoreFullError, StoreLockedError
from service.ledger.choosing import CallFilter
from service.ledger.reading import Reading
from service.ledger.schema import SCHEMA_VERSION
from service.ledger.sqlite import FILE_NAME, SqliteStore
from service.ledger.verify import compare_rows, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.ledger.conftest import Full, Lives, Opened

ROOT = Path(__file__).parents[2]
OPEN_AND_SAY = """
import pathlib, sys
from service.errors import StoreError
from service.ledger.sqlite import SqliteStore
try:
    SqliteStore(pathlib.Path(sys.argv[1]), new_origin="other")
except StoreError as error:
    sys.exit(error.code)
"""


def open_store(folder: Path) -> SqliteStore:
    """Open the folder's store."""
    return SqliteStore(folder, new_origin="exai/test")


def test_a_second_process_is_refused(folder: Path) -> None:
    """Another process that opens the folder is told that it is in use."""
    store = open_store(folder)
    command = [sys.executable, "-c", OPEN_AND_SAY, str(folder)]
    there = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (1, "store_locked") == (there.returncode, there.stderr.strip())
    store.close()


def test_what_is_written_is_private_and_synced(folder: Path) -> None:
    """Folder and file belong to their user alone; the log is write-ahead and synced; no schema is trusted."""
    store = open_store(folder)
    assert [0o700, 0o600] == [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / FILE_NAME)]
    pragma = store._connection.pragma
    assert ("wal", 2, 1) == (pragma("journal_mode"), pragma("synchronous"), pragma("fullfsync"))
    assert 0 == pragma("trusted_schema")
    store.close()


def test_a_later_version_is_refused(folder: Path) -> None:
    """A file of a later schema is not touched, and the lock is given back."""
    open_store(folder).close()
    connection = apsw.Connection(str(folder / FILE_NAME))
    connection.pragma("user_version", SCHEMA_VERSION + 1)
    for _ in range(2):
        with pytest.raises(StoreError, match=f"schema version {SCHEMA_VERSION + 1}") as caught:
            open_store(folder)
        assert not isinstance(caught.value, StoreLockedError | StoreBrokenError)
    assert connection.execute("SELECT value FROM meta WHERE key = 'epoch'").get == "1"
    connection.close()


@pytest.mark.parametrize("text", [b"not a database at all, and long enough to be looked at" * 40])
def test_another_file_is_refused(folder: Path, text: bytes) -> None:
    """A file that is no database is called broken, and is not overwritten."""
    folder.mkdir()
    (folder / FILE_NAME).write_bytes(text)
    with pytest.raises(StoreBrokenError, match="cannot be read"):
        open_store(folder)
    assert (folder / FILE_NAME).read_bytes() == text


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    """Where no folder can be made, the error says which setting to change."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="cannot be written") as caught:
            open_store(path)
        assert "EXAI_DATA_DIR" in caught.value.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_refused(folder: Path) -> None:
    """A folder that may only be read is refused."""
    folder.mkdir(mode=0o500)
    with pytest.raises(StoreError, match="cannot be written"):
        open_store(folder)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE entries SET entry = x'00'", "never changed"),
        ('UPDATE entries SET "index" = "index" + 100', "never changed"),
        ("DELETE FROM entries", "never removed"),
        ("INSERT OR REPLACE INTO entries VALUES (0, 'x', NULL, zeroblob(32), x'00')", "only follows"),
        ("INSERT INTO entries VALUES (99, 'x', NULL, zeroblob(32), x'00')", "only follows"),
    ],
)
async def test_sql_cannot_change_an_entry(folder: Path, written: "Full", statement: str, sentence: str) -> None:
    """Whoever reaches the file with SQL is refused by the file itself."""
    async with written(1):
        pass
    store = open_store(folder)
    with pytest.raises(apsw.ConstraintError, match=sentence):
        store._connection.execute(statement)
    store.close()


async def test_a_full_disk_refuses_and_goes_on(folder: Path, opened: "Opened", lives: "Lives") -> None:
    """When pages run out an append is refused and nothing of it stays; with space back the ledger goes on."""
    store = open_store(folder)
    async with opened(store) as ledger:
        await ledger.append(*lives.opening(0))
        store._connection.pragma("max_page_count", store._connection.pragma("page_count") + 2)
        refusal, number = None, 0
        while refusal is None:
            number += 1
            refusal = (await asyncio.gather(ledger.append(*lives.opening(number)), return_exceptions=True))[0]
            refusal = refusal if isinstance(refusal, Exception) else None
        assert isinstance(refusal, StoreFullError)
        assert refusal.retryable
        store._connection.pragma("max_page_count", 2**30)
        await ledger.append(*lives.opening(number))
        await ledger.append(*lives.ending(0))
        assert not ledger.failed
    reading = Reading(folder)
    assert number + 1 == reading.count(CallFilter())
    assert verify(reading.lines()).problems == ()
    assert compare_rows(reading).problems == ()
    reading.close()


async def test_a_full_disk_at_the_start_asks_for_no_backup(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that finds no space says so: the file is not called broken."""

    def full(*_: object) -> None:
        raise apsw.FullError("database or disk is full")

    monkeypatch.setattr(SqliteStore, "_begin_epoch", full)
    with pytest.raises(StoreError, match="disk is full") as caught:
        open_store(folder)
    assert not isinstance(caught.value, StoreBrokenError)
    monkeypatch.undo()
    open_store(folder).close()


async def test_epochs_count_openings(folder: Path, opened: "Opened") -> None:
    """Each start has its own number, also one that wrote nothing."""
    open_store(folder).close()
    async with opened(open_store(folder)) as ledger:
        (step,) = await ledger.append(SystemEntry(event="note", detail={}))
        assert (2, 2) == (ledger.epoch, step.entry.epoch)
        assert ledger.origin == "exai/test"


def _replace(path: Path) -> None:
    """Put a copy in the place of a file."""
    copy = path.with_name("copy")
    shutil.copyfile(path, copy)
    copy.replace(path)


def _move(path: Path) -> None:
    path.rename(path.with_name("moved"))


@pytest.mark.parametrize(
    ("name", "lose"),
    [
        (FILE_NAME, Path.unlink),
        (FILE_NAME, _move),
        (FILE_NAME, _replace),
        (f"{FILE_NAME}-wal", Path.unlink),
        (f"{FILE_NAME}-wal", _move),
    ],
)
async def test_nothing_is_written_to_a_file_that_was_lost(
    folder: Path, opened: "Opened", lives: "Lives", name: str, lose: "Callable[[Path], object]"
) -> None:
    """What the next start would not find is not called durable: the ledger fails, for good, and says why."""
    failed: list[Exception] = []
    async with opened(open_store(folder), on_failure=failed.append) as ledger:
        await ledger.append(*lives.opening(0))
        lose(folder / name)
        for entries in (lives.opening(1), lives.ending(0)):
            with pytest.raises(LedgerFailedError, match="moved, deleted or replaced") as caught:
                await ledger.append(*entries)
            assert "data folder" in caught.value.remedy
            assert str(folder) not in f"{caught.value}{caught.value.remedy}"
        assert ledger.failed
    assert [StoreBrokenError] == [type(error) for error in failed]


async def test_a_file_that_was_put_back_is_the_same(folder: Path, opened: "Opened", lives: "Lives") -> None:
    """It is the file that counts, not what happened to its name between two appends."""
    async with opened(open_store(folder)) as ledger:
        (folder / FILE_NAME).rename(folder / "away")
        (folder / "away").rename(folder / FILE_NAME)
        await ledger.append(*lives.opening(0))
        assert not ledger.failed
