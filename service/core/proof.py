"""The proof that an entry is in a log: one text, checked offline with the entry and the log's public key.

Source: c2sp.org/tlog-proof. The text is

    c2sp.org/tlog-proof@v1⏎
    extra <base64>⏎                 only where there is something extra; nobody has signed it
    index <number>⏎
    <hash, base64>⏎                 one line for each hash of the path, the leaf's sibling first
    ⏎
    <checkpoint>                    as `note` writes it, to the end
"""

import re

import msgspec

from service.core.merkle import HASH_BYTES, SIZE_MAX, leaf_hash, verify_inclusion
from service.core.note import Checkpoint, NoteError, VerifierKey, opened, read_base64, write_base64

PROOF_BYTES_MAX = 256 * 1024
PATH_MAX = SIZE_MAX.bit_length()
"""Hashes of the longest path there can be."""

_HEADER = "c2sp.org/tlog-proof@v1"
_HEAD = re.compile(
    re.escape(_HEADER)
    + r"\n(?:extra ([A-Za-z0-9+/=]+)\n)?"
    + r"index (0|[1-9][0-9]{0,18})"
    + r"((?:\n[A-Za-z0-9+/]{43}=)*)"
)


class ProofError(ValueError):
    """The text does not prove that the entry is in the log; the sentence says what does not hold."""


class Proof(msgspec.Struct, frozen=True):
    """Where an entry stands, and what leads from it to a signed root.

    Attributes:
        index: the entry's place in the log, from zero.
        path: hashes of 32 bytes, as `merkle.inclusion_path` gives them.
        checkpoint: the text of a checkpoint, as it was signed.
        extra: bytes that nobody has signed; empty for none.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes = b""

    def __post_init__(self) -> None:
        """Refuse what has no form as a text, with a ValueError."""
        if not 0 <= self.index <= SIZE_MAX:
            raise ValueError(f"no entry has index {self.index}")
        if len(self.path) > PATH_MAX or any(len(each) != HASH_BYTES for each in self.path):
            raise ValueError(f"a path is at most {PATH_MAX} hashes of {HASH_BYTES} bytes")
        if not self.checkpoint:
            raise ValueError("it has no checkpoint")


def written(proof: Proof) -> str:
    """Write a proof; one proof has one text."""
    extra = [f"extra {write_base64(proof.extra)}"] if proof.extra else []
    head = [_HEADER, *extra, f"index {proof.index}", *map(write_base64, proof.path)]
    return "\n".join([*head, "", proof.checkpoint])


def parsed(text: str) -> Proof:
    """Read a proof; nothing in it is verified.

    Raises:
        ProofError: it is malformed or larger than `PROOF_BYTES_MAX`.
    """
    if len(text) > PROOF_BYTES_MAX:
        raise ProofError(f"the proof is larger than {PROOF_BYTES_MAX} bytes")
    head, _, checkpoint = text.partition("\n\n")
    found = _HEAD.fullmatch(head)
    if found is None:
        raise ProofError(f"the proof is malformed: it is not {_HEADER}, index, hashes and checkpoint")
    try:
        path = tuple(read_base64(line) for line in found[3].split())
        return Proof(int(found[2]), path, checkpoint, read_base64(found[1] or ""))
    except ValueError as error:
        raise ProofError(f"the proof is malformed: {error}") from error


def check(text: str, entry: bytes, verifier: VerifierKey) -> Checkpoint:
    """Verify that an entry's exact bytes are in the log whose key is given, and say as of when.

    Returns:
        The checkpoint: the log's origin, and how large it was at least.

    Raises:
        ProofError: the proof is malformed, its checkpoint does not hold, or the entry is not where it says.
    """
    proof = parsed(text)
    try:
        checkpoint = opened(proof.checkpoint, verifier)
    except NoteError as error:
        raise ProofError(str(error)) from error
    if proof.index >= checkpoint.size:
        raise ProofError(f"the log had {checkpoint.size} entries, so none with index {proof.index}")
    if not verify_inclusion(leaf_hash(entry), proof.index, checkpoint.size, proof.path, checkpoint.root):
        raise ProofError(f"the entry does not lead to the signed root: it is not entry {proof.index} of this log")
    return checkpoint
