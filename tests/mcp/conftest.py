"""A catalogue of two tools, and conversations brought to the state a test begins in."""

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from service.mcp.catalogue import Catalogue, build_catalogue
from service.mcp.events import Event, Send
from service.mcp.opening import open_conversation
from service.mcp.predecessor import Predecessor
from service.mcp.session import Session
from service.mcp.terms import Limits, Server

CHAT = {
    "name": "chat",
    "title": "Chat",
    "description": "Ask a model.",
    "inputSchema": {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]},
    "outputSchema": {"type": "object"},
    "annotations": {"openWorldHint": True},
    "_meta": {"exai/spends": True},
    "icons": [{"src": "https://example.org/chat.png"}],
}
STATUS = {"name": "status", "description": "Say how it goes.", "inputSchema": {"type": "object"}}

Opener = Callable[..., tuple[Session | Predecessor, tuple[Event, ...]]]
Ready = Callable[..., Session]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """Two tools, one with every optional part."""
    return build_catalogue([STATUS, CHAT])


@pytest.fixture(scope="session")
def server() -> Server:
    """What the server says of itself."""
    return Server(name="exai", title="EXAI", version="0.1.0", instructions="Be brief.", call_timeout_s=300.0)


@pytest.fixture(scope="session")
def opened(catalogue: Catalogue, server: Server) -> Opener:
    """Open a conversation with a first frame, given as bytes or as an object."""

    def open_with(first: object, limits: Limits | None = None) -> tuple[Session | Predecessor, tuple[Event, ...]]:
        ids: Iterator[int] = count(1)
        frame = first if isinstance(first, bytes) else json.dumps(first).encode()
        return open_conversation(
            frame,
            catalogue=catalogue,
            server=server,
            limits=limits,
            new_id=lambda: f"ours-{next(ids)}",
            now_s=lambda: 1_700_000_000.5,
        )

    return open_with


@pytest.fixture(scope="session")
def ready(opened: Opener, initialize: dict[str, Any]) -> Ready:
    """Make an MCP session that is ready, in a revision."""

    def make(revision: str = "2025-11-25", limits: Limits | None = None) -> Session:
        params = initialize["params"] | {"protocolVersion": revision}
        session, _ = opened(initialize | {"params": params}, limits)
        assert isinstance(session, Session)
        session.receive(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        return session

    return make


@pytest.fixture
def session(ready: Ready) -> Session:
    """An MCP session that is ready."""
    return ready()


@pytest.fixture
def predecessor(opened: Opener) -> Predecessor:
    """A client of the predecessor that was welcomed."""
    conversation, _ = opened({"op": "hello", "token": "t"})
    assert isinstance(conversation, Predecessor)
    conversation.welcome("s-1")
    return conversation


@pytest.fixture(scope="session")
def initialize() -> dict[str, Any]:
    """The first request of a good client."""
    return {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {"roots": {"listChanged": True}},
            "clientInfo": {"name": "tester", "version": "1.0"},
        },
    }


@pytest.fixture(scope="session")
def sent() -> Callable[[tuple[Event, ...]], list[dict[str, Any]]]:
    """Read the frames among some events."""

    def read(events: tuple[Event, ...]) -> list[dict[str, Any]]:
        return [json.loads(event.frame) for event in events if isinstance(event, Send)]

    return read
