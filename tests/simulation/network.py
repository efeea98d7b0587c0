"""The network: what lies between the service and the far side, and all that it does to a request.

It takes the place of the wire. A request whose first byte has left may arrive whatever becomes of its sender.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from service.calling.connection import Head, LostError
from service.calling.wire import UnsentError, Watcher
from service.core.redact import MASK
from service.core.shapes import Clock, Prepared
from service.core.wallet import Wallet
from service.core.words import DoubtCause, UnsentReason
from service.simulator.shapes import Answer
from tests.simulation.listening import StrangeError
from tests.simulation.provider import FarSide, unique_of

_UNSENT = (
    UnsentReason.NAME_NOT_RESOLVED,
    UnsentReason.CONNECTION_REFUSED,
    UnsentReason.CONNECT_TIMEOUT,
    UnsentReason.TLS_FAILED,
)
_CHANCES = {
    "good": 70,
    "unsent": 8,
    "fails_before": 1,
    "fails_after": 1,
    "lost_on_the_way": 3,
    "lost_before_head": 4,
    "silent": 3,
    "cut": 6,
    "stalled": 2,
    "lost_at_the_end": 2,
}
_UNSENT_CHANCES = (8, 8, 8, 60)  # of usual days and of one without a network
_HOP_MEAN_S = 0.03
_FIRST_BYTE_S = 300.0
_IDLE_S = 120.0
_PIECES_MAX = 4


@dataclass(eq=False)
class Flight:
    """A request whose first byte has left."""

    wallet: Wallet
    prepared: Prepared
    arrived: asyncio.Future[Answer]


@dataclass
class Network:
    """The way to the far side, for one process.

    Attributes:
        seen: told of every request before its first byte leaves.
        is_calm: no faults any more.
    """

    dice: random.Random
    far: FarSide
    clock: Clock
    seen: Callable[[str], None]
    is_calm: bool = False
    flights: dict[Flight, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chances = _CHANCES | {"unsent": self.dice.choice(_UNSENT_CHANCES)}

    async def exchange(self, wallet: Wallet, prepared: Prepared, watcher: Watcher) -> None:
        """Send a request and give its answer to the watcher, as far as the network lets it; see `Wire`."""
        fate = "good" if self.is_calm else self.dice.choices([*self.chances], [*self.chances.values()])[0]
        await self._hop()
        if fate == "unsent":
            raise UnsentError(self.dice.choice(_UNSENT), "no connection")
        if fate == "fails_before":
            raise StrangeError
        self.seen(unique_of(prepared))
        flight = self._take_off(wallet, prepared)
        watcher.connected()
        watcher.sent()
        if fate == "fails_after":
            raise StrangeError
        if fate == "lost_on_the_way":
            del self.flights[flight]
            await self._hop()
            raise LostError(DoubtCause.CONNECTION_LOST, "the connection was reset")
        await self._bring(await flight.arrived, wallet, watcher, fate)

    def land_all(self) -> None:
        """Decide what becomes of requests whose sender is gone: some arrive, some do not."""
        for flight in tuple(self.flights):
            if self.dice.random() < 1 / 2:
                self._land(flight)
        self.flights.clear()

    def _take_off(self, wallet: Wallet, prepared: Prepared) -> Flight:
        loop = asyncio.get_running_loop()
        flight = Flight(wallet, prepared, loop.create_future())
        self.flights[flight] = None
        loop.call_later(self.dice.expovariate(1 / _HOP_MEAN_S), self._land, flight)
        return flight

    def _land(self, flight: Flight) -> None:
        if flight not in self.flights:
            return
        del self.flights[flight]
        answer = self.far.receive(flight.wallet, flight.prepared, self.clock.now_ns())
        if not flight.arrived.done():
            flight.arrived.set_result(answer)

    async def _bring(self, answer: Answer, wallet: Wallet, watcher: Watcher, fate: str) -> None:
        await self._hop()
        if fate == "lost_before_head":
            raise LostError(DoubtCause.CONNECTION_LOST, "the connection was reset")
        if fate == "silent":
            await asyncio.sleep(_FIRST_BYTE_S)
            raise LostError(DoubtCause.FIRST_BYTE_TIMEOUT, "no whole answer in time")
        key = wallet.key.reveal()
        headers = tuple((name, value.replace(key, MASK)) for name, value in answer.headers)
        watcher.headed(Head(status=answer.status, headers=headers, tls=None))
        body = answer.body if answer.chunks is None else b"".join(answer.chunks)
        ends = self.dice.randrange(len(body)) if fate in {"cut", "stalled"} else len(body)
        for piece in self._pieces(body[:ends]):
            await self._hop()
            watcher.received(piece)
        if fate == "cut":
            raise LostError(DoubtCause.STREAM_CUT, "the connection broke off")
        if fate == "stalled":
            await asyncio.sleep(_IDLE_S)
            raise LostError(DoubtCause.IDLE_TIMEOUT, "no whole answer in time")
        if fate == "lost_at_the_end":
            raise LostError(DoubtCause.CONNECTION_LOST, "the connection was reset")

    def _pieces(self, body: bytes) -> list[bytes]:
        cuts = sorted(self.dice.randrange(len(body) + 1) for _ in range(self.dice.randrange(_PIECES_MAX)))
        edges = [0, *cuts, len(body)]
        pieces = [body[start:end] for start, end in pairwise(edges)]
        return [piece for piece in pieces if piece]

    async def _hop(self) -> None:
        await asyncio.sleep(self.dice.expovariate(1 / _HOP_MEAN_S))
