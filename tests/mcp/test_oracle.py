"""Judges that nobody here wrote: the official validators, and random input."""

import json
from collections.abc import Callable
from typing import Any

import mcp_types
import mcp_types.methods
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_types.jsonrpc import jsonrpc_message_adapter

from service.mcp.catalogue import REVISIONS
from service.mcp.events import (
    CallTool,
    CancelCall,
    Close,
    Event,
    Hello,
    ProtocolFault,
    Rejected,
    Send,
    ToolFault,
    ToolReply,
)
from service.mcp.predecessor import Predecessor
from service.mcp.session import Session

Opener = Callable[..., tuple[Session | Predecessor, tuple[Event, ...]]]
Ready = Callable[..., Session]
Reader = Callable[[tuple[Event, ...]], list[dict[str, Any]]]

FAULT = ToolFault(code="timeout", message="m", retryable=True, remedy="r")
RECEIPT = {"tool_call_id": "c1", "provider_calls": 0}
KINDS = (CallTool, CancelCall, Close, Hello, Rejected, Send)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("method", ["initialize", "ping", "tools/list"])
def test_results_are_valid(
    opened: Opener, ready: Ready, initialize: dict[str, Any], sent: Reader, revision: str, method: str
) -> None:
    """The official validators take every result as it is, in every revision, and drop nothing."""
    request = initialize | {"params": initialize["params"] | {"protocolVersion": revision}}
    if method == "initialize":
        _, events = opened(request)
    else:
        events = ready(revision).receive(json.dumps(request | {"method": method, "params": {}}).encode())
    (reply,) = sent(events)
    jsonrpc_message_adapter.validate_python(reply)
    assert reply["result"] == mcp_types.methods.serialize_server_result(method, revision, reply["result"])


@pytest.mark.parametrize("revision", ["2025-11-25", "2025-06-18"])
@pytest.mark.parametrize(
    "reply",
    [
        ToolReply(content=("a", "b"), structured={"x": [1]}, receipt=RECEIPT),
        ToolReply(error=FAULT, receipt=RECEIPT),
        ToolReply(content=("a",), is_error=True),
        ToolReply(),
    ],
)
def test_tool_results_are_valid(ready: Ready, revision: str, reply: ToolReply) -> None:
    """A tool's result passes the validators whole, its receipt included."""
    session = ready(revision)
    session.receive(b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"chat"}}')
    frame = session.answer(1, reply)
    assert frame is not None
    result = json.loads(frame)["result"]
    assert result == mcp_types.methods.serialize_server_result("tools/call", revision, result)


def test_errors_and_progress_are_valid(session: Session) -> None:
    """Protocol errors and progress notifications are messages of the protocol."""
    params = {"name": "chat", "_meta": {"progressToken": "p"}}
    session.receive(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode())
    progress = json.loads(session.progress(1, 1, "text") or b"")
    assert isinstance(
        mcp_types.methods.parse_server_notification(progress["method"], "2025-11-25", progress["params"]),
        mcp_types.ProgressNotification,
    )
    fault = ToolReply(protocol_error=ProtocolFault(code=-32603, message="Broken."), receipt=RECEIPT)
    error = jsonrpc_message_adapter.validate_json(session.answer(1, fault) or b"")
    assert isinstance(error, mcp_types.JSONRPCError)


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
_ids = st.integers(0, 2) | st.sampled_from(("0", "1", "r"))
_value = _ids | _json
_tool = {"name": st.sampled_from(("chat", "status", "chat_EXAI-WS", "nothing"))}
_envelope = {"jsonrpc": st.just("2.0")}
_clean: list[dict[str, st.SearchStrategy[Any]]] = [
    {
        **_envelope,
        "id": _ids,
        "method": st.just("tools/call"),
        "params": st.fixed_dictionaries(
            _tool,
            optional={
                "arguments": st.dictionaries(st.text(max_size=3), _json, max_size=2) | _value,
                "_meta": st.fixed_dictionaries({}, optional={"progressToken": _value}) | _value,
            },
        ),
    },
    {
        **_envelope,
        "method": st.just("notifications/cancelled"),
        "params": st.fixed_dictionaries({"requestId": _ids}, optional={"reason": _value}),
    },
    {
        **_envelope,
        "id": _ids,
        "method": st.just("initialize"),
        "params": st.fixed_dictionaries(
            {"protocolVersion": st.sampled_from(REVISIONS) | _value, "capabilities": st.just({}) | _value},
            optional={"clientInfo": st.just({"name": "n", "version": "v"}) | _value},
        ),
    },
    {**_envelope, "id": _ids, "method": st.sampled_from(("ping", "tools/list", "resources/list"))},
    {"op": st.just("call_tool"), "request_id": _ids, **_tool},
    {"op": st.just("tool_call"), "tool": st.fixed_dictionaries(_tool), "arguments": st.just({}) | _value},
    {
        "op": st.sampled_from(("hello", "cancel", "list_tools", "ping", "health", "rotate_token")),
        "request_id": _ids,
    },
]
_names = ("jsonrpc", "id", "method", "params", "op", "request_id", "name", "arguments", "token", "result")
_message = st.builds(
    lambda message, spoilt: message | spoilt,
    st.one_of([st.fixed_dictionaries(fields) for fields in _clean]),
    st.just({}) | st.just({}) | st.dictionaries(st.sampled_from(_names), _value, max_size=2),
)
_frame = (_message | _message | _json).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40)


@settings(max_examples=300, deadline=None)
@given(frames=st.lists(_frame, min_size=1, max_size=6))
def test_random_frames_never_raise(opened: Opener, ready: Ready, frames: list[bytes]) -> None:
    """Whatever comes, in whatever order: events, each frame sent an object, each call ended once."""
    first, begun = opened(frames[0])
    greeted, _ = opened({"op": "hello"})
    assert isinstance(greeted, Predecessor)
    greeted.welcome("s")
    for conversation, head in ((first, begun), (greeted, ()), (ready(), ())):
        events = list(head)
        for frame in frames:
            events += conversation.receive(frame)
        cancelled = [event.request_id for event in events if isinstance(event, CancelCall)]
        called = [event.request_id for event in events if isinstance(event, CallTool)]
        assert all(isinstance(event, KINDS) for event in events)
        assert all(isinstance(json.loads(event.frame), dict) for event in events if isinstance(event, Send))
        # Nothing is answered while frames come, so every id in flight is unlike every other.
        assert len(called) == len(set(map(repr, called)))
        for request_id in called:
            answers = [conversation.answer(request_id, ToolReply()) for _ in range(2)]
            assert [answer is None for answer in answers] == [request_id in cancelled, True]


@settings(max_examples=200, deadline=None)
@given(message=_message)
def test_what_is_served_is_valid_by_the_validators(ready: Ready, message: dict[str, Any]) -> None:
    """Whenever a random request is handed to the pump as a call, the official validators accept it too."""
    events = ready().receive(json.dumps(message).encode())
    if any(isinstance(event, CallTool) for event in events):
        params = {key: value for key, value in message["params"].items() if value is not None}
        mcp_types.methods.validate_client_request("tools/call", "2025-11-25", params)
