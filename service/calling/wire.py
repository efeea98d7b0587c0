"""The wire: the only place of the service that sends anything to a provider.

No second try, no redirect, no cookie, no proxy from the environment. It tells its watcher each milestone,
above all the one after which a byte may have left.
"""

import asyncio
import contextlib
import socket
import ssl
from typing import Protocol

import aiohappyeyeballs
import msgspec

from service.calling.connection import ERROR_CHARS_MAX, Connection, Head, LostError
from service.calling.request import Target, pieces_of, request_head, target_of
from service.core.redact import MASK, redacted
from service.core.shapes import Prepared
from service.core.wallet import Wallet
from service.core.words import DoubtCause, UnsentReason

# Both providers' servers keep an idle connection for a minute or more. Used again within seconds, none is
# closed in the moment it is used, which would leave an attempt in doubt.
IDLE_S = 4.0
IDLE_MAX = 64
_NEXT_ADDRESS_S = 0.25  # source: RFC 8305, section 5


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """How long an exchange may take, in seconds: to connect, to the headers, between bytes, in all."""

    connect_s: float = 10.0
    first_byte_s: float = 300.0
    idle_s: float = 120.0
    total_s: float = 900.0


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


class Wire:
    """Sends requests. Made on a running loop; `close` ends its connections.

    A connection whose last answer ended cleanly serves the next request to the same origin within `idle_s`;
    one that has meanwhile been closed, or holds a byte that nobody asked for, never does.

    Args:
        deadlines: for every exchange.
        body_bytes_max: a longer body is cut off.
        tls: trust for https; the system's when None.
    """

    def __init__(
        self,
        deadlines: Deadlines,
        *,
        body_bytes_max: int = 16 * 2**20,
        tls: ssl.SSLContext | None = None,
        idle_s: float = IDLE_S,
    ) -> None:
        self._deadlines = deadlines
        self._body_bytes_max = body_bytes_max
        self._tls = tls
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._targets: dict[str, Target] = {}
        self._idle: dict[tuple[str, str, int], list[Connection]] = {}
        self._busy: set[Connection] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def exchange(
        self,
        wallet: Wallet,
        prepared: Prepared,
        watcher: Watcher,
        *,
        deadlines: Deadlines | None = None,
        body_bytes_max: int | None = None,
    ) -> None:
        """Send a request and give its answer to the watcher, to the last byte.

        Args:
            wallet: whose host and key.
            prepared: what is sent.
            watcher: told each milestone.
            deadlines: the wire's own if not given.
            body_bytes_max: the wire's own if not given.

        Raises:
            UnsentError: not one byte left.
            LostError: the answer did not come, or not to its end.
        """
        try:
            target = self._target(wallet.base_url)
            head = request_head(target, wallet.key.reveal(), prepared)
        except ValueError as error:  # a host that is no name, a value that no header can carry
            raise UnsentError(UnsentReason.SERVICE_FAILED, _said(error)) from error
        began, deadlines = self._loop.time(), deadlines or self._deadlines
        connection = self._free(target) or await self._connect(target, deadlines.connect_s)
        if self._is_closed:
            connection.abort()
            raise UnsentError.interrupted(DoubtCause.STOPPING)
        exchange = _Exchange(
            watcher,
            connection,
            deadlines,
            body_bytes_left=self._body_bytes_max if body_bytes_max is None else body_bytes_max,
            key=wallet.key.reveal(),
            began=began,
        )
        self._busy.add(connection)
        try:
            await exchange.run(head, prepared.body)
        except BaseException:
            connection.abort()
            raise
        finally:
            exchange.release()
            self._busy.discard(connection)
        self._keep(target, connection)

    async def close(self) -> None:
        """Close every connection; what is under way is lost."""
        self._is_closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in (*self._busy, *(free for idle in self._idle.values() for free in idle)):
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # the transports say goodbye in the loop's next turn

    def _target(self, base_url: str) -> Target:
        target = self._targets.get(base_url)
        if target is None:
            target = self._targets[base_url] = target_of(base_url)
        return target

    def _free(self, target: Target) -> Connection | None:
        """Take the idle connection that was used last, if it may serve again."""
        idle = self._idle.get(target.origin)
        now = self._loop.time()
        while idle:
            connection = idle.pop()
            if connection.usable_until > now and connection.is_free and connection.is_quiet:
                return connection
            connection.abort()
        return None

    def _keep(self, target: Target, connection: Connection) -> None:
        """Let a clean connection wait for the next request."""
        idle = self._idle.setdefault(target.origin, [])
        if len(idle) >= IDLE_MAX or not connection.is_free:
            connection.abort()
            return
        connection.usable_until = self._loop.time() + self._idle_s
        idle.append(connection)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._idle_s, self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle for too long."""
        self._sweeping, now = None, self._loop.time()
        for origin, idle in self._idle.items():
            for connection in idle:
                if connection.usable_until <= now:
                    connection.abort()
            self._idle[origin] = [connection for connection in idle if connection.usable_until > now]
        if any(self._idle.values()):
            self._sweeping = self._loop.call_later(self._idle_s, self._sweep)

    async def _connect(self, target: Target, within_s: float) -> Connection:
        """Open a connection.

        Raises:
            UnsentError: there is none.
        """
        reason = UnsentReason.NAME_NOT_RESOLVED
        opened: socket.socket | None = None
        try:
            async with asyncio.timeout(within_s):
                found = await self._loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
                reason = UnsentReason.CONNECTION_REFUSED
                opened = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS_S)
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if target.scheme == "http":
                    _, connection = await self._loop.create_connection(Connection, sock=opened)
                    return connection
                reason = UnsentReason.TLS_FAILED
                _, connection = await self._loop.create_connection(
                    Connection, sock=opened, ssl=self._trust(), server_hostname=target.host
                )
                return connection
        except TimeoutError as error:
            _close(opened)
            if error.errno is not None:  # the network's own time-out
                raise UnsentError(reason, _said(error)) from error
            message = f"no connection within {within_s:g} s"
            raise UnsentError(UnsentReason.CONNECT_TIMEOUT, message) from error
        except (OSError, UnicodeError) as error:
            _close(opened)
            raise UnsentError(reason, _said(error)) from error
        except BaseException:
            _close(opened)
            raise

    def _trust(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


class _Exchange:
    """One request and its answer on one connection, under its deadlines."""

    def __init__(
        self,
        watcher: Watcher,
        connection: Connection,
        deadlines: Deadlines,
        *,
        body_bytes_left: int,
        key: str,
        began: float,
    ) -> None:
        self._watcher = watcher
        self._connection = connection
        self._deadlines = deadlines
        self._body_bytes_left = body_bytes_left
        self._key = key
        self._loop = asyncio.get_running_loop()
        self._ends_at = began + deadlines.total_s
        self._at = 0.0  # when the phase's time is up
        self._overtime = DoubtCause.FIRST_BYTE_TIMEOUT  # what that would mean
        self._timer: asyncio.TimerHandle | None = None
        self._end: asyncio.Future[None] = self._loop.create_future()

    async def run(self, head: bytes, body: bytes) -> None:
        """Send, and wait for the answer's end.

        Raises:
            LostError: there is no whole answer.
        """
        self._watcher.connected()
        self._expect(self._deadlines.first_byte_s, DoubtCause.FIRST_BYTE_TIMEOUT)
        pieces = pieces_of(body)
        self._connection.begin(head + next(pieces), self)
        self._watcher.sent()
        for piece in pieces:
            await self._connection.drained()
            if self._end.done():
                self._connection.abort()  # the rest of the request is still owed on it
                break
            self._connection.write(piece)
        await self._end

    def release(self) -> None:
        """Let go of the timer, and of an end that nobody waited for."""
        self._stop_timer()
        if not self._end.cancel() and not self._end.cancelled():
            self._end.exception()

    def headed(self, head: Head) -> None:
        if self._key in "".join([value for _, value in head.headers]):  # one look, for nearly always there is none
            masked = tuple((name, value.replace(self._key, MASK)) for name, value in head.headers)
            head = msgspec.structs.replace(head, headers=masked)
        self._watcher.headed(head)
        self._expect(self._deadlines.idle_s, DoubtCause.IDLE_TIMEOUT)

    def received(self, chunk: bytes) -> None:
        self._body_bytes_left -= len(chunk)
        if self._body_bytes_left < 0:
            raise LostError(DoubtCause.BODY_TOO_LARGE, "the answer's body is larger than the limit")
        self._watcher.received(chunk)
        self._expect(self._deadlines.idle_s, DoubtCause.IDLE_TIMEOUT)

    def ended(self, failure: LostError | None) -> None:
        if self._end.done():
            return
        if failure is None:
            self._end.set_result(None)
        else:
            self._end.set_exception(failure)

    def _expect(self, within_s: float, overtime: DoubtCause) -> None:
        """Begin a phase. A timer that rings too early is set again; only one that would ring late is replaced."""
        at = self._loop.time() + within_s
        self._overtime = overtime if at < self._ends_at else DoubtCause.TOTAL_TIMEOUT
        self._at = min(at, self._ends_at)
        if self._timer is None or self._timer.when() > self._at:
            self._stop_timer()
            self._timer = self._loop.call_at(self._at, self._ring)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _ring(self) -> None:
        if self._loop.time() < self._at:
            self._timer = self._loop.call_at(self._at, self._ring)
            return
        self.ended(LostError(self._overtime, f"no whole answer in time ({self._overtime.replace('_', ' ')})"))
        self._connection.abort()


def _said(error: Exception) -> str:
    return redacted(f"{type(error).__name__}: {error}", chars_max=ERROR_CHARS_MAX)


def _close(opened: socket.socket | None) -> None:
    if opened is not None:
        with contextlib.suppress(OSError):
            opened.close()
