"""The rows that lists and sums are read from: a pure view of records, written in the entry's own transaction."""

from collections.abc import Iterable, Sequence

import msgspec

from service.core.entries import ENDS, DoubtEntry, SettlementEntry
from service.core.money import PICO_PER_UNIT, pico
from service.core.record import Attempt, Step, ToolCall
from service.core.usage import Usage
from service.core.words import AttemptOutcome, CostStatus
from service.ledger.store import AttemptRow, CallRow, RollupKey, RollupSums, Rows

_MINUTES_PER_BUCKET = 15
AMOUNT_PICO_MAX = 10**18  # a million units for one attempt is no price
SUM_MAX = 2**63 - 1  # what SQLite can hold; a sum that reaches it says "this or more"
_REQUEST_IDS = ("msh-request-id", "x-log-id", "x-request-id", "id")  # the provider's own, best first
_ENDED = tuple(ENDS)
NO_CURRENCY = ""  # a key column cannot be NULL and still be unique


def rows(steps: Iterable[Step]) -> Rows:
    """Derive what a batch of steps changes. Of a call's several states the last one stands, and it alone is shown.

    Raises:
        ValueError: an amount is no decimal, or beyond AMOUNT_PICO_MAX.
    """
    calls: dict[str, ToolCall] = {}
    touched: dict[str, str] = {}  # attempt → its call, in the log's order
    ended: set[str] = set()
    for step in steps:
        if step.call is None:
            continue
        calls[step.call.tool_call_id] = step.call
        attempt_id = getattr(step.entry, "attempt_id", None)
        if attempt_id is not None:
            touched[attempt_id] = step.call.tool_call_id
            if isinstance(step.entry, _ENDED):
                ended.add(attempt_id)
    attempts: list[AttemptRow] = []
    sums: dict[RollupKey, RollupSums] = {}
    for attempt_id, call_id in touched.items():
        row = attempt_row(calls[call_id].attempt(attempt_id))
        attempts.append(row)
        if attempt_id in ended:
            key, more = rollup_key(calls[call_id], row), rollup_sums(row)
            sums[key] = added(sums[key], more) if key in sums else more
    return Rows(tuple(map(call_row, calls.values())), tuple(attempts), tuple(sums.items()))


def joined(parts: Sequence[Rows]) -> Rows:
    """Put the rows of several batches one after the other: of a row's several states the last one stands."""
    return Rows(
        tuple(row for part in parts for row in part.calls),
        tuple(row for part in parts for row in part.attempts),
        tuple(sums for part in parts for sums in part.rollups),
    )


def call_row(call: ToolCall) -> CallRow:
    """Show a call as one row."""
    opened, answer = call.opened, call.answer
    return CallRow(
        tool_call_id=call.tool_call_id,
        opened_index=opened.index,
        opened_at=opened.at,
        client=opened.client,
        tool=opened.tool,
        trace_id=opened.trace_id,
        attempts=len(call.attempts),
        simulated=any(attempt.simulated for attempt in call.attempts),
        outcome=answer.outcome if answer else None,
        zero_reason=answer.zero_reason if answer else None,
        error_code=answer.error_code if answer else None,
        closed_at=answer.at if answer else None,
        duration_us=answer.duration_us if answer else None,
    )


def attempt_row(attempt: Attempt) -> AttemptRow:
    """Show an attempt as one row."""
    intent, end = attempt.intent, attempt.end
    settled = end if isinstance(end, SettlementEntry) else None
    doubt = end if isinstance(end, DoubtEntry) else None
    usage: Usage | None = settled.usage if settled else None
    ids = attempt.provider_ids
    guess = doubt.estimate if doubt else None
    return AttemptRow(
        attempt_id=intent.attempt_id,
        tool_call_id=intent.tool_call_id,
        number=intent.number,
        provider=intent.provider,
        wallet=intent.wallet,
        model=intent.model,
        started_at=intent.at,
        outcome=attempt.outcome,
        http_status=attempt.http_status,
        provider_request_id=next((ids[name] for name in _REQUEST_IDS if name in ids), None),
        simulated=attempt.simulated,
        currency=settled.cost.currency if settled else intent.worst_case.currency,
        cost_status=settled.cost.status if settled else None,
        cost_pico=_pico(settled.cost.amount) if settled else None,
        held_pico=_pico(intent.worst_case.amount) if doubt or end is None else None,
        estimate_pico=_pico(guess.amount) if guess else None,
        uncached_input_tokens=usage.uncached_input_tokens if usage else None,
        cached_input_tokens=usage.cached_input_tokens if usage else None,
        cache_write_tokens=usage.cache_write_tokens if usage else None,
        output_tokens=usage.output_tokens if usage else None,
        reasoning_tokens=usage.reasoning_tokens if usage else None,
        duration_us=end.timing.ended_us if end and end.timing else None,
    )


def rollup_key(call: ToolCall, row: AttemptRow) -> RollupKey:
    """Choose the quarter hour (by the intent's time) and the sums that an ended attempt belongs to."""
    minute = int(row.started_at[14:16]) // _MINUTES_PER_BUCKET * _MINUTES_PER_BUCKET
    return RollupKey(
        bucket=f"{row.started_at[:14]}{minute:02d}:00Z",
        client=call.opened.client,
        tool=call.opened.tool,
        provider=row.provider,
        wallet=row.wallet,
        model=row.model,
        currency=row.currency or NO_CURRENCY,
        simulated=row.simulated,
    )


def rollup_sums(row: AttemptRow) -> RollupSums:
    """Count one ended attempt."""
    settled = row.outcome is AttemptOutcome.SETTLED
    return RollupSums(
        attempts=1,
        settled=int(settled),
        in_doubt=int(row.outcome is AttemptOutcome.IN_DOUBT),
        unpriced=int(row.cost_status == CostStatus.UNKNOWN_PRICE),
        uncached_input_tokens=row.uncached_input_tokens or 0,
        cached_input_tokens=row.cached_input_tokens or 0,
        cache_write_tokens=row.cache_write_tokens or 0,
        output_tokens=row.output_tokens or 0,
        reasoning_tokens=row.reasoning_tokens or 0,
        cost_pico=row.cost_pico or 0,
        held_pico=row.held_pico or 0,
    )


def added(left: RollupSums, right: RollupSums) -> RollupSums:
    """Add two sums, field by field."""
    return RollupSums(
        **{name: getattr(left, name) + getattr(right, name) for name in RollupSums.__struct_fields__}
    )


def added_up_to_max(left: RollupSums, right: RollupSums) -> RollupSums:
    """Add two sums as a store does, up to SUM_MAX: what cannot be held must not stop the ledger."""
    whole = added(left, right)
    return RollupSums(**{name: min(getattr(whole, name), SUM_MAX) for name in RollupSums.__struct_fields__})


def _pico(amount: str | None) -> int | None:
    if amount is None:
        return None
    value = pico(amount)
    if not 0 <= value <= AMOUNT_PICO_MAX:
        message = f"the amount {amount} is outside 0..{AMOUNT_PICO_MAX // PICO_PER_UNIT}"
        raise ValueError(message)
    return value


def columns(row: type[msgspec.Struct]) -> tuple[str, ...]:
    """Name a row's columns, in the order of its values."""
    return row.__struct_fields__
