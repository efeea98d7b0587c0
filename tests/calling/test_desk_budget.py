"""A desk under a budget: what is stopped sends nothing, and what was sent before stays in the record."""

import asyncio

import msgspec
import pytest

from service.calling.desk import CallDesk
from service.core.entries import AnswerEntry, BudgetEntry, BudgetTerms
from service.core.words import BudgetEvent, BudgetPeriod, ToolOutcome, ZeroReason
from service.errors import BudgetStopError
from service.simulator.faults import Error
from tests.rig import WAIT_S, Rig, ask


def put(limit: str) -> BudgetEntry:
    """Set a budget of tokens; an attempt may use 777."""
    terms = BudgetTerms(name="few", period=BudgetPeriod.DAY, limits={"tokens": limit})
    return BudgetEntry(event=BudgetEvent.SET, name="few", terms=terms, warning=None, by="a test")


async def test_a_stop_before_anything_was_sent(lab: Rig) -> None:
    """The error reaches the tool as it is; the call is closed without an attempt."""
    await lab.ledger.append(put("100"))
    error = await lab.complete(ask())
    assert isinstance(error, BudgetStopError)
    assert "2026-11-23T00:00:00.000000Z" == error.resets_at
    journal = lab.journals[-1]
    answer = AnswerEntry(
        tool_call_id=journal.opened.tool_call_id,
        outcome=ToolOutcome.BUDGET,
        zero_reason=ZeroReason.BUDGET_STOP,
        error_code=error.code,
        response=None,
        duration_us=1,
    )
    call = await asyncio.wait_for(journal.close(answer), WAIT_S)
    assert (0, (), []) == (journal.intents, call.attempts, lab.books)
    assert ("tool_call", "answer") == lab.store.commits[-1]


async def test_a_refusal_gives_back_what_it_reserved(lab: Rig) -> None:
    """So the retry finds room where only one attempt has it."""
    await lab.ledger.append(put("900"))
    lab.fault(Error(type="engine_overloaded_error", next=1))
    await lab.complete(ask(provider="kimi"))
    assert ["refused", "settled"] == [attempt.outcome for attempt in (await lab.close()).attempts]


async def test_a_retry_that_finds_no_room(lab: Rig) -> None:
    """The call ends with the stop; what was refused before stands in its record."""

    async def shrink(_seconds: float) -> None:
        await lab.ledger.append(put("100"))

    await lab.ledger.append(put("900"))
    lab.fault(Error(type="engine_overloaded_error", next=1))
    counter, journal = msgspec.structs.replace(lab.counter, pause=shrink), lab.journal()
    with pytest.raises(BudgetStopError):
        await asyncio.wait_for(CallDesk(counter, journal).complete(ask(provider="kimi")), WAIT_S)
    assert ["refused"] == [attempt.outcome for attempt in (await lab.close(journal)).attempts]
    assert (1, 1) == (journal.intents, len(lab.books))
