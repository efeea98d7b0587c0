"""A log comes back from its copies as it was, tables and all, only where there is none, if it was signed."""

import gzip
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest

from service.core.note import VerifierKey
from service.core.words import ResolutionOutcome
from service.errors import RolledBackError, StoreBrokenError, StoreError, StoreLockedError
from service.ledger.checkpoints import Checkpoints
from service.ledger.choosing import CallFilter
from service.ledger.export import export_line
from service.ledger.keeping import archive, back_up
from service.ledger.keyfile import FILE_NAME as KEY_NAME
from service.ledger.reading import Reading
from service.ledger.resolving import Finding, attempt_in_doubt, resolution
from service.ledger.restoring import restore
from service.ledger.sqlite import FILE_NAME, LOCK_NAME, lock
from service.ledger.verify import compare_rows, verify
from tests.custody import Custody, custody, doubted, lived
from tests.ledger import shelf

if TYPE_CHECKING:
    from tests.conftest import Made

DERIVED = ("tree", "blocks", "calls", "attempts", "rollups", "readings", "windows", "owns", "judged")
COPIES = ("backup", "archive", "export")
FOUND = Finding(
    outcome=ResolutionOutcome.RECONCILED,
    amount="0.5",
    currency=None,
    tokens=None,
    why="the bill",
    above_bound=False,
)


@pytest.fixture
async def kept(tmp_path: Path, made: "Made") -> Custody:
    """A log of two epochs: settled calls, one in doubt that was resolved, one that is in doubt; readings."""
    kept = custody(tmp_path)
    await kept.write(*lived(made, 1), *doubted(made, 2), *lived(made, 3))
    with kept.reading() as reading:
        resolved = resolution(attempt_in_doubt(reading, f"{2:032x}"), FOUND, by="a test")
        last = reading.head().next_index
        attempts = [row.attempt_id for one in reading.calls(CallFilter()) for row in one.attempts]
    said = shelf.verification(f"{1:032x}", attempts[-1])
    of_books = (shelf.reading(), shelf.window(-1, last), shelf.own(attempts[0]), said)
    await kept.write(resolved, *of_books, *doubted(made, 4))
    with kept.reading() as reading:
        assert 2 == len(reading.judged([f"{1:032x}", f"{3:032x}"]))
    return kept


def copy(kept: Custody, root: Path, how: str) -> Path:
    """Take a copy."""
    target = root / how
    if how == "backup":
        back_up(kept.data, kept.checkpoints, target)
        return target
    archive(kept.data, kept.checkpoints, target)
    if how == "export":
        target.write_bytes(gzip.decompress(target.read_bytes()))
    return target


