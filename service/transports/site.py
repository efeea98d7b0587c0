"""The listening site: a port with a deadline for request heads, and a bound on connections.

aiohttp closes a connection that waits for a whole request longer than its keep-alive time, be it the first
request or a later one, silent or dripping. So the keep-alive time is the head's deadline. It never counts
while a request is served, and an upgrade ends it.
"""

import asyncio
import errno
import logging
import socket

from aiohttp import web

from service.errors import StartError
from service.serving.limits import Connections
from service.serving.quiet import QuietLog
from service.transports.noise import server_log

HEAD_S = 10.0
SHUTDOWN_S = 2.0
BACKLOG = 512


def make_runner(
    app: web.Application,
    *,
    head_s: float = HEAD_S,
    shutdown_s: float = SHUTDOWN_S,
    quiet: QuietLog | None = None,
) -> web.AppRunner:
    """Make the runner whose sites hold the deadline; it writes no access log: addresses are a stranger's text.

    Args:
        app: what is served.
        head_s: for a whole request head, from the connection or from the last answer.
        shutdown_s: how long a stop waits for requests being served.
        quiet: where malformed requests are told.
    """
    log = server_log(quiet or QuietLog(logging.getLogger(__name__)))
    return web.AppRunner(app, access_log=None, logger=log, keepalive_timeout=head_s, shutdown_timeout=shutdown_s)


def listen(host: str, port: int, *, setting: str = "EXAI_PORT") -> socket.socket:
    """Take a port. Whoever has the socket closes it; a site that listens on it does so when it stops.

    Args:
        host: an address of this machine, or a name of one.
        port: 0 takes a free one; the socket's own name then tells it.
        setting: names the port's setting in an error.

    Raises:
        StartError: the port is taken, or the address cannot be bound.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _refusal(error, host, port, setting) from error
    try:
        # A port whose last connections linger may be taken again at once; one that is listened on may not.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _refusal(error, host, port, setting) from error
    return listener


def _refusal(error: OSError, host: str, port: int, setting: str) -> StartError:
    if error.errno == errno.EADDRINUSE:
        return StartError(
            f"{host}:{port} is taken by another program, perhaps an earlier start of this one",
            remedy=f"Stop it (`ss -ltnp 'sport = :{port}'` names it), or set {setting} to another port; 0 is any.",
        )
    return StartError(
        f"{host}:{port} cannot be listened on: {error.strerror}",
        remedy=f"Set EXAI_HOST to an address of this machine and {setting} to a port it may use.",
    )


class BoundedSite(web.BaseSite):
    """A TCP port of a runner, with its connections counted and bounded.

    Args:
        runner: made by `make_runner` and set up.
        listener: made by `listen`.
        connections: the count; several sites may share one.
        quiet: where refused connections are told.
    """

    def __init__(
        self,
        runner: web.AppRunner,
        *,
        listener: socket.socket,
        connections: Connections,
        quiet: QuietLog | None = None,
    ) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._listener = listener
        self._connections = connections
        self._quiet = quiet or QuietLog(logging.getLogger(__name__))
        self._host, self._port = listener.getsockname()[:2]

    @property
    def name(self) -> str:
        """Write its root address."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def port(self) -> int:
        """Say the port."""
        return int(self._port)

    async def start(self) -> None:
        """Begin to take connections."""
        await super().start()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._door, sock=self._listener, backlog=BACKLOG)

    def _door(self) -> "_Door":
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner was cleaned up while its site listens")
        return _Door(server, self._connections, self._quiet)


class _Door(asyncio.Protocol):
    """Lets one connection through to the server, if it may come in, and counts it until it is gone."""

    def __init__(self, server: web.Server, connections: Connections, quiet: QuietLog) -> None:
        self._server = server
        self._connections = connections
        self._quiet = quiet
        self._inner: asyncio.Protocol | None = None
        self._address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        if not self._connections.enter(self._address):
            self._quiet.warn("a connection is refused: too many are open")
            if isinstance(transport, asyncio.Transport):
                transport.abort()
            return
        self._inner = self._server()
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._inner is not None:
            self._connections.leave(self._address)
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()
