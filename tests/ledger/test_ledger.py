"""The ledger writes in order, many appends in one commit, and refuses what a call's history does not allow."""

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

import pytest

from service.core.entries import SystemEntry, decode
from service.core.record import BrokenRecordError
from service.core.words import CostStatus
from service.errors import LedgerClosedError, LedgerFailedError
from service.ledger import ledger as ledger_room
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.memory import Memory, MemoryStore
from service.ledger.verify import verify
from service.ledger.writer import Writer

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.ledger.conftest import Kept, Lives, Opened, OpenStore, Probe, Ticking

NOTE = SystemEntry(event="note", detail={})
BAD_AMOUNTS = ["1e5", "-1", "1000000.000001", "1.0000000000001"]


@pytest.fixture
def memory() -> Memory:
    """A disk in memory."""
    return Memory()


@pytest.fixture
def store(memory: Memory, probe: "type[Probe]") -> "Probe":
    """A store that counts, stalls and fails on demand."""
    return probe(MemoryStore(memory, new_origin="exai/test"))


async def stalled(ledger: Ledger, store: "Probe") -> asyncio.Future[object]:
    """Bring the writer to a stop inside a commit; what is appended now waits."""
    store.gate.clear()
    store.reached.clear()
    first: asyncio.Future[object] = asyncio.ensure_future(ledger.append(NOTE))
    assert await asyncio.to_thread(store.reached.wait, 20)
    return first


async def test_waiting_appends_share_a_commit(store: "Probe", opened: "Opened", lives: "Lives") -> None:
    """A hundred appends that wait together become one transaction."""
    async with opened(store) as ledger:
        first = await stalled(ledger, store)
        appends = [ledger.append(*lives.opening(number)) for number in range(100)]
        before = len(store.commits)
        assert ledger.waiting == 101
        store.gate.set()
        await asyncio.gather(first, *appends)
        assert ledger.waiting == 0
        assert store.commits[before:] == [1, 200]


