"""Clients that nobody here wrote: an MCP library's own, and the snippet of the predecessor's documents."""

import json
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from mcp import ClientSession
from mcp.client.websocket import websocket_client
from mcp.types import CallToolResult, TextContent
from websockets.asyncio.client import ClientConnection, connect

from service.settings import Settings
from tests.processes import Judge, Served, Serving, get_json

LONG = "Tell me a long story. sim:words=40"


@pytest.fixture(scope="module")
def served(serving_long: Serving) -> Served:
    """Start a service."""
    return serving_long()


TOOLS = ["balance", "chat", "prove", "receipt", "usage"]


@asynccontextmanager
async def session(url: str) -> AsyncIterator[ClientSession]:
    """Open a session of the `mcp` library over its own WebSocket transport."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The WebSocket client transport is deprecated", DeprecationWarning)
        transport = websocket_client(url)
    async with transport as (reading, writing), ClientSession(reading, writing) as opened:
        await opened.initialize()
        yield opened


def receipt_of(result: CallToolResult) -> dict[str, Any]:
    """Take the receipt out of what the library understood."""
    assert result.meta is not None
    receipt: dict[str, Any] = result.meta["exai/receipt"]
    return receipt


def text_of(result: CallToolResult) -> str:
    """Take the text out of what the library understood."""
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


@pytest.mark.parametrize("provider", ["kimi", "glm"])
async def test_an_mcp_client_calls_a_provider(served: Served, judge: Judge, provider: str) -> None:
    """The library lists the tool, validates its result, and its receipt fits the schema that is served."""
    schema = await get_json(f"{served.url}/api/v1/receipt.schema.json")
    async with session(served.socket) as client:
        assert TOOLS == [tool.name for tool in (await client.list_tools()).tools]
        result = await client.call_tool("chat", {"prompt": "What is a receipt?", "provider": provider})
    assert not result.isError
    assert "Simulated answer to: What is a receipt?" == text_of(result)
    receipt = receipt_of(result)
    jsonschema_rs.Draft202012Validator(schema).validate(receipt)
    (request,) = await judge.requests()
    (attempt,) = receipt["attempts"]
    assert provider == attempt["provider"] == request["provider"]
    assert request["billed"] == {name: attempt["cost"][name] for name in ("amount", "currency")}
    assert request["request_id"] in attempt["provider_request_ids"].values()


async def test_a_receipt_is_where_its_address_says(served: Served) -> None:
    """The receipt's URL leads to the same receipt; salts and checkpoint are given once, verdicts come later."""
    async with session(served.socket) as client:
        receipt = receipt_of(await client.call_tool("chat", {"prompt": "Hello?"}))
    shown = await get_json(f"{receipt['url']}.json")
    shown = shown.get("receipt", shown)
    for told in (receipt, shown):
        told["verdict"].pop("as_of")
        told.pop("checkpoint")
        assert ("UNVERIFIED", "U1") == (told["verdict"]["word"], told["verdict"]["code"])
        told["attempts"][0]["verdict"].pop("as_of")
        for commitment in ("request_commitment", "response_commitment"):
            told["attempts"][0][commitment].pop("salt")
    assert receipt == shown


@pytest.mark.parametrize("provider", ["kimi", "glm"])
async def test_an_mcp_client_is_told_the_text_as_it_comes(served: Served, provider: str) -> None:
    """With a progress callback the library hears the words of the answer before the answer."""
    heard: list[str] = []
    steps: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        steps.append(progress)
        heard.append(message or "")

    async with session(served.socket) as client:
        arguments = {"prompt": LONG, "provider": provider}
        result = await client.call_tool("chat", arguments, progress_callback=hear)
    assert text_of(result) == "".join(heard)
    assert text_of(result).endswith("w40")
    assert sorted(set(steps)) == steps


async def test_an_mcp_client_understands_a_refusal(served: Served, judge: Judge) -> None:
    """What a provider refuses is a result with isError, a code, a remedy and the receipt."""
    await judge.fault({"kind": "error", "provider": "kimi", "status": 401})
    async with session(served.socket) as client:
        (tool,) = (one for one in (await client.list_tools()).tools if one.name == "chat")
        result = await client.call_tool("chat", {"prompt": "Hello?", "provider": "kimi"})
    assert result.isError
    assert tool.outputSchema is not None
    # The protocol's TypeScript client does so, and shows its user nothing of a result that does not fit.
    jsonschema_rs.Draft202012Validator(tool.outputSchema).validate(result.structuredContent)
    assert result.structuredContent is not None
    assert "provider_refused" == result.structuredContent["error"]["code"]
    assert "KIMI_API_KEY" in result.structuredContent["error"]["remedy"]
    assert ["refused"] == [attempt["outcome"] for attempt in receipt_of(result)["attempts"]]


