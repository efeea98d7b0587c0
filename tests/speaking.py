"""Speaking: clients over a real WebSocket, by a library that is not the service's."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.processes import WAIT_S

REVISION = "2025-11-25"
RECEIPT = "exai/receipt"
Said = dict[str, Any]


class LostError(Exception):
    """The connection ended before the answer came."""


class Speaker:
    """One MCP session. Calls may overlap; answers find their call by its id."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.others: asyncio.Queue[Said] = asyncio.Queue()  # what no call was waiting for
        self.progress: dict[str, list[str]] = {}  # text by token
        self._ids = 0
        self._waiting: dict[Any, asyncio.Future[Said | None]] = {}
        self._moved = asyncio.Condition()

    async def listen(self) -> None:
        """Read until the connection ends; then whoever waits gets None."""
        with suppress(ConnectionClosed):
            while True:
                await self._take(json.loads(await self.socket.recv()))
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result(None)

    async def write(self, message: object) -> None:
        """Send a message, or a frame as it stands."""
        await self.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def provoke(self, message: object) -> Said:
        """Send something and give the next message that belongs to no call."""
        await self.write(message)
        return await asyncio.wait_for(self.others.get(), WAIT_S)

    async def send(self, method: str, params: Said) -> tuple[int, asyncio.Future[Said | None]]:
        """Send a request; give its id and the answer to come: None if the connection ends before."""
        self._ids += 1
        number, answer = self._ids, asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        with suppress(ConnectionClosed):
            await self.write({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
            return number, answer
        if not answer.done():
            answer.set_result(None)
        return number, answer

    async def ask(self, method: str, params: Said) -> Said:
        """Send a request and wait for its whole answer."""
        _, answer = await self.send(method, params)
        return await self.hear(answer)

    async def hear(self, answer: asyncio.Future[Said | None]) -> Said:
        """Wait for an answer that must come."""
        said = await asyncio.wait_for(answer, WAIT_S)
        if said is None:
            raise LostError(f"closed with {self.socket.close_code}")
        return said

    async def begin(
        self, token: str | None = None, traceparent: str | None = None, **arguments: object
    ) -> tuple[int, asyncio.Future[Said | None]]:
        """Begin a call of `chat`; a token asks for progress."""
        meta = {"progressToken": token, "traceparent": traceparent}
        meta = {name: value for name, value in meta.items() if value is not None}
        params = {"name": "chat", "arguments": arguments, **({"_meta": meta} if meta else {})}
        return await self.send("tools/call", params)

    async def call(self, token: str | None = None, traceparent: str | None = None, **arguments: object) -> Said:
        """Call `chat` and give its result."""
        _, answer = await self.begin(token, traceparent, **arguments)
        result: Said = (await self.hear(answer))["result"]
        return result

    async def cancel(self, number: int) -> None:
        """Cancel a call."""
        params = {"requestId": number, "reason": "no longer wanted"}
        await self.write({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})

    async def text_of(self, token: str) -> None:
        """Wait until some text of a call has come."""
        async with asyncio.timeout(WAIT_S), self._moved:
            await self._moved.wait_for(lambda: any(self.progress.get(token, ())))

    async def _take(self, said: Said) -> None:
        answer = self._waiting.pop(said.get("id"), None)
        if answer is not None:
            if not answer.done():
                answer.set_result(said)
        elif said.get("method") == "notifications/progress":
            params = said["params"]
            async with self._moved:
                self.progress.setdefault(params["progressToken"], []).append(params.get("message", ""))
                self._moved.notify_all()
        else:
            self.others.put_nowait(said)


@asynccontextmanager
async def plugged(url: str, **headers: str) -> AsyncIterator[Speaker]:
    """Connect without a word of introduction."""
    subprotocols = [Subprotocol("mcp")]
    async with connect(url, subprotocols=subprotocols, additional_headers=headers, proxy=None) as socket:
        speaker = Speaker(socket)
        listening = asyncio.create_task(speaker.listen())
        try:
            yield speaker
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


@asynccontextmanager
async def speaking(url: str, **headers: str) -> AsyncIterator[Speaker]:
    """Open an MCP session."""
    async with plugged(url, **headers) as speaker:
        await introduce(speaker)
        yield speaker


async def introduce(speaker: Speaker) -> None:
    """Initialize a session."""
    client = {"name": "a-stranger", "version": "1"}
    opening = {"protocolVersion": REVISION, "capabilities": {}, "clientInfo": client}
    answer = await speaker.ask("initialize", opening)
    assert REVISION == answer["result"]["protocolVersion"]
    await speaker.write({"jsonrpc": "2.0", "method": "notifications/initialized"})


def receipt_of(result: Said) -> Said:
    """Take the receipt out of a call's result."""
    receipt: Said = result["_meta"][RECEIPT]
    return receipt
