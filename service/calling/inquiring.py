"""Inquiries: questions to a provider's account services. They cost nothing, so no intent precedes them.

The only way that a reading, a verification or a probe is sent. What may cost something never leaves here.
"""

import time
from collections.abc import Callable

import msgspec

from service.calling.connection import Head, LostError
from service.calling.wire import Deadlines, Wire
from service.core.evidence import TlsPeer
from service.core.shapes import Prepared
from service.core.wallet import Wallet
from service.core.words import DoubtCause

BODY_BYTES_MAX = 256 * 2**10
DEADLINES = Deadlines(connect_s=10.0, first_byte_s=30.0, idle_s=10.0, total_s=30.0)
PAID = ("/chat/completions", "/responses", "/messages", "/batches")
"""Paths, by their ends, at which a request makes a model work."""


class PaidInquiryError(AssertionError):
    """A request that may cost something was about to leave without an intent: a fault of ours. It does not."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer to an inquiry, a stranger's in every part.

    Attributes:
        headers: lower-case names; of a name that came twice, the last value.
        tls: who answered; None for plain http.
        asked_ns, came_ns: UTC wall times of the question and of the answer's end.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    tls: TlsPeer | None
    asked_ns: int
    came_ns: int


class Inquirer:
    """Asks account services.

    Args:
        wire: sends it, with deadlines and a limit of the inquiries' own.
        now_ns: says the UTC wall time.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        deadlines: Deadlines = DEADLINES,
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        self._wire = wire
        self._now_ns = now_ns
        self._deadlines = deadlines
        self._body_bytes_max = body_bytes_max

    async def ask(self, wallet: Wallet, prepared: Prepared) -> Heard:
        """Ask one question with a wallet's key, at its own host, once.

        Raises:
            PaidInquiryError: it is no question that costs nothing.
            UnsentError: not one byte left.
            LostError: no whole answer came, or one that is too large.
        """
        path = prepared.path.partition("?")[0].rstrip("/").lower()
        if path.endswith(PAID):
            raise PaidInquiryError(path)
        answer, asked_ns = _Answer(), self._now_ns()
        await self._wire.exchange(
            wallet, prepared, answer, deadlines=self._deadlines, body_bytes_max=self._body_bytes_max
        )
        if answer.head is None:
            raise LostError(DoubtCause.CONNECTION_LOST, "the answer has no head")
        return Heard(
            status=answer.head.status,
            headers={name.lower(): value for name, value in answer.head.headers},
            body=bytes(answer.body),
            tls=answer.head.tls,
            asked_ns=asked_ns,
            came_ns=self._now_ns(),
        )


class _Answer:
    """The watcher of one inquiry: it keeps the answer."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self.body = bytearray()

    def connected(self) -> None:
        """Nothing is recorded of an inquiry that costs nothing."""

    def sent(self) -> None:
        """As above."""

    def headed(self, head: Head) -> None:
        """Keep the head."""
        self.head = head

    def received(self, chunk: bytes) -> None:
        """Keep a piece of the body; the wire bounds it."""
        self.body += chunk
