"""W3C trace context: the client's when it is valid, else ours."""

import re

import msgspec

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_INVALID_VERSION = "ff"
_SAMPLED = 0x01


class TraceParent(msgspec.Struct, frozen=True):
    """Where a client's span stands: lower-case hex ids, and whether the client records it."""

    trace_id: str
    span_id: str
    sampled: bool


def parse_traceparent(text: object) -> TraceParent | None:
    """Read a `traceparent` value; None for whatever is not valid (W3C Trace Context §3.2)."""
    match = _TRACEPARENT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if (
        version == _INVALID_VERSION
        or (version == "00" and rest)
        or not trace_id.strip("0")
        or not span_id.strip("0")
    ):
        return None
    return TraceParent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))
