"""JSON-RPC 2.0 as MCP uses it: what kind of message an object is, and how replies look.

Source: modelcontextprotocol.io/specification/2025-11-25/basic. Ids are strings or integers; null,
booleans and floats are refused. `1` and `"1"` are two ids.
"""

from typing import Any

import msgspec

from service.mcp.events import RejectReason, RequestId
from service.mcp.frames import FrameError, dump, is_request_id, load, quote
from service.mcp.terms import Limits

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602


class Request(msgspec.Struct, frozen=True):
    """A message that must get exactly one reply."""

    id: RequestId
    method: str
    params: dict[str, Any]


class Notification(msgspec.Struct, frozen=True):
    """A message that must never get a reply."""

    method: str
    params: dict[str, Any]


class Response(msgspec.Struct, frozen=True):
    """A reply from the client. This server asks nothing, so there is nothing it could answer."""


Message = Request | Notification | Response


class WireError(Exception):
    """A message that is refused: its reason for the counter, and the error for the client.

    `request_id` is None when the id could not be read. `has_reply` is False for notifications.
    """

    def __init__(
        self,
        reason: RejectReason,
        code: int,
        message: str,
        *,
        remedy: str,
        request_id: RequestId | None = None,
        has_reply: bool = True,
        facts: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.code = code
        self.message = message
        self.remedy = remedy
        self.request_id = request_id
        self.has_reply = has_reply
        self.facts = facts or {}

    def render(self) -> bytes:
        """Write the error reply."""
        return error_frame(self.request_id, self.code, self.message, {"remedy": self.remedy, **self.facts})


def read_message(frame: bytes, limits: Limits) -> Message:
    """Tell what a frame holds.

    Raises:
        WireError: the frame is no JSON-RPC message; its reply carries the id where one can be read.
    """
    try:
        envelope = load(frame, depth_max=limits.depth_max)
    except FrameError as error:
        code = PARSE_ERROR if error.reason is RejectReason.MALFORMED_JSON else INVALID_REQUEST
        request_id = _readable_id(error.readable, limits)
        raise WireError(error.reason, code, error.message, remedy=error.remedy, request_id=request_id) from None
    if "method" not in envelope and ("result" in envelope or "error" in envelope):
        return Response()
    return _classify(envelope, limits)


def result_frame(request_id: RequestId, result: bytes) -> bytes:
    """Write a reply around a result that is already JSON."""
    return b'{"jsonrpc":"2.0","id":' + dump(request_id) + b',"result":' + result + b"}"


def error_frame(request_id: RequestId | None, code: int, message: str, facts: dict[str, Any] | None) -> bytes:
    """Write an error reply; a `request_id` of None stands for an id that could not be read."""
    error = {"code": code, "message": message}
    return dump({"jsonrpc": "2.0", "id": request_id, "error": error if facts is None else error | {"data": facts}})


def notification_frame(method: str, params: dict[str, Any]) -> bytes:
    """Write a notification."""
    return dump({"jsonrpc": "2.0", "method": method, "params": params})


def _classify(envelope: dict[str, Any], limits: Limits) -> Request | Notification:
    has_id = "id" in envelope
    request_id = _readable_id(envelope, limits)
    if envelope.get("jsonrpc") != "2.0" or not isinstance(envelope.get("method"), str):
        raise WireError(
            RejectReason.INVALID_MESSAGE,
            INVALID_REQUEST,
            "The frame is not a JSON-RPC 2.0 message.",
            remedy='Send {"jsonrpc": "2.0", "id": …, "method": …}; this connection speaks MCP.',
            request_id=request_id,
        )
    if has_id and request_id is None:
        raise WireError(
            RejectReason.INVALID_ID,
            INVALID_REQUEST,
            "The id is neither a string nor an integer of bounded size.",
            remedy=f"Use a string of at most {limits.id_chars_max} characters, or an integer.",
        )
    method = envelope["method"]
    # Some clients write `"params": null` for none.
    params = {} if envelope.get("params") is None else envelope["params"]
    if not isinstance(params, dict):
        raise WireError(
            RejectReason.INVALID_PARAMS,
            INVALID_PARAMS,
            f"The params of {quote(method)} are not an object.",
            remedy="Send params as an object with named members.",
            request_id=request_id,
            has_reply=has_id,
        )
    return Notification(method, params) if request_id is None else Request(request_id, method, params)


def _readable_id(envelope: object, limits: Limits) -> RequestId | None:
    candidate = envelope.get("id") if isinstance(envelope, dict) else None
    return candidate if is_request_id(candidate, limits.id_chars_max) else None
