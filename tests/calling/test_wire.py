"""The wire, against servers whose every byte is scripted."""

import asyncio
import gzip
import socket
import struct
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from service.calling.connection import LostError
from service.calling.wire import Deadlines, UnsentError, Wire
from service.core.words import DoubtCause, UnsentReason
from tests.calling.conftest import PREPARED, Script, Scripted, Seen, ServerMaker, read_request
from tests.rig import KEY, WAIT_S

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-One: a\r\n\r\nhi"


def says(*pieces: bytes) -> Script:
    """Script: send these bytes, one write each, and close."""

    async def script(_reader: Reader, writer: Writer, _request: bytes) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return script


@asynccontextmanager
async def wired(deadlines: Deadlines | None = None, *, body_bytes_max: int = 2**24) -> AsyncIterator[Wire]:
    """Make a wire and close it."""
    wire = Wire(deadlines or Deadlines(), body_bytes_max=body_bytes_max)
    try:
        yield wire
    finally:
        await wire.close()


async def sent(
    scripted: Scripted,
    seen: Seen | None = None,
    *,
    deadlines: Deadlines | None = None,
    body_bytes_max: int = 2**24,
) -> Seen:
    """Send one request over a new wire."""
    seen = seen or Seen()
    async with wired(deadlines, body_bytes_max=body_bytes_max) as wire:
        await asyncio.wait_for(wire.exchange(scripted.wallet(), PREPARED, seen), WAIT_S)
    return seen


async def lost(
    scripted: Scripted,
    seen: Seen | None = None,
    *,
    deadlines: Deadlines | None = None,
    body_bytes_max: int = 2**24,
) -> LostError:
    """Send one request whose answer must be lost."""
    with pytest.raises(LostError) as caught:
        await sent(scripted, seen, deadlines=deadlines, body_bytes_max=body_bytes_max)
    assert KEY not in repr(caught.value)
    assert KEY not in str(caught.value.__cause__)
    return caught.value


def _silent(scripted_after: bytes) -> Script:
    """Script: send these bytes, then say nothing until the client leaves."""

    async def script(reader: Reader, writer: Writer, _request: bytes) -> None:
        writer.write(scripted_after)
        await reader.read()

    return script


async def test_plain_answer(server: ServerMaker) -> None:
    """A whole answer is told in order: connected, sent, head, body; plain http has no TLS peer."""
    async with server(says(OK)) as scripted:
        seen = await sent(scripted)
    assert ["connected", "sent", "headed", "received"] == seen.told
    assert b"hi" == seen.body
    assert seen.head is not None
    assert (200, None) == (seen.head.status, seen.head.tls)
    assert ("X-One", "a") in seen.head.headers


async def test_request_bytes(server: ServerMaker) -> None:
    """The request has the prepared body, its length, the key once, and asks for an uncompressed answer."""
    async with server(says(OK)) as scripted:
        await sent(scripted)
    head, _, body = scripted.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert b"POST /v1/chat/completions HTTP/1.1" == lines[0]
    assert PREPARED.body == body
    assert 1 == lines.count(b"Authorization: Bearer " + KEY.encode())
    assert b"Accept-Encoding: identity" in lines
    assert f"Content-Length: {len(PREPARED.body)}".encode() in lines
    assert not [line for line in lines if line.lower().startswith((b"cookie:", b"traceparent:"))]


async def test_refused() -> None:
    """A port that nobody listens on: nothing was sent, and the watcher heard nothing."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        scripted = Scripted(port=unused.getsockname()[1])
        seen = Seen()
        with pytest.raises(UnsentError) as caught:
            await sent(scripted, seen)
    assert UnsentReason.CONNECTION_REFUSED == caught.value.reason
    assert [] == seen.told


async def test_unknown_name() -> None:
    """A name that does not resolve: nothing was sent."""
    async with wired() as wire:
        wallet = Scripted(port=1).wallet(host="nowhere.invalid")
        with pytest.raises(UnsentError) as caught:
            await asyncio.wait_for(wire.exchange(wallet, PREPARED, Seen()), WAIT_S)
    assert UnsentReason.NAME_NOT_RESOLVED == caught.value.reason


async def test_connect_timeout() -> None:
    """A TLS peer that accepts and says nothing is no connection: nothing was sent when time is up."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        wallet = Scripted(port=mute.getsockname()[1]).wallet("https", "localhost")
        seen = Seen()
        async with wired(Deadlines(connect_s=0.05)) as wire:
            with pytest.raises(UnsentError) as caught:
                await asyncio.wait_for(wire.exchange(wallet, PREPARED, seen), WAIT_S)
    assert UnsentReason.CONNECT_TIMEOUT == caught.value.reason
    assert [] == seen.told


