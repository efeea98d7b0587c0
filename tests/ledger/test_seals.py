"""Seals tell which bytes are not those that were hashed, and which hashes are not those that were signed."""

from collections.abc import Iterator

import pytest

from service.core.merkle import BLOCK, CompactRange, block_hash, leaf_hash
from service.core.note import Checkpoint
from service.errors import StoreError
from service.ledger.findings import Findings, Problem
from service.ledger.seals import Row, Sealed, Stored, check_seals

SIZE = 2 * BLOCK + 700
ENTRIES = [f"entry {index}".encode() for index in range(SIZE)]
ROWS: list[Row] = [(index, leaf_hash(entry), entry) for index, entry in enumerate(ENTRIES)]
LEAVES = [leaf for _, leaf, _ in ROWS]
STORED = Stored(tuple(block_hash(LEAVES[at : at + BLOCK]) for at in (0, BLOCK)), CompactRange().extended(LEAVES))


def signed(size: int, leaves: list[bytes] = LEAVES) -> Checkpoint:
    """Make the checkpoint of the first entries."""
    return Checkpoint("o", size, CompactRange().extended(leaves[:size]).root)


def forged(*indexes: int) -> list[Row]:
    """Write entries anew, each with a fitting hash."""
    rows = list(ROWS)
    for index in indexes:
        rows[index] = (index, leaf_hash(b"forged"), b"forged")
    return rows


def found(
    rows: list[Row], *checkpoints: Checkpoint, stored: Stored | None = STORED
) -> list[tuple[int | None, int | None]]:
    """Check, and give index and last of each problem."""
    findings = Findings()
    check_seals(rows, checkpoints, findings, stored=stored)
    return [(problem.index, problem.last) for problem in findings.problems]


@pytest.mark.parametrize("size", [1, 2, 700, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, SIZE])
def test_a_whole_log_is_covered_as_far_as_it_is_signed(size: int) -> None:
    """Of several checkpoints the largest says how far; the root is that of all entries."""
    findings = Findings()
    sealed = check_seals(ROWS, [signed(size), signed(1)], findings, stored=STORED)
    assert Sealed(SIZE, ENTRIES[-1], size, STORED.range.root) == sealed
    assert [] == findings.problems


