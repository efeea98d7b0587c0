"""Sums: what attempts came to, by their committed record, in pico-units of what pays. Pure."""

from collections.abc import Iterable, Sequence

import msgspec

from service.core.entries import End, IntentEntry, RefusalEntry, SettlementEntry, UnsentEntry
from service.core.money import pico
from service.core.movement import CREDITS
from service.core.record import Attempt
from service.core.words import CostStatus
from service.proving.pieces import Measure, bound, drawn

_PRICED = frozenset({CostStatus.PRICED, CostStatus.FREE})
_UNKNOWN = (0, None)


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
    told = [(attempt, *_told(attempt, by)) for attempt in attempts]
    amounts = [most if least == most else None for _, least, most in told]
    bounds = [bound(attempt.intent, by) if most is None else most for attempt, _, most in told]
    return CameTo(amount=_added(amounts), most=_added(bounds))


def _added(each: Sequence[int | None]) -> int | None:
    told = [one for one in each if one is not None]
    return sum(told) if len(told) == len(each) else None


def _told(attempt: Attempt, by: Measure) -> tuple[int, int | None]:
    """Give what an attempt is known to have come to, at least and at most; no bound where nobody said."""
    said = attempt.resolution
    if said is None:
        return _of_end(attempt.intent, attempt.end, by)
    unit = by.currency if by.plan is None else CREDITS
    return (pico(said.amount),) * 2 if said.amount is not None and said.currency == unit else _UNKNOWN


def _of_end(intent: IntentEntry, end: End | None, by: Measure) -> tuple[int, int | None]:
    match end:
        case RefusalEntry() | UnsentEntry():
            return 0, 0
        case SettlementEntry() if by.plan is not None:
            return drawn(intent.model, end.usage, intent.at, end.at, by)
        case SettlementEntry(cost=cost) if cost.status in _PRICED and cost.amount is not None:
            return (pico(cost.amount),) * 2 if cost.currency in (None, by.currency) else _UNKNOWN
        case _:
            return _UNKNOWN
