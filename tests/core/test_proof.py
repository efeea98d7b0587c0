"""A proof is what C2SP says it is, and holds for one entry at one place of one log."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.merkle import SIZE_MAX, CompactRange, Leaves, inclusion_path, leaf_hash
from service.core.note import Checkpoint, SigningKey, signed, write_base64
from service.core.proof import PATH_MAX, PROOF_BYTES_MAX, Proof, ProofError, check, parsed, written

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("vectors").joinpath("tlog.json").read_text("utf-8"))
KEY = SigningKey(VECTORS["origin"], bytes.fromhex(VECTORS["seed"]))
ENTRIES = [f"entry {index}".encode() for index in range(40)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def proof_of(index: int, size: int, extra: bytes = b"") -> Proof:
    """Prove an entry of a log of that size."""
    root = CompactRange().extended(LEAVES[:size]).root
    path = inclusion_path(index, size, Leaves(size, [], lambda begin, end: LEAVES[begin:end]))
    return Proof(index, path, signed(Checkpoint(VECTORS["origin"], size, root), KEY), extra)


PROOF = proof_of(5, 12)
TEXT = written(PROOF)


@pytest.mark.parametrize("known", VECTORS["proofs"], ids=lambda known: f"{known['index']} of {known['size']}")
def test_another_implementations_proof_holds(known: dict[str, Any]) -> None:
    """The committed vectors come from code that is not ours; written again, they are the same."""
    entry = f"entry {known['index']}".encode()
    checkpoint = check(known["proof"], entry, KEY.verifier)
    assert (VECTORS["origin"], known["size"]) == (checkpoint.origin, checkpoint.size)
    assert known["proof"] == written(parsed(known["proof"]))


def test_ours_is_written_as_theirs() -> None:
    """The same entry of the same log has one proof."""
    known = next(known for known in VECTORS["proofs"] if known["size"] == 7)
    assert known["proof"] == written(proof_of(known["index"], 7))


@given(st.integers(1, 40), st.data(), st.binary(max_size=50))
def test_every_entry_is_proved(size: int, data: st.DataObject, extra: bytes) -> None:
    """Wherever it stands, whatever is said beside it; and no other entry by the same text."""
    index = data.draw(st.integers(0, size - 1))
    proof = proof_of(index, size, extra)
    text = written(proof)
    assert proof == parsed(text)
    assert size == check(text, ENTRIES[index], KEY.verifier).size
    with pytest.raises(ProofError, match="does not lead to the signed root"):
        check(text, ENTRIES[index] + b" ", KEY.verifier)


@given(st.data())
def test_no_letter_can_be_changed(data: st.DataObject) -> None:
    """Whatever is replaced, left out or put in: it proves nothing."""
    at = data.draw(st.integers(0, len(TEXT) - 1))
    instead = data.draw(st.text(max_size=2).filter(lambda drawn: drawn != TEXT[at]))
    with pytest.raises(ProofError):
        check(TEXT[:at] + instead + TEXT[at + 1 :], ENTRIES[5], KEY.verifier)


def test_another_place_is_not_proved() -> None:
    """The index is part of what is proved, and must be one that the log had."""
    with pytest.raises(ProofError, match="it is not entry 4 of this log"):
        check(TEXT.replace("index 5\n", "index 4\n"), ENTRIES[5], KEY.verifier)
    with pytest.raises(ProofError, match="12 entries, so none with index 12"):
        check(TEXT.replace("index 5\n", "index 12\n"), ENTRIES[5], KEY.verifier)


def test_another_logs_checkpoint_is_refused() -> None:
    """The proof says what is wrong with its checkpoint."""
    stranger = SigningKey(VECTORS["origin"], bytes(32))
    with pytest.raises(ProofError, match="the checkpoint has no signature by this key"):
        check(TEXT, ENTRIES[5], stranger.verifier)


def test_what_is_extra_is_not_signed() -> None:
    """It may be changed without anyone noticing, so nothing may rest on it."""
    text = written(proof_of(5, 12, b"said beside it"))
    assert f"\nextra {write_base64(b'said beside it')}\nindex 5\n" in text
    changed = text.replace(write_base64(b"said beside it"), write_base64(b"said by others"))
    assert check(text, ENTRIES[5], KEY.verifier) == check(changed, ENTRIES[5], KEY.verifier)


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT.partition("\n\n")[0],
        TEXT.partition("\n\n")[0] + "\n\n",
        TEXT.replace("@v1", "@v2"),
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("index 5\n", ""),
        TEXT.replace("index 5\n", "index 05\n"),
        TEXT.replace("index 5\n", "index -5\n"),
        TEXT.replace("index 5\n", "index \u0665\n"),
        TEXT.replace("index 5\n", f"index {SIZE_MAX + 1}\n"),
        TEXT.replace("index 5\n", "index 5\nextra QQ==\n"),
        TEXT.replace("index 5\n", "extra \nindex 5\n"),
        TEXT.replace("index 5\n", "extra QR==\nindex 5\n"),
        TEXT.replace("index 5\n", "extra QQ==\nextra QQ==\nindex 5\n"),
        TEXT.replace("index 5\n", f"index 5\n{write_base64(bytes(31))}\n"),
        TEXT.replace("index 5\n", f"index 5\n{write_base64(bytes(32))[:-2]}B=\n"),
        TEXT.replace("index 5\n", "index 5\n" + f"{write_base64(bytes(32))}\n" * PATH_MAX),
    ],
)
def test_what_is_no_proof_is_refused(text: str) -> None:
    """One way to write each thing, and nothing twice."""
    with pytest.raises(ProofError, match="malformed"):
        parsed(text)


def test_a_proof_has_a_bound() -> None:
    """What strangers send is not read without end."""
    with pytest.raises(ProofError, match="larger than"):
        parsed(TEXT + "x" * PROOF_BYTES_MAX)


@pytest.mark.parametrize(
    ("index", "path", "checkpoint"),
    [(-1, (), "c"), (SIZE_MAX + 1, (), "c"), (0, (bytes(31),), "c"), (0, (bytes(32),) * 64, "c"), (0, (), "")],
)
def test_what_cannot_be_written_is_no_proof(index: int, path: tuple[bytes, ...], checkpoint: str) -> None:
    """No entry has such an index, no tree such a path, and without a checkpoint nothing is proved."""
    with pytest.raises(ValueError, match=r"index|path|checkpoint"):
        Proof(index, path, checkpoint)
