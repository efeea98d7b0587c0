"""An epoch that died leaves open calls; the next one puts their attempts in doubt and closes them."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import pytest

from service.core.entries import AnswerEntry, AnyEntry, DoubtEntry
from service.core.record import Step, ToolCall
from service.core.words import AttemptOutcome, DoubtCause, ToolOutcome, ZeroReason
from service.errors import StoreBrokenError
from service.ledger.memory import Memory, MemoryStore
from service.ledger.sweep import INTERRUPTED, closing, folded
from service.ledger.verify import verify

if TYPE_CHECKING:
    from service.ledger.store import Store
    from tests.conftest import Made
    from tests.ledger.conftest import Kept, Lives, Opened, OpenStore


async def die(opened: "Opened", store: "Store", *appends: Sequence[AnyEntry]) -> None:
    """Write appends in an epoch that ends without closing its calls."""
    async with opened(store) as ledger:
        for entries in appends:
            await ledger.append(*entries)


def last_calls(kept: "Kept") -> dict[str, ToolCall]:
    """Give each call as its last step shows it."""
    return {step.call.tool_call_id: step.call for step in kept.steps if step.call is not None}


async def test_open_attempts_become_in_doubt(
    open_store: "OpenStore", opened: "Opened", lives: "Lives", kept: "Kept", made: "Made"
) -> None:
    """Each call that a dead epoch left open is closed as interrupted, its open attempts in doubt by crash."""
    accepted = made.accepted(tool_call_id=lives.call_id(2))
    finished = [*lives.opening(3), *lives.ending(3)]
    await die(opened, open_store(), lives.opening(1), [*lives.opening(2), accepted], finished)
    async with opened(open_store(), kept) as ledger:
        assert ledger.epoch == 2
    calls = last_calls(kept)
    assert {lives.call_id(1), lives.call_id(2)} == set(calls)
    for call in calls.values():
        assert call.answer is not None
        assert (call.answer.outcome, call.answer.error_code) == (ToolOutcome.FAILED, INTERRUPTED)
        assert [AttemptOutcome.IN_DOUBT] == [attempt.outcome for attempt in call.attempts]
        assert isinstance(call.attempts[0].end, DoubtEntry)
        assert call.attempts[0].end.cause is DoubtCause.CRASH
    ends = [calls[lives.call_id(number)].attempts[0].end for number in (1, 2)]
    assert [None, 200] == [end.status for end in ends if isinstance(end, DoubtEntry)]


async def test_a_second_start_sweeps_nothing(open_store: "OpenStore", opened: "Opened", lives: "Lives") -> None:
    """What was swept is closed: the start after it finds nothing."""
    await die(opened, open_store(), lives.opening(1))
    await die(opened, open_store())
    store = open_store()
    assert list(store.open_calls()) == []
    assert (store.epoch, store.next_index) == (3, 8)
    store.close()


async def test_a_call_without_an_attempt_is_closed_too(
    open_store: "OpenStore", opened: "Opened", made: "Made", kept: "Kept"
) -> None:
    """A call that made no attempt gets the zero reason that such calls must have."""
    await die(opened, open_store(), [made.tool_call()])
    async with opened(open_store(), kept):
        pass
    (call,) = last_calls(kept).values()
    assert call.answer is not None
    assert call.answer.zero_reason is ZeroReason.UNAVAILABLE


async def test_ended_attempts_stay_as_they_are(opened: "Opened", made: "Made", kept: "Kept") -> None:
    """Of a call with a refused and an open attempt, only the open one becomes in doubt."""
    memory = Memory()
    entries: list[AnyEntry] = [made.tool_call(), made.intent(1), made.refusal(1), made.intent(2)]
    await die(opened, MemoryStore(memory, new_origin="o"), entries)
    async with opened(MemoryStore(memory, new_origin="o"), kept):
        pass
    (call,) = last_calls(kept).values()
    assert [AttemptOutcome.REFUSED, AttemptOutcome.IN_DOUBT] == [attempt.outcome for attempt in call.attempts]
    assert verify(memory.lines).problems_total == 0


def test_closing_ends_with_the_answer(made: "Made") -> None:
    """The doubts come first, the answer last, or the record would refuse them."""
    call = made.call(made.intent(1), made.intent(2))
    assert [DoubtEntry, DoubtEntry, AnswerEntry] == [type(entry) for entry in closing(call)]


@pytest.mark.parametrize("change", [{"entry": b"{"}, {"tool_call_id": "d" * 32}])
async def test_open_calls_that_cannot_be_read_refuse_the_start(
    opened: "Opened", made: "Made", change: dict[str, object]
) -> None:
    """A damaged line of an open call stops the start and names its index; the store is let go."""
    memory = Memory()
    await die(opened, MemoryStore(memory, new_origin="o"), [made.tool_call()])
    lines = list(memory.lines)
    lines[1] = msgspec.structs.replace(lines[1], **change)
    with pytest.raises(StoreBrokenError, match="entry 1 of the log"):
        folded(lines[1:2])
    memory.lines = tuple(lines)
    memory.calls = {lines[1].tool_call_id or "": next(iter(memory.calls.values()))}
    with pytest.raises(StoreBrokenError, match="entry 1"):
        async with opened(MemoryStore(memory, new_origin="o")):
            pass
    assert memory.locked is False


async def test_a_sweep_is_seen_by_listeners(opened: "Opened", lives: "Lives", kept: "Kept") -> None:
    """The swept steps reach the feed like all others, in order."""
    memory = Memory()
    await die(opened, MemoryStore(memory, new_origin="o"), *(lives.opening(number) for number in range(20)))
    async with opened(MemoryStore(memory, new_origin="o"), kept) as ledger:
        await asyncio.sleep(0)
        assert ledger.epoch == 2
    steps: list[Step] = kept.steps
    assert list(range(42, 42 + 42)) == [step.entry.index for step in steps]
