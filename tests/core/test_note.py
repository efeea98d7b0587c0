"""A checkpoint is what C2SP says it is, and nothing in it is believed that its key has not signed."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.merkle import SIZE_MAX
from service.core.note import (
    CHECKPOINT_BYTES_MAX,
    SIGNATURES_MAX,
    Checkpoint,
    NoteError,
    SigningKey,
    VerifierKey,
    opened,
    read_base64,
    signed,
    write_base64,
)

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("vectors").joinpath("tlog.json").read_text("utf-8"))
KEY = SigningKey(VECTORS["origin"], bytes.fromhex(VECTORS["seed"]))
CHECKPOINT = Checkpoint(VECTORS["origin"], 7, bytes(range(32)))
NOTE = signed(CHECKPOINT, KEY)
STRANGER = SigningKey("example.org/stranger", bytes(32))

# The example key and note of Go's reference implementation (golang.org/x/mod/sumdb/note: its documentation and
# note_test.go), published to be tried with.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_SEED = read_base64("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
PETERS_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
PETERS_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="


def note(text: str, *keys: SigningKey) -> str:
    """Sign any text, as a note is signed."""
    lines = [
        f"— {key.verifier.name} {write_base64(key.verifier.key_id + key.signature_of(text))}\n" for key in keys
    ]
    return f"{text}\n{''.join(lines)}"


def test_the_published_key_signs_the_published_note() -> None:
    """The reference implementation's key, id and signature are ours, byte for byte."""
    peter = SigningKey("PeterNeumann", PETERS_SEED)
    assert VerifierKey.parse(PETER) == peter.verifier
    assert (PETER, "c74f20a3") == (peter.verifier.text, peter.verifier.key_id.hex())
    assert f"{PETERS_TEXT}\n— PeterNeumann {PETERS_SIGNATURE}\n" == note(PETERS_TEXT, peter)
    assert peter.verifier.signed(PETERS_TEXT, read_base64(PETERS_SIGNATURE)[4:])
    assert not peter.verifier.signed(PETERS_TEXT + "\n", read_base64(PETERS_SIGNATURE)[4:])


def test_a_signed_note_need_not_be_a_checkpoint() -> None:
    """The published note is signed well and says nothing of a log."""
    with pytest.raises(NoteError, match="does not begin with origin, size and root"):
        opened(f"{PETERS_TEXT}\n— PeterNeumann {PETERS_SIGNATURE}\n", VerifierKey.parse(PETER))


@pytest.mark.parametrize("known", VECTORS["checkpoints"][:-1], ids=lambda known: str(known["size"]))
def test_another_implementation_signs_the_same_text(known: dict[str, Any]) -> None:
    """The committed vectors come from code that is not ours."""
    checkpoint = Checkpoint(VECTORS["origin"], known["size"], bytes.fromhex(known["root"]))
    assert VECTORS["verifier"] == KEY.verifier.text
    assert known["note"] == signed(checkpoint, KEY)
    assert checkpoint == opened(known["note"], KEY.verifier)


def test_what_others_add_is_passed_over() -> None:
    """A line more in the text, and a witness's signature above the log's: the checkpoint is the same."""
    known = VECTORS["checkpoints"][-1]
    assert (1, 2) == (known["note"].count("an extension line"), known["note"].count("\n— "))
    expected = Checkpoint(VECTORS["origin"], known["size"], bytes.fromhex(known["root"]))
    assert expected == opened(known["note"], KEY.verifier)


