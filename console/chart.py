"""The chart of spend over time: bars in whole numbers, from the same sums that the tiles show.

One chart is of one currency and either real or simulated. Hours and days are the asked zone's. A bar's height
is worked out from exact amounts; what it stands for is written beside it, so the drawing is never the only word.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import groupby

import msgspec

from service.core.money import decimal_text
from service.core.ranges import Span, local_hour
from service.core.spending import Spending
from service.core.times import NS_PER_S, utc_ns, utc_text

PLOT_PX = 140
_HOURS_MAX = 49  # a rolling day touches 25, two days of a zone that sets its clocks back touch 49
_DAYS_MAX = 93
_MONTHS_MAX = 60
_MONTH = len("2026-11")
_YEAR = len("2026")
_MINUTE = len("2026-11-22T16:15")
_QUARTER_NS = 15 * 60 * NS_PER_S
_STEPS = (1, 2, 4, 6, 10)
_SERIES = 4  # colours that can be told apart
_LEAST_MILLI_PX = 1000  # a bar that is not nothing can be seen
_SHARE_OF_SLOT = 0.8


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of time. `key` begins the group's name in the sums; `since` and `until` are UTC texts."""

    key: str
    label: str
    since: str
    until: str


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """What one provider's calls came to in a slot; `y` and `height` are pixels of an SVG's attributes."""

    provider: str
    series: int
    amount: str
    y: str
    height: str


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One slot as drawn; without pieces no spend is known in it."""

    slot: Slot
    x: str
    width: str
    amount: str
    pieces: tuple[Piece, ...]


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """One currency's bars.

    Attributes:
        top, half: the amounts at two of the lines behind them.
        series: numbers with the providers that they stand for.
    """

    currency: str
    simulated: bool
    unit: str
    amount: str
    top: str
    half: str
    series: tuple[tuple[int, str], ...]
    columns: tuple[Column, ...]


def unit_of(span: Span, *, now_ns: int, first_at: str | None) -> str:
    """Choose how long a bar is: `hour`, `day`, `month` or `year`, so that there are few enough of them."""
    begun_ns, ended_ns = _bounds_ns(span, now_ns, first_at)
    length_h = (ended_ns - begun_ns) // (3600 * NS_PER_S)
    if length_h < _HOURS_MAX:
        return "hour"
    days = length_h // 24
    if days < _DAYS_MAX:
        return "day"
    return "month" if days < _MONTHS_MAX * 28 else "year"


def slots(span: Span, *, unit: str, zone: tzinfo, now_ns: int, first_at: str | None) -> tuple[Slot, ...]:
    """Cut a span into the zone's hours, days, months or years; one for each bar.

    Args:
        span: what is shown; without a begin it begins with the first call, it ends now at the latest.
        unit: of `unit_of`.
        zone: whose clock cuts.
        now_ns: the time, or later: where a clock was set back, the newest call's.
        first_at: when the first call was opened; None if there is none.
    """
    begun_ns, ended_ns = _bounds_ns(span, now_ns, first_at)
    found = list(_hours(begun_ns, ended_ns, zone) if unit == "hour" else _dates(begun_ns, ended_ns, zone, unit))
    clipped = [
        msgspec.structs.replace(
            slot, since=max(slot.since, utc_text(begun_ns)), until=min(slot.until, utc_text(ended_ns))
        )
        for slot in found
    ]
    return tuple(slot for slot in clipped if slot.since < slot.until)


def charts(rows: Sequence[Spending], cut: Sequence[Slot], *, unit: str) -> tuple[Chart, ...]:
    """Draw the sums of providers and hours (or days): one chart for each currency, the simulated apart.

    Args:
        rows: grouped by provider and, for `unit` hour, by hour, else by day.
        cut: of `slots`.
        unit: of `unit_of`.
    """
    providers = sorted({row.provider for row in rows if row.provider is not None})
    kinds = sorted({(row.simulated, row.currency) for row in rows if row.currency is not None and row.spent_pico})
    return tuple(
        _chart([row for row in rows if (row.simulated, row.currency) == kind], cut, providers, unit=unit)
        for kind in kinds
    )


def nice_above(pico: int) -> int:
    """Choose a round amount for the top of the scale, so that the tallest bar fits under it."""
    power = int("1" + "0" * (len(str(pico)) - 1))
    return next(step * power for step in _STEPS if step * power >= pico)


def _chart(rows: list[Spending], cut: Sequence[Slot], providers: list[str], *, unit: str) -> Chart:
    """Draw one chart. A provider keeps its series, and so its colour, in all charts of a page."""
    spending = {row.provider for row in rows if row.spent_pico}
    series = tuple((number % _SERIES, name) for number, name in enumerate(providers) if name in spending)
    by_slot = [_spent(rows, slot.key, unit) for slot in cut]
    top = nice_above(max((sum(spent.values()) for spent in by_slot), default=0))
    count = max(1, len(cut))
    return Chart(
        currency=rows[0].currency or "",
        simulated=rows[0].simulated,
        unit=unit,
        amount=decimal_text(sum(row.spent_pico for row in rows)),
        top=decimal_text(top),
        half=decimal_text(top // 2),
        series=series,
        columns=tuple(
            Column(
                slot=slot,
                x=f"{(at + (1 - _SHARE_OF_SLOT) / 2) * 100 / count:.2f}%",
                width=f"{_SHARE_OF_SLOT * 100 / count:.2f}%",
                amount=decimal_text(sum(spent.values())),
                pieces=tuple(_pieces(spent, series, top)),
            )
            for at, (slot, spent) in enumerate(zip(cut, by_slot, strict=True))
        ),
    )


def _spent(rows: Iterable[Spending], key: str, unit: str) -> dict[str, int]:
    """Add up one slot's spend by provider. A month's or a year's key begins those of its days."""
    spent: dict[str, int] = {}
    for row in rows:
        name = (row.hour if unit == "hour" else row.day) or ""
        if name.startswith(key) and row.spent_pico:
            spent[row.provider or ""] = spent.get(row.provider or "", 0) + row.spent_pico
    return spent


