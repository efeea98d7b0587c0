"""A client of the predecessor finds its protocol again, frame for frame."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from service.mcp.catalogue import build_catalogue
from service.mcp.events import CallTool, CancelCall, Close, Event, Rejected, ToolReply
from service.mcp.predecessor import Predecessor
from service.mcp.terms import Limits, Server

Opener = Callable[..., tuple[Predecessor, tuple[Event, ...]]]
Reader = Callable[[tuple[Event, ...]], list[dict[str, Any]]]

NOW = 1_700_000_000.5
DONE = ToolReply(content=("done",))


def say(op: str, **fields: object) -> bytes:
    """Write a frame."""
    return json.dumps({"op": op, **fields}).encode()


def call(request_id: object = "r", **fields: object) -> bytes:
    """Write a call of the tool `chat`."""
    return say("call_tool", **({"request_id": request_id, "name": "chat", "arguments": {"prompt": "hi"}} | fields))


def reasons(events: tuple[Event, ...]) -> list[str]:
    """List why frames were rejected."""
    return [event.reason for event in events if isinstance(event, Rejected)]


def test_a_welcome_is_acknowledged(opened: Opener, sent: Reader) -> None:
    """The pump's welcome becomes hello_ack with our session id, once."""
    conversation, _ = opened({"op": "hello"})
    assert sent(conversation.welcome("s-1")) == [{"op": "hello_ack", "ok": True, "session_id": "s-1"}]
    assert conversation.is_open
    assert (conversation.welcome("s-2"), conversation.refuse()) == ((), ())


def test_a_refusal_ends_the_connection(opened: Opener, sent: Reader) -> None:
    """A wrong token is answered with hello_ack and close code 4003."""
    conversation, _ = opened({"op": "hello", "token": "wrong"})
    events = conversation.refuse()
    assert [(frame["ok"], frame["error"]) for frame in sent(events)] == [(False, "unauthorized")]
    assert [event.code for event in events if isinstance(event, Close)] == [4003]
    assert conversation.receive(say("list_tools")) == ()


@pytest.mark.parametrize("label", ["ab", "x" * 65, "a b", "a\n", 7, None, ["abc"]])
def test_a_bad_label_is_no_label(opened: Opener, label: object) -> None:
    """A session id of the client that is no plain word is dropped, not refused."""
    conversation, (event,) = opened({"op": "hello", "session_id": label})
    assert (getattr(event, "session_label", ""), conversation.client) == (None, None)


def test_the_last_shim_is_understood(opened: Opener) -> None:
    """The predecessor's newest shim greets with clientInfo; its name is the client's name."""
    conversation, _ = opened({"op": "hello", "protocolVersion": "2024-11-05", "clientInfo": {"name": "shim"}})
    assert conversation.client == "shim"


def test_nothing_is_served_before_the_welcome(opened: Opener, sent: Reader) -> None:
    """A call that comes while the token is looked at is not made."""
    conversation, _ = opened({"op": "hello"})
    events = conversation.receive(call())
    assert (reasons(events), [frame["op"] for frame in sent(events)]) == (["before_welcome"], ["error"])


def test_tools_are_listed(predecessor: Predecessor, sent: Reader) -> None:
    """list_tools_res carries the tools, and the request_id if one was sent."""
    plain, named = sent(
        predecessor.receive(say("list_tools")) + predecessor.receive(say("list_tools", request_id=0))
    )
    assert [tool["name"] for tool in plain["tools"]] == ["chat", "status"]
    assert named == plain | {"request_id": 0}
    assert plain["op"] == "list_tools_res"


def test_a_call_is_noted_at_once(predecessor: Predecessor, sent: Reader) -> None:
    """A progress note, then the call for the pump; nothing is acknowledged before it was admitted."""
    events = predecessor.receive(call())
    assert sent(events) == [
        {
            "op": "progress",
            "request_id": "r",
            "name": "chat",
            "t": NOW,
            "note": "accepted, awaiting provider/session capacity",
        },
    ]
    assert events[1] == CallTool(
        request_id="r",
        name="chat",
        arguments={"prompt": "hi"},
        meta={},
        progress_token=None,
        wants_text=False,
    )


