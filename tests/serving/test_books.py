"""The books of a caller: its own calls, or all where it may see them."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service.core.account import Asked
from service.core.words import ZeroReason
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore
from service.ledger.writer import Writer
from service.serving.auth import DEFAULT, LOCAL, Caller
from service.serving.books import ReadBooks
from tests.rig import WAIT_S, FixedDay

if TYPE_CHECKING:
    from tests.conftest import Made


@pytest.mark.parametrize(("caller", "owner", "calls"), [(DEFAULT, "default", 1), (LOCAL, None, 3)])
async def test_a_caller_sees_what_it_may(
    made: "Made", tmp_path: Path, caller: Caller, owner: str | None, calls: int
) -> None:
    """Another client's calls are in nobody's sums but the local owner's."""
    feed = Feed((), reread=lambda _first, _count: (), next_index=0)
    feed.start()
    ledger = Ledger(Writer(SqliteStore(tmp_path, new_origin="o")), feed, clock=FixedDay())
    await ledger.start({})
    for number, client in enumerate(("default", "local", "somebody")):
        of: dict[str, Any] = {"tool_call_id": f"{number:032x}"}
        closed = made.answer(**of, zero_reason=ZeroReason.NO_MODEL_STEP)
        await ledger.append(made.tool_call(**of, client=client), closed)
    await ledger.close()
    reading = Reading(tmp_path)
    found = await asyncio.wait_for(ReadBooks(reading, FixedDay(), caller).spending(Asked()), WAIT_S)
    reading.close()
    assert (owner, calls) == (found.owner, found.totals[0].calls)
    assert "2026-11-22T16:21:00.000000Z" == found.as_of
