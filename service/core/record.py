"""The record of one tool call: its committed entries, folded in order. Every view derives from it.

What may follow what:

    tool call:  tool_call → attempt* → answer
    attempt:    intent → unsent | [accepted] → settlement | refusal | doubt → [resolution]

Attempts may overlap. An attempt ends once. The call closes once, after every attempt has ended; nothing follows
then but the resolution of an attempt in doubt, once each.
"""

import msgspec

from service.core.entries import (
    ENDS,
    AcceptedEntry,
    AnswerEntry,
    AnyEntry,
    DoubtEntry,
    End,
    IntentEntry,
    OfCall,
    RefusalEntry,
    ResolutionEntry,
    ToolCallEntry,
    UnsentEntry,
    kind,
)
from service.core.words import AttemptOutcome, ResolutionOutcome

SIMULATOR_HEADER = "exai-simulator"
_RESOLVED = {
    ResolutionOutcome.RECONCILED: AttemptOutcome.RECONCILED,
    ResolutionOutcome.WRITTEN_OFF: AttemptOutcome.WRITTEN_OFF,
}


class BrokenRecordError(ValueError):
    """An entry that its call's history does not allow; it must not be written."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request to a provider, as far as it is written down.

    `leaf` is the hash of the latest of intent, end and resolution.
    """

    intent: IntentEntry
    accepted: AcceptedEntry | None = None
    end: End | None = None
    resolution: ResolutionEntry | None = None
    leaf: bytes

    @property
    def outcome(self) -> AttemptOutcome:
        """How the attempt ended, `open` until it has; once resolved, what became of it."""
        if self.resolution is not None:
            return _RESOLVED[self.resolution.outcome]
        return AttemptOutcome.OPEN if self.end is None else ENDS[type(self.end)]

    @property
    def latest(self) -> IntentEntry | End | ResolutionEntry:
        """The entry that `leaf` is the hash of."""
        return self.resolution or self.end or self.intent

    @property
    def simulated(self) -> bool:
        """Whether it was sent with a simulator's key. No answer changes that: what is real stays in real sums."""
        return self.intent.simulated

    @property
    def played(self) -> bool:
        """Whether the answer's own header says that a simulator gave it, whatever the key."""
        return self.accepted is not None and SIMULATOR_HEADER in self.accepted.headers

    @property
    def http_status(self) -> int | None:
        """The answer's status; None if no answer's head arrived."""
        stated = None if self.end is None or isinstance(self.end, UnsentEntry) else self.end.status
        return self.accepted.status if stated is None and self.accepted is not None else stated

    @property
    def provider_ids(self) -> dict[str, str]:
        """Every id that the provider gave this request, from headers and body."""
        given = {} if self.accepted is None else self.accepted.provider_ids
        return given if self.end is None or isinstance(self.end, UnsentEntry) else given | self.end.provider_ids

    @property
    def repeatable(self) -> bool:
        """Whether the same request may be sent again: it was never sent, or refused and metered nothing."""
        return isinstance(self.end, UnsentEntry) or (isinstance(self.end, RefusalEntry) and self.end.retryable)


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """One admitted tool call and all that came of it."""

    opened: ToolCallEntry
    attempts: tuple[Attempt, ...] = ()
    answer: AnswerEntry | None = None

    @property
    def tool_call_id(self) -> str:
        """Our id of the call."""
        return self.opened.tool_call_id

    @property
    def doubtful(self) -> bool:
        """Whether an attempt is in doubt and not resolved: so long an entry may follow the answer."""
        return any(attempt.outcome is AttemptOutcome.IN_DOUBT for attempt in self.attempts)

    @property
    def open_attempts(self) -> tuple[Attempt, ...]:
        """The attempts that have not ended."""
        return tuple(attempt for attempt in self.attempts if attempt.end is None)

    def attempt(self, attempt_id: str) -> Attempt:
        """Find an attempt of this call.

        Raises:
            BrokenRecordError: the call has no such attempt.
        """
        for attempt in self.attempts:
            if attempt.intent.attempt_id == attempt_id:
                return attempt
        raise BrokenRecordError(f"tool call {self.tool_call_id} has no attempt {attempt_id}")


class Step(msgspec.Struct, frozen=True):
    """One committed entry, and the record of its call after it (None for an entry of no call)."""

    entry: AnyEntry
    call: ToolCall | None


