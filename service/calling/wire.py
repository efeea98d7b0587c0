"""The wire: the only place of the service that sends anything to a provider.

One request, one connection, no second try, no redirect, no cookie, no proxy from the environment. It
tells its watcher each milestone, above all the one after which a byte may have left.
"""

import asyncio
import hashlib
import io
import ssl
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Protocol

import aiohttp
import msgspec
from aiohttp.connector import Connection

from service import VERSION
from service.core.evidence import TlsPeer
from service.core.redact import MASK, redacted
from service.core.shapes import Prepared
from service.core.wallet import Wallet
from service.core.words import DoubtCause, UnsentReason

USER_AGENT = f"exai/{VERSION}"
_ERROR_CHARS_MAX = 200


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """How long an exchange may take, in seconds: to connect, to the headers, between bytes, in all."""

    connect_s: float = 10.0
    first_byte_s: float = 300.0
    idle_s: float = 120.0
    total_s: float = 900.0


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A response's head, as it came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    tls: TlsPeer | None


class Watcher(Protocol):
    """Whoever keeps the record of one exchange. It must not block and must not raise."""

    def connected(self) -> None:
        """A connection is there. From now on bytes may have left."""

    def sent(self) -> None:
        """The request's head is written."""

    def headed(self, head: Head) -> None:
        """The response's head has arrived."""

    def received(self, chunk: bytes) -> None:
        """A piece of the body has arrived, never empty."""


