"""The rows that lists and sums are read from: a pure view of records, written in the entry's own transaction."""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import reduce
from typing import Any

import msgspec

from service.core.entries import AnswerEntry, DoubtEntry, IntentEntry, ResolutionEntry, SettlementEntry
from service.core.money import PICO_PER_UNIT, pico
from service.core.receipt import stated_status
from service.core.record import Attempt, Step, ToolCall
from service.core.usage import Usage
from service.core.verdict import own_code
from service.core.words import AttemptOutcome, CostStatus, ResolutionOutcome
from service.ledger.booking import booked, books_joined
from service.ledger.store import AttemptRow, CallRow, RollupKey, RollupSums, Rows, Tree

_MINUTES_PER_BUCKET = 15
AMOUNT_PICO_MAX = 10**18  # a million units for one attempt is no price
ROLLED_UP_PICO_MAX = 10**15  # a thousand units: nine thousand such calls in one quarter hour are none
SUM_MAX = 2**63 - 1  # what SQLite can hold; a sum that reaches it says "this or more"
_REQUEST_IDS = ("msh-request-id", "x-log-id", "x-request-id", "id")  # the provider's own, best first
NOTHING = ""  # a key column cannot be NULL and still be unique
SUMMED = tuple(name for name in RollupSums.__struct_fields__ if name != "last_at")
_ADDED = tuple(name for name in SUMMED if name.endswith(("_tokens", "_pico")))
_COUNTED_BY_STATUS: dict[str | None, str] = {
    CostStatus.FREE: "free",
    CostStatus.PLAN: "plan",
    CostStatus.UNKNOWN_PRICE: "unpriced",
}


def rows(steps: Iterable[Step]) -> Rows:
    """Derive what a batch of steps changes. Of a call's several states the last one stands, and it alone is shown.

    Raises:
        ValueError: an amount is no decimal, or beyond AMOUNT_PICO_MAX.
    """
    steps = tuple(steps)
    calls: dict[str, ToolCall] = {}
    touched: dict[str, str] = {}  # attempt → its call, in the log's order
    closed: set[str] = set()
    resolved: dict[str, set[str]] = {}  # attempts of calls that were closed before this batch
    for step in steps:
        if step.call is None:
            continue
        call_id = step.call.tool_call_id
        calls[call_id] = step.call
        attempt_id = getattr(step.entry, "attempt_id", None)
        if attempt_id is not None:
            touched[attempt_id] = call_id
        if isinstance(step.entry, AnswerEntry):
            closed.add(call_id)
        elif isinstance(step.entry, ResolutionEntry) and step.call.answer is not None and call_id not in closed:
            resolved.setdefault(call_id, set()).add(step.entry.attempt_id)
    attempts = tuple(attempt_row(calls[call_id].attempt(attempt_id)) for attempt_id, call_id in touched.items())
    sums: dict[RollupKey, RollupSums] = {}
    left: dict[RollupKey, RollupSums] = {}
    for call_id in closed:
        _add(sums, rolled_up(calls[call_id]))
    for call_id, attempt_ids in resolved.items():
        now, before = rolled_up(calls[call_id]), rolled_up(_unresolved(calls[call_id], attempt_ids))
        _add(sums, now)
        stays = now is not None and before is not None and now[0] == before[0]
        _add(sums if stays else left, before, negative)
    found = tuple(map(call_row, calls.values()))
    return Rows(found, attempts, (*left.items(), *sums.items()), books=booked(step.entry for step in steps))


def _unresolved(call: ToolCall, attempt_ids: Collection[str]) -> ToolCall:
    """Give the record as it was before these attempts were resolved."""
    attempts = tuple(
        msgspec.structs.replace(attempt, resolution=None) if attempt.intent.attempt_id in attempt_ids else attempt
        for attempt in call.attempts
    )
    return msgspec.structs.replace(call, attempts=attempts)


def _add(
    sums: dict[RollupKey, RollupSums],
    found: tuple[RollupKey, RollupSums] | None,
    change: Callable[[RollupSums], RollupSums] = lambda same: same,
) -> None:
    if found is not None:
        key, more = found
        more = change(more)
        sums[key] = added(sums[key], more) if key in sums else more


def joined(parts: Sequence[Rows], tree: Tree) -> Rows:
    """Put the rows of several batches one after the other: of a row's several states the last one stands."""
    return Rows(
        tuple(row for part in parts for row in part.calls),
        tuple(row for part in parts for row in part.attempts),
        tuple(sums for part in parts for sums in part.rollups),
        tree,
        books_joined([part.books for part in parts]),
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
        idempotency_key=opened.idempotency.key_sha256 if opened.idempotency else None,
        replay_of=answer.replay_of if answer else None,
        rolled_up=rolled_up(call) is not None,
        needs_model=opened.needs_model,
    )


def attempt_row(attempt: Attempt) -> AttemptRow:
    """Show an attempt as one row."""
    intent, end = attempt.intent, attempt.end
    settled = end if isinstance(end, SettlementEntry) else None
    doubt = end if isinstance(end, DoubtEntry) else None
    resolution = attempt.resolution
    held = resolution is None and (doubt is not None or end is None)
    unpriced = settled is not None and settled.cost.status is CostStatus.UNKNOWN_PRICE
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
        currency=_currency(attempt),
        cost_status=settled.cost.status if settled else _stated(resolution),
        cost_pico=_pico(settled.cost.amount) if settled else _pico(resolution.amount) if resolution else None,
        held_pico=_pico(intent.worst_case.amount) if held or unpriced else None,
        estimate_pico=_pico(guess.amount) if guess and held else None,
        uncached_input_tokens=usage.uncached_input_tokens if usage else None,
        cached_input_tokens=usage.cached_input_tokens if usage else None,
        cache_write_tokens=usage.cache_write_tokens if usage else None,
        output_tokens=usage.output_tokens if usage else None,
        reasoning_tokens=usage.reasoning_tokens if usage else None,
        held_tokens=_worst_tokens(intent) if held or _uncounted(resolution) else None,
        stated_tokens=_stated_tokens(resolution),
        duration_us=end.timing.ended_us if end and end.timing else None,
        intent_index=intent.index,
        end_index=end.index if end else None,
        ended_at=end.at if end else None,
        signed=settled is not None and settled.signature is not None,
        code=own_code(attempt),
    )