async def test_a_commit_is_bounded(store: "Probe", opened: "Opened", monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch stops growing once it holds the most entries that one commit may."""
    monkeypatch.setattr(ledger_room, "ENTRIES_PER_COMMIT_MAX", 4)
    async with opened(store) as ledger:
        first = await stalled(ledger, store)
        appends = [ledger.append(NOTE, NOTE, NOTE) for _ in range(4)]
        store.gate.set()
        await asyncio.gather(first, *appends)
        assert store.commits[-2:] == [6, 6]


async def test_the_order_of_appends_is_the_order_of_the_log(
    open_store: "OpenStore", opened: "Opened", lives: "Lives", kept: "Kept"
) -> None:
    """Indexes follow the order of the calls to append, and listeners get the steps in that order."""
    async with opened(open_store(), kept) as ledger:
        results = await asyncio.gather(*(ledger.append(*lives.opening(number)) for number in range(50)))
    assert [2 * number + 1 for number in range(50)] == [steps[0].entry.index for steps in results]
    assert list(range(102)) == [step.entry.index for step in kept.steps]


async def test_entries_carry_what_the_ledger_sets(
    store: "Probe", memory: Memory, opened: "Opened", clock: "Ticking", lives: "Lives"
) -> None:
    """Origin, epoch, index and time are the ledger's, whatever the draft said; the line is the step's entry."""
    async with opened(store) as ledger:
        steps = await ledger.append(*lives.opening(1))
    assert clock.at_ns > 0
    assert [("exai/test", 1, 1), ("exai/test", 1, 2)] == [
        (step.entry.origin, step.entry.epoch, step.entry.index) for step in steps
    ]
    assert {"2026-11-22T16:21:02.000000Z"} == {step.entry.at for step in steps}
    assert [step.entry for step in steps] == [decode(line.entry) for line in memory.lines[1:3]]
    assert verify(memory.lines).problems_total == 0


async def test_an_illegal_append_is_refused_alone(
    store: "Probe", memory: Memory, opened: "Opened", lives: "Lives", made: "Made"
) -> None:
    """Appends before and after an illegal one in the same batch are written; of it, nothing is."""
    orphan = made.settlement(tool_call_id=lives.call_id(9))
    async with opened(store) as ledger:
        first = await stalled(ledger, store)
        left = ledger.append(*lives.opening(1))
        wrong = ledger.append(*lives.opening(2), orphan)
        right = ledger.append(*lives.opening(3))
        store.gate.set()
        await asyncio.gather(first, left, right)
        with pytest.raises(BrokenRecordError, match="never opened"):
            await wrong
        await ledger.append(*lives.opening(2))  # of the refused append nothing is remembered either
    assert verify(memory.lines).problems_total == 0


async def test_a_call_closed_in_a_batch_takes_nothing_more(
    store: "Probe", opened: "Opened", lives: "Lives", made: "Made"
) -> None:
    """The history counts what waits in the same batch."""
    async with opened(store) as ledger:
        first = await stalled(ledger, store)
        both = ledger.append(*lives.opening(1)), ledger.append(*lives.ending(1))
        late = ledger.append(made.intent(2, tool_call_id=lives.call_id(1)))
        store.gate.set()
        await asyncio.gather(first, *both)
        with pytest.raises(BrokenRecordError, match="was closed"):
            await late


async def test_a_closed_call_is_not_opened_again(
    open_store: "OpenStore", opened: "Opened", lives: "Lives"
) -> None:
    """An id that was used is refused, although the record of a closed call is no longer held."""
    async with opened(open_store()) as ledger:
        await ledger.append(*lives.opening(1), *lives.ending(1))
        with pytest.raises(BrokenRecordError, match="opened twice"):
            await ledger.append(*lives.opening(1))


@pytest.mark.parametrize("amount", BAD_AMOUNTS)
async def test_an_amount_beyond_any_price_is_refused_alone(
    open_store: "OpenStore", opened: "Opened", lives: "Lives", made: "Made", amount: str
) -> None:
    """An amount that no table can hold is its writer's fault, not the disk's: the ledger goes on."""
    async with opened(open_store()) as ledger:
        await ledger.append(*lives.opening(1))
        cost = made.cost(status=CostStatus.PRICED, amount=amount)
        with pytest.raises(ValueError, match="amount"):
            await ledger.append(made.settlement(tool_call_id=lives.call_id(1), cost=cost))
        await ledger.append(*lives.ending(1))
        assert not ledger.failed


async def test_text_that_is_no_text_is_refused(open_store: "OpenStore", opened: "Opened", made: "Made") -> None:
    """Half a surrogate pair has no canonical form; the entry is refused and the ledger goes on."""
    async with opened(open_store()) as ledger:
        with pytest.raises(ValueError, match="surrogate"):
            await ledger.append(made.tool_call(tool="\ud800"))
        await ledger.append(made.tool_call())


async def test_a_cancelled_waiter_is_written(
    store: "Probe", memory: Memory, opened: "Opened", lives: "Lives"
) -> None:
    """Cancelling the future takes nothing back, and its entries count as waiting until they are written."""
    async with opened(store) as ledger:
        first = await stalled(ledger, store)
        ledger.append(*lives.opening(1)).cancel()
        await asyncio.sleep(0)
        assert ledger.waiting == 2
        store.gate.set()
        await first
        await ledger.append(NOTE)
    assert ["system", "system", "tool_call", "intent"] == [line.kind for line in memory.lines[:4]]


async def test_too_many_waiting_are_refused(
    store: "Probe", opened: "Opened", monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit the queue is refused at once; a full queue does not keep the ledger from closing."""
    monkeypatch.setattr(ledger_room, "WAITING_MAX", 3)
    async with opened(store) as ledger:
        first = await stalled(ledger, store)
        more = [ledger.append(NOTE) for _ in range(2)]
        with pytest.raises(LedgerClosedError):
            await ledger.append(NOTE)
        closing = asyncio.create_task(ledger.close())
        await asyncio.sleep(0)
        store.gate.set()
        await asyncio.gather(first, *more, closing)
    assert store.commits[-1] == 2


async def test_closing_writes_what_waits(store: "Probe", memory: Memory, opened: "Opened", lives: "Lives") -> None:
    """What was appended before the close is written, then the epoch's end; nothing is taken after it."""
    async with opened(store) as ledger:
        first = await stalled(ledger, store)
        waiting = [ledger.append(*lives.opening(number)) for number in range(3)]
        closing = asyncio.create_task(ledger.close())
        await asyncio.sleep(0)
        refused = ledger.append(NOTE)
        store.gate.set()
        await asyncio.gather(first, closing, *waiting)
        with pytest.raises(LedgerClosedError):
            await refused
        await ledger.close()
    assert len(memory.lines) == 9
    assert decode(memory.lines[-1].entry) == SystemEntry(
        origin="exai/test", epoch=1, index=8, at="2026-11-22T16:21:06.000000Z", event="stop", detail={}
    )


async def test_a_failure_is_final(store: "Probe", opened: "Opened", lives: "Lives") -> None:
    """After the disk failed all that waits and comes is refused; it is reported once; close works."""
    reported: list[Exception] = []
    async with opened(store, on_failure=reported.append) as ledger:
        first = await stalled(ledger, store)
        error = OSError(5, "Input/output error")
        store.fault = ("intent", error, False)
        waiting = [ledger.append(*lives.opening(number)) for number in range(3)]
        store.gate.set()
        await first
        for future in waiting:
            with pytest.raises(LedgerFailedError, match="disk failed: OSError"):
                await future
        store.fault = None
        with pytest.raises(LedgerFailedError) as caught:
            await ledger.append(NOTE)
        assert "start the service again" in caught.value.remedy
        assert ledger.failed
    assert reported == [error]


async def test_a_failure_that_cannot_be_reported_hangs_nobody(
    store: "Probe", opened: "Opened", caplog: pytest.LogCaptureFixture
) -> None:
    """If the report itself raises, waiting appends are still refused and the ledger still closes."""

    def report(_: Exception) -> None:
        raise RuntimeError

    caplog.set_level(logging.CRITICAL)
    async with opened(store, on_failure=report) as ledger:
        store.fault = ("system", OSError(), False)
        with pytest.raises(LedgerFailedError):
            await ledger.append(NOTE)
        with pytest.raises(LedgerFailedError):
            await ledger.append(NOTE)


async def test_a_store_that_lost_count_is_a_failure(
    store: "Probe", opened: "Opened", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store whose index did not follow its lines must not be written to again."""
    async with opened(store) as ledger:
        monkeypatch.setattr(store, "append", lambda _lines, _rows: None)
        with pytest.raises(LedgerFailedError, match="stands at index 1, not 2"):
            await ledger.append(NOTE)


async def test_a_ledger_that_was_never_started_closes(clock: "Ticking", memory: Memory) -> None:
    """It takes no entry, and closing it lets go of the store."""
    store = MemoryStore(memory, new_origin="o")
    ledger = Ledger(Writer(store), Feed((), reread=lambda *_: (), next_index=0), clock=clock)
    with pytest.raises(LedgerClosedError):
        await ledger.append(NOTE)
    await ledger.close()
    assert memory.locked is False
    assert memory.lines == ()


def test_a_loop_that_is_gone_does_no_harm(store: "Probe", clock: "Ticking", memory: Memory) -> None:
    """If the loop closes while an append waits, the entries are written all the same and nothing fails."""
    feed = Feed((), reread=lambda *_: (), next_index=0)
    ledger = Ledger(Writer(store), feed, clock=clock)

    async def leave() -> None:
        await ledger.start({})
        await stalled(ledger, store)
        ledger.append(NOTE)

    asyncio.run(leave())
    store.gate.set()
    ledger._queue.put(None)
    thread: threading.Thread = ledger._thread
    thread.join(20)
    assert not thread.is_alive()
    assert not ledger.failed
    assert len(memory.lines) == 3
