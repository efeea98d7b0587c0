"""The MCP session of the handshake era: a state machine from the first frame to the last.

Source: modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle and /server/tools. It serves
what a server with tools must serve, and knows nothing of networks, clocks or what a tool does.
"""

from enum import Enum
from typing import Any

import msgspec

from service.mcp.catalogue import REVISIONS, Catalogue
from service.mcp.events import (
    OVERSIZE_REFUSED,
    CallTool,
    CancelCall,
    Events,
    Rejected,
    RejectReason,
    RequestId,
    Send,
    ToolReply,
)
from service.mcp.frames import bounded_label, dump, is_request_id, quote
from service.mcp.jsonrpc import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Notification,
    Request,
    WireError,
    notification_frame,
    read_message,
    result_frame,
)
from service.mcp.results import render_reply
from service.mcp.terms import KEY_CHARS_MAX, KEY_LIFETIME_S, KEY_META, Limits, Server

METHODS = frozenset(("initialize", "ping", "tools/list", "tools/call"))
_CAPABILITIES: dict[str, Any] = {
    "tools": {"listChanged": False},
    "experimental": {
        "exai/idempotency": {"meta": KEY_META, "charsMax": KEY_CHARS_MAX, "lifetimeSeconds": KEY_LIFETIME_S}
    },
}


class State(Enum):
    """Where a session stands."""

    AWAITING_INITIALIZE = "Nothing was agreed on; only initialize and ping are served."
    INITIALIZING = "initialize was answered; the client may ask, but has not confirmed."
    READY = "The client confirmed with notifications/initialized."
    CLOSED = "A Close was said; whatever comes is ignored."


class _Call(msgspec.Struct):
    """One tools/call in flight; forgotten only when the pump answers it."""

    progress_token: RequestId | None
    step: int = -1
    is_cancelled: bool = False


