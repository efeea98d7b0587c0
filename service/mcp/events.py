"""The vocabulary between a conversation and its pump: what was read, and what shall be answered."""

from enum import StrEnum
from typing import Any, Protocol

import msgspec

RequestId = int | str


class RejectReason(StrEnum):
    """Why a frame was not served. A closed list: it may be a metric's label."""

    MALFORMED_JSON = "malformed_json"
    NOT_AN_OBJECT = "not_an_object"
    BATCH = "batch"
    BINARY = "binary"
    OVERSIZE = "oversize"
    TOO_DEEP = "too_deep"
    INVALID_MESSAGE = "invalid_message"
    INVALID_ID = "invalid_id"
    MISSING_ID = "missing_id"
    DUPLICATE_ID = "duplicate_id"
    BEFORE_INITIALIZE = "before_initialize"
    ALREADY_INITIALIZED = "already_initialized"
    UNKNOWN_METHOD = "unknown_method"
    UNKNOWN_TOOL = "unknown_tool"
    INVALID_PARAMS = "invalid_params"
    OPENING_TIMEOUT = "opening_timeout"
    MISSING_HELLO = "missing_hello"
    INVALID_HELLO = "invalid_hello"
    BEFORE_WELCOME = "before_welcome"
    ALREADY_WELCOMED = "already_welcomed"
    UNAUTHORIZED = "unauthorized"
    UNKNOWN_OP = "unknown_op"
    UNSUPPORTED_OP = "unsupported_op"


class Send(msgspec.Struct, frozen=True):
    """A frame for the wire, now: one JSON object as UTF-8, without a newline."""

    frame: bytes


class CallTool(msgspec.Struct, frozen=True, kw_only=True):
    """A client asks for a tool of the catalogue; its arguments are not judged yet.

    The pump must call `answer` exactly once for every one of these, also when it refuses the call and
    when the call was cancelled: until then the id counts as in flight.
    """

    request_id: RequestId
    name: str
    arguments: dict[str, Any]
    meta: dict[str, Any]
    progress_token: RequestId | None
    wants_text: bool
    """Whether the answer's text may be streamed to this client as progress."""


class CancelCall(msgspec.Struct, frozen=True):
    """A client gives up a call that is in flight. Comes at most once for a call."""

    request_id: RequestId
    reason: str | None


class Hello(msgspec.Struct, frozen=True):
    """A client of the predecessor presents itself; the pump must `welcome` or `refuse` it.

    The pump must do so before it hands over the next frame.
    """

    token: str | None
    session_label: str | None

    def __repr__(self) -> str:
        """Show whether a token came, never the token."""
        token = None if self.token is None else "…"
        return f"Hello(token={token!r}, session_label={self.session_label!r})"


class Rejected(msgspec.Struct, frozen=True):
    """A frame was not served; to be counted. The reply, if the protocol has one, is a `Send` beside it."""

    reason: RejectReason


class Close(msgspec.Struct, frozen=True):
    """The connection must end with this WebSocket code; nothing said later is heard."""

    code: int
    reason: str


Event = Send | CallTool | CancelCall | Hello | Rejected | Close
Events = tuple[Event, ...]

BINARY_REFUSED: Events = (
    Rejected(RejectReason.BINARY),
    Close(1003, "binary frames are not spoken here: send JSON as text"),
)
OVERSIZE_REFUSED: Events = (Rejected(RejectReason.OVERSIZE), Close(1009, "the frame is too big"))
OPENING_TOO_LATE: Events = (
    Rejected(RejectReason.OPENING_TIMEOUT),
    Close(4002, "nobody introduced themselves"),
)


class ToolFault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a tool call failed, for a program (`code`, `retryable`) and for a person.

    Attributes:
        resets_at: UTC text of when a budget that stopped the call begins anew; left out where nothing does.
    """

    code: str
    message: str
    retryable: bool
    remedy: str
    resets_at: str | None = None


class ProtocolFault(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON-RPC error in place of a result."""

    code: int
    message: str
    data: dict[str, Any] | None = None


class ToolReply(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a tool call, before any protocol has dressed it. All parts are plain JSON values.

    Attributes:
        replay: which earlier call this is the answer of, when it was not worked out now.
    """

    content: tuple[str, ...] = ()
    is_error: bool = False
    structured: dict[str, Any] | None = None
    error: ToolFault | None = None
    receipt: dict[str, Any] | None = None
    replay: dict[str, Any] | None = None
    protocol_error: ProtocolFault | None = None


class Conversation(Protocol):
    """One client on one duplex connection of text frames. It does no I/O; the pump moves the frames.

    No frame may make it raise; a conversation that has said `Close` answers nothing more. It is not
    thread-safe: one task owns it.
    """

    @property
    def protocol(self) -> str:
        """Name what is spoken: an MCP revision such as `2025-11-25`, or `exai-1`."""

    @property
    def is_open(self) -> bool:
        """Say whether the client was admitted to the protocol: initialized or welcomed."""

    @property
    def client(self) -> str | None:
        """Say what the client calls itself: untrusted, printable, at most 80 characters."""

    def receive(self, frame: bytes) -> Events:
        """Read one text frame, as UTF-8 bytes."""

    def accepted(self, request_id: RequestId) -> bytes | None:
        """Tell that a call was admitted; None where the protocol has no such word."""

    def answer(self, request_id: RequestId, reply: ToolReply) -> bytes | None:
        """End a call; None when it was cancelled or is unknown, and nothing more may be sent for it."""

    def progress(self, request_id: RequestId, step: int, text: str) -> bytes | None:
        """Tell how far a call is; None when nobody asked, or when the call is over or cancelled."""