def test_an_admitted_call_is_acknowledged(predecessor: Predecessor) -> None:
    """The pump's word becomes call_tool_ack with the time-out and the tool's own name."""
    predecessor.receive(call(name="chat_EXAI-WS"))
    frame = predecessor.accepted("r")
    assert frame is not None
    assert json.loads(frame) == {
        "op": "call_tool_ack",
        "request_id": "r",
        "accepted": True,
        "timeout": 300.0,
        "name": "chat",
    }


def test_only_a_call_in_flight_is_acknowledged(predecessor: Predecessor) -> None:
    """Neither an unknown call nor one that was cancelled or has ended gets call_tool_ack."""
    assert predecessor.accepted("r") is None
    predecessor.receive(call())
    predecessor.receive(say("cancel", request_id="r"))
    assert predecessor.accepted("r") is None
    predecessor.answer("r", DONE)
    assert predecessor.accepted("r") is None


@pytest.mark.parametrize("suffix", ["", "_EXAI-WS", "-EXAI-WS", "_EXAI_WS", "-EXAI_WS"])
def test_a_shims_suffix_is_stripped(predecessor: Predecessor, suffix: str) -> None:
    """The names that the predecessor's shims made are understood."""
    call_tool = predecessor.receive(call(name=f"chat{suffix}"))[-1]
    assert isinstance(call_tool, CallTool)
    assert call_tool.name == "chat"


def test_a_tool_may_be_named_like_a_shims(server: Server) -> None:
    """A suffix that belongs to a tool's own name is not stripped."""
    names = ("chat", "chat_EXAI-WS")
    conversation = Predecessor(
        catalogue=build_catalogue([{"name": name, "inputSchema": {"type": "object"}} for name in names]),
        server=server,
        limits=Limits(),
        new_id=lambda: "ours",
        now_s=lambda: NOW,
    )
    conversation.receive(say("hello"))
    conversation.welcome("s-1")
    call_tool = conversation.receive(call(name="chat_EXAI-WS"))[-1]
    assert isinstance(call_tool, CallTool)
    assert call_tool.name == "chat_EXAI-WS"


@pytest.mark.parametrize(
    "frame",
    [
        say("tool_call", request_id="r", tool={"name": "chat"}, arguments={}),
        say("call_tool", request_id="r", name="chat"),
        say("call_tool", request_id="r", name="chat", arguments=None),
    ],
)
def test_a_call_has_several_forms(predecessor: Predecessor, frame: bytes) -> None:
    """The second generation's alias, and calls without arguments, are calls too."""
    assert isinstance(predecessor.receive(frame)[-1], CallTool)


def test_a_call_without_an_id_gets_one_of_ours(predecessor: Predecessor, sent: Reader) -> None:
    """Two calls without a request_id are two calls."""
    for expected in ("ours-1", "ours-2"):
        events = predecessor.receive(say("call_tool", name="chat"))
        assert {frame["request_id"] for frame in sent(events)} == {expected}
        assert predecessor.answer(expected, DONE) is not None


@pytest.mark.parametrize(
    ("frame", "reason", "code"),
    [
        (call(name="nothing"), "unknown_tool", "TOOL_NOT_FOUND"),
        (call(name="x" * 10_000), "unknown_tool", "TOOL_NOT_FOUND"),
        (call(name="chat_EXAI-WS_EXAI-WS"), "unknown_tool", "TOOL_NOT_FOUND"),
        (call(name=7), "invalid_params", "EXEC_ERROR"),
        (say("call_tool", request_id="r"), "invalid_params", "EXEC_ERROR"),
        (call(arguments=[]), "invalid_params", "EXEC_ERROR"),
        (say("tool_call", request_id="r", tool={}), "invalid_params", "EXEC_ERROR"),
    ],
)
def test_a_bad_call_ends_at_once(
    predecessor: Predecessor, sent: Reader, frame: bytes, reason: str, code: str
) -> None:
    """What cannot be a call gets its end and no acknowledgement; nothing stays in flight."""
    events = predecessor.receive(frame)
    (reply,) = sent(events)
    assert (reasons(events), reply["op"], reply["request_id"]) == ([reason], "call_tool_res", "r")
    assert reply["error"]["code"] == code
    assert len(json.dumps(reply)) < 500
    assert predecessor.answer("r", DONE) is None


