"""The wire: how an answer leaves, on time or late, whole or cut, clear or spoiled."""

import asyncio
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import replace

from aiohttp import web
from multidict import CIMultiDict

from service.simulator.faults import (
    CutStream,
    Drip,
    Fault,
    Garbage,
    Gzip,
    HalfOpen,
    Hang,
    HugeBody,
    Latency,
    Redirect,
    pick,
)
from service.simulator.shapes import Answer

_BLANKS = b" " * 65_536
_LOOK_SECONDS = 0.25  # how often a waiting answer looks whether its client is still there
_CUT_SECONDS = 0.05  # what was sent before a cut gets this long to arrive
_RUBBISH = b"<html><body>502 Bad Gateway</body></html>"
_RUBBISH_LINES = (b"data: {not json\n\n", b"\x00\xff\xfe rubbish\n\n", b"event: ???\ndata: <html>\n\n")


def reshape(answer: Answer, faults: Sequence[Fault]) -> Answer:
    """Spoil an answer as the faults say, before anything is sent."""
    redirect, huge = pick(faults, Redirect), pick(faults, HugeBody)
    if redirect is not None:
        return _with_body(replace(answer, status=307), b"", ("Location", redirect.to))
    if pick(faults, Garbage) and answer.chunks is not None:
        answer = replace(answer, chunks=(*answer.chunks[:1], *_RUBBISH_LINES))
    elif pick(faults, Garbage):
        answer = _with_body(replace(answer, status=200), _RUBBISH)
    if pick(faults, Gzip) and answer.chunks is not None:
        packed = gzip.compress(b"".join(answer.chunks), mtime=0)
        answer = replace(answer, headers=(*answer.headers, ("Content-Encoding", "gzip")), chunks=(packed,))
    elif pick(faults, Gzip):
        answer = _with_body(answer, gzip.compress(answer.body, mtime=0), ("Content-Encoding", "gzip"))
    return replace(answer, padding_bytes=huge.padding_bytes) if huge is not None else answer


def _with_body(answer: Answer, body: bytes, *more: tuple[str, str]) -> Answer:
    kept = tuple(header for header in answer.headers if header[0] != "Content-Length")
    headers = (*kept, ("Content-Length", str(len(body))), *more)
    return replace(answer, headers=headers, body=body, chunks=None)


async def send(
    request: web.Request, answer: Answer, faults: Sequence[Fault], closing: asyncio.Event
) -> web.StreamResponse:
    """Send an answer the way the faults say; a client that has gone away ends it quietly."""
    answer = reshape(answer, faults)
    headers = CIMultiDict(answer.headers)
    if answer.padding_bytes:
        headers.popall("Content-Length", None)
    response = web.StreamResponse(status=answer.status, headers=headers)
    latency = pick(faults, Latency)
    if latency is not None:
        await _wait(request, latency.seconds, closing)
    if pick(faults, Hang):
        return await _fall_silent(request, response, closing)
    try:
        await response.prepare(request)
        if pick(faults, HalfOpen):
            return await _fall_silent(request, response, closing)
        cut = pick(faults, CutStream)
        await _write(request, response, _pieces(answer, cut), pick(faults, Drip), closing)
        if cut is not None:
            await _wait(request, _CUT_SECONDS, closing)
            _abort(request)
            return response
        await response.write_eof()
    except ConnectionError:
        _abort(request)
    return response


def _pieces(answer: Answer, cut: CutStream | None) -> Iterator[bytes]:
    """Give what is written, one write each: padding, then chunks or body, up to the cut."""
    padding = answer.padding_bytes
    if padding and answer.chunks is not None:
        yield b":"
    for start in range(0, padding, len(_BLANKS)):
        yield _BLANKS[: min(len(_BLANKS), padding - start)]
    if padding and answer.chunks is not None:
        yield b"\n\n"
    if answer.chunks is not None:
        yield from answer.chunks if cut is None else answer.chunks[: cut.chunks]
    else:
        yield answer.body if cut is None else answer.body[: len(answer.body) // 2]


async def _write(
    request: web.Request,
    response: web.StreamResponse,
    pieces: Iterator[bytes],
    drip: Drip | None,
    closing: asyncio.Event,
) -> None:
    for piece in pieces:
        step = drip.slice_bytes if drip is not None else max(len(piece), 1)
        for start in range(0, len(piece), step):
            await response.write(piece[start : start + step])
            if drip is not None:
                await _wait(request, drip.pause_seconds, closing)


async def _fall_silent(
    request: web.Request, response: web.StreamResponse, closing: asyncio.Event
) -> web.StreamResponse:
    """Say nothing more until the client gives up or the simulator closes."""
    await _wait(request, None, closing)
    _abort(request)
    return response


async def _wait(request: web.Request, seconds: float | None, closing: asyncio.Event) -> None:
    """Wait some seconds (None: for ever), but no longer than the client or the simulator stays."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds if seconds is not None else None
    while not closing.is_set() and request.transport is not None and not request.transport.is_closing():
        left = _LOOK_SECONDS if end is None else min(_LOOK_SECONDS, end - loop.time())
        if left <= 0:
            return
        try:
            await asyncio.wait_for(closing.wait(), left)
        except TimeoutError:
            continue


def _abort(request: web.Request) -> None:
    """Break the connection without a goodbye."""
    if request.transport is not None:
        request.transport.abort()