def asked_of(tool: str, earlier: str) -> dict[str, Any]:
    """Write arguments that a tool takes; `earlier` is the id of a call that was answered."""
    every: dict[str, dict[str, Any]] = {
        "balance": {"fresh": True},
        "chat": {"prompt": "Are you there?", "provider": "kimi"},
        "prove": {"wait_s": 10},
        "receipt": {"tool_call_id": earlier},
        "usage": {},
    }
    return every[tool]


@pytest.mark.parametrize("tool", TOOLS)
async def test_an_mcp_client_understands_every_tool(served: Served, tool: str) -> None:
    """The library holds each result to the tool's schema, and raises if it cannot: nothing paid for is lost so."""
    async with session(served.socket) as client:
        earlier = receipt_of(await client.call_tool("chat", {"prompt": "Hello?"}))["tool_call_id"]
        result = await client.call_tool(tool, asked_of(tool, earlier))
    assert not result.isError, text_of(result)
    assert result.structuredContent
    assert text_of(result)
    assert tool == receipt_of(result)["tool"]


async def _until(socket: ClientConnection, op: str) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    while not frames or op != frames[-1]["op"]:
        frames.append(json.loads(await socket.recv()))
    return frames


async def _answered(socket: ClientConnection, tool: str, earlier: str) -> dict[str, Any]:
    """Call a tool as the predecessor's clients do, and wait for its answer."""
    call = {"op": "call_tool", "request_id": f"{tool} {earlier}", "name": tool}
    await socket.send(json.dumps(call | {"arguments": asked_of(tool, earlier)}))
    return (await _until(socket, "call_tool_res"))[-1]


async def test_the_predecessors_snippet_is_acknowledged(served: Served, judge: Judge) -> None:
    """Connect, say hello, list, call: as the predecessor's documents show it, and with a receipt."""
    async with connect(served.older_socket, proxy=None) as socket:
        await socket.send(json.dumps({"op": "hello", "session_id": "my-session", "token": ""}))
        assert json.loads(await socket.recv())["ok"] is True
        await socket.send(json.dumps({"op": "list_tools"}))
        assert TOOLS == [tool["name"] for tool in json.loads(await socket.recv())["tools"]]
        arguments = {"prompt": "Are you there?"}
        call = {"op": "call_tool", "request_id": "r-1", "name": "chat_EXAI-WS", "arguments": arguments}
        await socket.send(json.dumps(call))
        frames = await _until(socket, "call_tool_res")
    assert ["progress", "call_tool_ack"] == [frame["op"] for frame in frames[:2]]
    answer = frames[-1]
    assert "r-1" == answer["request_id"]
    assert "Simulated answer to: Are you there?" == answer["text"] == answer["outputs"][0]["text"]
    (request,) = await judge.requests()
    assert [request["billed"]["amount"]] == [one["cost"]["amount"] for one in answer["receipt"]["attempts"]]


@pytest.mark.parametrize("tool", TOOLS)
async def test_the_predecessors_client_is_answered_by_every_tool(served: Served, tool: str) -> None:
    """It is told the tool's text, and the receipt."""
    async with connect(served.older_socket, proxy=None) as socket:
        await socket.send('{"op":"hello"}')
        await _until(socket, "hello_ack")
        earlier = (await _answered(socket, "chat", ""))["receipt"]["tool_call_id"]
        answer = await _answered(socket, tool, earlier)
    assert (tool, None) == (answer["receipt"]["tool"], answer.get("error"))
    assert answer["text"]


async def test_the_shortest_hello_is_acknowledged(served: Served) -> None:
    """`{"op": "hello"}` alone is enough where no token is set."""
    async with connect(served.older_socket, proxy=None) as socket:
        await socket.send('{"op":"hello"}')
        said = json.loads(await socket.recv())
    assert ("hello_ack", True) == (said["op"], said["ok"])


def test_the_default_port_is_the_predecessors() -> None:
    """Who configures nothing is listened to where the predecessor's clients connect."""
    fields = {field.name: field.default for field in msgspec.structs.fields(Settings)}
    assert 8079 == fields["port"]


async def test_both_protocols_share_one_port(served: Served) -> None:
    """On `/` an MCP client is understood as well as the predecessor's: the first frame decides."""
    async with session(served.older_socket) as client:
        assert TOOLS == [tool.name for tool in (await client.list_tools()).tools]