@pytest.mark.parametrize("size", [0, 1, BLOCK, 2 * BLOCK])
def test_logs_of_every_shape_pass(size: int) -> None:
    """None, one, and whole blocks only."""
    leaves = LEAVES[:size]
    blocks = STORED.blocks[: size // BLOCK]
    findings = Findings()
    sealed = check_seals(
        ROWS[:size], [signed(size)], findings, stored=Stored(blocks, CompactRange().extended(leaves))
    )
    assert (size, size, []) == (sealed.entries, sealed.covered, findings.problems)


@pytest.mark.parametrize("index", [0, 5, BLOCK - 1, BLOCK, 2 * BLOCK, SIZE - 1])
@pytest.mark.parametrize("column", [1, 2])
def test_bytes_or_hash_alone_name_the_entry(index: int, column: int) -> None:
    """One of the two was changed: the index is known, and nothing else is said."""
    rows = list(ROWS)
    row = list(rows[index])
    row[column] = bytes([row[column][0] ^ 1]) + row[column][1:]  # type: ignore[index] # one of the two bytes
    rows[index] = (index, row[1], row[2])  # type: ignore[assignment] # as it was
    assert [(index, None)] == found(rows, signed(SIZE))


@pytest.mark.parametrize(
    ("index", "first", "last"),
    [(5, 0, 1023), (1500, 1024, 2047), (2050, 2048, 2559), (2600, 2560, 2687), (SIZE - 1, SIZE - 4, SIZE - 1)],
)
def test_bytes_and_hash_together_name_the_part(index: int, first: int, last: int) -> None:
    """Both fit each other: the stored tree tells in which of its parts, and the signed root says so too."""
    assert [(first, last)] == found(forged(index))
    assert [(first, last), (None, None)] == found(forged(index), signed(SIZE))


def test_without_a_stored_tree_the_checkpoints_tell() -> None:
    """An export has no blocks: it lies between the last root that holds and the first that does not."""
    assert [(0, SIZE - 1)] == found(forged(1500), signed(SIZE), stored=None)
    assert [(1400, 1599)] == found(forged(1500), signed(1400), signed(1600), stored=None)
    assert [(1400, 1599), (None, None)] == found(
        forged(1500), signed(SIZE), signed(1600), signed(1400), stored=None
    )
    assert [] == found(forged(1700), signed(1600), stored=None)


def test_a_stored_hash_is_no_authority_over_a_signed_root() -> None:
    """Where the entries are those that were signed, it is the stored block that was changed."""
    blocks = (STORED.blocks[0], bytes(32))
    assert [(None, None)] == found(ROWS, signed(SIZE), stored=Stored(blocks, STORED.range))
    nodes = (bytes(32), *STORED.range.nodes[1:])
    assert [(None, None)] == found(ROWS, signed(SIZE), stored=Stored(STORED.blocks, CompactRange(SIZE, nodes)))


def test_another_past_is_told() -> None:
    """A root that was signed over fewer entries than one that holds: somebody signed two pasts."""
    other = [leaf_hash(b"other"), *LEAVES[1:]]
    findings = Findings()
    check_seals(ROWS, [signed(10, other), signed(20)], findings)
    assert [Problem(None, "the root that was signed over 10 entries is not theirs")] == findings.problems


@pytest.mark.parametrize("kept", [1, 5, BLOCK, SIZE - 1])
def test_a_cut_is_told_by_what_was_signed(kept: int) -> None:
    """The log is whole in itself; the checkpoint knows what is missing."""
    stored = Stored(STORED.blocks[: kept // BLOCK], CompactRange().extended(LEAVES[:kept]))
    assert [(kept, SIZE - 1)] == found(ROWS[:kept], signed(SIZE), stored=stored)
    assert (kept, SIZE - 1) in found(ROWS[:kept], signed(SIZE))


@pytest.mark.parametrize("index", [0, 3, BLOCK, SIZE - 2])
def test_a_gap_is_named_once(index: int) -> None:
    """What comes after it is still held against its own hashes."""
    rows = [row for row in ROWS if row[0] != index]
    assert [(index, None)] == found(rows, signed(SIZE))
    rows[-1] = (rows[-1][0], bytes(32), rows[-1][2])
    assert [(index, None), (SIZE - 1, None)] == found(rows, signed(SIZE))


def test_what_is_no_bytes_is_a_bad_entry() -> None:
    """A damaged file may give numbers and texts where bytes belong."""
    rows: list[Row] = list(ROWS)
    rows[3] = (3, LEAVES[3], "text")  # type: ignore[assignment] # as a damaged file gives it
    rows[7] = (7, None, ENTRIES[7])  # type: ignore[assignment] # as a damaged file gives it
    assert [(3, None), (7, None)] == found(rows)[:2]


def test_reading_ends_where_the_file_does() -> None:
    """What was read before it failed is judged; the failure is told at the next index."""

    def rows() -> Iterator[Row]:
        yield from ROWS[:1500]
        raise StoreError("page 7 is gone")

    findings = Findings()
    sealed = check_seals(rows(), [signed(1200), signed(SIZE)], findings, stored=STORED)
    assert [Problem(1500, "from here on it cannot be read: page 7 is gone")] == findings.problems
    assert (1500, 1200) == (sealed.entries, sealed.covered)


def test_a_stored_tree_of_another_size_is_told() -> None:
    """Blocks and compact range must be those of the entries that there are."""
    findings = Findings()
    check_seals(ROWS[:10], [], findings, stored=STORED)
    assert [
        "2 blocks are stored for 10 entries",
        f"the stored tree is of {SIZE} entries, the log has 10",
    ] == [problem.sentence for problem in findings.problems]


def test_both_kinds_in_one_part_are_both_told() -> None:
    """An entry with a wrong hash does not hide another one whose hash was made to fit."""
    rows = forged(900)
    rows[5] = (5, LEAVES[5], b"other")
    assert [(5, None), (0, 1023), (None, None)] == found(rows, signed(SIZE))
