"""`exai ledger verify`: its exit status is its answer, and what cannot be read is told in a sentence."""

from pathlib import Path

import pytest

from service.cli._main import FAILED, main


@pytest.mark.parametrize("name", ["nowhere.jsonl", "."])
def test_a_file_that_cannot_be_read(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named, with what to do, and no traceback."""
    assert FAILED == main(["ledger", "verify", str(tmp_path / name)])
    said = capsys.readouterr().err
    assert "cannot be read" in said
    assert "exai ledger export" in said


def test_a_file_that_is_no_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rubbish is a problem at its place, and the status says so."""
    path = tmp_path / "rubbish.jsonl"
    path.write_text("{}\n")
    assert FAILED == main(["ledger", "verify", str(path)])
    assert "entry 0" in capsys.readouterr().out


def test_an_empty_file_is_no_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is not whole: every log begins with the start that made it."""
    path = tmp_path / "empty.jsonl"
    path.touch()
    assert FAILED == main(["ledger", "verify", str(path)])
    assert "this is no log" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["verify", "export"])
def test_a_file_that_is_no_ledger(word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A damaged data folder is told in a sentence with a remedy: this is the command that people are sent to."""
    (tmp_path / "ledger.sqlite3").write_bytes(b"not a database" * 100)
    assert FAILED == main(["ledger", word, "--data-dir", str(tmp_path)])
    said = capsys.readouterr().err
    assert "ledger.sqlite3 cannot be read" in said
    assert "backup" in said
