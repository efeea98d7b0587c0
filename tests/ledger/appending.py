"""A process that appends calls for ever and says what was acknowledged; it is there to be killed."""

import asyncio
import sys
import time
from itertools import count
from pathlib import Path

from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.sqlite import SqliteStore
from service.ledger.writer import Writer
from tests.conftest import Made
from tests.ledger.conftest import Lives

AT_ONCE = 8


class Real:
    """The machine's clocks."""

    now_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)


async def live(ledger: Ledger, lives: Lives, numbers: "count[int]") -> None:
    """Live one call after the other; say each promise once it was given."""
    for number in numbers:
        await ledger.append(*lives.opening(number))
        sys.stdout.write(f"opened {number}\n")
        sys.stdout.flush()
        await ledger.append(*lives.ending(number))
        sys.stdout.write(f"answered {number}\n")
        sys.stdout.flush()


async def append_for_ever(folder: Path, first: int) -> None:
    """Keep several calls in flight."""
    store = SqliteStore(folder, new_origin="exai/test")
    feed = Feed((), reread=lambda _first, _count: (), next_index=store.next_index)
    ledger = Ledger(Writer(store), feed, clock=Real())
    await ledger.start({})
    lives, numbers = Lives(Made()), count(first)
    await asyncio.gather(*(live(ledger, lives, numbers) for _ in range(AT_ONCE)))


if __name__ == "__main__":
    asyncio.run(append_for_ever(Path(sys.argv[1]), int(sys.argv[2])))
