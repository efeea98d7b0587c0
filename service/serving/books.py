"""The books that a tool may read: the ledger's sums, off the loop, no further than its caller may see."""

import asyncio
from typing import TYPE_CHECKING

from service.core.account import Account, Asked
from service.core.shapes import Books, Clock
from service.ledger.account import account
from service.ledger.reading import Reading
from service.serving.auth import Caller


class ReadBooks:
    """One caller's view of what was spent."""

    def __init__(self, reading: Reading, clock: Clock, caller: Caller) -> None:
        self._reading = reading
        self._clock = clock
        self._owner = None if caller.sees_all else caller.name

    async def spending(self, asked: Asked) -> Account:
        """Add up the caller's calls, or everybody's if it may see them."""
        now_ns = self._clock.now_ns()
        return await asyncio.to_thread(account, self._reading, asked, now_ns=now_ns, owner=self._owner)


if TYPE_CHECKING:
    _: type[Books] = ReadBooks
