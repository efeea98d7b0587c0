"""The WebSocket transport, with real sockets: who gets in, what is refused, and how it ends."""

import asyncio
import base64
import json
import os
import struct
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from mcp.client.session import ClientSession
from mcp.client.websocket import websocket_client
from websockets.asyncio.client import connect

from service.serving.auth import DEFAULT, LOCAL
from service.serving.ports import PumpTerms
from tests.serving.doubles import INITIALIZE, TOKEN, WAIT_S, call_tool
from tests.transports.conftest import Served, Serving

BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def close_code(socket_: ClientWebSocketResponse) -> int | None:
    """Read to the end, and say with which code it came."""
    async with asyncio.timeout(WAIT_S):
        while (await socket_.receive()).type in {WSMsgType.TEXT, WSMsgType.PONG}:
            pass
    return socket_.close_code


async def hear(socket_: ClientWebSocketResponse) -> dict[str, Any]:
    """Read one frame."""
    frame = json.loads(await socket_.receive_str(timeout=WAIT_S))
    assert isinstance(frame, dict)
    return frame


async def upgraded(served: Served, path: str = "/mcp") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Upgrade a bare TCP connection."""
    reader, writer = await served.stream()
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    async with asyncio.timeout(WAIT_S):
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    return reader, writer


def frame(opcode: int, payload: bytes, *, is_masked: bool = True) -> bytes:
    """Write a small frame as a client does."""
    assert len(payload) < 126
    head = bytes((0x80 | opcode, (0x80 if is_masked else 0) | len(payload)))
    return head + (b"\0\0\0\0" if is_masked else b"") + payload


async def test_call(serving: Serving) -> None:
    """A call goes in and its answer comes out, with the subprotocol that was offered."""
    async with serving() as served, served.http.ws_connect(served.url(), protocols=("mcp",)) as client:
        assert "mcp" == client.protocol
        await client.send_json(INITIALIZE)
        assert "2025-11-25" == (await hear(client))["result"]["protocolVersion"]
        await client.send_json(call_tool(1))
        running = await served.calls.next()
        assert LOCAL is running.caller
        running.end("hello")
        assert "hello" == (await hear(client))["result"]["content"][0]["text"]
        assert "websocket" == served.calls.sessions[0][1]


@pytest.mark.parametrize("path", ["/mcp", "/"])
async def test_without_subprotocol(serving: Serving, path: str) -> None:
    """A client that offers no subprotocol is served all the same, at both addresses."""
    async with serving() as served, served.http.ws_connect(served.url(path)) as client:
        assert None is client.protocol
        await client.send_json(INITIALIZE)
        assert 0 == (await hear(client))["id"]


async def test_no_compression(serving: Serving) -> None:
    """Compression is never agreed on: a small frame cannot become a big one."""
    async with serving() as served, served.http.ws_connect(served.url(), compress=15) as client:
        assert 0 == client.compress


async def test_stranger_s_client(serving: Serving) -> None:
    """The client that the predecessor's users have (the library websockets) says hello and calls."""
    async with serving(token=TOKEN) as served, connect(f"ws://127.0.0.1:{served.port}/") as client:
        await client.send(json.dumps({"op": "hello", "token": TOKEN}))
        assert json.loads(await client.recv())["ok"]
        await client.send(json.dumps({"op": "call_tool", "request_id": "r", "name": "chat", "arguments": {}}))
        running = await served.calls.next()
        assert DEFAULT is running.caller
        running.end("hello")
        while (told := json.loads(await client.recv()))["op"] != "call_tool_res":
            pass
        assert "hello" == told["text"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}])
async def test_bad_token(serving: Serving, headers: dict[str, str]) -> None:
    """Without the right token `/mcp` answers 401 before the upgrade, and says what to send."""
    async with serving(token=TOKEN) as served:
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
        async with served.http.get(served.url(), headers=headers | upgrade) as answer:
            assert 401 == answer.status
            assert "Bearer" in answer.headers["WWW-Authenticate"]
            assert "EXAI_WS_TOKEN" in await answer.text()
        assert ["unauthorized"] == served.rejections
        assert 0 == served.sockets.open_count