def _pieces(spent: dict[str, int], series: tuple[tuple[int, str], ...], top: int) -> Iterator[Piece]:
    """Stack a slot's providers from the ground up."""
    below = 0
    for number, provider in series:
        pico = spent.get(provider, 0)
        if not pico:
            continue
        height = max(_LEAST_MILLI_PX, pico * PLOT_PX * 1000 // top)
        below += height
        yield Piece(
            provider=provider,
            series=number,
            amount=decimal_text(pico),
            y=f"{(PLOT_PX * 1000 - below) / 1000:.2f}",
            height=f"{height / 1000:.2f}",
        )


def _bounds_ns(span: Span, now_ns: int, first_at: str | None) -> tuple[int, int]:
    ended_ns = now_ns if span.until is None else min(utc_ns(span.until), now_ns)
    begun = span.since or first_at
    return (ended_ns if begun is None else min(utc_ns(begun), ended_ns)), ended_ns


def _hours(begun_ns: int, ended_ns: int, zone: tzinfo) -> Iterator[Slot]:
    """Walk by quarter hours and group as the sums do, so that no hour is lost where clocks are changed."""
    quarter_ns = begun_ns // _QUARTER_NS * _QUARTER_NS
    quarters = [utc_text(at_ns)[:_MINUTE] for at_ns in range(quarter_ns, ended_ns, _QUARTER_NS)]
    for key, group in groupby(quarters, key=lambda quarter: local_hour(quarter, zone)):
        listed = list(group)
        yield Slot(
            key=key,
            label=_hour_label(datetime.fromisoformat(key)),
            since=f"{listed[0]}:00.000000Z",
            until=utc_text(utc_ns(f"{listed[-1]}:00Z") + _QUARTER_NS),
        )


def _hour_label(at: datetime) -> str:
    return f"{at:%b} {at.day}, {at:%H:%M}"


def _dates(begun_ns: int, ended_ns: int, zone: tzinfo, unit: str) -> Iterator[Slot]:
    last = _local(ended_ns - 1, zone).date()
    day = _first_of(_local(begun_ns, zone).date(), unit)
    while day <= last:
        following = _first_of(day + timedelta(days={"day": 1, "month": 31, "year": 366}[unit]), unit)
        yield Slot(
            key=_key(day, unit),
            label=_label(day, unit),
            since=_midnight(day, zone),
            until=_midnight(following, zone),
        )
        day = following


def _first_of(day: date, unit: str) -> date:
    match unit:
        case "month":
            return day.replace(day=1)
        case "year":
            return day.replace(month=1, day=1)
        case _:
            return day


def _key(day: date, unit: str) -> str:
    return day.isoformat()[: {"day": None, "month": _MONTH, "year": _YEAR}[unit]]


def _label(day: date, unit: str) -> str:
    match unit:
        case "month":
            return f"{day:%b %Y}"
        case "year":
            return f"{day:%Y}"
        case _:
            return f"{day:%b} {day.day}"


def _midnight(day: date, zone: tzinfo) -> str:
    return utc_text(_ns(datetime(day.year, day.month, day.day, tzinfo=zone)))


def _local(at_ns: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at_ns // NS_PER_S, UTC).astimezone(zone)


def _ns(at: datetime) -> int:
    return int(at.timestamp()) * NS_PER_S
