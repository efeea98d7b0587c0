"""The terms of a conversation: what the server says of itself, and the limits it sets."""

import msgspec

MIB = 1024 * 1024
KEY_META = "exai/idempotency_key"
"""Where a tools/call carries, in `_meta`, the client's wish that equal requests be paid once."""
KEY_CHARS_MAX = 255
KEY_LIFETIME_S = 24 * 3600
"""How long a key is bound to its first request."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """What the server tells every client about itself."""

    name: str
    title: str
    version: str
    instructions: str | None = None
    call_timeout_s: float
    """Told to the predecessor's clients in `call_tool_ack`: they extend their own deadline by it."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may send. Whatever exceeds a limit is refused by name, never truncated."""

    frame_bytes_max: int = 10 * MIB
    opening_bytes_max: int = 64 * 1024
    """The same limit until the conversation is open: strangers get small frames only."""
    depth_max: int = 64
    """Nested arrays and objects in one frame, the frame's own object included."""
    id_chars_max: int = 256
    """Characters of a string id or progress token; bits of an integer one. They are echoed whole."""
    meta_bytes_max: int = 16 * 1024
    token_chars_max: int = 4096
