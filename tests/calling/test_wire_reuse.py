"""The wire and its connections: when one serves again, and when it must not."""

import asyncio
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
from tests.rig import WAIT_S

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
NEVER_S = 3600.0


def repeats(*answers: bytes, then: bytes = b"") -> Script:
    """Script: answer the request, and every further one on the connection; at last say something unasked."""

    async def script(reader: Reader, writer: Writer, _request: bytes) -> None:
        for number, answer in enumerate(answers):
            if number:
                await read_request(reader)
            writer.write(answer)
            await writer.drain()
        if then:
            writer.write(then)
            await writer.drain()
        await reader.read()

    return script


@asynccontextmanager
async def wired(*, idle_s: float = NEVER_S, body_bytes_max: int = 2**24) -> AsyncIterator[Wire]:
    """Make a wire whose idle connections stay, and close it."""
    wire = Wire(Deadlines(), idle_s=idle_s, body_bytes_max=body_bytes_max)
    try:
        yield wire
    finally:
        await wire.close()


async def asked(wire: Wire, scripted: Scripted) -> bytes:
    """Send one request and give its body."""
    seen = Seen()
    await asyncio.wait_for(wire.exchange(scripted.wallet(), PREPARED, seen), WAIT_S)
    assert ["connected", "sent", "headed"] == seen.told[:3]
    return seen.body


async def test_a_clean_connection_serves_again(server: ServerMaker) -> None:
    """Requests that follow one another share a connection, and each gets its own answer."""
    other = OK.replace(b"hi", b"ho")
    async with server(repeats(OK, other, OK)) as scripted, wired() as wire:
        assert [b"hi", b"ho", b"hi"] == [await asked(wire, scripted) for _ in range(3)]
        assert 1 == scripted.connections


async def test_requests_at_one_time_have_a_connection_each(server: ServerMaker) -> None:
    """One connection carries one request at a time."""
    async with server(repeats(OK)) as scripted, wired() as wire:
        assert [b"hi"] * 5 == await asyncio.gather(*(asked(wire, scripted) for _ in range(5)))
        assert 5 == scripted.connections


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"x",
        OK + OK,
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
    ],
)
async def test_a_strange_end_ends_the_connection(server: ServerMaker, answer: bytes) -> None:
    """Bytes after an answer's end are nobody's answer, and a provider's wish to close is obeyed."""
    async with server(repeats(answer)) as scripted, wired() as wire:
        for connections in (1, 2):
            assert b"hi" == await asked(wire, scripted)
            assert connections == scripted.connections


async def test_late_bytes_end_the_connection(server: ServerMaker) -> None:
    """What comes on an idle connection is never taken for the next request's answer."""
    said = asyncio.Event()

    async def script(reader: Reader, writer: Writer, _request: bytes) -> None:
        writer.write(OK)
        await writer.drain()
        await said.wait()
        writer.write(OK.replace(b"hi", b"no"))
        await writer.drain()
        await scripted.until_left(reader)

    async with server(script) as scripted, wired() as wire:
        assert b"hi" == await asked(wire, scripted)
        said.set()
        await asyncio.wait_for(scripted.left.wait(), WAIT_S)
        assert b"hi" == await asked(wire, scripted)
        assert 2 == scripted.connections


async def test_a_connection_that_the_provider_closed_is_not_used(server: ServerMaker) -> None:
    """An end that has arrived is asked for before anything is sent: the next request is never in doubt for it."""
    closed = asyncio.Event()

    async def script(_reader: Reader, writer: Writer, _request: bytes) -> None:
        writer.write(OK)
        await writer.drain()
        writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        closed.set()

    async with server(script) as scripted, wired() as wire:
        for connections in (1, 2, 3):
            assert b"hi" == await asked(wire, scripted)
            await asyncio.wait_for(closed.wait(), WAIT_S)
            closed.clear()
            assert connections == scripted.connections


async def test_an_idle_connection_is_let_go(server: ServerMaker) -> None:
    """After its time an idle connection is closed, though nobody asks for it."""

    async def script(reader: Reader, writer: Writer, _request: bytes) -> None:
        writer.write(OK)
        await writer.drain()
        await scripted.until_left(reader)

    async with server(script) as scripted, wired(idle_s=0.01) as wire:
        assert b"hi" == await asked(wire, scripted)
        await asyncio.wait_for(scripted.left.wait(), WAIT_S)
        assert b"hi" == await asked(wire, scripted)
        assert 2 == scripted.connections


async def test_closing_the_wire_lets_idle_connections_go(server: ServerMaker) -> None:
    """No connection outlives the wire."""

    async def script(reader: Reader, writer: Writer, _request: bytes) -> None:
        writer.write(OK)
        await writer.drain()
        await scripted.until_left(reader)

    async with server(script) as scripted:
        async with wired() as wire:
            assert b"hi" == await asked(wire, scripted)
        await asyncio.wait_for(scripted.left.wait(), WAIT_S)


