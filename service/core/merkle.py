"""The log's tree, as RFC 6962 §2.1 defines it: hashes of leaves and nodes, roots, proofs and what they prove.

A tree of n leaves splits at the largest power of two below n. So its left parts are perfect subtrees that later
leaves never change: the roots of those, the compact range, are all that an append has to know.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Self

import msgspec

HASH_BYTES = 32
SIZE_MAX = 2**63 - 1  # what a signed 64-bit integer holds, as other implementations and SQLite count
BLOCK = 1024
"""Leaves of a block: a perfect, aligned subtree of level 10, whose root may be stored instead of them."""
EMPTY_ROOT = hashlib.sha256().digest()

_LEAF_PREFIX = b"\x00"  # keeps a leaf from ever being read as an inner node
_NODE_PREFIX = b"\x01"

Hashes = Callable[[int, int], bytes]
"""Root of the leaves from `begin` to before `end`: a perfect subtree, `begin` a multiple of its width."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry's exact bytes: SHA-256(0x00 ‖ entry), 32 bytes."""
    return hashlib.sha256(_LEAF_PREFIX + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into one: SHA-256(0x01 ‖ left ‖ right), 32 bytes."""
    return hashlib.sha256(_NODE_PREFIX + left + right).digest()


class CompactRange(msgspec.Struct, frozen=True):
    """A tree without its leaves: enough to append to it and to state its root.

    Attributes:
        size: how many leaves it has.
        nodes: the roots of its perfect subtrees, largest and leftmost first; one for each 1 in binary `size`.
    """

    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def extended(self, leaves: Sequence[bytes]) -> Self:
        """Append leaf hashes; the work is one hash per leaf, and a few more per call."""
        nodes = list(self.nodes)
        smaller = []
        level, width = list(leaves), self.size
        while level:
            if width & 1:
                level.insert(0, nodes.pop())
            if len(level) & 1:
                smaller.append(level.pop())
            level = _paired(level)
            width >>= 1
        return type(self)(self.size + len(leaves), (*nodes, *reversed(smaller)))

    @property
    def root(self) -> bytes:
        """The root of all its leaves, 32 bytes; `EMPTY_ROOT` of none."""
        return _joined(self.nodes) if self.nodes else EMPTY_ROOT

    def packed(self) -> bytes:
        """Write the nodes one behind the other, 32 bytes each; the size tells how many there are."""
        return b"".join(self.nodes)

    @classmethod
    def unpack(cls, size: int, packed: bytes) -> Self:
        """Read what `packed` wrote.

        Raises:
            ValueError: a tree of that size has another number of nodes.
        """
        if not 0 <= size <= SIZE_MAX:
            raise ValueError(f"no tree has {size} leaves")
        if len(packed) != size.bit_count() * HASH_BYTES:
            raise ValueError(f"{len(packed)} bytes are not the nodes of a tree of {size} leaves")
        nodes = (packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES))
        return cls(size, tuple(nodes))


def block_hash(leaves: Sequence[bytes]) -> bytes:
    """Give the root of exactly `BLOCK` leaf hashes.

    Raises:
        ValueError: they are more or fewer.
    """
    if len(leaves) != BLOCK:
        raise ValueError(f"{len(leaves)} leaves are no block")
    return _perfect(leaves)


def range_of(blocks: Sequence[bytes], tail: Sequence[bytes]) -> CompactRange:
    """Build the compact range of a log from its whole blocks' hashes and the leaf hashes after them.

    Raises:
        ValueError: the tail holds a whole block.
    """
    if len(tail) >= BLOCK:
        raise ValueError(f"a tail of {len(tail)} leaves holds a whole block")
    return CompactRange(len(blocks) * BLOCK, CompactRange().extended(blocks).nodes).extended(tail)


class Leaves:
    """The subtrees of a log: from its blocks' hashes, and leaf hashes read where a block must be opened.

    A path asks for the inside of one or two blocks, whatever the log's size; each is read once and kept.

    Args:
        size: how many leaves the tree has.
        blocks: the hashes of its whole blocks; those that a longer log has after them are not looked at.
        read: gives the leaf hashes from `begin` to before `end`: the part of one block that the tree has.

    Raises:
        ValueError: fewer blocks than the size tells of, or, from a call, another number of leaves than asked for.
    """

    def __init__(self, size: int, blocks: Sequence[bytes], read: Callable[[int, int], Sequence[bytes]]) -> None:
        if len(blocks) < size // BLOCK:
            raise ValueError(f"{len(blocks)} blocks are too few for a log of {size} leaves")
        self._size = size
        self._blocks = blocks
        self._read = read
        self._open: dict[int, Sequence[bytes]] = {}

    def __call__(self, begin: int, end: int) -> bytes:
        """Give the root of the leaves from `begin` to before `end`, as `Hashes` says."""
        if end - begin >= BLOCK:
            return _perfect(self._blocks[begin // BLOCK : end // BLOCK])
        first = begin - begin % BLOCK
        return _perfect(self._leaves_of(first)[begin - first : end - first])

    def _leaves_of(self, first: int) -> Sequence[bytes]:
        if first not in self._open:
            end = min(first + BLOCK, self._size)
            leaves = self._read(first, end)
            if len(leaves) != end - first:
                raise ValueError(f"{len(leaves)} leaves were read where {end - first} are")
            self._open[first] = leaves
        return self._open[first]


def inclusion_path(index: int, size: int, hashes: Hashes) -> tuple[bytes, ...]:
    """Prove that leaf `index` (from zero) is in the tree of the first `size` leaves (RFC 6962 §2.1.1).

    Returns:
        The hashes beside the way from the leaf up to the root, the leaf's sibling first.

    Raises:
        ValueError: the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    path = []
    begin, end = 0, size
    while end - begin > 1:
        split = _split(begin, end)
        if index < split:
            path.append(_root_of(split, end, hashes))
            end = split
        else:
            path.append(_root_of(begin, split, hashes))
            begin = split
    return tuple(reversed(path))


def consistency_path(old: int, new: int, hashes: Hashes) -> tuple[bytes, ...]:
    """Prove that the tree of the first `old` leaves is the beginning of that of `new` (RFC 6962 §2.1.2).

    Returns:
        The hashes, deepest first; none where `old` is zero or `new`, for then there is nothing to show.

    Raises:
        ValueError: the old tree is the larger one.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} leaves is no beginning of one of {new}")
    if old == 0:
        return ()
    path = []
    begin, end = 0, new
    while end != old:
        split = _split(begin, end)
        if old <= split:
            path.append(_root_of(split, end, hashes))
            end = split
        else:
            path.append(_root_of(begin, split, hashes))
            begin = split
    if begin:  # from zero on it is the old tree itself, whose root the reader has
        path.append(_root_of(begin, end, hashes))
    return tuple(reversed(path))


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Tell whether the path leads from the leaf hash at `index` to the root (RFC 9162 §2.1.3.2).

    Whatever is malformed is false: a hash of another length, an index beyond the size, a hash too many or few.
    Size and root must come from one signed checkpoint: the path alone does not bind a size to a root.
    """
    if not (0 <= index < size <= SIZE_MAX and _are_hashes(leaf, root, *path)):
        return False
    sides = list(_sides(index, size - 1))
    if len(path) != len(sides):
        return False
    found = leaf
    for beside, left in zip(path, sides, strict=True):
        found = node_hash(beside, found) if left else node_hash(found, beside)
    return found == root


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """Tell whether the new tree begins with all leaves of the old one (RFC 9162 §2.1.4.2).

    The empty tree is the beginning of every tree, and its root is `EMPTY_ROOT`; a tree is the beginning of itself.
    Whatever is malformed is false.
    """
    if not (0 <= old_size <= new_size <= SIZE_MAX and _are_hashes(old_root, new_root, *path)):
        return False
    if old_size == new_size:
        return not path and old_root == new_root and (old_size > 0 or old_root == EMPTY_ROOT)
    if old_size == 0:
        return not path and old_root == EMPTY_ROOT
    up = _zeros(old_size)
    at, last = (old_size - 1) >> up, (new_size - 1) >> up
    hashes = path if at else (old_root, *path)  # nothing left of it: the old tree is perfect, and begins the path
    sides = list(_sides(at, last))
    if len(hashes) != len(sides) + 1:
        return False
    old = new = hashes[0]
    for beside, left in zip(hashes[1:], sides, strict=True):
        if left:
            old = node_hash(beside, old)
        new = node_hash(beside, new) if left else node_hash(new, beside)
    return old == old_root and new == new_root


def _paired(level: Sequence[bytes]) -> list[bytes]:
    each = iter(level)  # twice the same iterator: two by two. `node_hash` is written out; a call costs as much
    sha256 = hashlib.sha256
    return [sha256(_NODE_PREFIX + left + right).digest() for left, right in zip(each, each, strict=True)]


def _perfect(level: Sequence[bytes]) -> bytes:
    while len(level) > 1:
        level = _paired(level)
    return level[0]


def _joined(nodes: Sequence[bytes]) -> bytes:
    """Join perfect subtrees, largest first, into the root of them all."""
    *larger, root = nodes
    for node in reversed(larger):
        root = node_hash(node, root)
    return root


def _split(begin: int, end: int) -> int:
    return begin + (1 << (end - begin - 1).bit_length() - 1)


def _root_of(begin: int, end: int, hashes: Hashes) -> bytes:
    nodes = []
    while begin < end:
        width = 1 << (end - begin).bit_length() - 1
        nodes.append(hashes(begin, begin + width))
        begin += width
    return _joined(nodes)


def _sides(at: int, last: int) -> Iterator[bool]:
    """Say of each hash of a path, bottom up, whether it stands to the left.

    Args:
        at: where the way up begins on its level.
        last: the level's last place, the tree's right edge.
    """
    while last:
        left = bool(at & 1) or at == last
        yield left
        up = 1 + (_zeros(at) if left else 0)  # at the edge, levels without a neighbour are passed over
        at, last = at >> up, last >> up


def _zeros(number: int) -> int:
    return (number & -number).bit_length() - 1


def _are_hashes(*found: object) -> bool:
    return all(isinstance(each, bytes) and len(each) == HASH_BYTES for each in found)