def tables(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Give every table of a ledger but the one that says who opened it; and by which words they were made."""
    connection = apsw.Connection(str(folder / FILE_NAME))
    try:
        found = {"schema": sorted(connection.execute("SELECT name, sql FROM sqlite_schema"))}
        for name in ("entries", *DERIVED):
            found[name] = sorted(connection.execute(f"SELECT * FROM {name}"), key=str)  # noqa: S608 - ours
        return found
    finally:
        connection.close()


@pytest.mark.parametrize("how", COPIES)
def test_a_log_comes_back_as_it_was(kept: Custody, tmp_path: Path, how: str) -> None:
    """Every table is the same, byte for byte, and nothing unfinished or foreign lies beside the file."""
    source = copy(kept, tmp_path, how)
    before = kept.look(lambda reading: reading.head().next_index)
    told = restore(source, tmp_path / "new", kept.checkpoints)
    assert (before, before, kept.origin, False) == (told.entries, told.covered, told.origin, told.key_given)
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert {FILE_NAME, LOCK_NAME} == names
    assert [0o700, 0o600] == [
        stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new", tmp_path / "new" / FILE_NAME)
    ]
    assert tables(kept.data) == tables(tmp_path / "new")
    reading = Reading(tmp_path / "new")
    assert () == verify(reading.lines()).problems
    assert () == compare_rows(reading).problems
    reading.close()


async def test_with_its_key_and_nothing_lost_it_goes_on(kept: Custody, tmp_path: Path, made: "Made") -> None:
    """The key was kept by its owner, no entry came after the copy: the same log goes on, under its origin."""
    source, origin = copy(kept, tmp_path, "backup"), kept.origin
    key = (kept.data / KEY_NAME).read_bytes()
    shutil.rmtree(kept.data)
    kept.data.mkdir()
    (kept.data / KEY_NAME).write_bytes(key)
    told = restore(source, kept.data, kept.checkpoints)
    assert None is told.refused_until_adopted
    await kept.write(*lived(made, 7))
    assert (origin, len(kept.entries)) == (kept.origin, kept.signed())


@pytest.mark.parametrize("lost", ["entries", "key", "checkpoints", "other key", "no key"])
async def test_the_next_starts_refusal_is_foreseen(kept: Custody, tmp_path: Path, made: "Made", lost: str) -> None:
    """Whatever is lost, who restores is told before the start is."""
    source = copy(kept, tmp_path, "archive")
    copied = len(kept.entries)
    await kept.write(*lived(made, 7))
    key, signed = (kept.data / KEY_NAME).read_bytes(), len(kept.entries)
    shutil.rmtree(kept.data)
    kept.data.mkdir()
    if lost != "key":
        (kept.data / KEY_NAME).write_bytes({"other key": b"A" * 43 + b"=", "no key": b"x"}.get(lost, key))
    if lost == "checkpoints":
        shutil.rmtree(kept.checkpoints.folder)
    told = restore(source, kept.data, kept.checkpoints)
    expected = {
        "entries": f"{signed} entries were signed, and {copied} are restored: the last {signed - copied} are not",
        "key": "its signing key is not in",
        "checkpoints": "holds no checkpoint of it",
        "other key": "no signature by this key",
        "no key": "holds no key",
    }
    assert expected[lost] in str(told.refused_until_adopted)
    with pytest.raises(StoreError) as caught:
        await kept.write()
    assert lost == "no key" or isinstance(caught.value, RolledBackError)


@pytest.mark.parametrize("how", COPIES)
def test_a_ledger_is_never_replaced(kept: Custody, tmp_path: Path, how: str) -> None:
    """Not even a write-ahead log whose file is gone."""
    source, before = copy(kept, tmp_path, how), kept.entries
    with pytest.raises(StoreError, match="has a ledger already"):
        restore(source, kept.data, kept.checkpoints)
    assert before == kept.entries
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / f"{FILE_NAME}-wal").touch()
    with pytest.raises(StoreError, match=f"{FILE_NAME}-wal"):
        restore(source, tmp_path / "new", kept.checkpoints)


def test_nothing_is_restored_under_a_service(kept: Custody, tmp_path: Path) -> None:
    """Who has the folder keeps it."""
    source = copy(kept, tmp_path, "backup")
    (tmp_path / "new").mkdir()
    held = lock(tmp_path / "new" / LOCK_NAME)
    with pytest.raises(StoreLockedError):
        restore(source, tmp_path / "new", kept.checkpoints)
    os.close(held)


def test_a_key_that_is_given_must_have_signed(kept: Custody, tmp_path: Path) -> None:
    """The key that came with the copy is believed only where none was noted down."""
    source = copy(kept, tmp_path, "archive")
    key = VerifierKey.parse(str(kept.checkpoints.public_key(kept.origin)))
    other = VerifierKey(key.name, bytes(31) + b"\1")
    with pytest.raises(StoreBrokenError, match="no signature by this key"):
        restore(source, tmp_path / "new", kept.checkpoints, key=other)
    assert restore(source, tmp_path / "new", kept.checkpoints, key=key).key_given


def _flip(source: Path) -> None:
    content = bytearray(source.read_bytes())
    at = content.index(b'"settlement"')
    content[at + 2] ^= 1
    source.write_bytes(content)


def _cut(source: Path) -> None:
    lines = source.read_bytes().splitlines(keepends=True)
    source.write_bytes(b"".join(lines[:-3] + lines[-1:]))


def _swap(source: Path) -> None:
    lines = source.read_bytes().splitlines(keepends=True)
    source.write_bytes(b"".join([*lines[:3], lines[4], lines[3], *lines[5:]]))


def _unsign(source: Path) -> None:
    source.write_bytes(b"".join(source.read_bytes().splitlines(keepends=True)[:-1]))


def _empty(source: Path) -> None:
    source.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_flip, r"entry \d+: "),
        (_cut, r"is not the log that was signed"),
        (_swap, r"entry 3: "),
        (_unsign, "holds no checkpoint, so nothing vouches for it"),
        (_empty, "no entry at all"),
    ],
)
def test_a_spoiled_copy_is_refused(kept: Custody, tmp_path: Path, spoil: object, what: str) -> None:
    """The first bad entry is named, and nothing is left in the folder but its lock."""
    source = copy(kept, tmp_path, "export")
    assert callable(spoil)
    spoil(source)
    with pytest.raises(StoreBrokenError, match=what) as caught:
        restore(source, tmp_path / "new", kept.checkpoints)
    assert "copy" in caught.value.remedy or "Take a backup" in caught.value.remedy
    assert [LOCK_NAME] == [path.name for path in (tmp_path / "new").iterdir()]


def test_what_was_signed_but_is_no_history_is_refused(kept: Custody, tmp_path: Path) -> None:
    """A signature over nonsense makes no sense of it: entries must follow one another as a log's do."""
    source = copy(kept, tmp_path, "export")
    with kept.reading() as reading:
        lines = list(reading.lines())
    assert b"".join(map(export_line, lines)) in source.read_bytes()
    connection = apsw.Connection(str(kept.data / FILE_NAME))
    connection.execute("DROP TRIGGER entries_never_change")
    connection.execute("UPDATE entries SET kind = 'answer' WHERE kind = 'intent'")
    connection.close()
    back_up(kept.data, kept.checkpoints, tmp_path / "copy")  # bytes and hashes are those that were signed
    with pytest.raises(StoreBrokenError, match=r"entry 2: .* filed otherwise"):
        restore(tmp_path / "copy", tmp_path / "new", kept.checkpoints)
    assert [LOCK_NAME] == [path.name for path in (tmp_path / "new").iterdir()]


@pytest.mark.parametrize("name", ["nothing", "."])
def test_what_is_no_copy(kept: Custody, tmp_path: Path, name: str) -> None:
    """A path that leads nowhere, and a folder without a ledger."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match=r"cannot be read|holds no ledger"):
        restore(tmp_path / "empty" / name, tmp_path / "new", kept.checkpoints)


def test_a_place_that_is_no_folder(kept: Custody, tmp_path: Path) -> None:
    """The setting is named."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written") as caught:
        restore(copy(kept, tmp_path, "backup"), tmp_path / "file", Checkpoints(tmp_path / "apart"))
    assert "--data-dir" in caught.value.remedy
