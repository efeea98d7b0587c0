"""The site, with real sockets: heads have a deadline, connections a bound, taken ports a remedy."""

import asyncio

import pytest
from aiohttp import WSMsgType, web

from service.errors import StartError
from service.transports.site import BoundedSite, listen, make_runner
from tests.serving.doubles import INITIALIZE, WAIT_S
from tests.transports.conftest import Counted, Served, Serving

HEAD_S = 0.1


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Read until the server has closed the connection."""
    async with asyncio.timeout(WAIT_S):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


def head(served: Served) -> bytes:
    """Write the whole head of a request."""
    return f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode()


@pytest.mark.parametrize("half", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "])
async def test_half_a_head(serving: Serving, half: bytes) -> None:
    """A connection that does not send a whole head in time is closed without an answer."""
    async with serving(head_s=HEAD_S) as served:
        reader, writer = await served.stream()
        writer.write(half)
        assert b"" == await ended(reader)
        writer.close()
        async with served.http.get(served.url("/")) as answer:
            assert 200 == answer.status


async def test_dripping_head(serving: Serving) -> None:
    """A head that drips does not extend its deadline."""
    async with serving(head_s=HEAD_S) as served:
        reader, writer = await served.stream()
        writer.write(b"GET / HTTP/1.1\r\nX-Slow: ")

        async def drip() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(HEAD_S / 20)

        dripping = asyncio.create_task(drip())
        assert b"" == await ended(reader)
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        writer.close()


async def test_half_a_head_after_keep_alive(serving: Serving) -> None:
    """The deadline holds for the second request of a connection too."""
    async with serving(head_s=HEAD_S) as served:
        reader, writer = await served.stream()
        writer.write(head(served))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.write(head(served)[:-2])
        assert b"HTTP/1.1" not in await ended(reader)
        writer.close()


async def test_long_answers_and_sockets(serving: Serving) -> None:
    """An answer that takes longer than the deadline is finished, and an open WebSocket outlives it."""
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        asked.set()
        await go_on.wait()
        return web.Response(text="late")

    async with (
        serving(head_s=HEAD_S, extra=[web.get("/slow", slow)]) as served,
        served.http.ws_connect(served.url()) as client,
    ):
        await client.send_json(INITIALIZE)
        assert WSMsgType.TEXT == (await client.receive(timeout=WAIT_S)).type
        waiting = asyncio.create_task(served.http.get(served.url("/slow")))
        async with asyncio.timeout(WAIT_S):
            await asked.wait()
        # A silent connection opened after both is closed by its deadline, so theirs is over too.
        reader, writer = await served.stream()
        assert b"" == await ended(reader)
        writer.close()
        go_on.set()
        assert "late" == await (await waiting).text()
        await client.send_json({"jsonrpc": "2.0", "id": 1, "method": "ping"})
        assert WSMsgType.TEXT == (await client.receive(timeout=WAIT_S)).type


@pytest.mark.parametrize("bounds", [{"per_address": 5}, {"total": 5}])
async def test_flood(serving: Serving, bounds: dict[str, int], caplog: pytest.LogCaptureFixture) -> None:
    """Connections over the bound are closed at once, with one log line; one that ends makes room."""
    connections = Counted(**bounds)
    async with serving(connections=connections) as served:
        held = [await served.stream() for _ in range(5)]
        for reader, writer in [await served.stream() for _ in range(20)]:
            assert b"" == await ended(reader)
            writer.close()
        assert (5, 20) == (connections.open_count, connections.refused)
        for reader, writer in held:
            writer.write(head(served))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            writer.close()
        async with asyncio.timeout(WAIT_S):
            await connections.emptied.wait()
        async with served.http.get(served.url("/")) as answer:
            assert 200 == answer.status
    assert 1 == sum("too many are open" in record.getMessage() for record in caplog.records)


async def test_malformed_flood(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    """Requests that cannot be read are refused with 400 and make one log line, without their bytes."""
    async with serving() as served:
        for _ in range(20):
            reader, writer = await served.stream()
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nSECRET\x01: x\r\n\r\n")
            assert (await ended(reader)).startswith(b"HTTP/1.0 400")
            writer.close()
    assert ["a malformed request is refused"] == [record.getMessage() for record in caplog.records]
    assert "SECRET" not in caplog.text


async def test_fault_of_ours(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of ours keeps its traceback in the log."""

    async def broken(_request: web.Request) -> web.Response:
        raise RuntimeError("ours")

    broken_route = web.get("/broken", broken)
    async with serving(extra=[broken_route]) as served, served.http.get(served.url("/broken")) as answer:
        assert 500 == answer.status
    assert ["RuntimeError: ours"] == [
        record.exc_text.splitlines()[-1] for record in caplog.records if record.exc_text
    ]


async def test_taken_port() -> None:
    """A port that somebody listens on is refused by name, with the setting to change."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with pytest.raises(StartError, match="is taken by another program") as caught:
        listen("127.0.0.1", port, setting="EXAI_CONSOLE_PORT")
    assert "EXAI_CONSOLE_PORT" in caught.value.remedy
    listener.close()
    listen("127.0.0.1", port).close()


def test_foreign_address() -> None:
    """An address of another machine is refused, with the settings to change."""
    with pytest.raises(StartError, match="cannot be listened on") as caught:
        listen("192.0.2.1", 0)
    assert "EXAI_HOST" in caught.value.remedy


async def test_name() -> None:
    """A site knows its port and writes its address, and frees the port when its runner is cleaned up."""
    runner = make_runner(web.Application())
    await runner.setup()
    site = BoundedSite(runner, listener=listen("127.0.0.1", 0), connections=Counted())
    await site.start()
    assert f"http://127.0.0.1:{site.port}" == site.name
    await runner.cleanup()
    listen("127.0.0.1", site.port).close()
