"""`exai ledger backup`, `archive` and `restore`: what a person is told, and what comes next."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.cli._acting import act
from service.cli._main import FAILED, main
from service.ledger.sqlite import LOCK_NAME, lock
from tests.custody import Custody, custody, lived

if TYPE_CHECKING:
    from tests.conftest import Made

ENTRIES = 6


@pytest.fixture
async def kept(tmp_path: Path, made: "Made") -> Custody:
    """A log of one call."""
    kept = custody(tmp_path)
    await kept.write(*lived(made, 1))
    return kept


@pytest.mark.parametrize("word", ["backup", "archive"])
def test_a_copy_is_told_and_written_down(
    kept: Custody, tmp_path: Path, capfd: pytest.CaptureFixture[str], word: str
) -> None:
    """How many entries, root, key, and how to check and to restore it; the ledger has an entry about it."""
    assert 0 == main(["ledger", word, str(tmp_path / "away"), *kept.words])
    said, err = capfd.readouterr()
    assert "" == err
    entry = json.loads(kept.entries[ENTRIES + 1])
    assert (word, "away", str(ENTRIES)) == (entry["action"], entry["detail"]["where"], entry["detail"]["entries"])
    for part in (
        f"{ENTRIES} entries",
        kept.origin,
        entry["detail"]["root"],
        str(kept.checkpoints.public_key(kept.origin)),
        f"Entry {ENTRIES + 1} of the ledger says so",
        f"exai ledger verify {tmp_path / 'away'} --key KEY",
        f"exai ledger restore {tmp_path / 'away'}",
    ):
        assert part in said


def test_a_copy_that_cannot_be_written_down_is_kept(
    kept: Custody, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the folder does not answer: the copy is good all the same, and the status says so."""
    monkeypatch.setattr(act, "__kwdefaults__", {"between_s": 0.0})
    held = lock(kept.data / LOCK_NAME)
    try:
        assert 0 == main(["ledger", "backup", str(tmp_path / "away"), "--format", "json", *kept.words])
    finally:
        os.close(held)
    said, err = capfd.readouterr()
    assert "the copy is there, but the ledger does not mention it" in err
    told = json.loads(said)
    assert (ENTRIES, None) == (told["copy"]["entries"], told["noted"])
    assert ENTRIES == len(kept.entries)


def test_what_was_restored_is_told_with_what_comes_next(
    kept: Custody, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """By which key it was verified, that it came with the copy, that the next start will refuse it, and why."""
    assert 0 == main(["ledger", "archive", str(tmp_path / "away"), *kept.words])
    capfd.readouterr()
    words = ["ledger", "restore", str(tmp_path / "away"), "--data-dir", str(tmp_path / "new")]
    assert 0 == main([*words, "--checkpoints-dir", str(kept.checkpoints.folder)])
    said = capfd.readouterr().out
    for part in (
        f"{ENTRIES} entries of {kept.origin}",
        f"{ENTRIES} of them are as they were signed, by the key that came with it",
        "compare it with one that was noted down elsewhere",
        "The next start will refuse it: its signing key is not in",
        "exai ledger adopt --why TEXT",
    ):
        assert part in said
    assert FAILED == main(words)
    assert "has a ledger already" in capfd.readouterr().err


def test_a_key_from_a_file(kept: Custody, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A key that was noted down is given as it stands, or by the file that it stands in."""
    assert 0 == main(["ledger", "backup", str(tmp_path / "away"), *kept.words])
    (tmp_path / "noted").write_text(f"{kept.checkpoints.public_key(kept.origin)}\n")
    words = ["ledger", "restore", str(tmp_path / "away"), "--data-dir", str(tmp_path / "new"), "--key"]
    assert FAILED == main([*words, "no key"])
    assert "'no key' is no public key" in capfd.readouterr().err
    assert FAILED == main([*words, f"@{tmp_path / 'nothing'}"])
    assert "cannot be read" in capfd.readouterr().err
    assert 0 == main([*words, f"@{tmp_path / 'noted'}"])
    assert "by the key that you gave" in capfd.readouterr().out
