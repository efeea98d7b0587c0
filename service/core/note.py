"""Signed checkpoints: what a log was at one size, in a text that anyone can verify with its public key alone.

Source: c2sp.org/signed-note and c2sp.org/tlog-checkpoint, with Ed25519 (type 0x01). A checkpoint is

    <origin>⏎<size>⏎<root, base64>⏎⏎— <key name> <base64 of key id ‖ signature>⏎

The signature is over everything up to and with the first ⏎ of the empty line. Others may sign the same text (lines
of their own) and a log may say more in it (lines after the root); both are passed over.
"""

import base64
import hashlib
import re
from typing import Self

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from service.core.merkle import HASH_BYTES, SIZE_MAX

CHECKPOINT_BYTES_MAX = 64 * 1024
"""A bound for what strangers send; sixteen witnesses with signatures of 2.5 KB fit in."""
SIGNATURES_MAX = 100
KEY_BYTES = 32

_ED25519 = b"\x01"
_KEY_ID_BYTES = 4
_NAME_BYTES_MAX = 255
_VERIFIER_KEY = re.compile(r"([^+]+)\+[0-9a-f]{8}\+([A-Za-z0-9+/]{44})")
_BODY = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*")
_SIGNATURE = re.compile(r"— ([^ ]+) ([A-Za-z0-9+/=]+)")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")  # a note holds no control characters but ends of lines


class NoteError(ValueError):
    """A text is no checkpoint that the given key has signed; the sentence says what is wrong with it."""