@pytest.mark.parametrize("path", ["/mcp", "/"])
async def test_right_token(serving: Serving, path: str) -> None:
    """With the token in the header MCP is spoken at both addresses."""
    async with serving(token=TOKEN) as served, served.http.ws_connect(served.url(path), headers=BEARER) as client:
        await client.send_json(INITIALIZE)
        assert 0 == (await hear(client))["id"]
        await client.send_json(call_tool(1))
        running = await served.calls.next()
        assert DEFAULT is running.caller
        running.end()


async def test_wrong_token_on_root(serving: Serving) -> None:
    """On `/` a header may be missing, but not wrong."""
    async with serving(token=TOKEN) as served:
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Authorization": "Bearer wrong"}
        async with served.http.get(served.url("/"), headers=upgrade) as answer:
            assert 401 == answer.status


async def test_mcp_on_root_without_header(serving: Serving) -> None:
    """On `/` without a header MCP is closed with 1008, and the reason is the remedy."""
    async with serving(token=TOKEN) as served, served.http.ws_connect(served.url("/")) as client:
        await client.send_json(INITIALIZE)
        message = await client.receive(timeout=WAIT_S)
        assert (WSMsgType.CLOSE, 1008) == (message.type, message.data)
        assert "Authorization: Bearer" in str(message.extra)


@pytest.mark.parametrize("path", ["/mcp?token=", "/?access_token=", "/mcp?TOKEN="])
async def test_token_in_the_address(serving: Serving, path: str, caplog: pytest.LogCaptureFixture) -> None:
    """A token in the address is refused even when it is right, and is neither repeated nor logged."""
    async with serving(token=TOKEN) as served:
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
        async with served.http.get(served.url(path + TOKEN), headers=BEARER | upgrade) as answer:
            assert 400 == answer.status
            assert TOKEN not in await answer.text()
    assert TOKEN not in caplog.text


async def test_without_upgrade(serving: Serving) -> None:
    """Whoever asks without an upgrade is told what this is: 426 at `/mcp`, a small page at `/`."""
    async with serving(token=TOKEN) as served:
        async with served.http.get(served.url("/mcp")) as answer:
            assert (426, "websocket") == (answer.status, answer.headers["Upgrade"])
            assert "WebSocket" in await answer.text()
        async with served.http.get(served.url("/")) as answer:
            assert "/console/" in await answer.text()
        async with served.http.get(served.url("/"), headers={"Accept": "application/json"}) as answer:
            assert "/console/" == (await answer.json())["places"]["console"]


async def test_malformed_handshake(serving: Serving) -> None:
    """A handshake without a key is answered 400 and costs nothing more."""
    async with serving() as served:
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        async with served.http.get(served.url(), headers=upgrade) as answer:
            assert 400 == answer.status


async def test_giant_frame(serving: Serving) -> None:
    """A frame of the limit passes; one byte more is closed with 1009, before it was read."""
    async with serving(frame_bytes_max=10_000) as served:
        async with served.http.ws_connect(served.url()) as client:
            await client.send_json(INITIALIZE)
            await hear(client)
            await client.send_str('{"jsonrpc":"2.0","id":1,"method":"ping"}'.ljust(10_000))
            assert 1 == (await hear(client))["id"]
            await client.send_str(" " * 10_001)
            assert 1009 == await close_code(client)
        reader, writer = await upgraded(served)
        writer.write(b"\x81\xff" + struct.pack(">Q", 2**62) + b"\0\0\0\0")
        async with asyncio.timeout(WAIT_S):
            told = await reader.read()
        assert struct.pack(">BBH", 0x88, told[1], 1009) == told[:4]
        writer.close()
    assert ["oversize", "oversize"] == served.rejections


