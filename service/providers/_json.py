"""A stranger's JSON, read field by field: one bad field spoils itself and nothing beside it."""

import re
from typing import TypeVar

import msgspec

Fields = dict[str, msgspec.Raw]
_T = TypeVar("_T")

COUNT_DIGITS_MAX = 15  # far above any token count, and short enough to convert at once

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])
_string = msgspec.json.Decoder(str)
_COUNT = re.compile(rb"-?[0-9]{1,%d}" % COUNT_DIGITS_MAX)
# Every escape is matched whole, so that an escaped backslash before a `u` is never taken for a surrogate.
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\."
)


def fields(source: bytes | msgspec.Raw | None) -> Fields | None:
    """Read the members of an object, each still as its exact text; None when it is no object."""
    return _decoded(_object, source)


def items(source: msgspec.Raw | None) -> list[msgspec.Raw]:
    """Read the members of a list; an empty list when it is none."""
    return _decoded(_list, source) or []


def string(source: msgspec.Raw | None) -> str | None:
    """Read a string; None when it is absent or something else."""
    return _decoded(_string, source)


def count(source: msgspec.Raw) -> int | None:
    """Read a whole number as JSON writes one; None for a boolean, a float, a string or anything else."""
    return int(bytes(source)) if _COUNT.fullmatch(bytes(source)) else None


def is_null(source: msgspec.Raw | None) -> bool:
    """Tell whether a field is absent or null, which strangers use alike."""
    return source is None or bytes(source) == b"null"


def exact(source: msgspec.Raw) -> str:
    """Give a field's own JSON text."""
    return bytes(source).decode(errors="replace")


def _decoded(decoder: msgspec.json.Decoder[_T], source: bytes | msgspec.Raw | None) -> _T | None:
    if source is None:
        return None
    try:
        return decoder.decode(source)
    except (ValueError, RecursionError):
        pass
    # Models write halves of characters, as broken UTF-8 or as a lone surrogate escape. The decoder refuses
    # both, and with them would go the usage that stands beside the text.
    repaired = _ESCAPES.sub(_whole, bytes(source).decode(errors="replace").encode())
    try:
        return decoder.decode(repaired)
    except (ValueError, RecursionError):
        return None


def _whole(escape: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if escape["half"] else escape[0]
