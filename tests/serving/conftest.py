"""A pump at work on a connection in memory, and services that start again over one ledger."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from service.mcp.terms import Limits
from service.serving.auth import LOCAL, Caller, Tokens
from service.serving.ports import PumpTerms
from service.serving.pump import Pump
from tests.rig import Rig, rig
from tests.serving.doubles import INITIALIZE, WAIT_S, FakeCalls, FakeDuplex, Rejections, make_parts, no_task_left
from tests.serving.keyed import Start, Starts, starts_over


class Pumped(msgspec.Struct):
    """A pump, its connection, and the doubles around it."""

    pump: Pump
    duplex: FakeDuplex
    calls: FakeCalls
    rejections: Rejections
    running: asyncio.Task[None]

    async def initialize(self) -> None:
        """Open an MCP session."""
        self.duplex.say(INITIALIZE)
        assert (await self.duplex.hear())["id"] == 0

    async def close_code(self) -> int:
        """Wait until the pump has ended, and say with which code."""
        async with asyncio.timeout(WAIT_S):
            await self.running
        return self.duplex.closed.result()[0]


Pumping = Callable[..., AbstractAsyncContextManager[Pumped]]


@pytest.fixture
def pumping() -> Pumping:
    """Run a pump for the length of a block; afterwards no task of it may be left."""

    @asynccontextmanager
    async def run(
        *,
        token: str | None = None,
        caller: Caller | None = LOCAL,
        terms: PumpTerms | None = None,
        limits: Limits | None = None,
        named: Tokens | None = None,
    ) -> AsyncIterator[Pumped]:
        calls, duplex, rejections = FakeCalls(), FakeDuplex(), Rejections()
        parts = make_parts(calls, rejections, token=token, terms=terms, limits=limits, named=named)
        pump = Pump(parts, duplex, transport="memory", caller=caller)
        async with no_task_left():
            pumped = Pumped(pump, duplex, calls, rejections, asyncio.create_task(pump.run()))
            yield pumped
            duplex.reads.set()
            duplex.say(None)
            async with asyncio.timeout(WAIT_S):
                await pumped.running

    return run


@pytest.fixture
async def lab() -> AsyncIterator[Rig]:
    """A ledger in memory, and the simulator."""
    async with rig() as made:
        yield made


@pytest.fixture
async def starts(lab: Rig, tmp_path: Path) -> AsyncIterator[Starts]:
    """Starts of services over one ledger."""
    async with starts_over(lab, tmp_path) as made:
        yield made


@pytest.fixture
async def start(starts: Starts) -> Start:
    """The first start."""
    return await starts.start()
