"""Acting: a ledger on disk with an action's surroundings, and tokens that hear of what is committed."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from service.actions._action import Stand
from service.core.entries import ClientEntry
from service.core.token import NamedToken, tokens_after
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore
from service.ledger.writer import Writer
from service.serving.auth import Tokens
from tests.naming import NOW_NS
from tests.rig import no_reread

BY = "a test"


class MovingDay:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at_ns = NOW_NS

    def now_ns(self) -> int:
        """Say the time."""
        return self.at_ns

    def monotonic_ns(self) -> int:
        """Say the same, for durations."""
        return self.at_ns


@dataclass
class Acting:
    """An action's stand, and what the test looks at."""

    stand: Stand
    day: MovingDay
    tokens: Tokens
    connections: dict[str, int]

    @property
    def entries(self) -> list[ClientEntry]:
        """What was written about clients."""
        return [entry for entry in self.stand.reading.of_ledger() if isinstance(entry, ClientEntry)]

    @property
    def named(self) -> list[NamedToken]:
        """The same, folded."""
        return list(tokens_after(self.entries).values())


@asynccontextmanager
async def acting(folder: Path) -> AsyncIterator[Acting]:
    """Open a ledger for actions, as a running service does."""
    day = MovingDay()
    tokens = Tokens(None, now_ns=day.now_ns)
    connections: dict[str, int] = {}
    store = SqliteStore(folder, new_origin="exai/test")
    feed = Feed((), reread=no_reread, next_index=store.next_index)
    feed.start()
    ledger = Ledger(Writer(store), feed, clock=day)
    await ledger.start({})
    reading = Reading(folder)
    stand = Stand(
        ledger=ledger,
        reading=reading,
        clock=day,
        entropy=secrets.token_bytes,
        folder=folder,
        heard=tokens.take,
        connections=lambda name: connections.get(name, 0),
    )
    try:
        yield Acting(stand, day, tokens, connections)
    finally:
        reading.close()
        await ledger.close()
