"""Faults planted on purpose: each must be found within the seeds of every run, and named by what it breaks."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from service.calling import ending
from service.calling.journal import Journal
from service.calling.retry import RetryPolicy
from service.core import budget, pricing
from service.core.entries import AnswerEntry, Cost, DoubtEntry, End, IntentEntry, UnsentEntry
from service.core.evidence import Timing
from service.core.money import decimal_text, pico
from service.core.record import Attempt, BrokenRecordError, ToolCall
from service.core.words import UnsentReason
from service.ledger import sweep, used
from service.ledger.budgets import Draft
from service.serving import idempotency
from service.serving.idempotency import Keys
from tests.simulation.seeds import SEEDS_MAX
from tests.simulation.world import World

Plant = Callable[[pytest.MonkeyPatch], None]


def sends_too_early(patch: pytest.MonkeyPatch) -> None:
    """Send while the intent is still on its way to the disk, with nobody to look at it once more."""
    patch.setattr(Journal, "admits", lambda *_: True)
    wants_to_send_too_early(patch)


def wants_to_send_too_early(patch: pytest.MonkeyPatch) -> None:
    """Send while the intent is still on its way to the disk; the attempt itself looks before it does."""
    intend = Journal.intend

    async def hasty(journal: Journal, intent: IntentEntry) -> None:
        writing = asyncio.create_task(intend(journal, intent))
        writing.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.sleep(0)

    patch.setattr(Journal, "intend", hasty)


def repeats_what_is_in_doubt(patch: pytest.MonkeyPatch) -> None:
    """Try again after an attempt in doubt, and have the record allow it."""
    pause_s = RetryPolicy.pause_s

    def eager(policy: RetryPolicy, end: End, attempts: int, **rest: Any) -> float | None:  # noqa: ANN401 - passed on
        if isinstance(end, DoubtEntry):
            return 1.0 if attempts < policy.attempts_max else None
        return pause_s(policy, end, attempts, **rest)

    patch.setattr(RetryPolicy, "pause_s", eager)
    patch.setattr(Attempt, "repeatable", property(lambda _attempt: True))


def voids_what_a_crash_left(patch: pytest.MonkeyPatch) -> None:
    """Let the sweep say of an open attempt that it was never sent, where the record does not refuse that."""
    doubt = sweep._doubt

    def void(attempt: Attempt) -> DoubtEntry | UnsentEntry:
        if attempt.accepted is not None:
            return doubt(attempt)
        return UnsentEntry(
            tool_call_id=attempt.intent.tool_call_id,
            attempt_id=attempt.intent.attempt_id,
            reason=UnsentReason.SERVICE_FAILED,
            message="given up",
            timing=Timing(ended_us=0),
        )

    patch.setattr(sweep, "_doubt", void)


def answers_too_early(patch: pytest.MonkeyPatch) -> None:
    """Let a reply leave while its answer is still on its way to the disk."""

    async def hasty(journal: Journal, answer: AnswerEntry) -> ToolCall:
        journal._hold(answer)
        if journal.record is None:
            raise BrokenRecordError("nothing is written yet")
        await asyncio.sleep(0)
        return journal.record

    patch.setattr(Journal, "close", hasty)


def forgets_what_found_no_room(patch: pytest.MonkeyPatch) -> None:
    """Drop the end of an attempt when the disk was full."""
    appended = Journal._appended

    def forgetful(journal: Journal, done: asyncio.Future[Any], written: list[Any], keep: list[Any]) -> None:
        appended(journal, done, written, [] if done.exception() else keep)

    patch.setattr(Journal, "_appended", forgetful)


def rounds(patch: pytest.MonkeyPatch) -> None:
    """Round what an attempt cost to whole micro-units."""
    cost = pricing.cost

    def rounded(*of: Any, **named: Any) -> Cost:  # noqa: ANN401 - passed on
        exact = cost(*of, **named)
        if exact.amount is None:
            return exact
        return msgspec.structs.replace(exact, amount=decimal_text(pico(exact.amount) // 10**6 * 10**6))

    patch.setattr(pricing, "cost", rounded)


def looks_past_its_batch(patch: pytest.MonkeyPatch) -> None:
    """Admit by what is committed alone, blind to what the same transaction admits."""
    patch.setattr(Draft, "nested", lambda draft: Draft(draft._budgets))


def forgets_what_is_in_doubt(patch: pytest.MonkeyPatch) -> None:
    """Let a budget have back what an attempt in doubt may have cost."""
    amounts = budget.amounts

    def forgetful(of: budget.Use) -> dict[str, tuple[int, int]]:
        return {unit: (spent, 0) for unit, (spent, _) in amounts(of).items()}

    patch.setattr(used, "amounts", forgetful)


def forgets_earlier_keys(patch: pytest.MonkeyPatch) -> None:
    """Take every idempotency key that is not in flight for a new one."""
    patch.setattr(Keys, "look", lambda _keys, _client, _asked: None)


def lets_a_key_go_that_is_in_doubt(patch: pytest.MonkeyPatch) -> None:
    """Free a key whose first call may have been billed."""
    patch.setattr(idempotency, "binds", lambda call: call.answer is not None and call.answer.outcome == "ok")


def says_what_a_stranger_says(patch: pytest.MonkeyPatch) -> None:
    """Pass a provider's own text on as it came, key and all; the writer still refuses it."""
    patch.setattr(ending, "_clean", lambda _seen, text: text)


@pytest.mark.parametrize(
    ("plant", "breaks"),
    [
        (sends_too_early, "I1: request"),
        (wants_to_send_too_early, "the service's log: an attempt failed"),
        (repeats_what_is_in_doubt, "I1: attempt"),
        (voids_what_a_crash_left, "I9: "),
        (answers_too_early, "I2: "),
        (forgets_what_found_no_room, "the service's log: an entry was not allowed"),
        (rounds, "I9: "),
        (looks_past_its_batch, "I5: "),
        (forgets_what_is_in_doubt, "I4: "),
        (forgets_earlier_keys, "I10: "),
        (lets_a_key_go_that_is_in_doubt, "I10: "),
        (says_what_a_stranger_says, "the service's log: an entry was not allowed"),
    ],
)
def test_a_planted_fault_is_found(plant: Plant, breaks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the seeds of every run a world breaks, and says by which invariant."""
    plant(monkeypatch)
    said = (sentence for seed in range(SEEDS_MAX) for sentence in World(seed).run())
    assert any(sentence.startswith(breaks) for sentence in said)
