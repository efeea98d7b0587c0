"""The MCP session serves what the handshake era asks, and survives what a client does wrong."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from service.mcp.events import CallTool, CancelCall, Close, Event, Rejected, RejectReason, ToolReply
from service.mcp.session import Session, State
from service.mcp.terms import Limits

Opener = Callable[..., tuple[Session, tuple[Event, ...]]]
Ready = Callable[..., Session]
Reader = Callable[[tuple[Event, ...]], list[dict[str, Any]]]

DONE = ToolReply(content=("done",))
DEEP = json.loads("[" * 99 + "]" * 99)
CONFIRMED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'


def ask(method: str, params: object = None, request_id: object = 1) -> bytes:
    """Write a request."""
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}).encode()


def note(method: str, **params: object) -> bytes:
    """Write a notification."""
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode()


def call(request_id: object = 1, **params: object) -> bytes:
    """Write a request for the tool `chat`."""
    return ask("tools/call", {"name": "chat", "arguments": {"prompt": "hi"}} | params, request_id)


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [
        ("2025-11-25", "2025-11-25"),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("2024-11-05", "2024-11-05"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
        ("", "2025-11-25"),
    ],
)
def test_initialize_agrees_on_a_revision(
    opened: Opener, initialize: dict[str, Any], sent: Reader, asked: str, agreed: str
) -> None:
    """A revision of the era is echoed; any other is answered with the newest one spoken."""
    session, events = opened(initialize | {"params": initialize["params"] | {"protocolVersion": asked}})
    (reply,) = sent(events)
    expected = {
        "protocolVersion": agreed,
        "capabilities": {
            "tools": {"listChanged": False},
            "experimental": {
                "exai/idempotency": {"meta": "exai/idempotency_key", "charsMax": 255, "lifetimeSeconds": 86400}
            },
        },
        "serverInfo": {"name": "exai", "title": "EXAI", "version": "0.1.0"},
        "instructions": "Be brief.",
    }
    assert expected == reply["result"]
    assert agreed == session.protocol


def test_a_session_becomes_ready_step_by_step(opened: Opener, initialize: dict[str, Any]) -> None:
    """Asking, being answered and confirming are three states, and confirming early changes nothing."""
    session, _ = opened(CONFIRMED)
    states = [session.state]
    for frame in (
        json.dumps(initialize).encode(),
        note("notifications/initialized"),
        note("notifications/initialized"),
    ):
        session.receive(frame)
        states.append(session.state)
    assert states == [State.AWAITING_INITIALIZE, State.INITIALIZING, State.READY, State.READY]


def test_ping_is_answered_in_every_state(opened: Opener, ready: Ready, sent: Reader) -> None:
    """A ping needs no initialize."""
    session, events = opened(ask("ping"))
    assert sent(events) == [{"jsonrpc": "2.0", "id": 1, "result": {}}]
    assert session.state is State.AWAITING_INITIALIZE
    assert sent(ready().receive(ask("ping", {}, "p"))) == [{"jsonrpc": "2.0", "id": "p", "result": {}}]


@pytest.mark.parametrize("frame", [ask("tools/list"), call()])
def test_a_request_before_initialize_is_refused(opened: Opener, sent: Reader, frame: bytes) -> None:
    """Whoever asks too early is told what to send, and which revisions are spoken."""
    _, events = opened(frame)
    (reply,) = sent(events)
    assert [event.reason for event in events if isinstance(event, Rejected)] == ["before_initialize"]
    assert (reply["id"], reply["error"]["code"]) == (1, -32600)
    assert reply["error"]["data"]["supported"][0] == "2025-11-25"


def test_a_second_initialize_changes_nothing(session: Session, initialize: dict[str, Any], sent: Reader) -> None:
    """The revision once agreed on stays."""
    params = initialize["params"] | {"protocolVersion": "2025-06-18"}
    (reply,) = sent(session.receive(json.dumps(initialize | {"params": params}).encode()))
    assert reply["error"]["code"] == -32600
    assert (session.protocol, session.state) == ("2025-11-25", State.READY)


@pytest.mark.parametrize(
    "change",
    [
        {"protocolVersion": None},
        {"protocolVersion": 20251125},
        {"capabilities": None},
        {"capabilities": []},
        {"clientInfo": None},
        {"clientInfo": "tester"},
        {"clientInfo": {"name": "tester"}},
        {"clientInfo": {"name": 1, "version": "1"}},
    ],
)
def test_a_malformed_initialize_may_be_sent_again(
    opened: Opener, initialize: dict[str, Any], sent: Reader, change: dict[str, Any]
) -> None:
    """An initialize that lacks a part is refused as invalid params; a better one is served."""
    session, events = opened(initialize | {"params": initialize["params"] | change})
    assert [frame["error"]["code"] for frame in sent(events)] == [-32602]
    session.receive(json.dumps(initialize).encode())
    assert session.is_open


@pytest.mark.parametrize(
    ("frame", "code", "reason", "request_id"),
    [
        (ask("resources/list"), -32601, "unknown_method", 1),
        (ask("server/discover", {}), -32601, "unknown_method", 1),
        (ask("x" * 10_000), -32601, "unknown_method", 1),
        (ask("tools/list", {"cursor": "next"}), -32602, "invalid_params", 1),
        (ask("tools/list", {"cursor": 7}), -32602, "invalid_params", 1),
        (ask("tools/list", []), -32602, "invalid_params", 1),
        (ask("tools/list", "all", "a"), -32602, "invalid_params", "a"),
        (ask("tools/call", {}), -32602, "invalid_params", 1),
        (call(name=7), -32602, "invalid_params", 1),
        (call(name="Chat"), -32602, "unknown_tool", 1),
        (call(name="x" * 10_000), -32602, "unknown_tool", 1),
        (call(arguments=[]), -32602, "invalid_params", 1),
        (call(arguments="prompt"), -32602, "invalid_params", 1),
        (call(_meta=[]), -32602, "invalid_params", 1),
        (call(_meta={"progressToken": True}), -32602, "invalid_params", 1),
        (call(_meta={"progressToken": 1.5}), -32602, "invalid_params", 1),
        (call(_meta={"progressToken": "x" * 257}), -32602, "invalid_params", 1),
        (call(_meta={"x": "y" * 20_000}), -32602, "invalid_params", 1),
        (call(request_id=None), -32600, "invalid_id", None),
        (call(request_id=True), -32600, "invalid_id", None),
        (call(request_id=1.0), -32600, "invalid_id", None),
        (call(request_id={}), -32600, "invalid_id", None),
        (call(request_id="x" * 257), -32600, "invalid_id", None),
        (b'{"jsonrpc":"1.0","id":4,"method":"ping"}', -32600, "invalid_message", 4),
        (b'{"id":4,"method":"ping"}', -32600, "invalid_message", 4),
        (b'{"jsonrpc":"2.0","id":4,"method":7}', -32600, "invalid_message", 4),
        (b'{"jsonrpc":"2.0","id":4}', -32600, "invalid_message", 4),
        (b'{"jsonrpc":"2.0"}', -32600, "invalid_message", None),
        (b'{"op":"call_tool"}', -32600, "invalid_message", None),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600, "batch", None),
        (b"7", -32600, "not_an_object", None),
        (b"\xff", -32700, "malformed_json", None),
        (
            b'{"jsonrpc":"2.0","id":6,"method":"ping","params":{"a":' + b"[" * 99 + b"]" * 99 + b"}}",
            -32600,
            "too_deep",
            6,
        ),
    ],
)
def test_a_bad_request_is_refused_and_the_session_lives(
    session: Session, sent: Reader, frame: bytes, code: int, reason: str, request_id: object
) -> None:
    """Each fault has one code and one reason; the reply is short, has a remedy and echoes a readable id."""
    events = session.receive(frame)
    (reply,) = sent(events)
    assert [event.reason for event in events if isinstance(event, Rejected)] == [reason]
    assert (reply["error"]["code"], reply["id"]) == (code, request_id)
    assert reply["error"]["data"]["remedy"]
    assert len(json.dumps(reply)) < 600
    assert [frame["result"] for frame in sent(session.receive(ask("ping")))] == [{}]


@pytest.mark.parametrize(
    "frame",
    [
        note("notifications/roots/list_changed"),
        note("notifications/progress", progressToken=1, progress=1),
        note("notifications/whatever"),
        note("no/such/method"),
        note("notifications/cancelled", requestId="never heard of"),
        b'{"jsonrpc":"2.0","id":1,"result":{}}',
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"?"}}',
    ],
)
def test_what_needs_no_answer_gets_none(session: Session, frame: bytes) -> None:
    """Unknown notifications, late cancels and responses are ignored."""
    assert session.receive(frame) == ()


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (note("tools/call", name="chat"), "missing_id"),
        (note("initialize"), "missing_id"),
        (note("notifications/cancelled"), "invalid_params"),
        (note("notifications/cancelled", requestId=1.0), "invalid_params"),
        (b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":[1]}', "invalid_params"),
    ],
)
def test_a_bad_notification_is_counted_but_not_answered(session: Session, frame: bytes, reason: str) -> None:
    """A message without an id never gets a reply."""
    assert [event.reason for event in session.receive(frame) if isinstance(event, Rejected)] == [reason]
    assert len(session.receive(frame)) == 1


def test_a_call_is_handed_over_whole(session: Session) -> None:
    """Name, arguments and _meta reach the pump as they came."""
    meta = {"progressToken": 7, "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    expected = CallTool(
        request_id=2**70,
        name="chat",
        arguments={"prompt": "hi"},
        meta=meta,
        progress_token=7,
        wants_text=True,
    )
    assert session.receive(call(2**70, _meta=meta)) == (expected,)


def test_arguments_may_be_left_out(session: Session) -> None:
    """No arguments and null arguments are no arguments; nobody asked for progress."""
    for request_id, params in enumerate(
        ({"name": "status"}, {"name": "status", "arguments": None, "_meta": None})
    ):
        (event,) = session.receive(ask("tools/call", params, request_id))
        assert isinstance(event, CallTool)
        assert (event.arguments, event.meta, event.wants_text) == ({}, {}, False)


@pytest.mark.parametrize("request_id", [0, "", -1, 2**53 + 1, 2**70, "a\u2028\U0001f600", "\0"])
def test_an_id_comes_back_exactly(session: Session, request_id: int | str) -> None:
    """An id is echoed to the last digit."""
    session.receive(call(request_id))
    frame = session.answer(request_id, DONE)
    assert frame is not None
    assert json.loads(frame)["id"] == request_id


def test_an_id_in_flight_is_refused_without_harm(session: Session, sent: Reader) -> None:
    """A second request with the id, of whatever method, is refused; the first is answered once."""
    session.receive(call("a"))
    for frame in (call("a"), ask("ping", {}, "a"), ask("no/such", {}, "a")):
        events = session.receive(frame)
        assert [event.reason for event in events if isinstance(event, Rejected)] == ["duplicate_id"]
        assert [(reply["id"], reply["error"]["code"]) for reply in sent(events)] == [("a", -32600)]
    assert session.answer("a", DONE) is not None
    assert session.answer("a", DONE) is None


def test_an_id_may_be_used_again_after_its_answer(session: Session) -> None:
    """Only what is in flight blocks an id."""
    for _ in range(2):
        assert isinstance(session.receive(call(1))[0], CallTool)
        assert session.answer(1, DONE) is not None


def test_one_and_the_string_one_are_two_ids(session: Session) -> None:
    """Ids of different types never meet."""
    for request_id in (1, "1"):
        assert isinstance(session.receive(call(request_id))[0], CallTool)
    session.receive(note("notifications/cancelled", requestId="1"))
    assert session.answer("1", DONE) is None
    assert session.answer(1, DONE) is not None


def test_a_cancelled_call_gets_nothing_more(session: Session) -> None:
    """A cancel comes through once; then there is neither progress nor answer.

    The id stays taken until the pump has ended the call, so that no late answer meets a new request.
    """
    session.receive(call(1, _meta={"progressToken": "p"}))
    cancel = note("notifications/cancelled", requestId=1, reason="too\nslow")
    assert session.receive(cancel) == (CancelCall(1, "too?slow"),)
    assert session.receive(cancel) == ()
    assert session.progress(1, 1, "late") is None
    assert session.receive(call(1))[0] == Rejected(RejectReason.DUPLICATE_ID)
    assert session.answer(1, DONE) is None
    assert isinstance(session.receive(call(1))[0], CallTool)


def test_progress_always_increases(session: Session) -> None:
    """Each progress frame has the client's token and a larger number than the one before."""
    session.receive(call(1, _meta={"progressToken": 0}))
    steps = []
    for step, text in ((0, ""), (5, "Hel"), (5, "lo"), (1, "!")):
        frame = session.progress(1, step, text)
        assert frame is not None
        params = json.loads(frame)["params"]
        assert (params["progressToken"], params.get("message", "")) == (0, text)
        steps.append(params["progress"])
    assert steps == [0, 5, 6, 7]