def _currency(attempt: Attempt) -> str | None:
    worst = attempt.intent.worst_case
    if isinstance(attempt.end, SettlementEntry):
        cost = attempt.end.cost
        reserved = cost.status is CostStatus.UNKNOWN_PRICE and worst.amount is not None
        return worst.currency if reserved else cost.currency
    stated = attempt.resolution.currency if attempt.resolution else None
    return stated or worst.currency


def _stated(resolution: ResolutionEntry | None) -> CostStatus | None:
    if resolution is None or resolution.amount is None:
        return None
    return stated_status(resolution.source)


def _stated_tokens(resolution: ResolutionEntry | None) -> int | None:
    """Give the tokens of an attempt that was resolved; what cost nothing consumed none."""
    if resolution is None:
        return None
    return 0 if resolution.tokens is None and _pico(resolution.amount) == 0 else resolution.tokens


def _uncounted(resolution: ResolutionEntry | None) -> bool:
    """Tell whether it is known that something was consumed, but not how much: its worst case stays held."""
    if resolution is None or resolution.outcome is ResolutionOutcome.WRITTEN_OFF:
        return False
    return _stated_tokens(resolution) is None


def _worst_tokens(intent: IntentEntry) -> int:
    return intent.worst_case.input_tokens + intent.worst_case.output_tokens


def rolled_up(call: ToolCall) -> tuple[RollupKey, RollupSums] | None:
    """Say what a call adds to which roll-up.

    None for a call that is open, whose attempts belong to several, that was settled without a price and stays
    reserved, or whose amounts are beyond any usual price: such are few and are read one by one. So no sum counts a
    call twice, what is held in a roll-up is in doubt, and none leaves 64 bits.
    """
    if call.answer is None:
        return None
    attempts = [attempt_row(attempt) for attempt in call.attempts]
    opened = call.opened
    keys = {rollup_key(opened.at, opened.client, opened.tool, row) for row in (*attempts,) or (None,)}
    if len(keys) > 1 or any(reserved_unpriced(row) for row in attempts):
        return None
    counted = [attempt_sums(row) for row in attempts] or [RollupSums(calls_without_attempt=1)]
    sums = msgspec.structs.replace(reduce(added, counted), calls=1, last_at=opened.at)
    return None if max(sums.cost_pico, sums.held_pico) > ROLLED_UP_PICO_MAX else (keys.pop(), sums)


def reserved_unpriced(row: AttemptRow) -> bool:
    """Tell whether an attempt was settled without a price, and its worst case stays reserved in budgets.

    Its currency is that of the worst case: what it cost is an unknown amount of no known currency.
    """
    return row.held_pico is not None and row.cost_status == CostStatus.UNKNOWN_PRICE


def rollup_key(opened_at: str, client: str, tool: str, row: AttemptRow | None) -> RollupKey:
    """Name the roll-up that an attempt of a call belongs to, or a call without one."""
    return RollupKey(
        bucket=bucket(opened_at),
        client=client,
        tool=tool,
        provider=row.provider if row else NOTHING,
        wallet=row.wallet if row else NOTHING,
        model=row.model if row else NOTHING,
        currency=(row.currency if row else None) or NOTHING,
        simulated=row.simulated if row else False,
    )


def bucket(at: str) -> str:
    """Name the quarter hour of a UTC text."""
    minute = int(at[14:16]) // _MINUTES_PER_BUCKET * _MINUTES_PER_BUCKET
    return f"{at[:14]}{minute:02d}:00Z"


def attempt_sums(row: AttemptRow) -> RollupSums:
    """Count one attempt."""
    counts: dict[str, Any] = {name: getattr(row, name) or 0 for name in _ADDED}
    counts["attempts"] = 1
    if row.outcome is not AttemptOutcome.OPEN:
        counts[row.outcome] = 1
    if row.cost_status in _COUNTED_BY_STATUS:
        counts[_COUNTED_BY_STATUS[row.cost_status]] = 1
    return RollupSums(**counts)


def negative(sums: RollupSums) -> RollupSums:
    """Take back: added to what `sums` was added to, this leaves nothing of it."""
    return RollupSums(**{name: -getattr(sums, name) for name in SUMMED})


def added(left: RollupSums, right: RollupSums) -> RollupSums:
    """Add two sums, field by field."""
    sums = {name: getattr(left, name) + getattr(right, name) for name in SUMMED}
    return RollupSums(**sums, last_at=max(left.last_at, right.last_at))


def added_up_to_max(left: RollupSums, right: RollupSums) -> RollupSums:
    """Add two sums as a store does, up to SUM_MAX: what cannot be held must not stop the ledger."""
    whole = added(left, right)
    sums = {name: min(getattr(whole, name), SUM_MAX) for name in SUMMED}
    return RollupSums(**sums, last_at=whole.last_at)


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