class UnsentError(Exception):
    """Not one byte left."""

    def __init__(self, reason: UnsentReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    @classmethod
    def interrupted(cls, cause: DoubtCause) -> "UnsentError":
        """Say that it was stopped before it began."""
        reason = UnsentReason.CANCELLED if cause is DoubtCause.CANCELLED else UnsentReason.STOPPING
        return cls(reason, "stopped before anything was sent")


class LostError(Exception):
    """Bytes left, and no whole answer came."""

    def __init__(self, cause: DoubtCause, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message


class Wire:
    """Sends requests. Made on a running loop; `close` ends its connections.

    Args:
        deadlines: for every exchange.
        body_bytes_max: a longer body is cut off.
        tls: trust for https; the system's when None.
    """

    def __init__(
        self, deadlines: Deadlines, *, body_bytes_max: int = 16 * 2**20, tls: ssl.SSLContext | None = None
    ) -> None:
        self._deadlines = deadlines
        self._body_bytes_max = body_bytes_max
        self._session = aiohttp.ClientSession(
            # No limit here: calls in flight are limited where they are admitted, and waiting for a free
            # connection would count as time to connect.
            connector=aiohttp.TCPConnector(
                limit=0,
                # A used connection may be closed, or hold a stranger's late bytes, at the moment it is used
                # again: either leaves an attempt in doubt, which is dearer than a handshake.
                force_close=True,
                ssl=True if tls is None else tls,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            trace_configs=[_milestones()],
            response_class=_Response,
            trust_env=False,
            auto_decompress=True,
        )

    async def exchange(self, wallet: Wallet, prepared: Prepared, watcher: Watcher) -> None:
        """Send a request and give its answer to the watcher, to the last byte.

        Raises:
            UnsentError: not one byte left.
            LostError: the answer did not come, or not to its end.
        """
        stage = _Stage(watcher, self._deadlines, self._body_bytes_max, key=wallet.key.reveal())
        try:
            async with asyncio.timeout(self._deadlines.connect_s) as stage.deadline:
                await self._post(wallet, prepared, stage)
        except TimeoutError as error:
            raise stage.timed_out() from error
        except (aiohttp.ClientError, OSError) as error:
            raise stage.failed(error) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def _post(self, wallet: Wallet, prepared: Prepared, stage: "_Stage") -> None:
        headers = {
            "User-Agent": USER_AGENT,
            "Accept-Encoding": "identity",  # the bytes that are counted and hashed are the provider's own
            **dict(prepared.headers),
            "Authorization": f"Bearer {wallet.key.reveal()}",
        }
        async with self._session.post(
            wallet.base_url + prepared.path,
            data=io.BytesIO(prepared.body),  # sent in pieces: a long prompt must not hold up the loop
            headers=headers,
            allow_redirects=False,
            trace_request_ctx=stage,
        ) as response:
            try:
                stage.headed(response)
                async for chunk in response.content.iter_any():
                    stage.received(chunk)
            except BaseException:
                _abort(response.connection)
                raise


class _Stage:
    """How far one exchange has come, and which deadline holds there."""

    deadline: asyncio.Timeout

    def __init__(self, watcher: Watcher, deadlines: Deadlines, body_bytes_max: int, *, key: str) -> None:
        self._watcher = watcher
        self._key = key
        self._deadlines = deadlines
        self._body_bytes_left = body_bytes_max
        self._loop = asyncio.get_running_loop()
        self._ends_at = self._loop.time() + deadlines.total_s
        self._overtime: DoubtCause | None = None  # what a time-out would mean now; None before the first byte
        self._has_head = False

    def connected(self) -> None:
        self._watcher.connected()
        self._expect(self._deadlines.first_byte_s, DoubtCause.FIRST_BYTE_TIMEOUT)

    def sent(self) -> None:
        self._watcher.sent()

    def headed(self, response: aiohttp.ClientResponse) -> None:
        self._has_head = True
        tls = response.tls_peer if isinstance(response, _Response) else None
        headers = tuple((name, value.replace(self._key, MASK)) for name, value in response.headers.items())
        self._watcher.headed(Head(status=response.status, headers=headers, tls=tls))
        self._expect(self._deadlines.idle_s, DoubtCause.IDLE_TIMEOUT)

    def received(self, chunk: bytes) -> None:
        self._body_bytes_left -= len(chunk)
        if self._body_bytes_left < 0:
            raise LostError(DoubtCause.BODY_TOO_LARGE, "the answer's body is larger than the limit")
        self._watcher.received(chunk)
        self._expect(self._deadlines.idle_s, DoubtCause.IDLE_TIMEOUT)

    def _expect(self, within_s: float, overtime: DoubtCause) -> None:
        at = self._loop.time() + within_s
        self._overtime = overtime if at < self._ends_at else DoubtCause.TOTAL_TIMEOUT
        if not self.deadline.expired():
            self.deadline.reschedule(min(at, self._ends_at))

    def timed_out(self) -> UnsentError | LostError:
        if self._overtime is None:
            seconds = self._deadlines.connect_s
            return UnsentError(UnsentReason.CONNECT_TIMEOUT, f"no connection within {seconds:g} s")
        return LostError(self._overtime, f"no whole answer in time ({self._overtime.replace('_', ' ')})")

    def failed(self, error: Exception) -> UnsentError | LostError:
        message = redacted(f"{type(error).__name__}: {error}", chars_max=_ERROR_CHARS_MAX)
        if self._overtime is None:
            return UnsentError(_unsent_reason(error), message)
        if self._has_head:
            return LostError(DoubtCause.STREAM_CUT, message)
        if isinstance(error, aiohttp.ClientResponseError):
            return LostError(DoubtCause.UNREADABLE_ANSWER, message)
        return LostError(DoubtCause.CONNECTION_LOST, message)


class _Response(aiohttp.ClientResponse):
    """A response that notes who sent it, while its connection is still its own."""

    tls_peer: TlsPeer | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        if connection.transport is not None:
            self.tls_peer = _tls_peer(connection.transport.get_extra_info("ssl_object"))
        try:
            return await super().start(connection)
        except BaseException:
            _abort(connection)
            raise


def _abort(connection: Connection | None) -> None:
    """Break a connection off: a polite close would first send the rest of a long request."""
    if connection is not None and connection.transport is not None:
        connection.transport.abort()


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
        subject=redacted(", ".join(names), chars_max=_ERROR_CHARS_MAX),
        fingerprint=hashlib.sha256(raw).hexdigest(),
    )


def _unsent_reason(error: Exception) -> UnsentReason:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return UnsentReason.NAME_NOT_RESOLVED
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return UnsentReason.TLS_FAILED
        case _:
            return UnsentReason.CONNECTION_REFUSED


def _milestones() -> aiohttp.TraceConfig:
    """Let aiohttp tell the stage of each request where it stands."""

    async def connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.connected()

    async def sent(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        context.trace_request_ctx.sent()

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(connected)
    trace.on_request_headers_sent.append(sent)
    return trace
