"""Sums: what attempts came to, by their committed record, in pico-units of what pays. Pure."""

from collections.abc import Iterable

import msgspec

from service.core.entries import End, RefusalEntry, SettlementEntry, UnsentEntry
from service.core.money import pico
from service.core.movement import CREDITS
from service.core.record import Attempt
from service.core.times import utc_ns
from service.core.usage import TOKENS_MAX, Usage
from service.core.words import CostStatus
from service.proving.pieces import PEAK_PER_OFF_PEAK, Measure

_PRICED = frozenset({CostStatus.PRICED, CostStatus.FREE})


class CameTo(msgspec.Struct, frozen=True, kw_only=True):
    """What attempts came to.

    Attributes:
        amount: as their receipts say it, or what a plan counts for it; None if that of one is not known.
        most: what they may have been billed at most; None if one of them has no bound.
    """

    amount: int | None
    most: int | None


def came_to(attempts: Iterable[Attempt], by: Measure) -> CameTo:
    """Add attempts up.

    Args:
        attempts: of one wallet.
        by: what that wallet's attempts are measured in.
    """
    known = [(_known(attempt, by), attempt) for attempt in attempts]
    amounts = [amount for amount, _ in known]
    most = [_bound(attempt, by) if amount is None else amount for amount, attempt in known]
    return CameTo(amount=_added(amounts), most=_added(most))


def _added(amounts: list[int | None]) -> int | None:
    told = [amount for amount in amounts if amount is not None]
    return sum(told) if len(told) == len(amounts) else None


def _known(attempt: Attempt, by: Measure) -> int | None:
    said = attempt.resolution
    if said is None:
        return _of_end(attempt.end, attempt.intent.model, by)
    unit = by.currency if by.plan is None else CREDITS
    return pico(said.amount) if said.amount is not None and said.currency == unit else None


def _of_end(end: End | None, model: str, by: Measure) -> int | None:
    match end:
        case RefusalEntry() | UnsentEntry():
            return 0
        case SettlementEntry() if by.plan is not None:
            return _drawn(model, end.usage, end.at, by)
        case SettlementEntry(cost=cost) if cost.status in _PRICED and cost.amount is not None:
            return pico(cost.amount) if cost.currency in (None, by.currency) else None
        case _:
            return None


def _bound(attempt: Attempt, by: Measure) -> int | None:
    intent, worst = attempt.intent, attempt.intent.worst_case
    if by.plan is None:
        return pico(worst.amount) if worst.amount is not None and worst.currency == by.currency else None
    tokens = worst.input_tokens + worst.output_tokens
    if tokens > TOKENS_MAX:
        return None
    usage = Usage(
        uncached_input_tokens=0,
        cached_input_tokens=0,
        cache_write_tokens=0,
        output_tokens=tokens,
        reasoning_tokens=0,
    )
    drawn = _drawn(intent.model, usage, intent.at, by)
    return None if drawn is None else drawn * PEAK_PER_OFF_PEAK


def _drawn(model: str, usage: Usage, at: str, by: Measure) -> int | None:
    """Say what a plan counts for a usage at a time: its counter moves by that."""
    return by.provider.counters.drawn_pico(plan=by.plan or "", model=model, usage=usage, at_ns=utc_ns(at))