async def test_an_interim_answer_is_none(server: ServerMaker) -> None:
    """100 Continue and 103 Early Hints precede the answer, and their headers are no part of it."""
    hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-Hint: a\r\n\r\n"
    async with server(repeats(hints + OK, OK)) as scripted, wired() as wire:
        seen = Seen()
        await asyncio.wait_for(wire.exchange(scripted.wallet(), PREPARED, seen), WAIT_S)
        assert seen.head is not None
        assert (200, (("Content-Length", "2"),), b"hi") == (seen.head.status, seen.head.headers, seen.body)
        assert b"hi" == await asked(wire, scripted)
        assert 1 == scripted.connections


async def test_a_change_of_protocol_is_no_answer(server: ServerMaker) -> None:
    """Nobody asked for another protocol."""
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello"
    async with server(repeats(switch)) as scripted, wired() as wire:
        with pytest.raises(LostError) as caught:
            await asked(wire, scripted)
    assert DoubtCause.UNREADABLE_ANSWER == caught.value.cause


async def test_a_body_may_end_with_the_connection(server: ServerMaker) -> None:
    """Where no length is stated, the connection's end is the body's."""

    async def script(_reader: Reader, writer: Writer, _request: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhi")

    async with server(script) as scripted, wired() as wire:
        assert b"hi" == await asked(wire, scripted)


async def test_a_head_without_an_end_is_cut_off(server: ServerMaker) -> None:
    """A head that grows beyond its bound is no answer, long before its time is up."""

    async def script(_reader: Reader, writer: Writer, _request: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-More: " + b"y" * 1000 + b"\r\n")
            await writer.drain()

    async with server(script) as scripted, wired() as wire:
        with pytest.raises(LostError) as caught:
            await asked(wire, scripted)
    assert DoubtCause.UNREADABLE_ANSWER == caught.value.cause


async def test_trailers_are_no_headers(server: ServerMaker) -> None:
    """What follows a chunked body is passed over."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Late: a\r\n\r\n"
    async with server(repeats(chunked, OK)) as scripted, wired() as wire:
        assert b"hi" == await asked(wire, scripted)
        assert b"hi" == await asked(wire, scripted)
        assert 1 == scripted.connections


async def test_an_early_answer_ends_the_sending(server: ServerMaker) -> None:
    """A provider that refuses before it has read everything is heard, and its connection is not used again."""
    prepared = msgspec.structs.replace(PREPARED, body=b"x" * 64_000_000)

    async def script(reader: Reader, writer: Writer, _request: bytes) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await scripted.until_left(reader)

    async with server(script, reads=False) as scripted, wired() as wire:
        seen = Seen()
        await asyncio.wait_for(wire.exchange(scripted.wallet(), prepared, seen), WAIT_S)
        assert seen.head is not None
        assert 413 == seen.head.status
        await asyncio.wait_for(scripted.left.wait(), WAIT_S)


async def test_no_value_begins_a_line_of_its_own(server: ServerMaker) -> None:
    """A header's value with a line's end in it is not sent."""
    prepared = msgspec.structs.replace(PREPARED, headers=(("X-Nonce", "a\r\nX-Evil: b"),))
    async with server(repeats(OK)) as scripted, wired() as wire:
        with pytest.raises(UnsentError) as caught:
            await wire.exchange(scripted.wallet(), prepared, Seen())
        assert UnsentReason.SERVICE_FAILED == caught.value.reason
        assert 0 == scripted.connections


async def test_a_packed_body_without_an_end_is_lost(server: ServerMaker) -> None:
    """A packed body whose last bytes never came is no whole answer, even if its length is right."""
    packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    async with server(repeats(head + packed)) as scripted, wired() as wire:
        with pytest.raises(LostError) as caught:
            await asked(wire, scripted)
    assert DoubtCause.STREAM_CUT == caught.value.cause


async def test_progress_moves_the_idle_deadline(server: ServerMaker) -> None:
    """A stream whose pieces come in time lives as long as it likes."""
    steps = 12

    async def script(_reader: Reader, writer: Writer, _request: bytes) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {steps}\r\n\r\n".encode())
        for _ in range(steps):
            await asyncio.sleep(0.1)
            writer.write(b".")
            await writer.drain()

    async with server(script) as scripted:
        wire = Wire(Deadlines(idle_s=0.8), idle_s=NEVER_S)
        assert b"." * steps == await asked(wire, scripted)
        await wire.close()


async def test_a_reset_is_no_end_of_a_body(server: ServerMaker) -> None:
    """Where the connection's end is the body's, a broken connection is a cut."""

    async def script(_reader: Reader, writer: Writer, _request: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhi")
        await writer.drain()
        await arrived.wait()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    class Noting(Seen):
        def received(self, chunk: bytes) -> None:
            super().received(chunk)
            arrived.set()

    arrived = asyncio.Event()
    async with server(script) as scripted, wired() as wire:
        with pytest.raises(LostError) as caught:
            await asyncio.wait_for(wire.exchange(scripted.wallet(), PREPARED, Noting()), WAIT_S)
    assert DoubtCause.STREAM_CUT == caught.value.cause
