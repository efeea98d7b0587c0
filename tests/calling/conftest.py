"""A rig, and servers whose every byte is scripted."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from service.calling.connection import Head
from service.core.shapes import Prepared
from service.core.wallet import Wallet
from service.secret import Secret
from tests.rig import KEY, WAIT_S, Rig, rig

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


@dataclass
class Scripted:
    """A server that reads a request and then does as its script says.

    Attributes:
        requests: heads and bodies, as they came.
        connections: how many were accepted.
        left: set when a client has closed its connection while the script waited for that.
    """

    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    def wallet(self, scheme: str = "http", host: str = "127.0.0.1") -> Wallet:
        """Name this server as a wallet's host."""
        return Wallet(
            name="kimi-main",
            provider="kimi",
            base_url=f"{scheme}://{host}:{self.port}/v1",
            host=f"{host}:{self.port}",
            price_host="api.moonshot.ai",
            currency="USD",
            fingerprint="00000000",
            simulated=True,
            key=Secret(KEY),
        )

    async def until_left(self, reader: asyncio.StreamReader) -> None:
        """Wait until the client closes, and say so."""
        try:
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass
        self.left.set()


class Seen:
    """A watcher that keeps all it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.head: Head | None = None
        self.body = b""
        self.is_headed = asyncio.Event()

    def connected(self) -> None:
        """Keep it."""
        self.told.append("connected")

    def sent(self) -> None:
        """Keep it."""
        self.told.append("sent")

    def headed(self, head: Head) -> None:
        """Keep it."""
        self.told.append("headed")
        self.head = head
        self.is_headed.set()

    def received(self, chunk: bytes) -> None:
        """Keep it."""
        self.told.append("received")
        self.body += chunk


PREPARED = Prepared(
    path="/chat/completions", headers=(("Content-Type", "application/json"),), body=b'{"model":"kimi-k3"}'
)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read one request to the end of its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head + await reader.readexactly(length)


ServerMaker = Callable[..., AbstractAsyncContextManager[Scripted]]


@pytest.fixture
def server() -> ServerMaker:
    """Run a script for every connection; with `reads=False` the script must read the request itself."""

    @asynccontextmanager
    async def serving(
        script: Script, *, tls: ssl.SSLContext | None = None, reads: bool = True
    ) -> AsyncIterator[Scripted]:
        scripted = Scripted()
        tasks: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            scripted.connections += 1
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                request = await read_request(reader) if reads else b""
                scripted.requests.append(request)
                scripted.arrived.set()
                await script(reader, writer, request)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                writer.close()

        listening = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
        scripted.port = listening.sockets[0].getsockname()[1]
        try:
            yield scripted
        finally:
            listening.close()
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=WAIT_S)

    return serving


@pytest.fixture
async def lab() -> AsyncIterator[Rig]:
    """A rig with a simulator that behaves."""
    async with rig() as made:
        yield made
