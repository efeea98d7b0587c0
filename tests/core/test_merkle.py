"""The tree is that of RFC 6962: independent implementations agree on every hash, and no false proof passes."""

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pymerkle  # type: ignore[import-untyped] # it has no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.merkle import (
    BLOCK,
    EMPTY_ROOT,
    SIZE_MAX,
    CompactRange,
    Leaves,
    block_hash,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    range_of,
    verify_consistency,
    verify_inclusion,
)

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("vectors").joinpath("tlog.json").read_text("utf-8"))
ENTRIES = [f"entry {index}".encode() for index in range(3000)]
LEAVES = [hashlib.sha256(b"\x00" + entry).digest() for entry in ENTRIES]

# The test data of certificate transparency (certificate-transparency-go, transparency-dev/merkle: testonly).
CT_ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
CT_CONSISTENCY = {
    (1, 1): [],
    (1, 8): CT_INCLUSION[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def whole_blocks(leaves: Sequence[bytes]) -> list[bytes]:
    """Hash the whole blocks of a log."""
    return [block_hash(leaves[at : at + BLOCK]) for at in range(0, len(leaves) - BLOCK + 1, BLOCK)]


def root_of(size: int, leaves: Sequence[bytes] = LEAVES) -> bytes:
    """Give the root of the first leaves."""
    return CompactRange().extended(leaves[:size]).root


def hashes_of(size: int, leaves: Sequence[bytes] = LEAVES) -> Leaves:
    """Give the subtrees of the first leaves."""
    return Leaves(size, whole_blocks(leaves), lambda begin, end: leaves[begin:end])


def flipped(text: bytes, bit: int) -> bytes:
    """Flip one bit."""
    return (int.from_bytes(text) ^ (1 << bit)).to_bytes(len(text))


@pytest.fixture(scope="module")
def judge() -> Any:  # noqa: ANN401 - it has no types
    """Give the same log, as an independent implementation keeps it."""
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    tree.append_entries(ENTRIES[:600])
    return tree


@st.composite
def sizes(draw: st.DrawFn, least: int = 0) -> tuple[int, int]:
    """Draw two sizes, the smaller first; the edges of blocks are tried often."""
    edges = st.sampled_from([least, 1, 2, 1023, 1024, 1025, 2047, 2048, 2049, 3000])
    one, other = draw(edges | st.integers(least, 3000)), draw(edges | st.integers(least, 3000))
    return min(one, other), max(one, other)


@pytest.mark.parametrize(
    ("entry", "digest"),
    [
        (b"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (b"L123456", "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"),
    ],
)
def test_known_leaves_have_their_known_hashes(entry: bytes, digest: str) -> None:
    """The published test vectors of certificate transparency hold."""
    assert digest == leaf_hash(entry).hex()


@given(st.binary(max_size=64))
def test_a_leaf_is_hashed_behind_a_zero_byte(entry: bytes) -> None:
    """So no leaf can be read as an inner node, whose prefix is one."""
    assert hashlib.sha256(b"\x00" + entry).digest() == leaf_hash(entry)
    assert hashlib.sha256(b"\x01" + entry).digest() != leaf_hash(entry)


def test_a_node_is_hashed_behind_a_one() -> None:
    """Left before right."""
    assert hashlib.sha256(b"\x01" + LEAVES[0] + LEAVES[1]).digest() == node_hash(LEAVES[0], LEAVES[1])


def test_the_roots_of_certificate_transparency_hold() -> None:
    """Eight published leaves give nine published roots, that of nothing among them."""
    leaves = [leaf_hash(entry) for entry in CT_ENTRIES]
    assert CT_ROOTS == [root_of(size, leaves).hex() for size in range(9)]
    assert CT_ROOTS[0] == EMPTY_ROOT.hex()


def test_the_paths_of_certificate_transparency_hold() -> None:
    """What was published as a proof is what we write, and what we take."""
    leaves = [leaf_hash(entry) for entry in CT_ENTRIES]
    for (index, size), path in CT_INCLUSION.items():
        found = inclusion_path(index, size, hashes_of(size, leaves))
        assert path == [each.hex() for each in found]
        assert verify_inclusion(leaves[index], index, size, found, bytes.fromhex(CT_ROOTS[size]))
    for (old, new), path in CT_CONSISTENCY.items():
        found = consistency_path(old, new, hashes_of(new, leaves))
        assert path == [each.hex() for each in found]
        assert verify_consistency(old, bytes.fromhex(CT_ROOTS[old]), new, bytes.fromhex(CT_ROOTS[new]), found)


def test_the_roots_are_those_of_another_implementation() -> None:
    """The committed vectors come from code that is not ours."""
    assert VECTORS["roots"] == {size: root_of(int(size)).hex() for size in VECTORS["roots"]}


def test_the_paths_are_those_of_another_implementation() -> None:
    """Hash by hash, in the same order."""
    for known in VECTORS["inclusion"]:
        found = inclusion_path(known["index"], known["size"], hashes_of(known["size"]))
        assert known["path"] == [each.hex() for each in found]
    for known in VECTORS["consistency"]:
        found = consistency_path(known["old"], known["new"], hashes_of(known["new"]))
        assert known["path"] == [each.hex() for each in found]


def test_a_judge_agrees_on_every_root(judge: Any) -> None:  # noqa: ANN401 - it has no types
    """The tree grows leaf by leaf, and a library that nobody here wrote sees the same root at each size."""
    log = CompactRange()
    for size in range(601):
        assert judge.get_root(size) == log.root
        log = log.extended(LEAVES[size : size + 1])


def test_a_judge_agrees_on_inclusion(judge: Any) -> None:  # noqa: ANN401 - it has no types
    """Its paths are ours, it takes ours, and we take its roots."""
    for size in (*range(1, 18), 31, 32, 33, 100, 255, 256, 257, 511, 512, 513, 599, 600):
        for index in sorted({0, 1, size // 3, size // 2, size - 2, size - 1} & set(range(size))):
            theirs = judge.prove_inclusion(index + 1, size)
            path = inclusion_path(index, size, hashes_of(size))
            assert tuple(theirs.path[1:]) == path
            assert verify_inclusion(LEAVES[index], index, size, path, judge.get_root(size))
            ours = pymerkle.InclusionProof("sha256", True, size, index + 1, theirs.rule, [LEAVES[index], *path])
            pymerkle.verify_inclusion(LEAVES[index], root_of(size), ours, index + 1, size)


def test_a_judge_agrees_on_consistency(judge: Any) -> None:  # noqa: ANN401 - it has no types
    """It proves that our roots belong together, and our paths prove it of its roots."""
    steps = (1, 2, 3, 4, 7, 8, 9, 31, 64, 65, 128, 200, 255, 256, 511, 512, 513, 600)
    for old, new in ((old, new) for new in steps for old in steps if old <= new):
        pymerkle.verify_consistency(root_of(old), root_of(new), judge.prove_consistency(old, new), old, new)
        path = consistency_path(old, new, hashes_of(new))
        assert verify_consistency(old, judge.get_root(old), new, judge.get_root(new), path)


@given(st.lists(st.integers(0, 1100), max_size=6))
def test_how_leaves_came_does_not_matter(batches: list[int]) -> None:
    """A log in batches, a log at once, and a log from blocks and a tail are the same."""
    ends = [0]
    for batch in batches:
        ends.append(min(ends[-1] + batch, len(LEAVES)))
    log = CompactRange()
    for begin, end in pairwise(ends):
        log = log.extended(LEAVES[begin:end])
    leaves = LEAVES[: ends[-1]]
    assert CompactRange().extended(leaves) == log
    assert range_of(whole_blocks(leaves), leaves[len(leaves) - len(leaves) % BLOCK :]) == log
    assert (len(leaves), len(leaves).bit_count()) == (log.size, len(log.nodes))


@given(st.integers(0, 3000))
def test_what_was_packed_is_unpacked(size: int) -> None:
    """A compact range is kept as its size and its hashes."""
    log = CompactRange().extended(LEAVES[:size])
    assert CompactRange.unpack(size, log.packed()) == log


@pytest.mark.parametrize(
    ("size", "packed"), [(-1, b""), (SIZE_MAX + 1, bytes(32)), (0, bytes(32)), (3, bytes(65))]
)
def test_what_fits_no_tree_is_not_unpacked(size: int, packed: bytes) -> None:
    """The size says how many hashes there are; anything else was damaged."""
    with pytest.raises(ValueError, match="leaves"):
        CompactRange.unpack(size, packed)


def test_a_block_is_exactly_a_block() -> None:
    """Its hash is the root of its leaves; more or fewer make none, and no tail is as long as one."""
    assert root_of(BLOCK) == block_hash(LEAVES[:BLOCK])
    for count in (0, BLOCK - 1, BLOCK + 1):
        with pytest.raises(ValueError, match="no block"):
            block_hash(LEAVES[:count])
    with pytest.raises(ValueError, match="holds a whole block"):
        range_of([], LEAVES[:BLOCK])


@pytest.mark.parametrize("index", [0, 1024, 100_000, 10 * BLOCK**2 - 1, 10 * BLOCK**2 + 6])
def test_a_path_opens_two_blocks_at_most(index: int) -> None:
    """In a log of ten million, the leaves of the entry's own block are read, and those of the tail, once each."""
    size = 10 * BLOCK**2 + 7
    blocks = [block_hash(LEAVES[:BLOCK])] * (10 * BLOCK)
    asked = []

    def read(begin: int, end: int) -> list[bytes]:
        asked.append((begin, end))
        return LEAVES[: end - begin]

    hashes = Leaves(size, blocks, read)
    path = inclusion_path(index, size, hashes)
    own = index - index % BLOCK
    assert {(own, min(own + BLOCK, size)), (size - 7, size)} == set(asked)
    assert len(set(asked)) == len(asked)
    root = range_of(blocks, LEAVES[:7]).root
    assert verify_inclusion(LEAVES[index % BLOCK], index, size, path, root)


def test_too_few_blocks_or_leaves_are_noticed() -> None:
    """A store that lost some is not asked for a proof that would be wrong."""
    with pytest.raises(ValueError, match="too few"):
        Leaves(BLOCK, [], lambda begin, end: LEAVES[begin:end])
    with pytest.raises(ValueError, match="2 leaves were read where 3 are"):
        inclusion_path(0, 3, Leaves(3, [], lambda _begin, _end: LEAVES[:2]))


def test_what_is_not_there_is_not_proved() -> None:
    """A leaf beyond the tree, a tree that shrank."""
    for index, size in ((0, 0), (3, 3), (-1, 3)):
        with pytest.raises(ValueError, match="has no leaf"):
            inclusion_path(index, size, hashes_of(3))
    for old, new in ((3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="no beginning"):
            consistency_path(old, new, hashes_of(3))


@given(sizes(least=1), st.data())
def test_every_inclusion_is_proved_and_no_other(drawn: tuple[int, int], data: st.DataObject) -> None:
    """One bit, one place, one hash more or less, or another tree's root: refused."""
    other, size = drawn
    index = data.draw(st.integers(0, size - 1))
    leaf, root, path = LEAVES[index], root_of(size), inclusion_path(index, size, hashes_of(size))
    assert verify_inclusion(leaf, index, size, path, root)
    bit = data.draw(st.integers(0, 255))
    assert not verify_inclusion(flipped(leaf, bit), index, size, path, root)
    assert not verify_inclusion(leaf, index, size, path, flipped(root, bit))
    wrong = data.draw(st.integers(-1, size + 1).filter(lambda drawn: drawn != index))
    assert not verify_inclusion(leaf, wrong, size, path, root)
    if other != size:
        assert not verify_inclusion(leaf, index, other, path, root_of(other))
    for damaged in damages(path, bit, data):
        assert not verify_inclusion(leaf, index, size, damaged, root)


@given(sizes(least=1), st.data())
def test_every_consistency_is_proved_and_no_other(drawn: tuple[int, int], data: st.DataObject) -> None:
    """One bit in either root, one hash more or less, or another tree: refused."""
    old, new = drawn
    before, after, path = root_of(old), root_of(new), consistency_path(old, new, hashes_of(new))
    assert verify_consistency(old, before, new, after, path)
    bit = data.draw(st.integers(0, 255))
    assert not verify_consistency(old, flipped(before, bit), new, after, path)
    assert not verify_consistency(old, before, new, flipped(after, bit), path)
    third = data.draw(st.integers(1, 3000).filter(lambda drawn: drawn not in {old, new}))
    assert not verify_consistency(third, root_of(third), new, after, path)
    assert not verify_consistency(old, before, third, root_of(third), path)
    for damaged in damages(path, bit, data):
        assert not verify_consistency(old, before, new, after, damaged)


def damages(path: tuple[bytes, ...], bit: int, data: st.DataObject) -> list[tuple[bytes, ...]]:
    """Damage a path: a hash more at either end, or one of its own left out, cut, twice there or altered."""
    damaged = [(*path, LEAVES[0]), (LEAVES[0], *path)]
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        instead = ((), (path[at][:31],), (path[at], path[at]), (flipped(path[at], bit),))
        damaged += [(*path[:at], *each, *path[at + 1 :]) for each in instead]
    return damaged


def test_nothing_is_the_beginning_of_everything() -> None:
    """The empty tree has one root and needs no proof, and neither does a tree and itself."""
    assert consistency_path(0, 5, hashes_of(5)) == consistency_path(5, 5, hashes_of(5)) == ()
    assert verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    assert verify_consistency(0, EMPTY_ROOT, 5, root_of(5), [])
    assert verify_consistency(5, root_of(5), 5, root_of(5), [])
    assert not verify_consistency(0, LEAVES[0], 5, root_of(5), [])
    assert not verify_consistency(0, LEAVES[0], 0, LEAVES[0], [])
    assert not verify_consistency(0, EMPTY_ROOT, 5, root_of(5), [LEAVES[0]])
    assert not verify_consistency(5, root_of(5), 5, root_of(5), [LEAVES[0]])
    assert not verify_consistency(5, root_of(5), 5, root_of(4), [])


def test_what_is_malformed_is_refused() -> None:
    """Sizes that cannot be, hashes that are none, texts in their place."""
    one, root = LEAVES[0], root_of(2)
    assert verify_inclusion(one, 0, 2, [LEAVES[1]], root)
    assert not verify_inclusion(one, 0, 0, [], one)
    assert not verify_inclusion(one[:31], 0, 1, [], one[:31])
    assert not verify_inclusion(one, 0, 2, ["x" * 32], root)  # type: ignore[list-item] # what a stranger may send
    assert not verify_consistency(2, root, 1, one, [])
    assert not verify_consistency(-1, root, 1, one, [])
    assert not verify_consistency(1, one[:31], 1, one[:31], [])
    assert not verify_consistency(1, one, 2, root, [])
    assert not verify_consistency(3, root_of(3), 4, root_of(4), [])


def test_the_largest_tree_is_known() -> None:
    """A size beyond a signed 64-bit integer is refused, however well its hashes fit."""
    path = LEAVES[1:64]
    root = LEAVES[0]
    for beside in path:
        root = node_hash(root, beside)
    assert verify_inclusion(LEAVES[0], 0, SIZE_MAX, path, root)
    assert not verify_inclusion(LEAVES[0], 0, SIZE_MAX + 1, path, root)
    assert verify_consistency(1, LEAVES[0], SIZE_MAX, root, path)
    assert not verify_consistency(1, LEAVES[0], SIZE_MAX + 1, root, path)
