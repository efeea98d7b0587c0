"""Canonical JSON (RFC 8785) for what entries are made of: objects, lists, text, whole numbers, booleans, null."""

import re
from typing import Any

import msgspec

INTEGER_MAX = 2**53 - 1  # RFC 8785 numbers are IEEE doubles: a larger integer must be written as text
DEPTH_MAX = 32

_encode = msgspec.json.Encoder(order="sorted").encode


class NotCanonicalError(ValueError):
    """The value has no place in an entry: a float, say, or a large integer."""


# A number that may be 2⁵³ or beyond, or a fraction: it has sixteen digits, a point or an exponent. A text that
# holds what looks like one is judged the slow way too.
_DOUBTFUL = re.compile(rb"(?:\":|[,\[])-?(?:[0-9]{16}|[0-9]+[.eE])")


def canonical_struct(value: msgspec.Struct) -> bytes:
    """Encode a struct as `canonical` encodes its plain form, without making that unless there is a doubt.

    Its fields' types must hold nothing but what `canonical` takes.

    Raises:
        NotCanonicalError: as `canonical`.
    """
    try:
        written = _encode(value)
    except UnicodeEncodeError as error:
        raise NotCanonicalError("a text holds half a surrogate pair") from error
    if written.isascii() and _DOUBTFUL.search(written) is None:
        return written
    return canonical(msgspec.to_builtins(value))


def canonical(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Encode a plain JSON value; equal values give equal bytes.

    Keys must be ASCII: for them the encoder's order (by code point) is the standard's (by UTF-16 unit).

    Raises:
        NotCanonicalError: it holds a float, an integer of 2⁵³ or beyond, a key outside ASCII, half a
            surrogate pair or another type, or is nested deeper than `DEPTH_MAX`.
    """
    _check(value, 0)
    try:
        return _encode(value)
    except UnicodeEncodeError as error:
        raise NotCanonicalError("a text holds half a surrogate pair") from error


def is_canonical(text: bytes) -> bool:
    """Tell whether the bytes are the canonical form of what they say."""
    try:
        return canonical(msgspec.json.decode(text)) == text
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, NotCanonicalError):
        return False


def _check(value: Any, depth: int) -> None:  # noqa: ANN401 - any JSON value
    if depth > DEPTH_MAX:
        raise NotCanonicalError(f"it is nested deeper than {DEPTH_MAX}")
    if value is None or isinstance(value, bool | str):
        return
    if isinstance(value, int):
        if not -INTEGER_MAX <= value <= INTEGER_MAX:
            raise NotCanonicalError(f"the integer {value} is 2^53 or beyond; write it as text")
    elif isinstance(value, dict):
        for key, member in value.items():
            if not (isinstance(key, str) and key.isascii()):
                raise NotCanonicalError(f"the key {key!r} is not ASCII text")
            _check(member, depth + 1)
    elif isinstance(value, list | tuple):
        for member in value:
            _check(member, depth + 1)
    else:
        raise NotCanonicalError(f"a {type(value).__name__} has no canonical form here")
