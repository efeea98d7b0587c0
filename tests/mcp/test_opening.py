"""The first frame tells the protocol."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from service.mcp.events import Close, Event, Hello, Rejected
from service.mcp.terms import Limits

Opener = Callable[..., tuple[Any, tuple[Event, ...]]]
Reader = Callable[[tuple[Event, ...]], list[dict[str, Any]]]


def test_initialize_opens_mcp(opened: Opener, initialize: dict[str, Any]) -> None:
    """A client that begins with initialize speaks MCP."""
    conversation, _ = opened(initialize)
    assert (conversation.protocol, conversation.is_open, conversation.client) == ("2025-11-25", True, "tester 1.0")


def test_hello_opens_the_predecessor(opened: Opener) -> None:
    """A client that begins with hello speaks the predecessor's protocol, and waits for the pump."""
    conversation, events = opened({"op": "hello", "session_id": "abc", "token": "s3cret"})
    assert (conversation.protocol, conversation.is_open, conversation.client) == ("exai-1", False, "abc")
    assert (Hello(token="s3cret", session_label="abc"),) == events


def test_a_token_is_not_shown(opened: Opener) -> None:
    """The token of a hello never reaches a log by the event's repr."""
    _, events = opened({"op": "hello", "token": "s3cret"})
    assert "s3cret" not in repr(events)


@pytest.mark.parametrize("op", ["list_tools", "call_tool", "", None, 7, ["hello"], {"hello": 1}])
def test_another_op_than_hello_is_turned_away(opened: Opener, sent: Reader, op: object) -> None:
    """Whoever begins with another op is told what was missing, and the connection ends."""
    conversation, events = opened({"op": op})
    assert [(frame["error"], frame["ok"]) for frame in sent(events)] == [("missing_hello", False)]
    assert [event.code for event in events if isinstance(event, Close)] == [4001]
    assert conversation.receive(b'{"op":"hello"}') == ()


@pytest.mark.parametrize("token", [7, True, ["t"], {}, "x" * 4097])
def test_a_malformed_token_is_turned_away(opened: Opener, sent: Reader, token: object) -> None:
    """A hello whose token is no bounded string ends the connection with the predecessor's code."""
    _, events = opened({"op": "hello", "token": token})
    assert [frame["error"] for frame in sent(events)] == ["invalid_hello"]
    assert [event.code for event in events if isinstance(event, Close)] == [4000]


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (b"", -32700),
        (b"hello?", -32700),
        (b'{"op":"hello"', -32700),
        (b"[]", -32600),
        (b"{}", -32600),
        (b'"hello"', -32600),
        (b'{"jsonrpc":"2.0","op":"hello"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"server/discover"}', -32601),
    ],
)
def test_anything_else_is_answered_and_may_try_again(
    opened: Opener, sent: Reader, initialize: dict[str, Any], first: bytes, code: int
) -> None:
    """A bad first frame is answered as JSON-RPC, counted, and does not end the connection."""
    conversation, events = opened(first)
    assert [code] == [frame["error"]["code"] for frame in sent(events)]
    assert isinstance(events[0], Rejected)
    conversation.receive(json.dumps(initialize).encode())
    assert conversation.is_open


def test_strangers_get_small_frames(opened: Opener) -> None:
    """A first frame beyond the small limit ends the connection, whatever it says."""
    for first in (b'{"op":"hello","token":"' + b"x" * 500, b"[" * 500, b" " * 500):
        _, events = opened(first, Limits(opening_bytes_max=499))
        assert [event.code for event in events if isinstance(event, Close)] == [1009]
