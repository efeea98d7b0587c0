"""The bench's provider: one fixed answer, as cheaply as a socket gives it, so that only its callers are measured.

It is no simulator: it keeps no books and judges nothing. Its answers have the shape of Kimi's.
"""

import asyncio
import sys
from typing import cast

CHUNKS = 200
_USAGE = b'{"prompt_tokens":93,"completion_tokens":200,"total_tokens":293}'
_HEAD = b'{"id":"chatcmpl-bench","object":"chat.completion","created":1788306762,"model":"kimi-k3","choices":['
_WHOLE = (
    _HEAD
    + b'{"index":0,"message":{"role":"assistant","content":"'
    + b"word " * CHUNKS
    + b'"},"finish_reason":"stop"}],"usage":'
    + _USAGE
    + b"}"
)
_CHUNK_HEAD = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1788306762,"model":"kimi-k3",'
)
_WORD = _CHUNK_HEAD + b'"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
_LAST = (
    _CHUNK_HEAD
    + b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":'
    + _USAGE
    + b"}\n\ndata: [DONE]\n\n"
)
_COMMON = b"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nMsh-Request-Id: bench\r\n"
_WHOLE_ANSWER = (
    _COMMON + b"Content-Type: application/json\r\nContent-Length: " + b"%d\r\n\r\n" % len(_WHOLE) + _WHOLE
)
_STREAM_HEAD = _COMMON + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _framed(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


class Upstream(asyncio.Protocol):
    """One connection: each whole request gets the answer, streamed if it asks for a stream."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer once a request is whole."""
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = next(
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
        )
        if len(body) < length or self._transport is None:
            return
        self._buffer = b""
        if b'"stream":true' in body.replace(b" ", b""):
            self._transport.write(_STREAM_HEAD)
            self._stream(CHUNKS)
        else:
            self._transport.write(_WHOLE_ANSWER)

    def _stream(self, left: int) -> None:
        """Write one chunk a turn of the loop, so that each is a packet of its own."""
        if self._transport is None or self._transport.is_closing():
            return
        if left:
            self._transport.write(_framed(_WORD))
            asyncio.get_running_loop().call_soon(self._stream, left - 1)
        else:
            self._transport.write(_framed(_LAST) + b"0\r\n\r\n")


async def main() -> None:
    """Serve until killed; the port is the first line said."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
