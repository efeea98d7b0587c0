"""`exai ledger export`: what it writes is covered by the checkpoint at its end, or it says what is not."""

import json
import shutil
from pathlib import Path

import pytest

from service.cli._main import FAILED, main
from service.ledger import proving
from service.ledger.sqlite import FILE_NAME, SqliteStore
from tests.ledger.signing import Place


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nobody's checkpoint."""
    monkeypatch.setattr(proving.covering, "__kwdefaults__", {"wait_s": 0.0})


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Write a small signed log."""
    made = Place(tmp_path / "data")
    made.live(3)
    return made


def export(place: Place, capfd: pytest.CaptureFixture[str]) -> tuple[int, list[str], str]:
    """Export; give the status, the lines, and what was said beside them."""
    status = main(["ledger", "export", "--data-dir", str(place.folder)])
    said = capfd.readouterr()
    return status, said.out.splitlines(), said.err


def test_all_entries_and_what_covers_them(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """The last line is the newest checkpoint, signed over as many entries as stand before it."""
    status, lines, said = export(place, capfd)
    assert (0, 13 + 1, "") == (status, len(lines), said)
    assert [f'{{"entry":{entry.decode()},"leaf_hash":' for entry in place.entries()] == [
        line[: line.rindex('"leaf_hash":') + 12] for line in lines[:-1]
    ]
    assert {"checkpoint": place.note, "public_key": place.key} == json.loads(lines[-1])


def test_what_a_crash_left_unsigned_is_left_out(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing runs: no epoch begins and nothing is signed; it says how many are left out and what signs them."""
    place.live(2, first=4, signed=False)
    written, note = (place.folder / FILE_NAME).read_bytes(), place.note
    status, lines, said = export(place, capfd)
    assert (FAILED, 13 + 1) == (status, len(lines))
    assert json.loads(lines[-1])["checkpoint"].splitlines()[1] == "13"
    assert "9 entries are left out: the newest checkpoint covers the first 13" in said
    assert "exai serve" in said
    assert (written, note) == ((place.folder / FILE_NAME).read_bytes(), place.note)


def test_what_a_service_did_not_sign_in_time_is_left_out(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """It says how many entries, why, and what to do; the status is not that of a whole export."""
    note = place.note
    place.live(2, first=4, signed=False)
    place.checkpoints.keep(place.origin, note)
    running = SqliteStore(place.folder, new_origin="unused")
    try:
        status, lines, said = export(place, capfd)
    finally:
        running.close()
    assert (FAILED, 13 + 1) == (status, len(lines))
    assert "9 entries are left out: the newest checkpoint covers the first 13" in said
    assert "nothing has signed them yet" in said


def test_without_any_checkpoint_it_ends_without_one(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """What was signed once and has lost its checkpoints is still given, and it is said that nothing covers it."""
    shutil.rmtree(place.checkpoints.folder)
    status, lines, said = export(place, capfd)
    assert (FAILED, 13) == (status, len(lines))
    assert "no checkpoint covers this export" in said
    assert "exai serve" in said
