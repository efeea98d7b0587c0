"""`exai ledger prove` writes what `exai ledger verify` checks with the public key alone, far from the ledger."""

import json
from pathlib import Path

import pytest

from service.cli._main import FAILED, main
from service.core.entries import OfCall
from service.ledger import proving
from tests.conftest import Made
from tests.ledger.conftest import Lives
from tests.ledger.signing import Place

CALL = Lives.call_id(2)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Write a small signed log."""
    made = Place(tmp_path / "data")
    made.live(3)
    return made


def prove(place: Place, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Prove; give the status and what was said."""
    status = main(["ledger", "prove", "--data-dir", str(place.folder), *words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_calls_proof_holds_by_the_key_alone(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The settlement, which the receipt names; both commands say what it shows and what not."""
    status, text, said = prove(place, capsys, CALL)
    assert (0, True) == (status, text.startswith("c2sp.org/tlog-proof@v1\nextra "))
    assert (
        f"This shows: entry 7 of the log {place.origin}, with exactly these bytes, was in it when it had 13"
        in said
    )
    assert "Not shown by this: that the provider charged" in said
    path = tmp_path / "proof"
    path.write_text(text)
    words = ["ledger", "verify", str(path), "--checkpoints-dir", str(tmp_path / "nowhere")]
    assert 0 == main([*words, "--key", place.key])
    said = capsys.readouterr().out
    assert "the proof holds" in said
    assert '"kind": "settlement"' in said
    assert "This shows: entry 7" in said
    assert 0 == main([*words, "--key", place.key, "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    assert (True, 7, 13, json.loads(place.entries()[7])) == (
        found["ok"],
        found["index"],
        found["size"],
        found["entry"],
    )


def test_a_proof_without_a_key_needs_one(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the log's own machine its key is at hand, and it is said that it is; elsewhere it must be given."""
    path = tmp_path / "proof"
    assert 0 == prove(place, capsys, "7", "-o", str(path))[0]
    kept = ["ledger", "verify", str(path), "--checkpoints-dir", str(place.checkpoints.folder)]
    assert 0 == main(kept)
    assert "the one that is kept here" in capsys.readouterr().out
    assert FAILED == main(["ledger", "verify", str(path), "--checkpoints-dir", str(tmp_path / "nowhere")])
    assert "a log whose public key is not kept here" in capsys.readouterr().err
    (place.checkpoints.folder / "another.pub").write_text("rubbish")
    assert 0 == main(kept)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("index 7", "index 6"), "does not lead to the signed root"),
        (("\nextra e", "\nextra f"), "does not lead to the signed root"),
        (("\n13\n", "\n14\n"), "signature is wrong"),
        (("\nextra ", "\nExtra "), "the proof is malformed"),
    ],
)
def test_a_changed_proof_does_not_hold(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], says: str
) -> None:
    """Status 1 and what does not hold."""
    path = tmp_path / "proof"
    path.write_text(prove(place, capsys, CALL)[1].replace(*change, 1))
    assert FAILED == main(["ledger", "verify", str(path), "--key", place.key])
    assert says in capsys.readouterr().out


def test_a_proof_that_carries_no_entry_shows_nothing(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The format allows it; there is nothing to check then."""
    path = tmp_path / "proof"
    lines = prove(place, capsys, CALL)[1].split("\n")
    path.write_text("\n".join(line for line in lines if not line.startswith("extra ")))
    assert FAILED == main(["ledger", "verify", str(path), "--key", place.key])
    assert "carries no entry" in capsys.readouterr().out


def test_each_attempt_has_a_proof_of_its_own(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], made: Made
) -> None:
    """Into a folder; alone on the output there is room for one."""
    call_id = Lives.call_id(9)
    entries: list[OfCall] = [
        made.tool_call(tool_call_id=call_id),
        made.intent(1, tool_call_id=call_id),
        made.refusal(1, tool_call_id=call_id),
        made.intent(2, tool_call_id=call_id, retry_of=made.attempt_id(1)),
        made.settlement(2, tool_call_id=call_id),
        made.answer(tool_call_id=call_id),
    ]
    place.write(entries)
    status, out, said = prove(place, capsys, call_id)
    assert (FAILED, "") == (status, out)
    assert "--entry: 15, 17" in said
    folder = tmp_path / "proofs"
    assert (0, f"{folder}/15.tlog-proof\n{folder}/17.tlog-proof\n") == prove(
        place, capsys, call_id, "-o", str(folder)
    )[:2]
    for path in folder.iterdir():
        assert 0 == main(["ledger", "verify", str(path), "--key", place.key])
    assert 0 == prove(place, capsys, call_id, "--entry", "13")[0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("f" * 32,), "there is no tool call, attempt or entry"),
        (("99",), "the log has no entry 99"),
        ((CALL, "--entry", "3"), "entry 3 does not belong to"),
    ],
)
def test_what_is_not_there_is_not_proved(
    place: Place, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    """With a sentence and a remedy."""
    status, out, said = prove(place, capsys, *words)
    assert (FAILED, "") == (status, out)
    assert says in said


def test_nothing_is_overwritten(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A proof that somebody kept may be the only one."""
    path = tmp_path / "proof"
    path.write_text("kept")
    status, _, said = prove(place, capsys, CALL, "-o", str(path))
    assert FAILED == status
    assert "cannot be written" in said
    assert "kept" == path.read_text()


def test_an_entry_that_nothing_covers_is_not_proved(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log has lost its checkpoints: the remedy is told, and nothing is signed."""
    monkeypatch.setattr(proving.covering, "__kwdefaults__", {"wait_s": 0.0})
    (place.checkpoints.folder / (place.origin.replace("/", "-") + ".checkpoint")).unlink()
    status, _, said = prove(place, capsys, CALL)
    assert FAILED == status
    assert "no signed checkpoint covers the entry yet" in said
    assert "exai serve" in said
    assert not place.note
