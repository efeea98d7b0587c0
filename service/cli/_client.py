"""A small MCP client over WebSocket, for the demo: it calls tools and keeps what it is told."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

REVISION = "2025-11-25"
_PROGRESS = "notifications/progress"


class Client:
    """One session. Calls may overlap; answers find their call by id."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.first_text = asyncio.Event()

    async def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its whole answer: `result` or `error`."""
        _, answer = await self.send(method, params)
        return await answer

    async def send(self, method: str, params: dict[str, Any]) -> tuple[int, asyncio.Future[dict[str, Any]]]:
        """Send a request; give its id and the answer to come."""
        number = next(self._ids)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._write({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return number, answer

    async def call(self, arguments: dict[str, Any], *, stream: bool = False) -> dict[str, Any]:
        """Call `chat`; give the whole answer."""
        return await (await self.begin(arguments, stream=stream))[1]

    async def prove(self, provider: str) -> dict[str, Any]:
        """Call `prove` for a provider's wallet; give the whole answer."""
        return await self.request("tools/call", {"name": "prove", "arguments": {"wallet": provider}})

    async def begin(
        self, arguments: dict[str, Any], *, stream: bool = False
    ) -> tuple[int, asyncio.Future[dict[str, Any]]]:
        """Begin a call of `chat`; give its id and the answer to come."""
        params: dict[str, Any] = {"name": "chat", "arguments": arguments}
        if stream:
            params["_meta"] = {"progressToken": "demo"}
        return await self.send("tools/call", params)

    async def cancel(self, number: int) -> None:
        """Cancel a call; the server answers nothing more for it."""
        await self.notify("notifications/cancelled", {"requestId": number, "reason": "the demo cancels it"})

    async def notify(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification."""
        await self._write({"jsonrpc": "2.0", "method": method, "params": params})

    async def read(self) -> None:
        """Read until the connection ends."""
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            said = msgspec.json.decode(message.data)
            if said.get("method") == _PROGRESS:
                self.first_text.set()
            elif (answer := self._waiting.pop(said.get("id"), None)) is not None and not answer.done():
                answer.set_result(said)

    async def _write(self, message: dict[str, Any]) -> None:
        await self._socket.send_str(msgspec.json.encode(message).decode())


@asynccontextmanager
async def connect(http: aiohttp.ClientSession, url: str) -> AsyncIterator[Client]:
    """Open a session with the service at an http address."""
    async with http.ws_connect(f"{url}/mcp", protocols=("mcp",)) as socket:
        client = Client(socket)
        reading = asyncio.create_task(client.read())
        try:
            client_info = {"name": "exai-demo", "version": "1"}
            opening = {"protocolVersion": REVISION, "capabilities": {}, "clientInfo": client_info}
            await client.request("initialize", opening)
            await client.notify("notifications/initialized", {})
            yield client
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def call_as_predecessor(http: aiohttp.ClientSession, url: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Say hello and call `chat` in the predecessor's protocol; give its `call_tool_res`."""
    async with http.ws_connect(f"{url}/") as socket:
        await socket.send_json({"op": "hello", "session_id": "demo", "token": ""})
        await socket.receive_json()
        await socket.send_json({"op": "call_tool", "request_id": "demo-1", "name": "chat", "arguments": arguments})
        while True:
            said: dict[str, Any] = await socket.receive_json()
            if said.get("op") == "call_tool_res":
                return said
