"""`exai ledger verify`: its exit status is its answer, and what cannot be read is told in a sentence."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from service.cli._main import FAILED, main
from service.core.merkle import CompactRange, leaf_hash
from service.core.note import Checkpoint, SigningKey, signed
from service.ledger import keyfile
from service.ledger.export import Closing, closing_line
from service.ledger.sources import BACKUP_CHECKPOINT, BACKUP_KEY
from service.ledger.sqlite import FILE_NAME
from tests.ledger.signing import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Write a small signed log."""
    made = Place(tmp_path / "data")
    made.live(3)
    return made


def exported(place: Place, capfdbinary: pytest.CaptureFixture[bytes]) -> bytes:
    """Export it."""
    assert 0 == main(["ledger", "export", "--data-dir", str(place.folder)])
    return capfdbinary.readouterr().out


def told(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    """Verify; give the status and what was said as JSON."""
    status = main(["ledger", "verify", "--format", "json", *words])
    return status, json.loads(capsys.readouterr().out)


def test_a_folder_without_a_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is neither data folder nor backup."""
    assert FAILED == main(["ledger", "verify", str(tmp_path)])
    assert "holds no ledger" in capsys.readouterr().err


def test_a_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named, with what to do, and no traceback."""
    assert FAILED == main(["ledger", "verify", str(tmp_path / "nowhere.jsonl")])
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


def test_a_data_folder_is_whole(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """All that was checked is said, where the key came from, and what this cannot show."""
    assert 0 == main(["ledger", "verify", "--data-dir", str(place.folder)])
    said = capsys.readouterr().out
    for words in (
        f"13 entries of {place.origin}",
        "hashes: indexes are contiguous",
        "tree: ",
        "grammar: ",
        "tables: ",
        "checkpoint: the first 13 entries are those that were signed",
        f"key: {place.key} (found beside the log",
        "Not shown by this: who owns the machine and the key",
    ):
        assert words in said


def test_what_came_after_the_checkpoint_is_counted(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Entries that nobody has signed yet are no fault, and not covered."""
    place.live(2, first=4, signed=False)
    status, found = told(["--data-dir", str(place.folder)], capsys)
    assert (0, 22, 13, 9) == (status, found["entries"], found["covered"], found["not_covered"])


def test_quick_stops_before_it_reads_what_entries_say(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Hashes, tree and checkpoint alone."""
    status, found = told(["--data-dir", str(place.folder), "--quick", "--key", place.key], capsys)
    assert (0, ["hashes", "tree", "checkpoint"], True) == (status, found["checked"], found["key_given"])


def test_an_export_is_verified_by_the_key_in_its_last_line_or_the_one_given(
    place: Place, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Both as a file and compressed; a key may stand in a file of its own."""
    plain, packed, key = tmp_path / "x.jsonl", tmp_path / "x.jsonl.gz", tmp_path / "key"
    plain.write_bytes(exported(place, capfdbinary))
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    key.write_text(f"{place.key}\n")
    for words, kind in (([str(plain)], "export"), ([str(packed), "--key", f"@{key}"], "archive")):
        assert 0 == main(["ledger", "verify", "--format", "json", *words])
        found = json.loads(capfdbinary.readouterr().out)
        assert (kind, 13, 13, "--key" in words) == (
            found["kind"],
            found["entries"],
            found["covered"],
            found["key_given"],
        )
    packed.write_bytes(packed.read_bytes()[:-30])
    assert FAILED == main(["ledger", "verify", str(packed)])
    assert b"the file is damaged" in capfdbinary.readouterr().out


def test_an_export_of_an_earlier_version_is_covered_by_nothing(
    place: Place, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """It has no last line: its entries are checked, it is said that nobody signed them; a key finds nothing."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(exported(place, capfdbinary).rpartition(b'{"checkpoint"')[0])
    assert 0 == main(["ledger", "verify", str(path)])
    assert b"checkpoint: none covers these entries" in capfdbinary.readouterr().out
    assert FAILED == main(["ledger", "verify", str(path), "--key", place.key])
    assert b"no checkpoint covers it" in capfdbinary.readouterr().out


def _signed(place: Place, size: int) -> str:
    """Sign the log as it was at a size, by its own key."""
    seed = keyfile.read(place.folder)
    assert seed is not None
    tree = CompactRange().extended([leaf_hash(entry) for entry in place.entries()[:size]])
    return signed(Checkpoint(place.origin, size, tree.root), SigningKey(place.origin, seed))


@pytest.mark.parametrize("packed", ["", "packed"])
@pytest.mark.parametrize("size", [0, 1, 9])
def test_an_export_that_its_own_checkpoint_does_not_cover_whole_is_not_believed(
    place: Place, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], size: int, packed: str
) -> None:
    """A genuine checkpoint of earlier vouches for nothing that was written behind what it covers."""
    entries = exported(place, capfdbinary).rpartition(b'{"checkpoint"')[0]
    path = tmp_path / "x.jsonl"
    written = entries + closing_line(Closing(_signed(place, size), place.key))
    path.write_bytes(gzip.compress(written) if packed else written)
    for words in ([], ["--key", place.key]):
        assert FAILED == main(["ledger", "verify", str(path), *words, "--format", "json"])
        found = json.loads(capfdbinary.readouterr().out)
        assert ([size, 12], size) == ([found["problems"][0][end] for end in ("index", "last")], found["covered"])


def test_an_archive_without_its_checkpoint_is_not_whole(
    place: Place, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Every archive closes with one."""
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(exported(place, capfdbinary).rpartition(b'{"checkpoint"')[0]))
    assert FAILED == main(["ledger", "verify", str(path)])
    assert b"the checkpoint that closes every archive is not there" in capfdbinary.readouterr().out


@pytest.mark.parametrize("words", [[], ["--key"]])
def test_a_data_folder_whose_checkpoint_covers_nothing_is_not_the_one_that_was_signed(
    place: Place, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """A checkpoint over no entry is true of every log of that name."""
    place.checkpoints.keep(place.origin, _signed(place, 0))
    given = [*words, place.key] if words else []
    status, found = told(["--data-dir", str(place.folder), *given], capsys)
    assert (FAILED, 0) == (status, found["covered"])


def test_a_key_shows_nothing_of_a_folder_that_nothing_covers(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was never signed, as far as it says itself: with a key, that is a problem."""
    key = place.key
    shutil.rmtree(place.checkpoints.folder)
    place.change("DELETE FROM meta WHERE key = 'checkpointed'")
    assert 0 == told(["--data-dir", str(place.folder)], capsys)[0]
    assert FAILED == told(["--data-dir", str(place.folder), "--key", key], capsys)[0]


def test_a_witness_file_is_held_against_the_log(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other logs' checkpoints and torn ones in it are counted and said; each of this log's must hold."""
    other, witness = Place(tmp_path / "other", seed="another log"), tmp_path / "witness"
    other.live(1)
    ours = [_signed(place, size) for size in (1, 13)]
    witness.write_text("\n".join([other.note, ours[0], place.note[:40], "", ours[1], other.note, ""]))
    words = ["--data-dir", str(place.folder), "--checkpoint", str(witness)]
    status, found = told(words, capsys)
    assert (0, 13, 2, 1) == (status, found["covered"], found["passed_over"], found["torn"])
    assert 0 == main(["ledger", "verify", *words])
    said = capsys.readouterr().out
    assert "passed over: 2 checkpoints of other logs" in said
    assert "skipped: 1 checkpoints that are not whole" in said
    witness.write_text("\n".join([other.note, place.note.replace("\n13\n", "\n12\n"), ""]))
    assert FAILED == main(["ledger", "verify", *words])
    assert "the checkpoint's signature is wrong" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "rubbish", "of another"])
def test_a_file_without_a_checkpoint_of_this_log_is_said(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """Nothing was held against it, so it is no answer."""
    other, witness = Place(tmp_path / "other", seed="another log"), tmp_path / "witness"
    other.live(1)
    witness.write_text(other.note if text == "of another" else text)
    assert FAILED == main(["ledger", "verify", "--data-dir", str(place.folder), "--checkpoint", str(witness)])
    assert "of the checkpoints from elsewhere none is of" in capsys.readouterr().out


def test_a_backup_is_verified_by_what_is_in_it(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Its folder holds checkpoint and key; the file in it may be named too."""
    (place.folder / BACKUP_CHECKPOINT).write_text(place.note)
    (place.folder / BACKUP_KEY).write_text(place.key + "\n")
    shutil.rmtree(place.checkpoints.folder)
    for path in (place.folder, place.folder / FILE_NAME):
        status, found = told([str(path)], capsys)
        assert (0, "store", 13) == (status, found["kind"], found["covered"])
    (place.folder / BACKUP_KEY).unlink()
    assert FAILED == main(["ledger", "verify", str(place.folder)])
    assert "no public key to verify it with" in capsys.readouterr().out


def test_another_data_folder_has_its_checkpoints_beside_it(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a start without a setting would have them; or where one says they are."""
    assert 0 == told([str(place.folder)], capsys)[0]
    moved = place.checkpoints.folder.rename(tmp_path / "elsewhere")
    assert FAILED == told([str(place.folder)], capsys)[0]
    assert 0 == told([str(place.folder), "--checkpoints-dir", str(moved)], capsys)[0]


def test_a_key_that_is_none_is_refused(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """With a sentence, before anything is read."""
    assert FAILED == main(["ledger", "verify", "--data-dir", str(place.folder), "--key", "abc"])
    assert "--key is no public key" in capsys.readouterr().err
    assert FAILED == main(["ledger", "verify", "--data-dir", str(place.folder), "--key", "@/nowhere"])
    assert "cannot be read" in capsys.readouterr().err
