"""How much at once: calls in flight, open connections, frames per second. Counted here and nowhere else."""

import ipaddress
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.errors import OverCapacityError

CALLS_PER_SESSION_MAX = 8
CALLS_PER_CLIENT_MAX = 16
CALLS_MAX = 64
CONNECTIONS_MAX = 1000
CONNECTIONS_PER_ADDRESS_MAX = 256
FRAMES_PER_S = 2000.0
FRAMES_BURST = 4000

_V6_HOME = 64  # one subscriber owns at least a /64: every address in it is one stranger


class Gate:
    """Counts calls in flight. It belongs to the event loop: nothing here is thread-safe.

    Attributes:
        in_flight: calls in flight in the whole server.
    """

    def __init__(
        self,
        *,
        per_session: int = CALLS_PER_SESSION_MAX,
        per_client: int = CALLS_PER_CLIENT_MAX,
        total: int = CALLS_MAX,
    ) -> None:
        self.in_flight = 0
        self._per_session = per_session
        self._per_client = per_client
        self._total = total
        self._sessions: Counter[str] = Counter()
        self._clients: Counter[str] = Counter()

    @contextmanager
    def enter(self, *, session: str, client: str) -> Iterator[None]:
        """Hold one place for the length of a call.

        Raises:
            OverCapacityError: a limit is reached; nothing was counted.
        """
        _refuse_at(
            self._sessions[session], self._per_session, "in this session", "EXAI_SESSION_CALLS_IN_FLIGHT_MAX"
        )
        _refuse_at(self._clients[client], self._per_client, "of this client", "EXAI_CLIENT_CALLS_IN_FLIGHT_MAX")
        _refuse_at(self.in_flight, self._total, "in the whole server", "EXAI_CALLS_IN_FLIGHT_MAX")
        self.in_flight += 1
        self._sessions[session] += 1
        self._clients[client] += 1
        try:
            yield
        finally:
            self.in_flight -= 1
            _drop(self._sessions, session)
            _drop(self._clients, client)


class Connections:
    """Counts open connections, in all and per remote address.

    Attributes:
        open_count: connections open now.
    """

    def __init__(self, *, total: int = CONNECTIONS_MAX, per_address: int = CONNECTIONS_PER_ADDRESS_MAX) -> None:
        self.open_count = 0
        self._total = total
        self._per_address = per_address
        self._addresses: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count one more connection; False, and nothing is counted, when a limit is reached."""
        home = _home(address)
        if self.open_count >= self._total or self._addresses[home] >= self._per_address:
            return False
        self.open_count += 1
        self._addresses[home] += 1
        return True

    def leave(self, address: str) -> None:
        """Count one connection less; must follow every `enter` that was True, once."""
        self.open_count -= 1
        _drop(self._addresses, _home(address))


class FrameRate:
    """A bucket of tokens: how many frames one connection may send at once and per second."""

    def __init__(
        self,
        *,
        per_s: float = FRAMES_PER_S,
        burst: int = FRAMES_BURST,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_s = per_s
        self._burst = burst
        self._monotonic_s = monotonic_s
        self._left = float(burst)
        self._seen_s = monotonic_s()

    def take(self) -> bool:
        """Take one token; False when the bucket is empty."""
        now_s = self._monotonic_s()
        self._left = min(float(self._burst), self._left + (now_s - self._seen_s) * self._per_s)
        self._seen_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _refuse_at(count: int, limit: int, where: str, setting: str) -> None:
    if count >= limit:
        raise OverCapacityError(
            f"{limit} tool calls are in flight {where}; that is the limit.",
            remedy=f"Wait until one has ended, or raise {setting}.",
        )


def _drop(counts: Counter[str], name: str) -> None:
    counts[name] -= 1
    # Names come from strangers: one that counts nothing must not be kept.
    if not counts[name]:
        del counts[name]


def _home(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, _V6_HOME), strict=False))
    return str(parsed)
