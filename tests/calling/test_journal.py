"""The journal: what shares a transaction, what waits, and what a full disk does to it."""

import asyncio
from typing import TYPE_CHECKING, TypeVar

import msgspec
import pytest

from service.calling.journal import Journal
from service.core.entries import AcceptedEntry, AnswerEntry, IntentEntry, OfCall, SettlementEntry
from service.core.evidence import commitment
from service.core.record import ToolCall
from service.errors import LedgerFailedError, NotRecordedError, StoreFullError
from tests.rig import WAIT_S, Rig

if TYPE_CHECKING:
    from tests.conftest import Made

FULL = StoreFullError("the disk is full", remedy="Make room.")
_Entry = TypeVar("_Entry", bound=OfCall)


class Call:
    """One call's entries, in the order a run makes them."""

    def __init__(self, lab: Rig, made: "Made") -> None:
        self.journal: Journal = lab.journal(again_s=0.01)
        self._made = made

    async def intend(self, number: int = 1) -> None:
        """Intend the attempt of a number."""
        entry: IntentEntry = self._mine(self._made.intent(number))
        await asyncio.wait_for(self.journal.intend(msgspec.structs.replace(entry, number=0)), WAIT_S)

    def accept(self) -> None:
        """Accept the first attempt."""
        entry: AcceptedEntry = self._mine(self._made.accepted())
        self.journal.accept(entry)

    def settle(self, number: int = 1) -> None:
        """Settle the attempt of a number."""
        entry: SettlementEntry = self._mine(self._made.settlement(number))
        self.journal.end(entry)

    async def close(self) -> ToolCall:
        """Answer."""
        entry: AnswerEntry = self._mine(self._made.answer())
        return await asyncio.wait_for(self.journal.close(entry), WAIT_S)

    def _mine(self, entry: _Entry) -> _Entry:
        return msgspec.structs.replace(entry, tool_call_id=self.journal.opened.tool_call_id)


@pytest.fixture
def call(lab: Rig, made: "Made") -> Call:
    """A call whose journal tries again soon."""
    return Call(lab, made)


async def committed(lab: Rig, commits: int) -> None:
    """Wait until the store has made so many commits."""
    async with asyncio.timeout(WAIT_S):
        while len(lab.store.commits) < commits:  # noqa: ASYNC110 - another thread writes; it knows no event
            await asyncio.sleep(0.001)


async def test_plain_call(lab: Rig, call: Call) -> None:
    """A call whose attempt ends fast is two transactions."""
    await call.intend()
    call.accept()
    call.settle()
    await call.close()
    assert [("tool_call", "intent"), ("accepted", "settlement", "answer")] == lab.store.commits


async def test_slow_answer(lab: Rig, call: Call) -> None:
    """What an attempt says is written soon, though nothing follows it."""
    await call.intend()
    call.accept()
    await committed(lab, 2)
    call.settle()
    await committed(lab, 3)
    await call.close()
    assert [("accepted",), ("settlement",), ("answer",)] == lab.store.commits[1:]


async def test_call_without_attempt(lab: Rig, call: Call, made: "Made") -> None:
    """A call that makes no attempt is one transaction, and none before its answer."""
    answer = made.answer(tool_call_id=call.journal.opened.tool_call_id, zero_reason="no_model_step", response=None)
    await asyncio.wait_for(call.journal.close(answer), WAIT_S)
    assert [("tool_call", "answer")] == lab.store.commits


async def test_numbers(call: Call) -> None:
    """Intents that overlap are numbered in the order in which they become durable."""
    await asyncio.gather(*(call.intend(number) for number in range(1, 6)))
    for number in range(1, 6):
        call.settle(number)
    closed = await call.close()
    assert [1, 2, 3, 4, 5] == [attempt.intent.number for attempt in closed.attempts]
    assert 5 == call.journal.intents


async def test_intent_refused(lab: Rig, call: Call) -> None:
    """An intent that finds the disk full was not made; the call can still be closed without it."""
    lab.store.fault = ("intent", FULL, 1)
    with pytest.raises(NotRecordedError, match="the disk is full") as caught:
        await call.intend()
    assert ("Make room.", 0) == (caught.value.remedy, call.journal.intents)
    await call.intend(2)
    call.settle(2)
    assert 1 == len((await call.close()).attempts)


async def test_flush_refused(lab: Rig, call: Call) -> None:
    """A settlement that finds the disk full is written with the answer, in order."""
    await call.intend()
    lab.store.fault = ("settlement", FULL, 1)
    call.settle()
    async with asyncio.timeout(WAIT_S):
        while lab.store.fault is not None:  # noqa: ASYNC110 - another thread writes; it knows no event
            await asyncio.sleep(0.001)
    await call.close()
    kinds = [kind for commit in lab.store.commits for kind in commit]
    assert ["tool_call", "intent", "settlement", "answer"] == kinds


async def test_answer_waits_for_a_flush(lab: Rig, call: Call) -> None:
    """An answer that meets a flush under way follows it, also when the flush fails."""
    await call.intend()
    call.settle()
    lab.store.fault = ("settlement", FULL, 1)
    call.journal._flush()
    await call.close()
    assert [("settlement", "answer")] == lab.store.commits[1:]


async def test_answer_refused(lab: Rig, call: Call) -> None:
    """When the answer finds the disk full the settlement is not lost: it is written once there is room."""
    await call.intend()
    call.settle()
    lab.store.fault = ("settlement", FULL, 3)
    with pytest.raises(NotRecordedError):
        await call.close()
    await committed(lab, 2)
    assert ("settlement",) == lab.store.commits[1]


async def test_disk_failed(lab: Rig, call: Call, caplog: pytest.LogCaptureFixture) -> None:
    """After the disk has failed nothing is tried again: what it holds is not known."""
    await call.intend()
    call.settle()
    lab.store.fault = ("settlement", OSError("no"), 1)
    with pytest.raises(NotRecordedError) as caught:
        await call.close()
    assert isinstance(caught.value.__cause__, LedgerFailedError)
    assert call.journal._timer is None
    assert "the ledger cannot write any more" in caplog.text


async def test_entry_not_allowed(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    """An answer while an attempt is open is refused, and named a fault of the service."""
    await call.intend()
    with pytest.raises(NotRecordedError, match="an entry was not allowed"):
        await call.close()
    assert "BrokenRecordError" in caplog.text
    call.settle()
    await call.close()


async def test_salts(lab: Rig) -> None:
    """What is committed to can be shown by whoever has the salt."""
    journal = lab.journal()
    assert commitment(journal.salt, b"a short text") == journal.committed(b"a short text")


async def test_only_an_open_attempt_may_be_sent(call: Call, lab: Rig, made: "Made") -> None:
    """An attempt is admitted when its intent is durable and until its end is, no other one ever."""
    admits = [call.journal.admits(made.attempt_id())]
    await call.intend()
    admits += [call.journal.admits(made.attempt_id()), call.journal.admits(made.attempt_id(2))]
    call.settle()
    await call.close()
    admits.append(call.journal.admits(made.attempt_id()))
    assert [False, True, False, False] == admits
    assert ("settlement", "answer") == lab.store.commits[-1]


async def test_an_answer_that_closes_nothing_does_not_leave(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ledger gives back must be a closed call; anything else is a fault that must not be passed on."""
    await call.intend()
    left_open = call.journal.record

    async def pretend(_journal: Journal, _entry: AnswerEntry) -> ToolCall | None:
        return left_open

    monkeypatch.setattr(Journal, "_write", pretend)
    with pytest.raises(NotRecordedError, match="answered and is not closed"):
        await call.close()
