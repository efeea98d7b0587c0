"""Evidence: what is kept of a request and its answer so that a stranger can check them."""

import hashlib
from collections.abc import Iterable

import msgspec

SALT_BYTES = 16
HEADER_VALUE_CHARS_MAX = 200
HEADER_NAMES_MAX = 64


class Commitment(msgspec.Struct, frozen=True):
    """A promise about bytes that are not shown: SHA-256(salt ‖ bytes) as hex, and their number."""

    sha256: str
    bytes: int


class TlsPeer(msgspec.Struct, frozen=True, kw_only=True):
    """Who answered, as the verified TLS session says."""

    version: str
    cipher: str
    subject: str
    fingerprint: str


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """When an attempt's milestones passed: microseconds after its intent was durable; None if never."""

    connected_us: int | None = None
    sent_us: int | None = None
    headers_us: int | None = None
    first_byte_us: int | None = None
    ended_us: int


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's signature over having accepted nonce and model at a time.

    It says nothing of success, content or tokens (source: platform.kimi.ai, request signature).
    """

    nonce: str
    timestamp: str
    signature: str
    model: str


def commitment(salt: bytes, content: bytes) -> Commitment:
    """Commit to content without showing it; without the salt a short text could be guessed."""
    return Commitment(hashlib.sha256(salt + content).hexdigest(), len(content))


def kept_headers(
    headers: Iterable[tuple[str, str]], kept: frozenset[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Split response headers: the allow-listed with values, the rest by name only.

    Names are lower-cased; values are bounded, and what was no text in them becomes `?`. A header's
    value may hold a cookie or an account id, so what is not on the list must not be written down.
    """
    values: dict[str, str] = {}
    names: set[str] = set()
    for raw_name, value in headers:
        name = raw_name.lower()
        if not name.isascii():
            continue
        if name in kept:
            values[name] = value.encode(errors="replace").decode()[:HEADER_VALUE_CHARS_MAX]
        else:
            names.add(name[:HEADER_VALUE_CHARS_MAX])
    return values, tuple(sorted(names)[:HEADER_NAMES_MAX])
