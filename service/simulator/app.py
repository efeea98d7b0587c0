"""The simulator on a port: started, asked for its addresses, closed. It listens on loopback and nowhere else."""

import asyncio
import contextlib
import ipaddress
import os
import secrets
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE

from service.simulator.books import Books
from service.simulator.chat import BODY_BYTES_MAX
from service.simulator.control import control_routes
from service.simulator.routes import glm_routes, kimi_routes, lost_route
from service.simulator.shapes import Clock
from service.simulator.world import World, make_world

MARK = "Exai-Simulator"
_CLOSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running simulator. Whoever started it must `close` it."""

    host: str
    port: int
    world: World
    runner: web.AppRunner

    @property
    def url(self) -> str:
        """Its root, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def urls(self) -> dict[str, str]:
        """The base addresses under the names a service's environment knows."""
        return {"KIMI_BASE_URL": f"{self.url}/v1", "GLM_BASE_URL": f"{self.url}/api/paas/v4"}

    async def close(self) -> None:
        """Break off what hangs, let the rest finish, and free the port."""
        self.world.closing.set()
        await self.runner.cleanup()
        self.world.books.close()


async def start(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Clock = time.time_ns,
    seed: str | None = None,
    books_file: Path | None = None,
) -> Simulator:
    """Start a simulator; port 0 takes a free one.

    `seed` makes ids and signatures repeatable; `books_file` gets one JSON line for every chat request. Raises
    ValueError for a host that is not loopback, OSError when the port is taken.
    """
    _refuse_unless_loopback(host)
    world = make_world(clock, seed or secrets.token_hex(16), Books(clock, books_file))
    runner = web.AppRunner(_make_app(world), access_log=None, shutdown_timeout=_CLOSE_SECONDS)
    try:
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        await site.start()
    except BaseException:
        await runner.cleanup()
        world.books.close()
        raise
    return Simulator(host, int(runner.addresses[0][1]), world, runner)


def run(port: int, *, books_file: Path | None = None, until_eof: bool = False) -> None:
    """Serve until SIGINT or SIGTERM; the first two lines on standard output are the base addresses.

    With `until_eof` it also ends when standard input does: a child that its parent leaves without a word.
    """
    asyncio.run(_serve(port, books_file, until_eof=until_eof))


async def _serve(port: int, books_file: Path | None, *, until_eof: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # a loop without signals still ends by Ctrl-C
            loop.add_signal_handler(number, stop.set)
    if until_eof:
        threading.Thread(target=_watch_input, args=(loop, stop), daemon=True).start()
    simulator = await start(port=port, books_file=books_file)
    try:
        for name, url in simulator.urls.items():
            sys.stdout.write(f"{name}={url}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await simulator.close()


def _watch_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    # Not `sys.stdin.buffer`: its lock, held by a thread that waits, is fatal to an interpreter that ends.
    with contextlib.suppress(OSError):
        while os.read(sys.stdin.fileno(), 1024):
            pass
    with contextlib.suppress(RuntimeError):  # the loop has ended before the input did
        loop.call_soon_threadsafe(stop.set)


def _make_app(world: World) -> web.Application:
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.add_routes(control_routes(world))
    app.add_routes(kimi_routes(world))
    app.add_routes(glm_routes(world))
    app.add_routes([web.route("*", "/{rest:.*}", lost_route(world))])
    app.on_response_prepare.append(_mark)
    return app


async def _mark(_request: web.Request, response: web.StreamResponse) -> None:
    """Say on every answer that it is simulated, and hide the real server behind the simulated one."""
    response.headers[MARK] = "1"
    if response.headers.get("Server") == SERVER_SOFTWARE:
        del response.headers["Server"]


def _refuse_unless_loopback(host: str) -> None:
    with contextlib.suppress(ValueError):
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return
    raise ValueError(f"the simulator listens on loopback only, not on {host!r}")
