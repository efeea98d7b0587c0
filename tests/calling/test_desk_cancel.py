"""Cancelling: at every moment of a completion it leaves an end, and the simulator's books agree with it."""

import asyncio

import msgspec

from service.calling.desk import CallDesk
from service.core.entries import DoubtEntry, End, RefusalEntry, UnsentEntry
from service.core.shapes import Ask
from service.core.words import DoubtCause, UnsentReason
from service.simulator.accounts import Account
from service.simulator.books import Entry
from service.simulator.faults import Drip, Error, Hang
from tests.rig import WAIT_S, Ear, Rig, ask

LIMITED = Error(provider="kimi", type="rate_limit_reached_error")


async def _cancelled(lab: Rig, asked: Ask, until: asyncio.Event | None) -> End:
    journal = lab.journal()
    task = asyncio.create_task(CallDesk(lab.counter, journal).complete(asked))
    if until is None:
        await asyncio.sleep(0)  # the desk has begun, its attempt has not
    else:
        await asyncio.wait_for(until.wait(), WAIT_S)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # a second cancel must change nothing
    await asyncio.wait({task}, timeout=WAIT_S)
    assert task.cancelled()
    end = (await lab.close(journal)).attempts[-1].end
    assert end is not None
    return end


async def test_cancel_before_connect(lab: Rig) -> None:
    """A cancel between intent and connection leaves an unsent attempt; nothing reaches the provider."""
    end = await _cancelled(lab, ask(), None)
    assert isinstance(end, UnsentEntry)
    assert (UnsentReason.CANCELLED, []) == (end.reason, lab.books)


async def test_cancel_awaiting_head(lab: Rig) -> None:
    """A cancel while headers are awaited leaves the attempt in doubt: it was billed, in truth."""
    arrived = asyncio.Event()
    lab.fault(Hang())
    settle = lab.simulator.world.books.settle

    def told(entry: Entry, account: Account | None) -> None:
        settle(entry, account)
        arrived.set()

    lab.simulator.world.books.settle = told  # type: ignore[method-assign] # the moment a request is in the books
    end = await _cancelled(lab, ask(), arrived)
    assert isinstance(end, DoubtEntry)
    assert (DoubtCause.CANCELLED, None) == (end.cause, end.status)
    assert lab.billed() > 0


async def test_cancel_mid_stream(lab: Rig) -> None:
    """A cancel in the middle of a stream leaves the attempt in doubt, with what had come."""
    ear = Ear()
    lab.fault(Drip(slice_bytes=4000, pause_seconds=0.02))
    asked = ask("sim:words=400", provider="glm", thinking=False, on_text=ear.hear)
    end = await _cancelled(lab, asked, ear.first)
    assert isinstance(end, DoubtEntry)
    assert (DoubtCause.CANCELLED, 200) == (end.cause, end.status)
    assert end.response is not None
    assert end.response.bytes > 0


async def test_cancel_between_attempts(lab: Rig) -> None:
    """A cancel in the pause before a retry ends the call with the attempts that were made."""
    paused = asyncio.Event()

    async def pause(_seconds: float) -> None:
        paused.set()
        await asyncio.Event().wait()

    lab.counter = msgspec.structs.replace(lab.counter, pause=pause)
    lab.fault(LIMITED)
    end = await _cancelled(lab, ask(), paused)
    assert isinstance(end, RefusalEntry)
    assert 1 == len(lab.books)
