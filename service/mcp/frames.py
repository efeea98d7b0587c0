"""One frame: bytes to a JSON value and back, every limit checked here and once.

Strict where JSON is loose: no byte order mark, no NaN, no lone surrogates, no numbers beyond a double
or 4300 digits. Of a key that comes twice the last one counts: there is one parser on the whole way, so
nobody behind it can read the frame differently.
"""

import json
from typing import Any, TypeGuard

import msgspec

from service.mcp.events import RejectReason, RequestId

QUOTED_CHARS_MAX = 80

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class FrameError(Exception):
    """A frame that no protocol can serve, with the value where one could still be read."""

    def __init__(self, reason: RejectReason, message: str, remedy: str, readable: object = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.remedy = remedy
        self.readable = readable


def load(frame: bytes, *, depth_max: int) -> dict[str, Any]:
    """Read the JSON object of a frame.

    Raises:
        FrameError: it is not JSON, not an object, or nested deeper than `depth_max`.
    """
    try:
        value = _decode(frame)
    except RecursionError:
        raise _too_deep(depth_max, None) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        at_start = frame.startswith(b"\xef\xbb\xbf")
        remedy = "Send it without a byte order mark." if at_start else "Send one JSON object as UTF-8 text."
        why = str(error)[:QUOTED_CHARS_MAX]
        raise FrameError(RejectReason.MALFORMED_JSON, f"The frame is not JSON: {why}", remedy) from None
    # Counting brackets is far cheaper than walking, and nearly always enough.
    if frame.count(b"{") + frame.count(b"[") > depth_max and _is_deeper(value, depth_max):
        raise _too_deep(depth_max, value)
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        raise FrameError(RejectReason.BATCH, "Batches are not served.", "Send each message in a frame of its own.")
    raise FrameError(RejectReason.NOT_AN_OBJECT, "The frame is not an object.", "Send one JSON object.")


def dump(value: object) -> bytes:
    """Write a plain JSON value as UTF-8; a lone surrogate, which JSON text cannot carry, becomes `?`."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value), ensure_ascii=False).encode("utf-8", "replace")


def quote(text: object) -> str:
    """Show a client's value inside a message of ours: printable, at most 80 characters."""
    # Cut before repr: the repr of ten megabytes is work that a stranger could order.
    shown = repr(text[:QUOTED_CHARS_MAX]) if isinstance(text, str) else type(text).__name__
    return shown if len(shown) <= QUOTED_CHARS_MAX else shown[: QUOTED_CHARS_MAX - 1] + "…"


def bounded_label(text: object) -> str | None:
    """Make a label of what a client calls itself: printable, at most 80 characters; None when empty."""
    if not isinstance(text, str):
        return None
    shown = "".join(char if char.isprintable() else "?" for char in text[:QUOTED_CHARS_MAX])
    return shown.strip() or None


def is_request_id(value: object, chars_max: int) -> TypeGuard[RequestId]:
    """Say whether a value may name a request: a string or an integer of bounded size, nothing else."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return value.bit_length() <= chars_max
    return isinstance(value, str) and len(value) <= chars_max


def _too_deep(depth_max: int, readable: object) -> FrameError:
    message = f"The frame is nested deeper than {depth_max} levels."
    return FrameError(RejectReason.TOO_DEEP, message, "Send flatter arguments.", readable)


def _is_deeper(value: object, depth_max: int) -> bool:
    layer = [value] if isinstance(value, dict | list) else []
    for _ in range(depth_max):
        layer = [
            child
            for node in layer
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not layer:
            return False
    return True
