"""Doubles of what a pump meets: calls that end when the test says so, a connection that can be held up."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from itertools import count
from typing import Any

from service.errors import ExaiError
from service.mcp.catalogue import Catalogue, build_catalogue
from service.mcp.events import CallTool, ToolFault, ToolReply
from service.mcp.opening import open_conversation
from service.mcp.terms import Limits, Server
from service.secret import Secret
from service.serving.auth import Caller, Tokens
from service.serving.ports import REJECTIONS, Calls, Duplex, Mark, Parts, PumpTerms

TOKEN = "right-token-0123456789"
WAIT_S = 20.0

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "tester", "version": "1.0"},
    },
}


def call_tool(request_id: int | str, *, progress: str | None = None) -> dict[str, Any]:
    """Write a tools/call of the tool `chat`."""
    meta = {"_meta": {"progressToken": progress}} if progress else {}
    return {
        "jsonrpc": "2.0",
        "id": request_id,
        "method": "tools/call",
        "params": {"name": "chat", "arguments": {"prompt": "hi"}, **meta},
    }


def cancelled(request_id: int | str) -> dict[str, Any]:
    """Write the notification that cancels a call."""
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request_id}}


class FakeRunning:
    """A call under way; it ends when the test calls `end`."""

    def __init__(self, call: CallTool, caller: Caller, on_text: Callable[[str], None] | None) -> None:
        self.done: asyncio.Future[ToolReply] = asyncio.get_running_loop().create_future()
        self.call = call
        self.caller = caller
        self.on_text = on_text
        self.cancelled = asyncio.Event()

    def cancel(self) -> None:
        """Note that the client gave up; the contract lets `done` come later."""
        self.cancelled.set()

    def end(self, text: str = "done") -> None:
        """End the call well."""
        self.done.set_result(ToolReply(content=(text,)))

    def say(self, text: str) -> None:
        """Stream a piece of text; only a client that asked may be streamed to."""
        assert self.on_text is not None
        self.on_text(text)


class FakeCalls(Calls):
    """Whoever runs calls: it keeps them for the test, or refuses them with `refusal`."""

    def __init__(self) -> None:
        self.refusal: ExaiError | None = None
        self.begun: asyncio.Queue[FakeRunning] = asyncio.Queue()
        self.sessions: list[tuple[str, str, str]] = []

    def begin(
        self,
        call: CallTool,
        *,
        caller: Caller,
        session: str,
        transport: str,
        protocol: str,
        on_text: Callable[[str], None] | None,
    ) -> FakeRunning:
        """Begin, or refuse."""
        if self.refusal is not None:
            raise self.refusal
        self.sessions.append((session, transport, protocol))
        running = FakeRunning(call, caller, on_text)
        self.begun.put_nowait(running)
        return running

    async def next(self) -> FakeRunning:
        """Wait for the next call that began."""
        async with asyncio.timeout(WAIT_S):
            return await self.begun.get()


class FakeDuplex(Duplex):
    """A connection in memory. It fails the test when two frames are sent at once, or one after the close."""

    def __init__(self) -> None:
        self._incoming: asyncio.Queue[bytes | Mark | None] = asyncio.Queue()
        self._sent: asyncio.Queue[bytes] = asyncio.Queue()
        self._is_sending = False
        self.reads = asyncio.Event()
        self.reads.set()
        self.held = asyncio.Event()
        self.is_broken = False
        self.closed: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    def say(self, frame: object) -> None:
        """Let the peer send a frame: an object, bytes, a mark; None is the end."""
        raw = isinstance(frame, bytes | Mark) or frame is None
        self._incoming.put_nowait(frame if raw else json.dumps(frame).encode())  # type: ignore[arg-type] # narrowed by `raw`

    async def hear(self) -> dict[str, Any]:
        """Wait for the next frame that reached the peer."""
        async with asyncio.timeout(WAIT_S):
            frame = json.loads(await self._sent.get())
        assert isinstance(frame, dict)
        return frame

    def unheard(self) -> int:
        """Count the frames that reached the peer and were not looked at."""
        return self._sent.qsize()

    async def receive(self) -> bytes | Mark | None:
        """Give what the peer sent."""
        return await self._incoming.get()

    async def send(self, frame: bytes) -> None:
        """Take a frame as soon as the peer reads."""
        assert not self._is_sending
        assert not self.closed.done()
        if self.is_broken:
            raise ConnectionResetError
        self._is_sending = True
        try:
            if not self.reads.is_set():
                self.held.set()
            await self.reads.wait()
            self._sent.put_nowait(frame)
        finally:
            self._is_sending = False

    async def close(self, code: int, reason: str) -> None:
        """Keep what was said first."""
        if not self.closed.done():
            self.closed.set_result((code, reason))


def refusal(error: ExaiError) -> ToolReply:
    """Dress a refusal plainly."""
    fault = ToolFault(code=error.code, message=error.message, retryable=error.retryable, remedy=error.remedy)
    return ToolReply(error=fault)


class Rejections(list[str]):
    """Reasons counted; each must be of the closed list."""

    def __init__(self) -> None:
        super().__init__()
        self.came = asyncio.Event()

    def count(self, reason: str) -> None:  # type: ignore[override] # here it counts up
        """Take one more."""
        assert reason in REJECTIONS
        self.append(reason)
        self.came.set()


def make_parts(
    calls: Calls,
    rejections: Rejections,
    *,
    token: str | None = None,
    terms: PumpTerms | None = None,
    limits: Limits | None = None,
    named: Tokens | None = None,
) -> Parts:
    """Put the parts of a pump together around real conversations."""
    ids = count(1)
    server = Server(name="exai", title="EXAI", version="0.1.0", call_timeout_s=300.0)
    opener = partial(
        open_conversation,
        catalogue=_catalogue(),
        server=server,
        new_id=lambda: f"ours-{next(ids)}",
        now_s=lambda: 1_700_000_000.5,
        limits=limits,
    )
    return Parts(
        calls=calls,
        tokens=named or Tokens(Secret(token) if token else None),
        open_conversation=opener,
        refusal=refusal,
        count_rejection=rejections.count,
        new_id=lambda: f"s-{next(ids)}",
        terms=terms or PumpTerms(),
    )


@contextlib.asynccontextmanager
async def no_task_left() -> AsyncIterator[None]:
    """Hold that whatever was started inside has ended."""
    before = asyncio.all_tasks()
    yield
    assert asyncio.all_tasks() <= before


def _catalogue() -> Catalogue:
    tool = {"name": "chat", "description": "Ask a model.", "inputSchema": {"type": "object"}}
    return build_catalogue([tool])