async def test_binary(serving: Serving) -> None:
    """A binary frame is closed with 1003."""
    async with serving() as served, served.http.ws_connect(served.url()) as client:
        await client.send_bytes(b"{}")
        assert 1003 == await close_code(client)
    assert ["binary"] == served.rejections


async def test_frames_before_hello(serving: Serving) -> None:
    """Before a hello the predecessor's frames are refused in words and closed with 4001."""
    async with serving(token=TOKEN) as served, served.http.ws_connect(served.url("/")) as client:
        await client.send_json({"op": "call_tool", "request_id": "r", "name": "chat", "arguments": {}})
        assert "missing_hello" == (await hear(client))["error"]
        assert 4001 == await close_code(client)
        assert served.calls.begun.empty()


async def test_opening_deadline(serving: Serving) -> None:
    """A connection on which nobody speaks is closed with 4002."""
    async with serving(terms=PumpTerms(opening_s=0.05)) as served, served.http.ws_connect(served.url()) as client:
        assert 4002 == await close_code(client)


async def test_ping_flood(serving: Serving) -> None:
    """Pings are answered, and count as frames: a flood is closed with 1008."""
    terms = PumpTerms(frames_per_s=0.001, frames_burst=5)
    async with serving(terms=terms) as served, served.http.ws_connect(served.url(), autoping=False) as client:
        await client.ping(b"one")
        message = await client.receive(timeout=WAIT_S)
        assert (WSMsgType.PONG, b"one") == (message.type, bytes(message.data))
        for _ in range(5):
            await client.ping()
        assert 1008 == await close_code(client)


async def test_unmasked_frame(serving: Serving) -> None:
    """A client that does not mask is served: aiohttp does not insist, and the README says so."""
    async with serving() as served:
        reader, writer = await upgraded(served)
        writer.write(frame(1, b'{"jsonrpc":"2.0","id":1,"method":"ping"}', is_masked=False))
        async with asyncio.timeout(WAIT_S):
            told = await reader.readuntil(b"}}")
        assert b'"id":1' in told
        writer.close()


async def test_half_open(serving: Serving) -> None:
    """A peer that answers no ping is gone: its connection is freed and its call runs on."""
    async with serving(heartbeat_s=0.05) as served:
        _, writer = await upgraded(served)
        writer.write(frame(1, b'{"op":"hello"}'))
        writer.write(frame(1, b'{"op":"call_tool","request_id":"r","name":"chat"}'))
        running = await served.calls.next()
        async with asyncio.timeout(WAIT_S):
            await served.connections.emptied.wait()
        assert not running.cancelled.is_set()
        writer.close()


async def test_heartbeat(serving: Serving) -> None:
    """A peer that answers pings stays, though it says nothing else."""
    async with serving(heartbeat_s=0.05) as served, served.http.ws_connect(served.url(), autoping=False) as client:
        for _ in range(4):
            message = await client.receive(timeout=WAIT_S)
            assert WSMsgType.PING == message.type
            await client.pong(message.data)
        assert 1 == served.sockets.open_count


