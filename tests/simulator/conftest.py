"""A running simulator with a clock the test moves, and a client that speaks to it."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.simulator.app import Simulator, start

KIMI = "/v1/chat/completions"
GLM = "/api/paas/v4/chat/completions"


@dataclass
class Clock:
    """A clock that stands still until told: 2026-11-20 08:00:00 UTC, a Friday."""

    ns: int = 1_795_161_600 * 10**9

    def __call__(self) -> int:
        """Give the time in nanoseconds."""
        return self.ns

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.ns += int(seconds * 10**9)


@dataclass
class Reply:
    """An answer read to its end, or to where it broke."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    broken: bool = False

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON of any shape
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def header(self) -> dict[str, str]:
        """Headers by name."""
        return dict(self.headers)

    @property
    def lines(self) -> list[str]:
        """What follows `data: ` in a stream."""
        return [line.removeprefix("data: ") for line in self.body.decode().split("\n\n") if line]

    @property
    def chunks(self) -> list[Any]:
        """The stream's chunks without the last word."""
        assert self.lines[-1] == "[DONE]"
        return [json.loads(line) for line in self.lines[:-1]]


@dataclass
class Talk:
    """A client of the simulator."""

    simulator: Simulator
    session: aiohttp.ClientSession
    key: str = "sim-one"

    async def ask(
        self, method: str, path: str, body: object = None, *, key: str | None = "", headers: object = ()
    ) -> Reply:
        """Send one request; `key` None sends none."""
        sent = [*(headers if isinstance(headers, list) else [])]
        if key is not None:
            sent.append(("Authorization", f"Bearer {key or self.key}"))
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.request(
            method,
            self.simulator.url + path,
            data=None if body is None else io.BytesIO(data),
            headers=sent,
            allow_redirects=False,
        ) as response:
            read = b""
            broken = False
            try:
                async for part in response.content.iter_any():
                    read += part
            except aiohttp.ClientPayloadError:
                broken = True
            return Reply(response.status, list(response.headers.items()), read, broken)

    async def get(self, path: str, key: str | None = "") -> Reply:
        """Read an account route."""
        return await self.ask("GET", path, key=key)

    async def kimi(self, text: str = "hello", **more: object) -> Reply:
        """Ask Kimi."""
        return await self._chat(KIMI, "kimi-k3", text, more)

    async def glm(self, text: str = "hello", **more: object) -> Reply:
        """Ask GLM."""
        return await self._chat(GLM, "glm-5.3", text, more)

    async def _chat(self, path: str, model: str, text: str, more: dict[str, object]) -> Reply:
        key, headers = more.pop("key", ""), more.pop("headers", ())
        path = str(more.pop("path", path))
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return await self.ask("POST", path, body, key=None if key is None else str(key), headers=headers)

    async def fault(self, kind: str, **more: object) -> None:
        """Switch one fault on, in place of all others."""
        reply = await self.ask("PUT", "/_sim/faults", {"faults": [{"kind": kind, **more}]}, key=None)
        assert reply.status == 200, reply.body

    async def books(self) -> Any:  # noqa: ANN401 - JSON of any shape
        """Read the books."""
        return (await self.get("/_sim/books", key=None)).json

    async def last(self) -> Any:  # noqa: ANN401 - JSON of any shape
        """Read the last request in the books."""
        return (await self.books())["requests"][-1]


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
async def simulator(clock: Clock, tmp_path: Path) -> AsyncIterator[Simulator]:
    """A running simulator that writes its books to `books.jsonl`."""
    started = await start(clock=clock, seed="test", books_file=tmp_path / "books.jsonl")
    yield started
    await asyncio.wait_for(started.close(), 10)


@pytest.fixture
async def talk(simulator: Simulator) -> AsyncIterator[Talk]:
    """A client with the key `sim-one`."""
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
        yield Talk(simulator, session)
