"""The predecessor's protocol, generation 1: hello, list_tools, call_tool, and what its clients add.

`ping`, `cancel` and `tool_call` of generation 2 are understood too; `cancel` cancels here. Every client
gets progress frames, whether or not it asked: generation 1 lives on them and ignores fields it does not know.
"""

import hashlib
import re
from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec

from service.mcp.catalogue import Catalogue
from service.mcp.events import (
    OVERSIZE_REFUSED,
    CallTool,
    CancelCall,
    Close,
    Events,
    Hello,
    Rejected,
    RejectReason,
    RequestId,
    Send,
    ToolReply,
)
from service.mcp.frames import FrameError, bounded_label, dump, is_request_id, load, quote
from service.mcp.legacy_results import NO_SUCH_TOOL, SAME_ID, WRONG_TYPES, error_result, render_result
from service.mcp.terms import Limits, Server

PROTOCOL = "exai-1"
NOTE_ACCEPTED = "accepted, awaiting provider/session capacity"
NOTE_DUPLICATE = "duplicate request; still processing"

_SUFFIX = re.compile(r"[_-]EXAI[-_]WS$")
_LABEL = re.compile(r"[A-Za-z0-9_-]{3,64}")


class State(Enum):
    """Where a conversation with a client of the predecessor stands."""

    AWAITING_HELLO = "Nothing was said; the first frame must be a hello."
    GREETED = "A hello was read; the pump looks at its token."
    WELCOME = "The client is in: it may list and call tools."
    CLOSED = "A Close was said; whatever comes is ignored."


class _Call(msgspec.Struct):
    """One call in flight; forgotten only when the pump answers it."""

    name: str
    frame_sha256: bytes
    is_cancelled: bool = False