@given(st.integers(0, SIZE_MAX), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_what_was_signed_is_opened(size: int, root: bytes, seed: bytes) -> None:
    """By the key that signed it, and by no other of the same name."""
    key = SigningKey("example.com/log", seed)
    checkpoint = Checkpoint("example.com/log", size, root)
    assert checkpoint == opened(signed(checkpoint, key), VerifierKey.parse(key.verifier.text))
    other = SigningKey("example.com/log", bytes(32) if any(seed) else bytes([1] * 32))
    with pytest.raises(NoteError, match="no signature by this key"):
        opened(signed(checkpoint, key), other.verifier)


@given(st.data())
def test_no_letter_can_be_changed(data: st.DataObject) -> None:
    """Whatever is replaced, left out or put in: it is not opened."""
    at = data.draw(st.integers(0, len(NOTE) - 1))
    instead = data.draw(st.text(max_size=2).filter(lambda drawn: drawn != NOTE[at]))
    with pytest.raises(NoteError):
        opened(NOTE[:at] + instead + NOTE[at + 1 :], KEY.verifier)


def test_a_wrong_signature_beside_a_right_one_is_refused() -> None:
    """Who signs twice, once wrongly, has been tampered with."""
    wrong = note("another text\n", KEY).partition("\n\n")[2]
    for tampered in (NOTE + wrong, NOTE.replace("\n\n", f"\n\n{wrong}")):
        with pytest.raises(NoteError, match="signature is wrong"):
            opened(tampered, KEY.verifier)


def test_the_origin_must_be_the_keys_name() -> None:
    """A log's key signs for its own log alone."""
    with pytest.raises(NoteError, match="origin is not the name"):
        opened(note(NOTE.partition("\n\n")[0] + "\n", STRANGER), STRANGER.verifier)
    with pytest.raises(ValueError, match="bears its origin's name"):
        signed(CHECKPOINT, STRANGER)


@pytest.mark.parametrize(
    "text",
    [
        "example.com/vectors\n7\n",
        f"\n7\n{write_base64(bytes(32))}\n",
        f"example.com/vectors\n07\n{write_base64(bytes(32))}\n",
        f"example.com/vectors\n-7\n{write_base64(bytes(32))}\n",
        f"example.com/vectors\n\u0667\n{write_base64(bytes(32))}\n",
        f"example.com/vectors\n{SIZE_MAX + 1}\n{write_base64(bytes(32))}\n",
        f"example.com/vectors\n7\n{write_base64(bytes(31))}\n",
        f"example.com/vectors\n7\n{write_base64(bytes(32))[:-2]}B=\n",
        f"example.com/vectors\n7\n{write_base64(bytes(32))}\n\nmore\n",
        f"example.com /vectors\n7\n{write_base64(bytes(32))}\n",
    ],
)
def test_a_signed_text_of_another_form_is_refused(text: str) -> None:
    """One form of a number, one form of a hash, no empty lines."""
    with pytest.raises(NoteError, match="does not begin with origin, size and root"):
        opened(note(text, KEY), KEY.verifier)


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", "does not end with signatures"),
        (NOTE.partition("\n\n")[0] + "\n", "does not end with signatures"),
        (NOTE.partition("\n\n")[0] + "\n\n", "does not end with signatures"),
        (NOTE[:-1], "does not end with signatures"),
        (NOTE + "more\n", "what is no signature"),
        (NOTE + "— Bad Name x08go/ZJkuA=\n", "what is no signature"),
        (NOTE + "— a+b x08go/ZJkuA=\n", "what is no signature"),
        (NOTE + "— name x08goA==\n", "what is no signature"),
        (NOTE + "— name x08go/ZJkuA\n", "what is no signature"),
        (NOTE + "— name x08go/ZJkuB=\n", "what is no signature"),
        ("\x01" + NOTE, "no plain text"),
        (NOTE.replace("\n", "\r\n"), "no plain text"),
        ("\ud800" + NOTE, "no plain text"),
        ("é" * (CHECKPOINT_BYTES_MAX // 2) + NOTE, "larger than"),
        ("x" * CHECKPOINT_BYTES_MAX + NOTE, "larger than"),
        (note("text\n", *[STRANGER] * (SIGNATURES_MAX + 1)), "more than 100 signatures"),
        (note("text\n", *[STRANGER] * SIGNATURES_MAX), "no signature by this key"),
    ],
)
def test_what_is_no_note_is_refused(text: str, because: str) -> None:
    """With a sentence that says why, and nothing of the text in it."""
    with pytest.raises(NoteError, match=because):
        opened(text, KEY.verifier)


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\nb", "a\tb", "a\u2028b", "a\xa0b", "a\0b", "\ud800", "é" * 128]
)
def test_a_name_that_no_note_can_hold_is_refused(name: str) -> None:
    """Of a key and of a log alike."""
    with pytest.raises(ValueError, match="name has no spaces"):
        SigningKey(name, bytes(32))
    with pytest.raises(ValueError, match="origin has no spaces"):
        Checkpoint(name, 0, bytes(32))


def test_lengths_are_exact() -> None:
    """Of secrets, keys and roots; and a size is one that a log can have."""
    with pytest.raises(ValueError, match="32 secret bytes, not 31"):
        SigningKey("name", bytes(31))
    with pytest.raises(ValueError, match="32 bytes, not 33"):
        VerifierKey("name", bytes(33))
    with pytest.raises(ValueError, match="32 bytes, not 20"):
        Checkpoint("name", 0, bytes(20))
    for size in (-1, SIZE_MAX + 1):
        with pytest.raises(ValueError, match="no tree has"):
            Checkpoint("name", size, bytes(32))


def test_a_mangled_verifier_key_is_refused() -> None:
    """No part of it is a key, no letter of it can be changed, and it says which algorithm it is for."""
    parts = {PETER[begin:end] for begin in range(len(PETER)) for end in range(begin, len(PETER) + 1)} - {PETER}
    changed = {f"{PETER[:at]}{chr(ord(PETER[at]) + 1)}{PETER[at + 1 :]}" for at in range(len(PETER))}
    longer = "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY=="
    of_another_algorithm = "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    for mangled in (*parts, *changed, longer, of_another_algorithm):
        with pytest.raises(ValueError, match="key"):
            VerifierKey.parse(mangled)


def test_a_key_that_is_no_point_verifies_nothing() -> None:
    """Thirty-two bytes are not always a key; such a one refuses."""
    assert not VerifierKey("name", b"\xff" * 32).signed("text\n", bytes(64))


def test_a_signing_key_keeps_its_secret() -> None:
    """It shows its public half, and has nothing else to show."""
    seed = bytes.fromhex(VECTORS["seed"])
    assert f"SigningKey('{VECTORS['verifier']}')" == repr(KEY) == str(KEY)
    assert not hasattr(KEY, "__dict__")
    assert seed.hex() not in repr(KEY)


@pytest.mark.parametrize("text", ["QQ", "QR==", "QQ==\n", " QQ==", "Q-==", "=", "é"])
def test_bytes_are_written_in_one_way_only(text: str) -> None:
    """Missing padding, stray bits, spaces and other alphabets are refused."""
    assert b"A" == read_base64("QQ==")
    with pytest.raises(ValueError, match=r"base64|padding|alphabet|ASCII|Incorrect"):
        read_base64(text)
