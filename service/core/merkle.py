"""Hashes of the log's leaves, as RFC 6962 §2.1 defines them."""

import hashlib

_LEAF_PREFIX = b"\x00"  # keeps a leaf from ever being read as an inner node


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry's exact bytes: SHA-256(0x00 ‖ entry), 32 bytes."""
    return hashlib.sha256(_LEAF_PREFIX + entry).digest()
