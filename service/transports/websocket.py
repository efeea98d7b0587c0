"""The WebSocket transport: two addresses, one pump for each connection, one goodbye for all.

`/mcp` knows its caller before the upgrade. On `/` a client may come without an Authorization header; then
only the hello of the predecessor's protocol, with the token in it, lets it in.
"""

import asyncio
import contextlib

from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web

from service.errors import UnauthorizedError
from service.mcp.events import RejectReason
from service.mcp.terms import Limits
from service.serving.auth import CHALLENGE, Caller, bearer, names_token
from service.serving.ports import Duplex, Mark, Parts
from service.serving.pump import Pump

SUBPROTOCOL = "mcp"
TRANSPORT = "websocket"
HEARTBEAT_S = 20.0
CLOSE_S = 2.0
_REASON_BYTES_MAX = 123  # source: RFC 6455, section 5.5: a control frame holds 125 bytes, two are the code


class WebSockets:
    """The open WebSocket connections of a service. It belongs to the event loop it was made in."""

    def __init__(
        self,
        parts: Parts,
        *,
        frame_bytes_max: int = Limits().frame_bytes_max,
        heartbeat_s: float = HEARTBEAT_S,
        close_s: float = CLOSE_S,
    ) -> None:
        self._parts = parts
        self._frame_bytes_max = frame_bytes_max
        self._heartbeat_s = heartbeat_s
        self._close_s = close_s
        self._pumps: set[Pump] = set()
        self._is_stopping = False
        self._emptied = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        parts.tokens.watch(self._look_soon)

    @property
    def open_count(self) -> int:
        """Say how many connections are open."""
        return len(self._pumps)

    def count_of(self, client: str) -> int:
        """Count the open connections of one client."""
        return sum(pump.client == client for pump in self._pumps)

    def routes(self) -> list[web.RouteDef]:
        """List the two addresses."""
        return [web.get("/mcp", self._mcp), web.get("/", self._root)]

    async def goodbye(self, *, within_s: float = CLOSE_S) -> None:
        """Take no more connections, close all with 1001, and wait at most `within_s` until they are gone."""
        self._is_stopping = True
        for pump in self._pumps:
            pump.goodbye()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._pumps:
                    self._emptied.clear()
                    await self._emptied.wait()

    def _look_soon(self) -> None:
        """Let each pump look at its caller's token; may be called from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: no connection is left
            self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        for pump in tuple(self._pumps):
            pump.look()

    async def _mcp(self, request: web.Request) -> web.StreamResponse:
        if not _wants_upgrade(request):
            raise _upgrade_required()
        return await self._serve(request, self._recognise(request, may_say_hello=False))

    async def _root(self, request: web.Request) -> web.StreamResponse:
        if not _wants_upgrade(request):
            return _welcome(request)
        return await self._serve(request, self._recognise(request, may_say_hello=True))

    def _recognise(self, request: web.Request, *, may_say_hello: bool) -> Caller | None:
        if names_token(request.query):
            raise web.HTTPBadRequest(
                text="A token must not stand in an address: proxies and histories keep addresses. "
                'Send the header "Authorization: Bearer …".'
            )
        tokens = self._parts.tokens
        header = request.headers.get("Authorization")
        if header is None and may_say_hello and tokens.is_required:
            return None
        try:
            return tokens.caller(bearer(header))
        except UnauthorizedError as error:
            self._parts.count_rejection(RejectReason.UNAUTHORIZED.value)
            raise web.HTTPUnauthorized(text=f"{error.message} {error.remedy}", headers=CHALLENGE) from None

    async def _serve(self, request: web.Request, caller: Caller | None) -> web.StreamResponse:
        if self._is_stopping:
            raise web.HTTPServiceUnavailable(text="The service is stopping. Connect again in a moment.")
        # Pings are answered by us, not by aiohttp: its own answer would hide them from the frame limit.
        # A message of exactly max_msg_size bytes is refused by it, hence one more.
        response = web.WebSocketResponse(
            timeout=self._close_s,
            heartbeat=self._heartbeat_s,
            autoping=False,
            protocols=(SUBPROTOCOL,),
            compress=False,
            max_msg_size=self._frame_bytes_max + 1,
            decode_text=False,
        )
        await response.prepare(request)
        pump = Pump(self._parts, _Socket(request, response, self._close_s), transport=TRANSPORT, caller=caller)
        self._pumps.add(pump)
        try:
            # The goodbye may have been said, or the token revoked, while the upgrade was on its way.
            if self._is_stopping:
                pump.goodbye()
            pump.look()
            await pump.run()
        finally:
            self._pumps.discard(pump)
            if not self._pumps:
                self._emptied.set()
        return response


class _Socket(Duplex):
    """One upgraded connection, as the pump wants it."""

    def __init__(self, request: web.Request, response: web.WebSocketResponse[bool], close_s: float) -> None:
        self._request = request
        self._response = response
        self._close_s = close_s

    async def receive(self) -> bytes | Mark | None:
        message = await self._response.receive()
        match message.type:
            case WSMsgType.TEXT:
                return message.data if isinstance(message.data, bytes) else str(message.data).encode()
            case WSMsgType.BINARY:
                return Mark.BINARY
            case WSMsgType.PING:
                await self._response.pong(message.data)
                return Mark.CONTROL
            case WSMsgType.PONG:
                return Mark.CONTROL
            case WSMsgType.ERROR if _is_oversize(message.data):
                return Mark.OVERSIZE
        return None

    async def send(self, frame: bytes) -> None:
        await self._response.send_frame(frame, WSMsgType.TEXT)

    async def close(self, code: int, reason: str) -> None:
        said = reason.encode("ascii", "replace")[:_REASON_BYTES_MAX]
        try:
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(self._close_s):
                    # Never drained: a write that was cancelled while it drained has broken aiohttp's waiter
                    # for this connection, and the next drain would raise CancelledError.
                    await self._response.close(code=code, message=said, drain=False)
        finally:
            # What a peer has not read by now would keep the socket open for as long as the peer likes.
            transport = self._request.transport
            if transport is not None and transport.get_write_buffer_size():
                transport.abort()


def _is_oversize(error: object) -> bool:
    return isinstance(error, WebSocketError) and error.code == WSCloseCode.MESSAGE_TOO_BIG


def _wants_upgrade(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").strip().lower() == "websocket"


def _upgrade_required() -> web.HTTPException:
    return web.HTTPUpgradeRequired(
        text="MCP is spoken here over WebSocket: connect to this address with ws:// and the subprotocol mcp.",
        headers={"Upgrade": "websocket", "Connection": "Upgrade"},
    )


def _welcome(request: web.Request) -> web.Response:
    places = {
        "mcp": "/mcp (WebSocket, subprotocol mcp)",
        "console": "/console/",
        "health": "/health",
        "metrics": "/metrics",
        "api": "/api/v1/",
    }
    sentence = "EXAI: an MCP server that proves what it spends."
    if "application/json" in request.headers.get("Accept", ""):
        return web.json_response({"what": sentence, "places": places})
    lines = (f"  {name:8} {place}" for name, place in places.items())
    return web.Response(text="\n".join((sentence, "", *lines, "")))
