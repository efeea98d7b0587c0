"""The sweep: what an epoch left open when it died, and the entries that end it."""

from collections.abc import Iterable

from service.core import entries, record
from service.core.entries import AnswerEntry, AnyEntry, DoubtEntry, OfLedger
from service.core.record import Attempt, BrokenRecordError, ToolCall
from service.core.words import DoubtCause, ToolOutcome, ZeroReason
from service.errors import StoreBrokenError
from service.ledger.store import Line

INTERRUPTED = "interrupted"


def folded(lines: Iterable[Line]) -> dict[str, ToolCall]:
    """Fold records of calls from their lines, in the log's order.

    Raises:
        StoreBrokenError: a line cannot be read, or may not follow the ones before it.
    """
    found: dict[str, ToolCall] = {}
    for line in lines:
        try:
            entry = entries.decode(line.entry)
            if isinstance(entry, OfLedger) or entry.tool_call_id != line.tool_call_id:
                raise BrokenRecordError("its tool call is not the one it is filed under")
            found[entry.tool_call_id] = record.after(found.get(entry.tool_call_id), entry, line.leaf_hash)
        except ValueError as error:
            raise StoreBrokenError(
                f"entry {line.index} of the log cannot be read: {error}",
                remedy="Run `exai ledger verify`, then restore a backup.",
            ) from error
    return found


def closing(call: ToolCall) -> list[AnyEntry]:
    """Close a call that a dead epoch left open: its open attempts may have been billed."""
    answer = AnswerEntry(
        tool_call_id=call.tool_call_id,
        outcome=ToolOutcome.FAILED,
        zero_reason=None if call.attempts else ZeroReason.UNAVAILABLE,
        error_code=INTERRUPTED,
        response=None,
        duration_us=None,
    )
    return [*(_doubt(attempt) for attempt in call.open_attempts), answer]


def _doubt(attempt: Attempt) -> DoubtEntry:
    accepted = attempt.accepted
    return DoubtEntry(
        tool_call_id=attempt.intent.tool_call_id,
        attempt_id=attempt.intent.attempt_id,
        cause=DoubtCause.CRASH,
        message="the service ended before this attempt did",
        status=accepted.status if accepted else None,
        model_reported=None,
        finish_reason=None,
        provider_ids=accepted.provider_ids if accepted else {},
        response=None,
        estimate=None,
        timing=None,
    )
