"""The bundle: it holds every entry behind a proof and no other, and is written whole or not at all."""

import errno
import io
import zipfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from service.cli._bundle import write_bundle
from service.core.proving import Proof
from service.errors import ActionError, StoreError
from service.ledger.proving import covering
from service.ledger.reading import Reading
from service.serving.operator import Proved
from tests.conftest import CALL, Made
from tests.ledger import shelf
from tests.ledger.signing import Place

_open = Path.open


class FullDisk(io.FileIO):
    """A file on a disk with room for no more than a beginning."""

    def write(self, content: Any) -> int:  # noqa: ANN401 - any buffer
        """Write, until it is full."""
        if self.tell() + len(content) > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(content)


def fill_disk(path: Path, mode: str = "r", *rest: Any, **named: Any) -> io.IOBase:  # noqa: ANN401 - as Path.open
    """Open a file; a new one on a disk that is full soon."""
    return FullDisk(path, mode) if mode == "xb" else cast("io.IOBase", _open(path, mode, *rest, **named))


@pytest.fixture
def place(tmp_path: Path, made: Made) -> Place:
    """Write a signed log: a call that two windows and a verdict of its own decide, and what is not behind it."""
    found = Place(tmp_path / "data")
    found.write(
        [shelf.reading()],
        [shelf.reading()],
        [made.tool_call(), made.intent()],
        [made.settlement(), made.answer()],
        [shelf.verification(CALL, made.attempt_id())],
        [shelf.reading()],
        [shelf.window(0, 7, "U2", opened=0, closed=7)],
        [shelf.window(1, 7, "P1", opened=1, closed=7)],
        [shelf.own(made.attempt_id(), code="M8")],
        [shelf.reading(), shelf.window(9, 11), made.tool_call(tool_call_id="d" * 32)],
    )
    return found


@pytest.fixture
def reading(place: Place) -> Iterator[Reading]:
    """Read it."""
    with closing(Reading(place.folder)) as opened:
        yield opened


def proved(reading: Reading) -> Proved:
    """Prove by the first window, though a later one holds."""
    verdict = reading.verdict(8)
    assert verdict is not None
    proof = Proof(
        wallet=shelf.WALLET,
        provider="kimi",
        simulated=False,
        model="kimi-k3",
        tool_call_id=CALL,
        unit="USD",
        calls=1,
        spent="0.25",
        opening=reading.reading(1),
        closing=reading.reading(7),
        verdict=verdict,
        word=verdict.word,
        code=verdict.code,
        sentence=verdict.sentence,
    )
    return Proved(proof=proof, tool_call_id=CALL, receipt={"tool_call_id": CALL})


def test_every_entry_behind_a_proof_is_in_it(place: Place, reading: Reading, tmp_path: Path) -> None:
    """The call's own, both readings, a window's ends, every verdict that decides, and a signature's check."""
    out = tmp_path / "p.zip"
    write_bundle(reading, place.checkpoints, proved(reading), out)
    with zipfile.ZipFile(out) as bundle:
        names = bundle.namelist()
        found = [name.removeprefix("entries/") for name in names if name.startswith("entries/")]
        lines = place.entries()
        assert all(lines[int(one.partition("-")[0])] == bundle.read(f"entries/{one}") for one in found)
    assert [
        "0-reading.json",
        "1-reading.json",
        "2-tool_call.json",
        "3-intent.json",
        "4-settlement.json",
        "5-answer.json",
        "6-verification.json",
        "7-reading.json",
        "8-verdict.json",
        "9-verdict.json",
        "10-verdict.json",
    ] == found
    assert {f"proofs/{index}.tlog-proof" for index in range(11)} <= set(names)


def test_a_cut_bundle_is_none(
    place: Place, reading: Reading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full midway leaves no file that looks like a bundle."""
    monkeypatch.setattr(Path, "open", fill_disk)
    with pytest.raises(ActionError, match="No space left on device"):
        write_bundle(reading, place.checkpoints, proved(reading), tmp_path / "p.zip")
    assert not (tmp_path / "p.zip").exists()


def test_a_file_that_is_there_is_left_alone(place: Place, reading: Reading, tmp_path: Path) -> None:
    """It may have come while the proof was made; it is somebody else's."""
    (tmp_path / "p.zip").write_text("mine")
    with pytest.raises(ActionError, match="File exists"):
        write_bundle(reading, place.checkpoints, proved(reading), tmp_path / "p.zip")
    assert "mine" == (tmp_path / "p.zip").read_text()


def test_what_nothing_signed_covers_is_no_bundle(
    place: Place, reading: Reading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a checkpoint its proofs would show nothing, so none are written."""
    monkeypatch.setattr("service.cli._bundle.covering", partial(covering, wait_s=0))
    for path in place.checkpoints.folder.glob("*.checkpoint"):
        path.unlink()
    with pytest.raises(StoreError, match="no signed checkpoint"):
        write_bundle(reading, place.checkpoints, proved(reading), tmp_path / "p.zip")
    assert not (tmp_path / "p.zip").exists()