def test_progress_comes_only_to_those_who_asked(session: Session) -> None:
    """No token, no call in flight, call over: no frame."""
    session.receive(call(1))
    session.receive(call(2, _meta={"progressToken": "p"}))
    session.answer(2, DONE)
    assert [session.progress(request_id, 1, "x") for request_id in (1, 2, 3)] == [None, None, None]


def test_an_oversize_frame_ends_the_session(ready: Ready) -> None:
    """A frame beyond the limit closes with 1009, and nothing after it is heard."""
    session = ready(limits=Limits(frame_bytes_max=1000))
    assert len(session.receive(ask("ping", {"x": "y" * 900}))) == 1
    events = session.receive(ask("ping", {"x": "y" * 1000}))
    assert [event.code for event in events if isinstance(event, Close)] == [1009]
    assert (session.receive(ask("ping")), session.is_open) == ((), False)


@pytest.mark.parametrize("revision", ["2024-11-05", "2025-06-18"])
def test_tools_are_listed_for_the_revision(ready: Ready, sent: Reader, revision: str) -> None:
    """A session lists in the words of the revision it agreed on; a null cursor is none."""
    (reply,) = sent(ready(revision).receive(ask("tools/list", {"cursor": None})))
    assert [tool["name"] for tool in reply["result"]["tools"]] == ["chat", "status"]
    assert ("title" in reply["result"]["tools"][0]) == (revision == "2025-06-18")
