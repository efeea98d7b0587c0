"""The simulator's world: the parts every route shares, made once at the start."""

import asyncio
import hashlib
from dataclasses import dataclass, field

from service.simulator.books import Books
from service.simulator.faults import FaultBoard
from service.simulator.shapes import Clock, Headers, Ids, Stamp
from service.simulator.signature import Seal


@dataclass(slots=True)
class World:
    """Both providers' state. One event loop owns it.

    `stamps` and `proofs` are those of each provider's last answer, which some faults repeat.
    """

    clock: Clock
    ids: Ids
    books: Books
    seal: Seal
    board: FaultBoard = field(default_factory=FaultBoard)
    stamps: dict[str, Stamp] = field(default_factory=dict)
    proofs: dict[str, Headers] = field(default_factory=dict)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    def reset(self) -> None:
        """Forget books, caches, client ids and faults; signatures given so far stay valid."""
        self.books.reset()
        self.board.put([])
        self.stamps.clear()
        self.proofs.clear()


def make_world(clock: Clock, seed: str, books: Books) -> World:
    """Make a world whose ids and seal follow from the seed."""
    return World(clock, Ids(seed), books, Seal(hashlib.sha256(f"seal:{seed}".encode()).digest()))