class Session:
    """One client that speaks MCP by initialize."""

    def __init__(self, *, catalogue: Catalogue, server: Server, limits: Limits) -> None:
        self.protocol = REVISIONS[0]
        self.client: str | None = None
        self.state = State.AWAITING_INITIALIZE
        self._catalogue = catalogue
        self._server = server
        self._limits = limits
        self._calls: dict[RequestId, _Call] = {}

    @property
    def is_open(self) -> bool:
        """Say whether initialize was answered."""
        return self.state in (State.INITIALIZING, State.READY)

    def receive(self, frame: bytes) -> Events:
        """Read one text frame; never raises."""
        if self.state is State.CLOSED:
            return ()
        bytes_max = self._limits.frame_bytes_max if self.is_open else self._limits.opening_bytes_max
        if len(frame) > bytes_max:
            self.state = State.CLOSED
            return OVERSIZE_REFUSED
        try:
            message = read_message(frame, self._limits)
            if isinstance(message, Request):
                return self._serve(message, len(frame))
            return self._note(message) if isinstance(message, Notification) else ()
        except WireError as error:
            rejected = Rejected(error.reason)
            return (rejected, Send(error.render())) if error.has_reply else (rejected,)

    def accepted(self, request_id: RequestId) -> bytes | None:  # noqa: ARG002 - one shape for both protocols
        """Say nothing: MCP has no word between a request and its progress."""
        return None

    def answer(self, request_id: RequestId, reply: ToolReply) -> bytes | None:
        """End a call in flight; None when it was cancelled or is unknown."""
        call = self._calls.pop(request_id, None)
        return None if call is None or call.is_cancelled else render_reply(request_id, reply)

    def progress(self, request_id: RequestId, step: int, text: str) -> bytes | None:
        """Tell how far a call is. A step that does not increase is raised: the protocol demands it."""
        call = self._calls.get(request_id)
        if call is None or call.is_cancelled or call.progress_token is None:
            return None
        call.step = max(step, call.step + 1)
        params: dict[str, Any] = {"progressToken": call.progress_token, "progress": call.step}
        return notification_frame("notifications/progress", params | ({"message": text} if text else {}))

    def _serve(self, request: Request, frame_bytes: int) -> Events:
        if request.id in self._calls:
            raise _duplicate(request)
        if request.method not in METHODS:
            raise _unknown_method(request)
        if request.method == "ping":
            return (Send(result_frame(request.id, b"{}")),)
        if request.method == "initialize":
            return self._initialize(request)
        if not self.is_open:
            raise _too_early(request)
        if request.method == "tools/list":
            return self._list_tools(request)
        return self._call_tool(request, frame_bytes)

    def _initialize(self, request: Request) -> Events:
        if self.is_open:
            raise WireError(
                RejectReason.ALREADY_INITIALIZED,
                INVALID_REQUEST,
                "This session is initialized already.",
                remedy="Go on with tools/list or tools/call, or open another connection.",
                request_id=request.id,
            )
        asked = request.params.get("protocolVersion")
        client = request.params.get("clientInfo")
        is_valid = isinstance(asked, str) and isinstance(request.params.get("capabilities"), dict)
        if not (is_valid and isinstance(client, dict) and _is_named(client)):
            raise _invalid_params(
                request,
                "initialize lacks what it must carry.",
                "Send protocolVersion (string), capabilities (object), clientInfo with name and version.",
            )
        self.protocol = asked if asked in REVISIONS else REVISIONS[0]
        self.client = bounded_label(f"{client['name'].strip()} {client['version'].strip()}")
        self.state = State.INITIALIZING
        return (Send(result_frame(request.id, dump(self._introduction()))),)

    def _introduction(self) -> dict[str, Any]:
        server = self._server
        introduction: dict[str, Any] = {
            "protocolVersion": self.protocol,
            "capabilities": _CAPABILITIES,
            "serverInfo": {"name": server.name, "title": server.title, "version": server.version},
        }
        return introduction | ({"instructions": server.instructions} if server.instructions else {})

    def _list_tools(self, request: Request) -> Events:
        if request.params.get("cursor") is not None:
            raise _invalid_params(request, "The cursor is unknown.", "Ask without a cursor: there is one page.")
        return (Send(result_frame(request.id, self._catalogue.results[self.protocol])),)

    def _call_tool(self, request: Request, frame_bytes: int) -> Events:
        params = request.params
        name = params.get("name")
        if not isinstance(name, str):
            raise _invalid_params(request, "The tool's name is not a string.", "Send params.name.")
        if name not in self._catalogue.names:
            raise WireError(
                RejectReason.UNKNOWN_TOOL,
                INVALID_PARAMS,
                f"Unknown tool: {quote(name)}",
                remedy="Ask tools/list for the tools on offer; names are case-sensitive.",
                request_id=request.id,
            )
        arguments = {} if params.get("arguments") is None else params["arguments"]
        if not isinstance(arguments, dict):
            raise _invalid_params(request, "The arguments are not an object.", "Send arguments by name.")
        meta = self._read_meta(request, frame_bytes)
        token = meta.get("progressToken")
        self._calls[request.id] = _Call(token)
        return (
            CallTool(
                request_id=request.id,
                name=name,
                arguments=arguments,
                meta=meta,
                progress_token=token,
                wants_text=token is not None,
            ),
        )

    def _read_meta(self, request: Request, frame_bytes: int) -> dict[str, Any]:
        meta = {} if request.params.get("_meta") is None else request.params["_meta"]
        if not isinstance(meta, dict):
            raise _invalid_params(request, "_meta is not an object.", "Send _meta as an object, or leave it out.")
        bytes_max = self._limits.meta_bytes_max
        # No part of a frame is longer than the frame: small frames need no second look.
        if frame_bytes > bytes_max and len(dump(meta)) > bytes_max:
            raise _invalid_params(request, "_meta is too big.", f"Send at most {bytes_max} bytes of _meta.")
        token = meta.get("progressToken")
        if token is not None and not is_request_id(token, self._limits.id_chars_max):
            raise _invalid_params(
                request,
                "The progressToken is neither a string nor an integer of bounded size.",
                f"Use a string of at most {self._limits.id_chars_max} characters, or an integer.",
            )
        return meta

    def _note(self, note: Notification) -> Events:
        if note.method == "notifications/initialized" and self.state is State.INITIALIZING:
            self.state = State.READY
        elif note.method == "notifications/cancelled":
            return self._cancel(note)
        elif note.method in METHODS:
            return (Rejected(RejectReason.MISSING_ID),)
        return ()

    def _cancel(self, note: Notification) -> Events:
        request_id = note.params.get("requestId")
        if not is_request_id(request_id, self._limits.id_chars_max):
            return (Rejected(RejectReason.INVALID_PARAMS),)
        # Too late, or never heard of: the protocol says to ignore it.
        call = self._calls.get(request_id)
        if call is None or call.is_cancelled:
            return ()
        call.is_cancelled = True
        return (CancelCall(request_id, bounded_label(note.params.get("reason"))),)


def _is_named(client: dict[str, Any]) -> bool:
    return isinstance(client.get("name"), str) and isinstance(client.get("version"), str)


def _duplicate(request: Request) -> WireError:
    # The reply must carry the id. A client that keeps one waiter per id has lost the first one already;
    # without this reply its second request would be given the first one's result.
    return WireError(
        RejectReason.DUPLICATE_ID,
        INVALID_REQUEST,
        "A request with this id is in flight.",
        remedy="Use a new id for each request. The first request goes on.",
        request_id=request.id,
    )


def _unknown_method(request: Request) -> WireError:
    return WireError(
        RejectReason.UNKNOWN_METHOD,
        METHOD_NOT_FOUND,
        f"Unknown method: {quote(request.method)}",
        remedy="Served here: initialize, ping, tools/list, tools/call.",
        request_id=request.id,
    )


def _too_early(request: Request) -> WireError:
    return WireError(
        RejectReason.BEFORE_INITIALIZE,
        INVALID_REQUEST,
        f"{request.method} came before initialize.",
        remedy="Send initialize first.",
        request_id=request.id,
        facts={"supported": list(REVISIONS)},
    )


def _invalid_params(request: Request, message: str, remedy: str) -> WireError:
    return WireError(RejectReason.INVALID_PARAMS, INVALID_PARAMS, message, remedy=remedy, request_id=request.id)