@pytest.mark.parametrize(
    ("said", "deadlines", "cause"),
    [
        (b"", Deadlines(first_byte_s=0.05), DoubtCause.FIRST_BYTE_TIMEOUT),
        (b"HTTP/1.1 200 OK\r\nContent-Len", Deadlines(first_byte_s=0.05), DoubtCause.FIRST_BYTE_TIMEOUT),
        (b"", Deadlines(total_s=0.05), DoubtCause.TOTAL_TIMEOUT),
        (OK[:-1], Deadlines(idle_s=0.05), DoubtCause.IDLE_TIMEOUT),
        (OK[:-2], Deadlines(idle_s=0.05), DoubtCause.IDLE_TIMEOUT),
        (OK[:-1], Deadlines(total_s=0.2), DoubtCause.TOTAL_TIMEOUT),
    ],
)
async def test_silence(server: ServerMaker, said: bytes, deadlines: Deadlines, cause: DoubtCause) -> None:
    """Silence is ended by the deadline of the phase that it fell in."""
    async with server(_silent(said)) as scripted:
        assert cause == (await lost(scripted, deadlines=deadlines)).cause


async def test_drip(server: ServerMaker) -> None:
    """A body that drips faster than the idle deadline is still ended by the total one."""

    async def script(_reader: Reader, writer: Writer, _request: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(1_000_000):
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.005)

    seen = Seen()
    async with server(script) as scripted:
        found = await lost(scripted, seen, deadlines=Deadlines(idle_s=WAIT_S, total_s=0.2))
    assert DoubtCause.TOTAL_TIMEOUT == found.cause
    assert "received" in seen.told


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (b"", DoubtCause.CONNECTION_LOST),
        (b"HTTP/1.1 200 OK\r\nContent", DoubtCause.CONNECTION_LOST),
        (OK[:-1], DoubtCause.STREAM_CUT),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", DoubtCause.STREAM_CUT),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", None),
        (b"<html>no status line</html>\r\n\r\n", DoubtCause.UNREADABLE_ANSWER),
        (b"HTTP/1.1 999999 \r\n\r\n", DoubtCause.UNREADABLE_ANSWER),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", DoubtCause.UNREADABLE_ANSWER),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", DoubtCause.UNREADABLE_ANSWER),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", DoubtCause.STREAM_CUT),
    ],
)
async def test_broken_answers(server: ServerMaker, said: bytes, cause: DoubtCause | None) -> None:
    """A cut or unreadable answer is lost, whatever it looks like. A cause of None may be any of them."""
    async with server(says(said)) as scripted:
        found = await lost(scripted)
    assert found.cause == cause if cause else found.cause in {*DoubtCause}
    assert 1 == scripted.connections


async def test_reset(server: ServerMaker) -> None:
    """A reset after the request is a lost connection, and POST is never tried again by the library."""

    async def script(_reader: Reader, writer: Writer, _request: bytes) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with server(script) as scripted:
        assert DoubtCause.CONNECTION_LOST == (await lost(scripted)).cause
    assert 1 == scripted.connections


async def test_body_limit(server: ServerMaker) -> None:
    """A body at the limit is taken; one byte more is cut off and never reaches the watcher."""
    seen = Seen()
    async with server(says(OK)) as scripted:
        assert b"hi" == (await sent(scripted, body_bytes_max=2)).body
        assert DoubtCause.BODY_TOO_LARGE == (await lost(scripted, seen, body_bytes_max=1)).cause
    assert b"" == seen.body