async def stalled(served: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for much, and read nothing of it until the server has had enough."""
    reader, writer = await upgraded(served)
    writer.write(frame(1, b'{"op":"hello"}'))
    writer.write(frame(1, b'{"op":"call_tool","request_id":"r","name":"chat"}'))
    running = await served.calls.next()
    assert isinstance(writer.transport, asyncio.ReadTransport)
    writer.transport.pause_reading()
    running.end("x" * 20_000_000)
    async with asyncio.timeout(WAIT_S):
        await served.rejections.came.wait()
    assert ["slow_reader"] == served.rejections
    return reader, writer


async def test_slow_reader(serving: Serving) -> None:
    """A client that asks for much and reads nothing is dropped, and its socket does not linger."""
    terms = PumpTerms(write_stall_s=0.1, queue_bytes_max=2**30, close_s=0.1)
    async with serving(terms=terms, close_s=0.1) as served:
        _, writer = await stalled(served)
        async with asyncio.timeout(WAIT_S):
            await served.connections.emptied.wait()
        writer.transport.abort()


async def test_slow_reader_that_wakes(serving: Serving) -> None:
    """A client that is dropped and then reads finds the close 1013 behind what waited."""
    terms = PumpTerms(write_stall_s=0.1, queue_bytes_max=2**30)
    async with serving(terms=terms, close_s=1.0) as served:
        reader, writer = await stalled(served)
        assert isinstance(writer.transport, asyncio.ReadTransport)
        writer.transport.resume_reading()
        tail = b""
        async with asyncio.timeout(WAIT_S):
            while struct.pack(">H", 1013) not in tail:
                piece = await reader.read(1_000_000)
                assert piece
                tail = (tail + piece)[-200:]
        writer.write(frame(8, struct.pack(">H", 1013)))
        async with asyncio.timeout(WAIT_S):
            await served.connections.emptied.wait()
        writer.close()


async def test_disconnect_in_mid_call(serving: Serving) -> None:
    """A client that vanishes in the middle of a call cancels nothing, and its end is silent."""
    async with serving() as served:
        client = await served.http.ws_connect(served.url())
        await client.send_json(INITIALIZE)
        await hear(client)
        await client.send_json(call_tool(1))
        running = await served.calls.next()
        await client.close()
        async with asyncio.timeout(WAIT_S):
            await served.connections.emptied.wait()
        assert not running.cancelled.is_set()
        running.end("nobody hears this")


async def test_many_connections(serving: Serving) -> None:
    """Sixty clients at once each get the answers to their own calls."""
    async with serving() as served:
        clients = [await served.http.ws_connect(served.url()) for _ in range(60)]
        assert 60 == served.sockets.open_count
        for number, client in enumerate(clients):
            await client.send_json(INITIALIZE)
            await hear(client)
            await client.send_json(call_tool(number + 1))
        for _ in clients:
            running = await served.calls.next()
            running.end(f"for {running.call.request_id}")
        for number, client in enumerate(clients):
            assert f"for {number + 1}" == (await hear(client))["result"]["content"][0]["text"]
            await client.close()


async def test_goodbye(serving: Serving) -> None:
    """At the goodbye every client is closed with 1001, and nobody new gets in."""
    async with serving() as served:
        clients = [await served.http.ws_connect(served.url()) for _ in range(3)]
        await clients[0].send_json(INITIALIZE)
        await hear(clients[0])
        await clients[0].send_json(call_tool(1))
        running = await served.calls.next()
        closing = [asyncio.create_task(close_code(client)) for client in clients]
        await served.sockets.goodbye(within_s=WAIT_S)
        assert 0 == served.sockets.open_count
        assert [1001] * 3 == [await code for code in closing]
        assert not running.cancelled.is_set()
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
        async with served.http.get(served.url(), headers=upgrade) as answer:
            assert 503 == answer.status


async def test_goodbye_to_the_deaf(serving: Serving) -> None:
    """The goodbye does not wait for a client that never answers it."""
    async with serving(close_s=0.1) as served:
        reader, writer = await upgraded(served)
        await served.sockets.goodbye(within_s=WAIT_S)
        assert 0 == served.sockets.open_count
        assert struct.pack(">H", 1001) in await reader.read()
        writer.close()


@pytest.mark.filterwarnings("ignore:The WebSocket client transport is deprecated:DeprecationWarning")
async def test_official_client(serving: Serving) -> None:
    """The official SDK's WebSocket client initializes and lists the tools."""
    async with (
        serving() as served,
        websocket_client(f"ws://127.0.0.1:{served.port}/mcp") as (reads, writes),
        ClientSession(reads, writes) as session,
    ):
        await session.initialize()
        assert ["chat"] == [tool.name for tool in (await session.list_tools()).tools]
