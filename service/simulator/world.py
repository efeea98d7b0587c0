"""The simulator's world: the parts every route shares, made once at the start."""

import asyncio
import hashlib
from dataclasses import dataclass, field

from service.simulator.books import Books
from service.simulator.faults import FaultBoard
from service.simulator.shapes import Clock, Ids
from service.simulator.signature import Seal


@dataclass(slots=True)
class World:
    """Both providers' state. One event loop owns it."""

    clock: Clock
    ids: Ids
    books: Books
    seal: Seal
    board: FaultBoard = field(default_factory=FaultBoard)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    def reset(self) -> None:
        """Forget books, caches, client ids and faults; signatures given so far stay valid."""
        self.books.reset()
        self.board.put([])


def make_world(clock: Clock, seed: str, books: Books) -> World:
    """Make a world whose ids and seal follow from the seed."""
    return World(clock, Ids(seed), books, Seal(hashlib.sha256(f"seal:{seed}".encode()).digest()))