@pytest.mark.parametrize(
    ("frame", "reason", "word"),
    [
        (say("dance", request_id="r"), "unknown_op", "Unknown op: 'dance'"),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}', "unknown_op", "Unknown op: NoneType"),
        (say("x" * 10_000), "unknown_op", "Unknown op: 'xxx"),
        (b"{", "malformed_json", "invalid_json"),
        (b"[]", "batch", "Batches"),
        (b"7", "not_an_object", "not an object"),
        (b'{"op":"ping","a":' + b"[" * 99 + b"]" * 99 + b"}", "too_deep", "deeper"),
        (say("hello", token="other"), "already_welcomed", "said already"),
        (say("health"), "unsupported_op", "health"),
        (call(request_id=1.5), "invalid_id", "request_id"),
        (call(request_id=True), "invalid_id", "request_id"),
        (say("cancel"), "invalid_params", "request_id"),
    ],
)
def test_a_bad_frame_is_answered_and_the_connection_lives(
    predecessor: Predecessor, sent: Reader, frame: bytes, reason: str, word: str
) -> None:
    """Each fault is an error frame with a remedy, never a close."""
    events = predecessor.receive(frame)
    (reply,) = sent(events)
    assert (reasons(events), reply["op"]) == ([reason], "error")
    assert word in reply["message"]
    assert reply["remedy"]
    assert len(json.dumps(reply)) < 500
    assert sent(predecessor.receive(say("ping", request_id=1))) == [{"op": "pong", "t": NOW, "request_id": 1}]


def test_a_token_cannot_be_rotated_here(predecessor: Predecessor, sent: Reader) -> None:
    """rotate_token is answered in its own form, with what to do instead, and without the tokens."""
    events = predecessor.receive(say("rotate_token", old="s3cret", new="s4cret"))
    (reply,) = sent(events)
    assert (reasons(events), reply["op"], reply["ok"]) == (["unsupported_op"], "rotate_token_res", False)
    assert "cret" not in json.dumps(reply)


def test_the_same_frame_again_waits_for_the_one_result(predecessor: Predecessor, sent: Reader) -> None:
    """A client that repeats its call is told that it goes on; there is one call and one result."""
    predecessor.receive(call())
    events = predecessor.receive(call())
    assert [frame["note"] for frame in sent(events)] == ["duplicate request; still processing"]
    assert reasons(events) == ["duplicate_id"]
    assert (predecessor.answer("r", DONE) is None, predecessor.answer("r", DONE)) == (False, None)


def test_another_call_with_the_same_id_is_refused(predecessor: Predecessor, sent: Reader) -> None:
    """A different request never gets the first one's result under their common id."""
    predecessor.receive(call())
    (reply,) = sent(predecessor.receive(call(arguments={"prompt": "bye"})))
    assert reply["error"]["code"] == "DUPLICATE"
    assert predecessor.answer("r", DONE) is not None


def test_cancel_cancels(predecessor: Predecessor, sent: Reader) -> None:
    """A cancel reaches the pump once, is acknowledged, and silences the call."""
    predecessor.receive(call())
    events = predecessor.receive(say("cancel", request_id="r"))
    note = {"op": "cancelled", "request_id": "r", "timestamp": NOW}
    assert events[0] == CancelCall("r", None)
    assert sent(events) == [note | {"in_flight": True}]
    assert sent(predecessor.receive(say("cancel", request_id="r"))) == [note | {"in_flight": False}]
    assert [frame["error"]["code"] for frame in sent(predecessor.receive(call()))] == ["DUPLICATE"]
    assert (predecessor.progress("r", 1, ""), predecessor.answer("r", DONE)) == (None, None)


@pytest.mark.parametrize(("text", "extra"), [("", {}), ("Hello", {"note": "Hello"})])
def test_progress_is_a_sign_of_life(predecessor: Predecessor, text: str, extra: dict[str, str]) -> None:
    """Every call in flight has progress frames; a text is a note."""
    predecessor.receive(call())
    frame = predecessor.progress("r", 1, text)
    assert frame is not None
    assert json.loads(frame) == {"op": "progress", "request_id": "r", "name": "chat", "t": NOW, **extra}
    assert predecessor.progress("other", 1, text) is None


def test_an_oversize_frame_ends_the_connection(predecessor: Predecessor) -> None:
    """A frame beyond the limit closes with 1009."""
    events = predecessor.receive(b" " * (10 * 1024 * 1024 + 1))
    assert [event.code for event in events if isinstance(event, Close)] == [1009]
    assert not predecessor.is_open