class Predecessor:
    """One client that speaks the predecessor's protocol."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        server: Server,
        limits: Limits,
        new_id: Callable[[], str],
        now_s: Callable[[], float],
    ) -> None:
        self.protocol = PROTOCOL
        self.client: str | None = None
        self.state = State.AWAITING_HELLO
        self._catalogue = catalogue
        self._server = server
        self._limits = limits
        self._new_id = new_id
        self._now_s = now_s
        self._calls: dict[RequestId, _Call] = {}

    @property
    def is_open(self) -> bool:
        """Say whether the pump welcomed this client."""
        return self.state is State.WELCOME

    def welcome(self, session_id: str) -> Events:
        """Let the client in, under a session id of ours."""
        if self.state is not State.GREETED:
            return ()
        self.state = State.WELCOME
        return (Send(dump({"op": "hello_ack", "ok": True, "session_id": session_id})),)

    def refuse(self, error: str = "unauthorized", *, remedy: str = "Send the token in hello.") -> Events:
        """Turn the client away."""
        if self.state is not State.GREETED:
            return ()
        return self._turn_away(RejectReason.UNAUTHORIZED, error, 4003, remedy)

    def receive(self, frame: bytes) -> Events:
        """Read one text frame; never raises."""
        if self.state is State.CLOSED:
            return ()
        if len(frame) > (self._limits.frame_bytes_max if self.is_open else self._limits.opening_bytes_max):
            self.state = State.CLOSED
            return OVERSIZE_REFUSED
        try:
            message = load(frame, depth_max=self._limits.depth_max)
        except FrameError as error:
            known = error.readable if isinstance(error.readable, dict) else {}
            word = "invalid_json" if error.reason is RejectReason.MALFORMED_JSON else error.message
            return self._complain(error.reason, word, error.remedy, known)
        if self.state is State.AWAITING_HELLO:
            return self._greet(message)
        if self.state is State.GREETED:
            remedy = "Wait for hello_ack."
            return self._complain(RejectReason.BEFORE_WELCOME, "The hello is being checked.", remedy, message)
        return self._serve(message, frame)

    def accepted(self, request_id: RequestId) -> bytes | None:
        """Acknowledge a call that was admitted, with the time it may take; None when unknown or cancelled."""
        call = self._calls.get(request_id)
        if call is None or call.is_cancelled:
            return None
        ack = {"accepted": True, "timeout": self._server.call_timeout_s, "name": call.name}
        return dump({"op": "call_tool_ack", "request_id": request_id, **ack})

    def answer(self, request_id: RequestId, reply: ToolReply) -> bytes | None:
        """End a call in flight; None when it was cancelled or is unknown."""
        call = self._calls.pop(request_id, None)
        return None if call is None or call.is_cancelled else render_result(request_id, reply)

    def progress(self, request_id: RequestId, step: int, text: str) -> bytes | None:  # noqa: ARG002 - one shape for both protocols
        """Say that a call is alive; its text, if any, is a note."""
        call = self._calls.get(request_id)
        return None if call is None or call.is_cancelled else self._progress(request_id, call.name, text)

    def _greet(self, message: dict[str, Any]) -> Events:
        if message.get("op") != "hello":
            remedy = 'Send {"op": "hello", "token": …} first, or initialize for MCP.'
            return self._turn_away(RejectReason.MISSING_HELLO, "missing_hello", 4001, remedy)
        token = message.get("token")
        if token is not None and not (isinstance(token, str) and len(token) <= self._limits.token_chars_max):
            remedy = f"Send token as a string of at most {self._limits.token_chars_max} characters."
            return self._turn_away(RejectReason.INVALID_HELLO, "invalid_hello", 4000, remedy)
        label = message.get("session_id")
        label = label if isinstance(label, str) and _LABEL.fullmatch(label) else None
        client = message.get("clientInfo")
        self.client = bounded_label(client.get("name")) if isinstance(client, dict) else label
        self.state = State.GREETED
        return (Hello(token=token, session_label=label),)

    def _turn_away(self, reason: RejectReason, error: str, code: int, remedy: str) -> Events:
        self.state = State.CLOSED
        refusal = dump({"op": "hello_ack", "ok": False, "error": error, "remedy": remedy})
        return (Rejected(reason), Send(refusal), Close(code, error))

    def _serve(self, message: dict[str, Any], frame: bytes) -> Events:
        match message.get("op"):
            case "call_tool" | "tool_call":
                return self._call_tool(message, frame)
            case "list_tools":
                tools = msgspec.Raw(self._catalogue.predecessor_tools)
                return (self._send({"op": "list_tools_res", "tools": tools}, message),)
            case "ping":
                return (self._send({"op": "pong", "t": self._now_s()}, message),)
            case "cancel":
                return self._cancel(message)
            case op:
                return self._decline(op, message)

    def _decline(self, op: object, message: dict[str, Any]) -> Events:
        match op:
            case "hello":
                remedy = "Go on with list_tools or call_tool."
                return self._complain(RejectReason.ALREADY_WELCOMED, "hello was said already.", remedy, message)
            case "health":
                remedy = "Ask GET /health."
                return self._complain(RejectReason.UNSUPPORTED_OP, "health is not told here.", remedy, message)
            case "rotate_token":
                error = {"error": "unsupported", "remedy": "Set EXAI_WS_TOKEN and restart the service."}
                refusal = self._send({"op": "rotate_token_res", "ok": False, **error}, message)
                return (Rejected(RejectReason.UNSUPPORTED_OP), refusal)
        remedy = "Known here: call_tool, list_tools, ping, cancel. For MCP open another connection."
        return self._complain(RejectReason.UNKNOWN_OP, f"Unknown op: {quote(op)}", remedy, message)

    def _call_tool(self, message: dict[str, Any], frame: bytes) -> Events:
        request_id = message.get("request_id")
        if request_id is None:
            request_id = self._new_id()
        elif not is_request_id(request_id, self._limits.id_chars_max):
            remedy = f"Use a string of at most {self._limits.id_chars_max} characters, or an integer."
            return self._complain(RejectReason.INVALID_ID, "The request_id cannot be used.", remedy, {})
        digest = hashlib.sha256(frame).digest()
        if request_id in self._calls:
            return self._repeat(request_id, digest)
        tool = message.get("tool")
        asked = tool.get("name") if isinstance(tool, dict) else message.get("name")
        arguments = {} if message.get("arguments") is None else message["arguments"]
        if not isinstance(asked, str) or not isinstance(arguments, dict):
            return (Rejected(RejectReason.INVALID_PARAMS), Send(error_result(request_id, WRONG_TYPES)))
        name = asked if asked in self._catalogue.names else _SUFFIX.sub("", asked)
        if name not in self._catalogue.names:
            return (Rejected(RejectReason.UNKNOWN_TOOL), Send(error_result(request_id, NO_SUCH_TOOL)))
        self._calls[request_id] = _Call(name, digest)
        return (
            Send(self._progress(request_id, name, NOTE_ACCEPTED)),
            CallTool(
                request_id=request_id,
                name=name,
                arguments=arguments,
                meta={},
                progress_token=None,
                wants_text=False,
            ),
        )

    def _repeat(self, request_id: RequestId, digest: bytes) -> Events:
        # The very same frame again is a client that lost patience: the one result answers both.
        # Anything else under the same id must not be given the first one's result.
        call = self._calls[request_id]
        if digest == call.frame_sha256 and not call.is_cancelled:
            frame = self._progress(request_id, call.name, NOTE_DUPLICATE)
        else:
            frame = error_result(request_id, SAME_ID)
        return (Rejected(RejectReason.DUPLICATE_ID), Send(frame))

    def _cancel(self, message: dict[str, Any]) -> Events:
        request_id = message.get("request_id")
        if not is_request_id(request_id, self._limits.id_chars_max):
            remedy = "Send the request_id of the call."
            return self._complain(RejectReason.INVALID_PARAMS, "cancel lacks its request_id.", remedy, {})
        call = self._calls.get(request_id)
        is_in_flight = call is not None and not call.is_cancelled
        note = {"op": "cancelled", "timestamp": self._now_s(), "in_flight": is_in_flight}
        if call is None or call.is_cancelled:
            return (self._send(note, message),)
        call.is_cancelled = True
        return (CancelCall(request_id, bounded_label(message.get("reason"))), self._send(note, message))

    def _progress(self, request_id: RequestId, name: str, note: str) -> bytes:
        frame = {"op": "progress", "request_id": request_id, "name": name, "t": self._now_s()}
        return dump(frame | ({"note": note} if note else {}))

    def _complain(self, reason: RejectReason, text: str, remedy: str, asked: dict[str, Any]) -> Events:
        return (Rejected(reason), self._send({"op": "error", "message": text, "remedy": remedy}, asked))

    def _send(self, frame: dict[str, Any], asked: dict[str, Any]) -> Send:
        request_id = asked.get("request_id")
        if is_request_id(request_id, self._limits.id_chars_max):
            frame = frame | {"request_id": request_id}
        return Send(dump(frame))
