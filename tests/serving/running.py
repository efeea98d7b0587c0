"""A service of tool calls over a rig: what its tests begin calls with, and how they read what was written."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
import msgspec

from service.core.account import Account, Asked
from service.core.receipt import schema
from service.core.shapes import Books, Desk, Prover, Tool, ToolResult
from service.mcp.events import CallTool, ToolReply
from service.serving.auth import DEFAULT, Caller
from service.serving.calls import ToolCallRun, ToolCalls
from service.serving.idempotency import Keys
from service.serving.limits import Gate
from service.tools.chat import TOOL as CHAT
from tests.rig import KEY, WAIT_S, FixedDay, Rig, rig

RECEIPT = jsonschema_rs.Draft202012Validator(json.loads(json.dumps(schema())))
Deed = Callable[[Desk], Any]
CONSOLE = "http://127.0.0.1:8079"


class Scripted:
    """A tool that does a test's deed."""

    name = "scripted"
    title = description = "Scripted"
    input_schema: Mapping[str, Any] = {"type": "object"}
    output_schema: Mapping[str, Any] | None = None
    annotations: Mapping[str, bool] = {}
    needs_model = False

    def __init__(self) -> None:
        self.deed: Deed = nothing
        self.begun = asyncio.Event()

    async def run(
        self,
        arguments: Mapping[str, Any],  # noqa: ARG002 - the shape of a tool
        desk: Desk,
        books: Books,  # noqa: ARG002 - as above
        prover: Prover,  # noqa: ARG002 - as above
        *,
        on_text: Callable[[str], None] | None,  # noqa: ARG002 - as above
    ) -> ToolResult:
        """Do the deed."""
        self.begun.set()
        await self.deed(desk)
        return ToolResult(text="done")


class NoBooks:
    """The books of a service whose ledger is in memory: nobody reads them."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    async def spending(self, asked: Asked) -> Account:
        """Fail."""
        message = f"{self.caller.name} asked for {asked}"
        raise AssertionError(message)


async def nothing(_desk: Desk) -> None:
    """Do nothing."""


async def for_ever(_desk: Desk) -> None:
    """Never end."""
    await asyncio.Event().wait()


@dataclass
class Service:
    """Tool calls over a rig, and what they wrote."""

    lab: Rig
    calls: ToolCalls
    scripted: Scripted

    def begin(
        self,
        tool: str = "chat",
        on_text: Callable[[str], None] | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
        caller: Caller = DEFAULT,
        **given: Any,  # noqa: ANN401 - any argument
    ) -> ToolCallRun:
        """Begin a call."""
        arguments = {"prompt": "hi", **given} if tool == "chat" else given
        call = CallTool(
            request_id=1,
            name=tool,
            arguments=arguments,
            meta=dict(meta or {}),
            progress_token=None,
            wants_text=False,
        )
        return self.calls.begin(
            call, caller=caller, session="s-1", transport="http", protocol="2025-11-25", on_text=on_text
        )

    async def reply(self, tool: str = "chat", **given: Any) -> ToolReply:  # noqa: ANN401 - any argument
        """Make a call and wait for its reply."""
        return await asyncio.wait_for(self.begin(tool, **given).done, WAIT_S)

    @property
    def answers(self) -> list[tuple[str, str | None]]:
        """Outcome and zero reason of each closed call, in the log's order."""
        return [(entry["outcome"], entry["zero_reason"]) for entry in self.lab.written("answer")]


@asynccontextmanager
async def serving(key: str = KEY, **limits: int) -> AsyncIterator[Service]:
    """Put a service up."""
    async with rig(key=key) as lab, serving_over(lab, None, **limits) as service:
        yield service


@asynccontextmanager
async def serving_over(lab: Rig, keys: Keys | None = None, **limits: int) -> AsyncIterator[Service]:
    """Put a service up over a rig."""
    scripted = Scripted()
    tools: dict[str, Tool] = {"chat": CHAT, "scripted": scripted}
    calls = ToolCalls(
        tools,
        ledger=lab.ledger,
        counter=lab.counter,
        gate=Gate(**limits),
        clock=FixedDay(),
        entropy=secrets.token_bytes,
        books=NoBooks,
        console_url=CONSOLE,
        keys=keys,
    )
    yield Service(lab, calls, scripted)
    await asyncio.wait_for(calls.drain(0), WAIT_S)
    assert 0 == calls.open


def checked(reply: ToolReply) -> dict[str, Any]:
    """Give the receipt of a reply, which must fit its published schema."""
    receipt = reply.receipt
    assert receipt is not None
    RECEIPT.validate(json.loads(msgspec.json.encode(receipt)))
    return receipt


async def billed(service: Service) -> None:
    """Wait until a request is in the simulator's books."""
    async with asyncio.timeout(WAIT_S):
        while not service.lab.books:  # noqa: ASYNC110 - the simulator's books know no event
            await asyncio.sleep(0.001)
