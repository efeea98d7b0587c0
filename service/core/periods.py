"""Periods: the window of a minute, of a zone's day or month, or of all time, that a moment lies in."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache

import msgspec

from service.core.ranges import find_zone
from service.core.times import utc_ns, utc_text
from service.core.words import BudgetPeriod

_MINUTES_PER_QUARTER = 15


class Window(msgspec.Struct, frozen=True):
    """A half-open span of UTC, as texts with microseconds. A total begins at "" and never ends."""

    begins: str
    ends: str | None


FOR_EVER = Window("", None)


def window(period: BudgetPeriod, zone: str, at: str) -> Window:
    """Find the window that a moment lies in. Windows of one period and zone cover all time, once.

    A day begins at its zone's midnight and lasts until the next one's, even where clocks are put back across it.

    Args:
        period: minutes are those of UTC.
        zone: IANA name; whose days and months are meant. Every zone's offset must be of whole quarter hours.
        at: UTC text.

    Raises:
        InvalidArgumentsError: there is no such zone here.
    """
    if period is BudgetPeriod.TOTAL:
        return FOR_EVER
    if period is BudgetPeriod.MINUTE:
        return _minute(at[:16])
    quarter = int(at[14:16]) // _MINUTES_PER_QUARTER * _MINUTES_PER_QUARTER
    return _of_dates(f"{at[:14]}{quarter:02d}", zone, months=period is BudgetPeriod.MONTH)


def shown(at: str, zone: str) -> str:
    """Write a window's end for a person: UTC to the second, and the zone's own time if that differs."""
    short = f"{at[:19]}Z"
    if zone == "UTC":
        return short
    return f"{short} ({datetime.fromisoformat(at).astimezone(find_zone(zone)):%Y-%m-%d %H:%M} in {zone})"


@lru_cache(maxsize=64)
def _minute(minute: str) -> Window:
    begins = datetime.fromisoformat(minute).replace(tzinfo=UTC)
    return Window(_utc(begins), _utc(begins + timedelta(minutes=1)))


@lru_cache(maxsize=1024)
def _of_dates(quarter: str, zone_name: str, *, months: bool) -> Window:
    at, zone = datetime.fromisoformat(quarter).replace(tzinfo=UTC), find_zone(zone_name)
    local = at.astimezone(zone).date()
    first = local.replace(day=1) if months else local
    while (ends := _midnight(_following(first, months=months), zone)) <= at:  # clocks were put back across it
        first = _following(first, months=months)
    return Window(_utc(_midnight(first, zone)), _utc(ends))


def _following(first: date, *, months: bool) -> date:
    later = first + timedelta(days=32 if months else 1)
    return later.replace(day=1) if months else later


def _midnight(day: date, zone: tzinfo) -> datetime:
    """Give the moment at which a day begins; of a midnight that comes twice the first one."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _utc(moment: datetime) -> str:
    return utc_text(utc_ns(moment.isoformat()))