def after(call: ToolCall | None, entry: OfCall, leaf: bytes) -> ToolCall:
    """Fold the next entry of a call into its record.

    Args:
        call: the record so far; None before the call's first entry.
        entry: the entry that follows.
        leaf: the entry's leaf hash.

    Raises:
        BrokenRecordError: the entry may not follow.
    """
    if call is None:
        if isinstance(entry, ToolCallEntry):
            return ToolCall(opened=entry)
        raise BrokenRecordError(
            f"{type(entry).__name__} of tool call {entry.tool_call_id}, which was never opened"
        )
    if entry.tool_call_id != call.tool_call_id:
        raise BrokenRecordError(f"an entry of {entry.tool_call_id} reached the record of {call.tool_call_id}")
    if isinstance(entry, ResolutionEntry):
        return _resolved(call, entry, leaf)
    if call.answer is not None:
        raise BrokenRecordError(f"{kind(entry)} after tool call {call.tool_call_id} was closed")
    match entry:
        case ToolCallEntry():
            raise BrokenRecordError(f"tool call {call.tool_call_id} was opened twice")
        case IntentEntry():
            return _intended(call, entry, leaf)
        case AcceptedEntry():
            return _accepted(call, entry)
        case AnswerEntry():
            return _closed(call, entry)
        case _:
            return _ended(call, entry, leaf)


def _intended(call: ToolCall, entry: IntentEntry, leaf: bytes) -> ToolCall:
    if any(attempt.intent.attempt_id == entry.attempt_id for attempt in call.attempts):
        raise BrokenRecordError(f"attempt {entry.attempt_id} was intended twice")
    if entry.number != len(call.attempts) + 1:
        raise BrokenRecordError(
            f"attempt {entry.attempt_id} is number {entry.number}, not {len(call.attempts) + 1}"
        )
    if entry.retry_of is not None and not call.attempt(entry.retry_of).repeatable:
        raise BrokenRecordError(f"attempt {entry.retry_of} may have been billed; it must not be tried again")
    return msgspec.structs.replace(call, attempts=(*call.attempts, Attempt(intent=entry, leaf=leaf)))


def _accepted(call: ToolCall, entry: AcceptedEntry) -> ToolCall:
    attempt = call.attempt(entry.attempt_id)
    if attempt.accepted is not None or attempt.end is not None:
        raise BrokenRecordError(f"attempt {entry.attempt_id} was accepted twice or after its end")
    return _with(call, msgspec.structs.replace(attempt, accepted=entry))


def _ended(call: ToolCall, entry: End, leaf: bytes) -> ToolCall:
    attempt = call.attempt(entry.attempt_id)
    if attempt.end is not None:
        raise BrokenRecordError(f"attempt {entry.attempt_id} ended twice")
    if attempt.accepted is not None and isinstance(entry, UnsentEntry):
        raise BrokenRecordError(f"attempt {entry.attempt_id} was accepted, so it was sent")
    return _with(call, msgspec.structs.replace(attempt, end=entry, leaf=leaf))


def _resolved(call: ToolCall, entry: ResolutionEntry, leaf: bytes) -> ToolCall:
    attempt = call.attempt(entry.attempt_id)
    if not isinstance(attempt.end, DoubtEntry) or attempt.resolution is not None:
        raise BrokenRecordError(
            f"attempt {entry.attempt_id} is {attempt.outcome}; only what is in doubt is resolved"
        )
    if (entry.amount is None, entry.currency is None) != (_written_off(entry), _written_off(entry)):
        raise BrokenRecordError(
            f"attempt {entry.attempt_id}: what is reconciled has an amount and a currency,"
            " what is written off none"
        )
    billed_in = attempt.intent.worst_case.currency
    if entry.currency is not None and billed_in not in (None, entry.currency):
        raise BrokenRecordError(f"attempt {entry.attempt_id} is billed in {billed_in}, not in {entry.currency}")
    return _with(call, msgspec.structs.replace(attempt, resolution=entry, leaf=leaf))


def _written_off(entry: ResolutionEntry) -> bool:
    return entry.outcome is ResolutionOutcome.WRITTEN_OFF


def _closed(call: ToolCall, entry: AnswerEntry) -> ToolCall:
    if call.open_attempts:
        raise BrokenRecordError(f"tool call {call.tool_call_id} may not close: an attempt is open")
    if (entry.zero_reason is None) != bool(call.attempts):
        raise BrokenRecordError(
            f"tool call {call.tool_call_id}: a zero reason belongs to calls without attempts, to all of them"
        )
    return msgspec.structs.replace(call, answer=entry)


def _with(call: ToolCall, changed: Attempt) -> ToolCall:
    attempts = tuple(
        changed if attempt.intent.attempt_id == changed.intent.attempt_id else attempt for attempt in call.attempts
    )
    return msgspec.structs.replace(call, attempts=attempts)
