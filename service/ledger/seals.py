"""Seals: whether a log's bytes are those that were hashed, and its hashes those that were signed. No JSON is read.

An entry whose bytes or hash alone were changed is named by its index. Where both were changed so that they fit,
the tree tells: by the stored hash of a block, or of a part of the last one, in which part of the log it lies; by
a signed root, between which checkpoints.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from service.core.merkle import BLOCK, CompactRange, block_hash, leaf_hash
from service.core.note import Checkpoint
from service.errors import StoreError
from service.ledger.findings import PROBLEMS_MAX, Findings

Row = tuple[int, bytes, bytes]
"""Index, leaf hash and bytes of one entry, as they are kept."""

_ROWS_PER_BATCH = 64  # a divisor of BLOCK; as few as stay in a processor's cache
NOT_ITS_HASH = "the leaf hash is not that of the entry's bytes"


class Stored(msgspec.Struct, frozen=True):
    """The tree as it is stored beside the entries: the hashes of whole blocks, and the compact range."""

    blocks: tuple[bytes, ...]
    range: CompactRange


class Sealed(msgspec.Struct, frozen=True):
    """How far the log is vouched for.

    Attributes:
        entries: how many were seen.
        last: the last one's bytes; empty if there was none.
        covered: how many of the first are those that a checkpoint was signed over.
        root: of all entries as they stand; None where indexes are missing.
    """

    entries: int
    last: bytes
    covered: int
    root: bytes | None


class _Growing:
    """A tree that grows by whole blocks, and the leaves after the last of them."""

    def __init__(self) -> None:
        self.tail: list[bytes] = []
        self._blocks = CompactRange()  # its leaves are blocks

    @property
    def whole(self) -> int:
        """How many leaves are in whole blocks."""
        return self._blocks.size * BLOCK

    def at(self, size: int) -> CompactRange:
        """Give the tree as it was at a size that is not before its last whole block."""
        return CompactRange(self.whole, self._blocks.nodes).extended(self.tail[: size - self.whole])

    def close(self, block: bytes) -> None:
        """Make one block of the tail."""
        self._blocks = self._blocks.extended([block])
        self.tail = []


class _Pass:
    """One way through a log, some entries at a time."""

    def __init__(self, checkpoints: Sequence[Checkpoint], stored: Stored | None, findings: Findings) -> None:
        self.findings = findings
        self.seen = 0
        self.next_index = 0
        self.last = b""
        self.whole = True  # no index is missing so far; the tree goes no further than this
        self.cut_off = False  # whether the rest could not be read
        self.good = 0
        self.bad: list[Checkpoint] = []
        self.suspects: list[tuple[int, int]] = []  # begin and end of parts that are not as stored
        self._due = sorted(checkpoints, key=lambda one: one.size, reverse=True)
        self._stored = stored
        self._found, self._stated = _Growing(), _Growing()  # of the bytes, and of the hashes beside them

    def take(self, batch: Sequence[Row]) -> None:
        """Check the next entries; never beyond a block's end."""
        indexes, stated, texts = zip(*batch, strict=True)
        try:
            found = tuple(map(leaf_hash, texts))
        except TypeError:  # a damaged file gives what is no bytes
            found = tuple(leaf_hash(as_bytes(text)) for text in texts)
        begin = self.next_index
        if indexes != tuple(range(begin, begin + len(batch))) or found != stated:
            self._look(batch, found)
            stated = tuple(map(as_bytes, stated))
        self.seen += len(batch)
        self.next_index = indexes[-1] + 1
        self.last = as_bytes(texts[-1])
        if self.whole:
            self._found.tail += found
            self._stated.tail += stated
            if len(self._found.tail) == BLOCK:
                self._judge()
                self._close()

    def end(self) -> Sealed:
        """Compare what is left with what is stored, and say what can be said."""
        if self.whole:
            self._judge()
        for checkpoint in reversed(self._due):
            self._beyond(checkpoint)
        tree = self._found.at(self.next_index) if self.whole and not self.cut_off else None
        if tree is not None and self._stored is not None:
            self._compare(self._stored, tree, self._stated.at(self.next_index))
        self._name_suspects()
        self._name_unsigned()
        return Sealed(self.seen, self.last, self.good, None if tree is None else tree.root)

    def _look(self, batch: Sequence[Row], found: Sequence[bytes]) -> None:
        expected = self.next_index
        for (index, leaf, _), hashed in zip(batch, found, strict=True):
            if index != expected:
                self.findings.note(min(index, expected), f"index {expected} expected, {index} found")
                self.whole = False
            if hashed != leaf:
                self.findings.note(index, NOT_ITS_HASH)
            expected = index + 1

    def _judge(self) -> None:
        """Compare the roots that were signed up to here."""
        while self._due and self._due[-1].size <= self.next_index:
            checkpoint = self._due.pop()
            if self._found.at(checkpoint.size).root == checkpoint.root:
                self.good = checkpoint.size
            elif self._stated.at(checkpoint.size).root != checkpoint.root:  # else the bytes are reported already
                self.bad.append(checkpoint)

    def _close(self) -> None:
        begin = self._found.whole
        block = block_hash(self._found.tail)
        beside = block if self._found.tail == self._stated.tail else block_hash(self._stated.tail)
        self._found.close(block)
        self._stated.close(beside)
        if self._stored is not None and begin // BLOCK < len(self._stored.blocks):
            self._suspect(begin, begin + BLOCK, self._stored.blocks[begin // BLOCK], block, beside)

    def _suspect(self, begin: int, end: int, stored: bytes, found: bytes, stated: bytes) -> None:
        if stored not in (found, stated) and len(self.suspects) < PROBLEMS_MAX:
            self.suspects.append((begin, end))

    def _beyond(self, checkpoint: Checkpoint) -> None:
        if checkpoint.size > self.next_index and not self.cut_off:
            sentence = f"the log ends here, with {self.next_index} entries; {checkpoint.size} were signed"
            self.findings.note(self.next_index, sentence, last=checkpoint.size - 1)

    def _compare(self, stored: Stored, found: CompactRange, stated: CompactRange) -> None:
        """Compare the stored tree with that of the entries, part by part."""
        note = self.findings.note
        if len(stored.blocks) != found.size // BLOCK:
            note(None, f"{len(stored.blocks)} blocks are stored for {found.size} entries")
        if stored.range.size != found.size:
            note(None, f"the stored tree is of {stored.range.size} entries, the log has {found.size}")
            return
        parts = zip(_parts(found.size), stored.range.nodes, found.nodes, stated.nodes, strict=True)
        for (begin, end), kept, by_bytes, by_hash in parts:
            if end - begin < BLOCK:
                self._suspect(begin, end, kept, by_bytes, by_hash)
            elif kept not in (by_bytes, by_hash) and not any(begin <= at < end for at, _ in self.suspects):
                note(None, f"the stored hash over the entries {begin} to {end - 1} is not that of their blocks")

    def _name_suspects(self) -> None:
        for begin, end in self.suspects:
            if end <= self.good:
                sentence = (
                    f"the stored hash of the entries {begin} to {end - 1} is wrong; they are as they were signed"
                )
                self.findings.note(None, sentence)
            else:
                sentence = "it is not the one that was written: its bytes fit its hash, but not the stored tree"
                self.findings.note(begin, sentence, last=end - 1)

    def _name_unsigned(self) -> None:
        """Name where a signed root does not hold: after the last one that does."""
        for number, checkpoint in enumerate(self.bad):
            suspected = any(begin < checkpoint.size and end > self.good for begin, end in self.suspects)
            sentence = f"the root that was signed over {checkpoint.size} entries is not theirs"
            if number or suspected or checkpoint.size <= self.good:
                self.findings.note(None, sentence)
            else:
                self.findings.note(self.good, sentence, last=checkpoint.size - 1)


def check_seals(
    rows: Iterable[Row], checkpoints: Sequence[Checkpoint], findings: Findings, *, stored: Stored | None = None
) -> Sealed:
    """Walk over a log's bytes from its first entry on, and note what is wrong with them.

    Args:
        rows: all entries, in the order they are kept.
        checkpoints: of this log, their signatures verified.
        findings: to be added to.
        stored: the tree that is stored beside them, if one is.
    """
    walk = _Pass(checkpoints, stored, findings)
    for batch, error in _batches(rows):
        if batch:
            walk.take(batch)
        if error is not None:
            findings.note(walk.next_index, f"from here on it cannot be read: {error}")
            walk.cut_off = True
    return walk.end()


def as_bytes(kept: object) -> bytes:
    """Give what is kept; nothing where a damaged file holds what is no bytes."""
    return kept if isinstance(kept, bytes) else b""


def _batches(rows: Iterable[Row]) -> Iterator[tuple[list[Row], StoreError | None]]:
    """Part a log into parts of blocks; one that cannot be read on ends with the reason."""
    each = iter(rows)
    while True:
        batch: list[Row] = []
        try:
            batch.extend(islice(each, _ROWS_PER_BATCH))  # keeps what it had when the next cannot be read
        except StoreError as error:
            yield batch, error
            return
        if not batch:
            return
        yield batch, None


def _parts(size: int) -> Iterator[tuple[int, int]]:
    """Give begin and end of the perfect subtrees of a tree, largest first."""
    begin = 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            yield begin, begin + (1 << level)
            begin += 1 << level
