"""An application behind the guard, on a real port, and a way to write requests by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec
import pytest
from aiohttp import ClientSession, web

from service.secret import Secret
from service.serving.auth import Tokens
from service.serving.keys import CALLER
from service.web import api, health, metrics
from service.web.guard import guard
from service.web.health import Check
from service.web.hosts import Hosts
from service.web.problems import problems

WAIT_S = 20.0


class Answer(msgspec.Struct):
    """An answer as it came over the wire."""

    status: int
    text: str


class Behind(msgspec.Struct):
    """The running application and what it counted."""

    port: int
    http: ClientSession
    reasons: list[str]
    checks: list[Check]
    not_ready: list[str]
    reached: list[str]

    def url(self, path: str) -> str:
        """Write an address."""
        return f"http://127.0.0.1:{self.port}{path}"

    async def write(self, target: str = "/echo", *lines: str, host: str | None = "") -> Answer:
        """Send a request written by hand; `host` None leaves the header out, "" is the right one."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        named = [] if host is None else [f"Host: {host or f'127.0.0.1:{self.port}'}"]
        writer.write("\r\n".join((f"GET {target} HTTP/1.1", *named, "Connection: close", *lines, "", "")).encode())
        async with asyncio.timeout(WAIT_S):
            told = (await reader.read()).decode()
        writer.close()
        return Answer(int(told.split(" ")[1]), told)


GuardedApp = Callable[..., AbstractAsyncContextManager[Behind]]


@pytest.fixture
def guarded() -> GuardedApp:
    """Serve every route of the room behind the guard, and `/echo`, which names its caller."""

    @asynccontextmanager
    async def serve(
        *,
        token: str | None = None,
        is_bound_to_loopback: bool = True,
        allowed: Sequence[str] = (),
        named: Tokens | None = None,
        more: Sequence[web.RouteDef] = (),
    ) -> AsyncIterator[Behind]:
        behind = Behind(0, ClientSession(), [], [], [], [])
        stand = guard(
            Hosts(lambda: (behind.port,), allowed),
            named or Tokens(Secret(token) if token else None),
            is_bound_to_loopback=is_bound_to_loopback,
            count_rejection=behind.reasons.append,
        )
        app = web.Application(middlewares=[problems(lambda: "ref-1"), stand])
        app.add_routes([*_routes(behind), *more])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        behind.port = runner.addresses[0][1]
        try:
            yield behind
        finally:
            await behind.http.close()
            await runner.cleanup()

    return serve


def _routes(behind: Behind) -> list[web.RouteDef]:
    async def echo(request: web.Request) -> web.Response:
        behind.reached.append(request.path)
        return web.Response(text=request[CALLER].name)

    async def root(_request: web.Request) -> web.Response:
        behind.reached.append("/")
        return web.Response(text="root")

    async def broken(_request: web.Request) -> web.Response:
        raise RuntimeError("secret text")

    async def moved(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/echo")

    async def settle() -> None:
        behind.reached.append("settled")

    def render(accept: str) -> tuple[bytes, str]:
        behind.reached.append("rendered")
        return b"# EOF\n", f"text/plain; version=0.0.4; asked={len(accept)}"

    return [
        web.get("/", root),
        web.get("/echo", echo),
        web.get("/broken", broken),
        web.get("/moved", moved),
        *api.routes(),
        *metrics.routes(settle=settle, render=render),
        *health.routes(
            ready=lambda: (not behind.not_ready, behind.not_ready),
            checks=lambda: behind.checks,
        ),
    ]
