"""One connection to a provider: it writes one request, reads one answer, and knows whether it may serve again.

The network is told apart from HTTP: `httptools` reads what arrives, and this file decides what it means. A
connection that holds a byte nobody asked for is never used again.
"""

import asyncio
import hashlib
import select
import ssl
import zlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Protocol, cast

import httptools
import msgspec

from service.core.evidence import TlsPeer
from service.core.redact import redacted
from service.core.words import DoubtCause

HEAD_BYTES_MAX = 64 * 2**10
LOOSE_BYTES_MAX = 2 * HEAD_BYTES_MAX  # between two pieces of a body: a head, chunks' sizes, trailers
ERROR_CHARS_MAX = 200
_GZIP_WBITS = 16 + zlib.MAX_WBITS
_ENCODINGS = {"gzip": _GZIP_WBITS, "x-gzip": _GZIP_WBITS, "deflate": zlib.MAX_WBITS}


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A response's head, as it came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    tls: TlsPeer | None


class LostError(Exception):
    """Bytes left, and no whole answer came."""

    def __init__(self, cause: DoubtCause, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message


class Taker(Protocol):
    """Whoever takes an answer as it arrives. Only `received` may raise, and only LostError."""

    def headed(self, head: Head) -> None:
        """The head has arrived."""

    def received(self, chunk: bytes) -> None:
        """A piece of the body has arrived, never empty."""

    def ended(self, failure: LostError | None) -> None:
        """The answer is whole, or it never will be. Nothing follows."""


class Connection(asyncio.Protocol):
    """One connection, from its opening to its end.

    Attributes:
        usable_until: loop time until which an idle connection may serve again.
        tls: who is at its other end; None for plain http, or where the certificate was not verified.
    """

    def __init__(self) -> None:
        self.usable_until = 0.0
        self.tls: TlsPeer | None = None
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._answer: _Answer | None = None
        self._resumed: asyncio.Future[None] | None = None  # there while the transport's buffer is full
        self._is_clean = True
        self._session: ssl.SSLObject | None = None
        self._has_ended = False  # the peer said so: a FIN, or under TLS a close_notify

    @property
    def is_free(self) -> bool:
        """Whether it may serve a request: open, nothing under way, nothing strange seen."""
        transport = self._transport
        return self._is_clean and self._answer is None and transport is not None and not transport.is_closing()

    @property
    def is_quiet(self) -> bool:
        """Whether not a byte, nor an end, waits to be read. It asks the system."""
        return not self._poll.poll(0)

    def begin(self, head: bytes, taker: Taker) -> None:
        """Write a request's head; what arrives from now on is its answer."""
        self._answer = _Answer(taker, self.tls)
        self.write(head)

    def write(self, piece: bytes) -> None:
        """Write a piece of the request."""
        if self._transport is not None:
            self._transport.write(piece)

    async def drained(self) -> None:
        """Wait until there is room for more; at once if there is, or if nothing more can be sent."""
        if self._resumed is not None:
            await self._resumed

    def abort(self) -> None:
        """Break off: a polite close would first send the rest of a long request."""
        self._is_clean = False
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who is there."""
        self._transport = cast("asyncio.Transport", transport)
        self._session = transport.get_extra_info("ssl_object")
        self.tls = _tls_peer(self._session)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def pause_writing(self) -> None:
        """Let the sender wait."""
        self._resumed = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Let the sender go on."""
        resumed, self._resumed = self._resumed, None
        if resumed is not None and not resumed.done():
            resumed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Read on; what nobody asked for ends the connection."""
        answer = self._answer
        if answer is None:
            self.abort()
        elif answer.feed(data):
            self._finish(answer)

    def eof_received(self) -> None:
        """Note that the peer ended it on purpose; `connection_lost` says the rest."""
        self._has_ended = self._session is None or _is_closed(self._session)

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is under way."""
        self._is_clean = False
        self.resume_writing()
        answer = self._answer
        if answer is not None:
            answer.cut(exc if exc is not None or self._has_ended else ConnectionError("broken off"))
            self._finish(answer)

    def _finish(self, answer: "_Answer") -> None:
        self._answer = None
        unsent = self._resumed is not None or (
            self._transport is not None and bool(self._transport.get_write_buffer_size())
        )
        self._is_clean = self._is_clean and answer.is_clean and not unsent
        if not self._is_clean:
            self.abort()
            self.resume_writing()
        answer.tell()


class _Answer:
    """One answer as it arrives: its head, its body unpacked, its end. The parser calls its `on_…` methods."""

    def __init__(self, taker: Taker, tls: TlsPeer | None) -> None:
        self._taker = taker
        self._tls = tls
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[str, str]] = []
        self._head_bytes = 0
        self._loose_bytes = 0
        self._status = 0
        self._has_head = False
        self._told_head = False
        self._ends_with_connection = False
        self._unpacker: Any = None  # zlib's own type has no public name
        self._was_packed = False  # whether packed bytes came
        self._keeps_alive = False
        self._pieces: list[bytes] = []
        self._is_whole = False
        self._has_more = False  # something follows the answer's end
        self._failure: LostError | None = None
        self.is_clean = False

    def feed(self, data: bytes) -> bool:
        """Read bytes and pass on what they complete; say whether the answer has ended."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._is_whole:
                self._fail(DoubtCause.STREAM_CUT if self._has_head else DoubtCause.UNREADABLE_ANSWER, error)
            self._has_more = True
        self._loose_bytes = 0 if self._pieces else self._loose_bytes + len(data)
        if self._loose_bytes > LOOSE_BYTES_MAX and not self._is_whole:
            cause = DoubtCause.STREAM_CUT if self._has_head else DoubtCause.UNREADABLE_ANSWER
            self._fail(cause, ValueError("too much that is no body"))
        try:
            self._pass_on()
        except LostError as lost:
            self._failure = self._failure or lost
        if self._is_whole and self._failure is None:
            self.is_clean = self._keeps_alive and not self._has_more
        return self._is_whole or self._failure is not None

    def cut(self, error: Exception | None) -> None:
        """Judge an answer whose connection has ended."""
        if self._has_head and self._ends_with_connection and error is None:
            self._is_whole = True
            return
        cause = DoubtCause.STREAM_CUT if self._has_head else DoubtCause.CONNECTION_LOST
        self._fail(cause, error or ConnectionError("the provider closed the connection"))

    def tell(self) -> None:
        """Tell the end, once."""
        if self._failure is None and self._unpacker is not None and self._was_packed and not self._unpacker.eof:
            self._fail(DoubtCause.STREAM_CUT, EOFError("the packed body has no end"))
        self._taker.ended(self._failure)

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; one that follows the body is none."""
        if not self._has_head:
            self._count(len(name) + len(value))
            self._headers.append((name.decode("latin-1"), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        """Note what the head says of the body."""
        if self._is_whole:
            self._has_more = True
            return
        if self._failure is not None:
            return
        self._status = self._parser.get_status_code()
        if self._status < HTTPStatus.OK:  # 100 Continue, 103 Early Hints: the answer itself is still to come
            return
        self._has_head = True
        named: Mapping[str, str] = {name.lower(): value for name, value in self._headers}
        self._ends_with_connection = "content-length" not in named and "transfer-encoding" not in named
        if (wbits := _ENCODINGS.get(named.get("content-encoding", "").strip().lower())) is not None:
            self._unpacker = zlib.decompressobj(wbits)

    def on_body(self, piece: bytes) -> None:
        """Keep a piece until all that came with it was read."""
        if self._is_whole:
            self._has_more = True
        elif self._has_head:
            self._pieces.append(piece)
        else:
            self._fail(DoubtCause.UNREADABLE_ANSWER, ValueError("an interim answer has a body"))

    def on_message_complete(self) -> None:
        """Note the end; after an interim answer the real one begins."""
        if self._has_head and not self._is_whole:
            self._is_whole = True
            self._keeps_alive = self._parser.should_keep_alive()
        elif not self._has_head:
            self._headers.clear()

    def on_message_begin(self) -> None:
        """Note that something follows the end."""
        self._has_more = self._has_more or self._is_whole

    def _count(self, head_bytes: int) -> None:
        self._head_bytes += head_bytes
        if self._head_bytes > HEAD_BYTES_MAX:
            self._fail(DoubtCause.UNREADABLE_ANSWER, ValueError("the answer's head is too large"))

    def _pass_on(self) -> None:
        if self._has_head and not self._told_head:
            self._told_head = True
            self._taker.headed(Head(status=self._status, headers=tuple(self._headers), tls=self._tls))
        if self._pieces:
            body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces.clear()
            if self._unpacker is None:
                self._taker.received(body)
            else:
                self._unpack(body)

    def _unpack(self, body: bytes) -> None:
        """Unpack a little at a time: the taker says when it is too much."""
        self._was_packed = True
        while body:
            if self._unpacker.eof:
                self._fail(DoubtCause.STREAM_CUT, ValueError("something follows the packed body"))
                return
            try:
                piece = self._unpacker.decompress(body, HEAD_BYTES_MAX)
            except zlib.error as error:
                self._fail(DoubtCause.STREAM_CUT, error)
                return
            if piece:
                self._taker.received(piece)
            body = self._unpacker.unconsumed_tail or self._unpacker.unused_data

    def _fail(self, cause: DoubtCause, error: Exception) -> None:
        if self._failure is None:
            message = redacted(f"{type(error).__name__}: {error}", chars_max=ERROR_CHARS_MAX)
            self._failure = LostError(cause, message)


def _tls_peer(session: ssl.SSLObject | None) -> TlsPeer | None:
    """Describe a verified TLS session; None for plain http, or where the certificate was not verified."""
    if session is None:
        return None
    certificate: Mapping[str, Any] = session.getpeercert() or {}
    raw = session.getpeercert(binary_form=True)
    cipher = session.cipher()
    if not certificate or raw is None or cipher is None:
        return None
    names = [name for kind, name in certificate.get("subjectAltName", ()) if kind == "DNS"]
    return TlsPeer(
        version=session.version() or "",
        cipher=cipher[0],
        subject=redacted(", ".join(names), chars_max=ERROR_CHARS_MAX),
        fingerprint=hashlib.sha256(raw).hexdigest(),
    )


def _is_closed(session: ssl.SSLObject) -> bool:
    """Say whether the peer ended the session itself; a network's end alone may have cut it."""
    try:
        return not session.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False