class VerifierKey(msgspec.Struct, frozen=True):
    """The public half of a key: who signs, and how to tell.

    Attributes:
        name: without spaces, plus signs and control characters; that of a log's key is the log's origin.
        public: 32 bytes, as RFC 8032 encodes an Ed25519 key.
    """

    name: str
    public: bytes

    def __post_init__(self) -> None:
        """Refuse what no note could name, with a ValueError."""
        if not _is_name(self.name):
            raise ValueError("a key's name has no spaces, plus signs or control characters, and is not empty")
        if len(self.public) != KEY_BYTES:
            raise ValueError(f"a public key has {KEY_BYTES} bytes, not {len(self.public)}")

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_KEY_ID_BYTES]

    @property
    def text(self) -> str:
        """The key in one line, to be handed out: `name+key id in hex+base64 of (0x01 ‖ public key)`."""
        return f"{self.name}+{self.key_id.hex()}+{write_base64(_ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `text` writes, and nothing else.

        Raises:
            ValueError: it is something else, or its id is not its key's.
        """
        found = _VERIFIER_KEY.fullmatch(text)
        if found is None:
            raise ValueError("a verifier key is written name+id+key")
        key = cls(found[1], read_base64(found[2]).removeprefix(_ED25519))
        if key.text != text:
            raise ValueError("the verifier key's id is not its own")
        return key

    def signed(self, text: str, signature: bytes) -> bool:
        """Tell whether this key made the signature of a text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """The secret half of a key. It never shows its secret.

    Args:
        name: as in `VerifierKey`.
        seed: the 32 secret bytes of RFC 8032.

    Raises:
        ValueError: the name has no place in a note, or the seed another length.
    """

    __slots__ = ("_key", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        if len(seed) != KEY_BYTES:
            raise ValueError(f"a signing key has {KEY_BYTES} secret bytes, not {len(seed)}")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, self._key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"SigningKey({self.verifier.text!r})"

    def signature_of(self, text: str) -> bytes:
        """Sign a text: 64 bytes, always the same for the same text."""
        return self._key.sign(text.encode())


class Checkpoint(msgspec.Struct, frozen=True):
    """What a log says of itself: at this size, this is the root of all its entries.

    Attributes:
        origin: the log's name.
        size: its number of entries.
        root: their tree's root, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        """Refuse what has no form as a text, with a ValueError."""
        if not _is_name(self.origin):
            raise ValueError("an origin has no spaces, plus signs or control characters, and is not empty")
        if not 0 <= self.size <= SIZE_MAX:
            raise ValueError(f"no tree has {self.size} leaves")
        if len(self.root) != HASH_BYTES:
            raise ValueError(f"a root has {HASH_BYTES} bytes, not {len(self.root)}")


def signed(checkpoint: Checkpoint, key: SigningKey) -> str:
    """Write the checkpoint and sign it; the same checkpoint gives the same text.

    Raises:
        ValueError: the key's name is not the checkpoint's origin.
    """
    verifier = key.verifier
    if verifier.name != checkpoint.origin:
        raise ValueError("a checkpoint is signed by a key that bears its origin's name")
    text = f"{checkpoint.origin}\n{checkpoint.size}\n{write_base64(checkpoint.root)}\n"
    return f"{text}\n— {verifier.name} {write_base64(verifier.key_id + key.signature_of(text))}\n"


def opened(note_text: str, verifier: VerifierKey) -> Checkpoint:
    """Verify a checkpoint and read it; nothing in it is believed before its signature is.

    Raises:
        NoteError: it is malformed or too large, the key has not signed it or its signature is wrong, or its
            origin is not the key's name.
    """
    text, signatures = _taken_apart(note_text)
    ours = [raw for name, key_id, raw in signatures if (name, key_id) == (verifier.name, verifier.key_id)]
    if not ours:
        raise NoteError("the checkpoint has no signature by this key")
    if not all(verifier.signed(text, raw) for raw in ours):
        raise NoteError("the checkpoint's signature is wrong")
    checkpoint = _checkpoint(text)
    if checkpoint.origin != verifier.name:
        raise NoteError("the checkpoint's origin is not the name of its key")
    return checkpoint


def write_base64(raw: bytes) -> str:
    """Write bytes in the standard alphabet, padded (RFC 4648 §4)."""
    return base64.b64encode(raw).decode()


def read_base64(text: str) -> bytes:
    """Read what `write_base64` wrote, and no other way to write the same bytes.

    Raises:
        ValueError: it is something else.
    """
    raw = base64.b64decode(text, validate=True)
    if write_base64(raw) != text:
        raise ValueError("the base64 is not as it would be written")
    return raw


def _taken_apart(note_text: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """Part a note into the text that is signed, and name, key id and signature of each who signed."""
    if not _is_utf8(note_text, CHECKPOINT_BYTES_MAX) or _CONTROL.search(note_text):
        raise NoteError(f"the checkpoint is larger than {CHECKPOINT_BYTES_MAX} bytes, or no plain text")
    text, blank, below = note_text.rpartition("\n\n")
    if not blank or not below.endswith("\n"):
        raise NoteError("the checkpoint is malformed: it does not end with signatures below an empty line")
    lines = below[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise NoteError(f"the checkpoint has more than {SIGNATURES_MAX} signatures")
    return f"{text}\n", [_signature(line) for line in lines]


def _signature(line: str) -> tuple[str, bytes, bytes]:
    found = _SIGNATURE.fullmatch(line)
    if found is not None and _is_name(found[1]):
        try:
            raw = read_base64(found[2])
        except ValueError:
            raw = b""
        if len(raw) > _KEY_ID_BYTES:
            return found[1], raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:]
    raise NoteError("the checkpoint is malformed: below the empty line stands what is no signature")


def _checkpoint(text: str) -> Checkpoint:
    found = _BODY.fullmatch(text)
    if found is not None:
        try:
            return Checkpoint(found[1], int(found[2]), read_base64(found[3]))
        except ValueError:  # a number beyond all sizes, stray bits
            pass
    raise NoteError("the checkpoint is malformed: it does not begin with origin, size and root, a line each")


def _is_name(name: str) -> bool:
    return (
        _is_utf8(name, _NAME_BYTES_MAX)
        and name != ""
        and "+" not in name
        and not any(each.isspace() or _CONTROL.match(each) for each in name)
    )


def _is_utf8(text: str, bytes_max: int) -> bool:
    try:
        return len(text) <= bytes_max and len(text.encode()) <= bytes_max
    except UnicodeEncodeError:  # half a surrogate pair
        return False
