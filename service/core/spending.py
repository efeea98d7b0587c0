"""Spending: what attempts consumed and cost, added up by what a reader names; nothing is added that may not be.

Currencies are never added, and neither are real and simulated amounts: a row is of one currency and of one kind.
"""

from collections.abc import Iterable, Sequence
from datetime import tzinfo

import msgspec

from service.core.ranges import local_day, local_hour
from service.errors import InvalidArgumentsError

BY = ("provider", "wallet", "model", "tool", "client", "day", "hour")
"""What spending can be grouped by, any of them together."""
BY_TIME = frozenset(("day", "hour"))


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """One row of sums, of one currency. A group's field is None where rows are not grouped by it.

    It is also None in the row of calls without an attempt, for what only an attempt has.

    Attributes:
        day, hour: when the call was opened, in the asked zone: `2026-11-22`, `2026-11-22T21:00+05:30`.
        currency: None where no price is known, and for calls without an attempt.
        calls: calls that have an attempt in this row, or have none at all. A call whose attempts fall into
            several rows counts in each, so rows' calls may not be added; sums over everything are asked for.
        free, plan, unpriced: settled attempts that cost nothing, are paid by a quota, have no known price.
        spent_pico: of settled attempts, and of reconciled ones what was stated for them.
        held_pico: the worst case of what is in doubt, never spend; unknown where `currency` is None.
        last_at: when the newest of the calls was opened.
    """

    provider: str | None = None
    wallet: str | None = None
    model: str | None = None
    tool: str | None = None
    client: str | None = None
    day: str | None = None
    hour: str | None = None
    currency: str | None = None
    simulated: bool = False
    calls: int = 0
    calls_without_attempt: int = 0
    attempts: int = 0
    settled: int = 0
    refused: int = 0
    unsent: int = 0
    in_doubt: int = 0
    reconciled: int = 0
    written_off: int = 0
    open: int = 0
    free: int = 0
    plan: int = 0
    unpriced: int = 0
    uncached_input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    spent_pico: int = 0
    held_pico: int = 0
    last_at: str | None = None

    @property
    def input_tokens(self) -> int:
        """All input, cached or not."""
        return self.uncached_input_tokens + self.cached_input_tokens + self.cache_write_tokens


COUNTS = tuple(field.name for field in msgspec.structs.fields(Spending) if field.type is int)
"""The fields that are added, in order."""


def checked_by(words: Iterable[str]) -> tuple[str, ...]:
    """Take the words to group by, each once.

    Raises:
        InvalidArgumentsError: one is not of `BY`.
    """
    wanted = tuple(dict.fromkeys(words))
    for word in wanted:
        if word not in BY:
            raise InvalidArgumentsError(
                f"usage cannot be grouped by {word!r}", remedy=f"Group by any of: {', '.join(BY)}."
            )
    return wanted


def folded(quarters: Iterable[tuple[str, Spending]], *, by: Sequence[str], zone: tzinfo) -> list[Spending]:
    """Fold the sums of quarter hours into days and hours of a zone, and put rows in order.

    Args:
        quarters: a quarter hour's begin as `2026-11-22T16:15` (UTC; not read unless `by` holds a time), and
            sums of the calls that were opened in it.
        by: words of `BY`; rows are ordered by them in this order, then by currency, the simulated last.
        zone: whose days and hours are meant. Every zone's offset must be of whole quarter hours, as all are.
    """
    rows: dict[tuple[str | bool, ...], Spending] = {}
    for quarter, row in quarters:
        placed = msgspec.structs.replace(
            row,
            day=local_day(quarter, zone) if "day" in by else None,
            hour=local_hour(quarter, zone) if "hour" in by else None,
        )
        key = (*(getattr(placed, name) or "" for name in by), placed.currency or "", placed.simulated)
        rows[key] = added(rows[key], placed) if key in rows else placed
    return [rows[key] for key in sorted(rows)]


def added(left: Spending, right: Spending) -> Spending:
    """Add the sums of two rows of one group and currency, made of different calls or quarter hours."""
    sums = {name: getattr(left, name) + getattr(right, name) for name in COUNTS}
    last_at = max((at for at in (left.last_at, right.last_at) if at is not None), default=None)
    return msgspec.structs.replace(left, **sums, last_at=last_at)
