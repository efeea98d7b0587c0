"""The bench's provider: one answer, as cheaply as a socket gives it, so that only its callers are measured.

It judges nothing. Its answers have the shape of Kimi's, each with an id and a signature of its own, and its
balance falls by what they cost: so the readings, windows and verifications of a service are those of an honest
provider.
"""

import asyncio
import re
import sys
import time
from collections import Counter
from email.utils import formatdate
from fractions import Fraction
from itertools import count
from typing import cast

CHUNKS = 200
MODEL = b"kimi-k2.6"
CHARGE = Fraction("0.00088835")  # 93 tokens in at 0.95 USD a million, 200 out at 4 (platform.kimi.ai/docs/pricing)
PAID_IN = 10**6
_ID = b"0123456789abcdef"  # stands where each answer's own id will
_USAGE = b'{"prompt_tokens":93,"completion_tokens":200,"total_tokens":293}'
_HEAD = b'"object":"chat.completion","created":1788306762,"model":"' + MODEL + b'","choices":['
_WHOLE = (
    b'{"id":"chatcmpl-'
    + _ID
    + b'",'
    + _HEAD
    + b'{"index":0,"message":{"role":"assistant","content":"'
    + b"word " * CHUNKS
    + b'"},"finish_reason":"stop"}],"usage":'
    + _USAGE
    + b"}"
)
_CHUNK_HEAD = (
    b'data: {"id":"chatcmpl-'
    + _ID
    + b'","object":"chat.completion.chunk","created":1788306762,"model":"'
    + MODEL
    + b'",'
)
_WORD = _CHUNK_HEAD + b'"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
_LAST = (
    _CHUNK_HEAD
    + b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":'
    + _USAGE
    + b"}\n\ndata: [DONE]\n\n"
)
_ACCOUNT = b'{"code":0,"data":{"user_group_id":"enterprise-tier-1"},"scode":"0x0","status":true}'
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_KEY = re.compile(rb"\r\nauthorization: *([^\r]*)", re.IGNORECASE)


def _framed(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


class Account:
    """What every connection shares: the next answer's number, and how many each key was given."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._answers: Counter[bytes] = Counter()

    def bill(self, key: bytes) -> bytes:
        """Count an answer; give its id."""
        self._answers[key] += 1
        return b"%016x" % next(self._numbers)

    def balance(self, key: bytes) -> bytes:
        """Say what a key has left, to five decimals as the provider does."""
        left = f"{float(round(PAID_IN - self._answers[key] * CHARGE, 5)):.5f}".encode()
        named = b'"available_balance":%b,"voucher_balance":0,"cash_balance":%b' % (left, left)
        return b'{"code":0,"data":{' + named + b'},"scode":"0x0","status":true}'


class Upstream(asyncio.Protocol):
    """One connection: each whole request gets its answer, streamed if it asks for a stream."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer once a request is whole; one without a length has no body."""
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not blank or len(body) < int(length[1] if length else 0) or self._transport is None:
            return
        self._buffer = b""
        path = head.split(b" ", 2)[1]
        key = _KEY.search(head)
        if path.endswith(b"/chat/completions"):
            self._complete(key[1] if key else b"", body)
        else:
            status, said = self._other(path, key[1] if key else b"")
            self._transport.write(_whole(said, status=status))

    def _other(self, path: bytes, key: bytes) -> tuple[bytes, bytes]:
        if path.endswith(b"/users/me/balance"):
            return b"200 OK", self._account.balance(key)
        if path.endswith(b"/users/me"):
            return b"200 OK", _ACCOUNT
        if path.endswith(b"/signatures/verify"):
            return b"200 OK", b'{"valid":true}'
        if path.endswith(b"/v1/traces"):
            return b"200 OK", b""
        return b"404 Not Found", b'{"error":"url.not_found"}'

    def _complete(self, key: bytes, body: bytes) -> None:
        assert self._transport is not None
        its = self._account.bill(key)
        signed = b"Msh-Request-Id: bench-%b\r\nMsh-Request-Timestamp: %d\r\nMsh-Request-Signature: %b\r\n" % (
            its,
            time.time_ns() // 10**6,
            its * 4,
        )
        if b'"stream":true' not in body.replace(b" ", b""):
            self._transport.write(_whole(_WHOLE.replace(_ID, its), more=signed))
            return
        kind = b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        self._transport.write(_status(b"200 OK") + signed + kind)
        self._stream(CHUNKS, _framed(_WORD.replace(_ID, its)), _framed(_LAST.replace(_ID, its)))

    def _stream(self, left: int, word: bytes, last: bytes) -> None:
        """Write one chunk a turn of the loop, so that each is a packet of its own."""
        if self._transport is None or self._transport.is_closing():
            return
        if left:
            self._transport.write(word)
            asyncio.get_running_loop().call_soon(self._stream, left - 1, word, last)
        else:
            self._transport.write(last + b"0\r\n\r\n")


def _status(status: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nDate: %b\r\n" % (status, formatdate(usegmt=True).encode())


def _whole(said: bytes, *, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    kind = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(said)
    return _status(status) + more + kind + said


async def main() -> None:
    """Serve until killed; the port is the first line said."""
    account = Account()
    server = await asyncio.get_running_loop().create_server(lambda: Upstream(account), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
