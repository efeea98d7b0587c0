"""`exai ledger adopt`: only what the start refuses, only at rest, and never without a word in the log."""

import asyncio
import json
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.actions._action import somebody
from service.cli._main import FAILED, main
from service.errors import RolledBackError
from service.ledger import opening
from service.ledger.keyfile import FILE_NAME as KEY_NAME
from tests.custody import Custody, custody, lived

if TYPE_CHECKING:
    from tests.conftest import Made

WHY = "restored yesterday's copy"


@pytest.fixture
async def kept(tmp_path: Path, made: "Made") -> Custody:
    """A log that was put back to what it was a call before."""
    kept = custody(tmp_path)
    await kept.write(*lived(made, 1))
    shutil.copytree(kept.data, tmp_path / "yesterday")
    await kept.write(*lived(made, 2))
    shutil.rmtree(kept.data)
    shutil.copytree(tmp_path / "yesterday", kept.data)
    return kept


async def adopt(kept: Custody, *words: str, why: str = WHY) -> int:
    """Run the command, which has an event loop of its own."""
    return await asyncio.to_thread(main, ["ledger", "adopt", "--why", why, *words, *kept.words])


async def test_what_is_adopted_goes_on_under_a_new_origin(
    kept: Custody, capfd: pytest.CaptureFixture[str], made: "Made"
) -> None:
    """The first entry under it says what was adopted, by whom and why; what was signed before is quoted in it."""
    before, origin, note = kept.entries, kept.origin, kept.checkpoints.read(kept.origin)
    assert 0 == await adopt(kept, "--format", "json")
    told = json.loads(capfd.readouterr().out)
    entry = json.loads(kept.entries[len(before)])
    assert ("action", "adopt", somebody()) == (entry["kind"], entry["action"], entry["by"])
    assert (kept.origin, told["origin"]) == (told["origin"], entry["origin"])
    assert origin != kept.origin
    assert {
        "origin_before": origin,
        "size": str(len(before)),
        "root": told["root"],
        "checkpoint_before": str(note).strip(),
        "why": WHY,
    } == entry["detail"]
    assert before == kept.entries[: len(before)]
    assert "start" == json.loads(kept.entries[len(before) + 1])["event"]
    assert told["public_key"] == kept.checkpoints.public_key(kept.origin)
    await kept.write(*lived(made, 3))
    assert len(kept.entries) == kept.signed()
    assert 0 == main(["ledger", "verify", *kept.words[:4]])


async def test_the_new_key_is_told(kept: Custody, capfd: pytest.CaptureFixture[str]) -> None:
    """Both origins, both sizes, and the public key to be noted down."""
    origin = kept.origin
    assert 0 == await adopt(kept)
    said = capfd.readouterr().out
    for part in (origin, kept.origin, "6 entries, root ", "12 entries were signed last", WHY):
        assert part in said
    assert str(kept.checkpoints.public_key(kept.origin)) in said


async def test_what_the_start_would_take_is_not_adopted(kept: Custody, capfd: pytest.CaptureFixture[str]) -> None:
    """A new origin cuts a log off from all that was signed: not without need, and so not twice."""
    assert 0 == await adopt(kept)
    before = kept.entries
    assert FAILED == await adopt(kept)
    assert "there is nothing to adopt" in capfd.readouterr().err
    assert before == kept.entries


async def test_only_at_rest(kept: Custody, capfd: pytest.CaptureFixture[str]) -> None:
    """While a service runs the log is its own."""
    assert 0 == await adopt(kept)
    async with kept.writing():
        assert FAILED == await adopt(kept)
    assert "Stop the service first" in capfd.readouterr().err


@pytest.mark.parametrize("why", ["", " ", "two\nlines", "x" * 501])
async def test_a_reason_is_given(kept: Custody, capfd: pytest.CaptureFixture[str], why: str) -> None:
    """One line, of whoever knows why it is so."""
    before = kept.entries
    assert FAILED == await adopt(kept, why=why)
    assert "--why TEXT" in capfd.readouterr().err
    assert before == kept.entries


async def test_a_folder_without_a_ledger_gets_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A typo in the folder's name makes no ledger."""
    assert FAILED == await adopt(custody(tmp_path))
    assert "holds no ledger" in capfd.readouterr().err
    assert not (tmp_path / "data").exists()


async def test_an_adoption_that_did_not_end_is_refused(kept: Custody, capfd: pytest.CaptureFixture[str]) -> None:
    """It died before the entry was written: the log does not go on without a word; adopted again, it does."""
    origin, before = kept.origin, kept.entries
    made, _ = opening.adopt(kept.data, kept.checkpoints, entropy=secrets.token_bytes)
    made.store.close()
    half = kept.origin
    assert origin != half
    with pytest.raises(RolledBackError, match=f"was to go on as {half}, but {origin} wrote it"):
        await kept.write()
    assert before == kept.entries
    assert 0 == await adopt(kept, "--format", "json")
    assert origin == json.loads(capfd.readouterr().out)["origin_before"]
    assert kept.origin not in (origin, half)
    await kept.write()
    assert 0 == main(["ledger", "verify", *kept.words[:4]])


@pytest.mark.parametrize("lost", ["key", "checkpoints"])
async def test_a_lost_key_or_folder_is_adopted(
    kept: Custody, capfd: pytest.CaptureFixture[str], made: "Made", lost: str
) -> None:
    """Without its key a log cannot be signed, without checkpoints not be compared: adopted, it has both again."""
    assert 0 == await adopt(kept)
    key = (kept.data / KEY_NAME).read_bytes()
    if lost == "key":
        (kept.data / KEY_NAME).unlink()
    else:
        shutil.rmtree(kept.checkpoints.folder)
    with pytest.raises(RolledBackError, match=r"is gone|holds no checkpoint"):
        await kept.write()
    assert 0 == await adopt(kept, why=f"the {lost} is lost")
    assert (lost == "key") == (key != (kept.data / KEY_NAME).read_bytes())
    await kept.write(*lived(made, 3))
    assert len(kept.entries) == kept.signed()
    capfd.readouterr()
    assert 0 == main(["ledger", "verify", *kept.words[:4]])
