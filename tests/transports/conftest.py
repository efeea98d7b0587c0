"""The WebSocket transport on a real port, and a client with no manners of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec
import pytest
from aiohttp import ClientSession, web

from service.mcp.terms import Limits
from service.serving.auth import Tokens
from service.serving.limits import Connections
from service.serving.ports import PumpTerms
from service.transports.site import BoundedSite, listen, make_runner
from service.transports.websocket import WebSockets
from tests.serving.doubles import FakeCalls, Rejections, make_parts, no_task_left


class Counted(Connections):
    """The count of connections, with events for the test to wait on."""

    def __init__(self, *, total: int = 1000, per_address: int = 1000) -> None:
        super().__init__(total=total, per_address=per_address)
        self.emptied = asyncio.Event()
        self.refused = 0

    def enter(self, address: str) -> bool:
        """Count, and count refusals."""
        is_in = super().enter(address)
        self.refused += not is_in
        return is_in

    def leave(self, address: str) -> None:
        """Uncount, and tell when nobody is left."""
        super().leave(address)
        if not self.open_count:
            self.emptied.set()


class Served(msgspec.Struct):
    """A running service of WebSockets, and a client session to reach it."""

    port: int
    sockets: WebSockets
    calls: FakeCalls
    rejections: Rejections
    http: ClientSession
    connections: Counted

    def url(self, path: str = "/mcp") -> str:
        """Write an address of the service."""
        return f"http://127.0.0.1:{self.port}{path}"

    async def stream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a bare TCP connection."""
        return await asyncio.open_connection("127.0.0.1", self.port)


Serving = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serving() -> Serving:
    """Serve WebSockets for the length of a block; afterwards no task of it may be left."""

    @asynccontextmanager
    async def serve(
        *,
        token: str | None = None,
        terms: PumpTerms | None = None,
        frame_bytes_max: int = 100_000,
        connections: Counted | None = None,
        head_s: float = 10.0,
        close_s: float = 0.2,
        heartbeat_s: float = 20.0,
        extra: list[web.RouteDef] | None = None,
        named: Tokens | None = None,
    ) -> AsyncIterator[Served]:
        calls, rejections, counted = FakeCalls(), Rejections(), connections or Counted()
        limits = Limits(frame_bytes_max=frame_bytes_max)
        parts = make_parts(calls, rejections, token=token, terms=terms, limits=limits, named=named)
        async with no_task_left():
            sockets = WebSockets(parts, frame_bytes_max=frame_bytes_max, close_s=close_s, heartbeat_s=heartbeat_s)
            app = web.Application()
            app.add_routes([*sockets.routes(), *(extra or [])])
            runner = make_runner(app, head_s=head_s, shutdown_s=1.0)
            await runner.setup()
            site = BoundedSite(runner, listener=listen("127.0.0.1", 0), connections=counted)
            await site.start()
            try:
                async with ClientSession() as http:
                    yield Served(site.port, sockets, calls, rejections, http, counted)
                    await sockets.goodbye(within_s=1.0)
            finally:
                await runner.cleanup()
            assert 0 == sockets.open_count

    return serve
