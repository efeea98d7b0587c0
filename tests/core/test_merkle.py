"""Leaf hashes are those of RFC 6962."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.merkle import leaf_hash


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