async def test_compressed_limit(server: ServerMaker) -> None:
    """What counts against the limit is the unpacked body: a small bomb is cut off."""
    packed = gzip.compress(b" " * 10_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    async with server(says(head + packed)) as scripted:
        found = await lost(scripted, body_bytes_max=1_000_000)
    assert DoubtCause.BODY_TOO_LARGE == found.cause


async def test_gzip(server: ServerMaker) -> None:
    """A compressed answer nobody asked for is unpacked."""
    packed = gzip.compress(b"hi")
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    async with server(says(head + packed)) as scripted:
        assert b"hi" == (await sent(scripted)).body


async def test_redirect_not_followed(server: ServerMaker) -> None:
    """A redirect is an answer like any other: nobody else ever sees the request or its key."""
    async with server(says(OK)) as elsewhere:
        target = f"http://127.0.0.1:{elsewhere.port}/".encode()
        said = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: " + target + b"\r\nContent-Length: 0\r\n\r\n"
        async with server(says(said)) as scripted:
            seen = await sent(scripted)
    assert seen.head is not None
    assert 307 == seen.head.status
    assert 0 == elsewhere.connections


async def test_no_proxy_from_environment(server: ServerMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment gets nothing."""
    async with server(says(OK)) as proxy, server(says(OK)) as scripted:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await sent(scripted)
    assert (0, 1) == (proxy.connections, scripted.connections)


async def test_no_cookies(server: ServerMaker) -> None:
    """A cookie that an answer sets is not sent with the next request."""
    said = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
    async with server(says(said)) as scripted, wired() as wire:
        for _ in range(2):
            await wire.exchange(scripted.wallet(host="localhost"), PREPARED, Seen())
    assert b"cookie" not in scripted.requests[1].lower()


async def test_more_than_the_stated_length(server: ServerMaker) -> None:
    """Bytes after the stated end of an answer are no part of it."""
    async with server(says(OK + b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")) as scripted:
        seen = await sent(scripted)
    assert (200, b"hi") == (seen.head.status if seen.head else None, seen.body)


async def test_key_in_a_header_is_masked(server: ServerMaker) -> None:
    """A key that the answer's headers send back is masked before anyone sees it."""
    said = f"HTTP/1.1 200 OK\r\nServer: x-{KEY}-y\r\nContent-Length: 0\r\n\r\n".encode()
    async with server(says(said)) as scripted:
        seen = await sent(scripted)
    assert seen.head is not None
    assert ("Server", "x-[redacted]-y") in seen.head.headers


@pytest.mark.parametrize("said", [b"", OK[:-1]])
async def test_cancel_closes_at_once(server: ServerMaker, said: bytes) -> None:
    """A cancelled exchange closes its connection, though much of the request still waits to be sent."""
    prepared = msgspec.structs.replace(PREPARED, body=b"x" * 64_000_000)
    begun = asyncio.Event()

    async def script(reader: Reader, writer: Writer, _request: bytes) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        begun.set()
        await go_on.wait()
        await scripted.until_left(reader)

    go_on = asyncio.Event()
    seen = Seen()
    async with server(script, reads=False) as scripted, wired() as wire:
        task = asyncio.create_task(wire.exchange(scripted.wallet(), prepared, seen))
        await asyncio.wait_for(begun.wait(), WAIT_S)
        if said:
            await asyncio.wait_for(seen.is_headed.wait(), WAIT_S)
        task.cancel()
        await asyncio.wait({task}, timeout=WAIT_S)
        assert task.cancelled()
        go_on.set()
        await asyncio.wait_for(scripted.left.wait(), WAIT_S)


async def test_closed_wire(server: ServerMaker) -> None:
    """Closing the wire ends what is under way as lost."""
    async with server(_silent(b"")) as scripted:
        wire = Wire(Deadlines())
        task = asyncio.create_task(wire.exchange(scripted.wallet(), PREPARED, Seen()))
        await asyncio.wait_for(scripted.arrived.wait(), WAIT_S)
        await wire.close()
        with pytest.raises(LostError):
            await asyncio.wait_for(task, WAIT_S)


async def test_request_is_read_whole(server: ServerMaker) -> None:
    """A large request arrives whole, with no byte changed."""
    prepared = msgspec.structs.replace(PREPARED, body=bytes(range(256)) * 20_000)

    async def script(reader: Reader, writer: Writer, _request: bytes) -> None:
        scripted.requests.append(await read_request(reader))
        writer.write(OK)

    async with server(script, reads=False) as scripted, wired() as wire:
        await asyncio.wait_for(wire.exchange(scripted.wallet(), prepared, Seen()), WAIT_S)
    assert prepared.body == scripted.requests[-1].partition(b"\r\n\r\n")[2]
