"""The chart: every spent amount in one bar, in the days of a zone, whatever the clocks do."""

from datetime import UTC, tzinfo
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.chart import PLOT_PX, Chart, Slot, charts, nice_above, slots, unit_of
from service.core.money import pico
from service.core.ranges import RANGES, Span, local_day, local_hour, span
from service.core.spending import Spending
from service.core.times import utc_ns, utc_text

NOW = utc_ns("2026-11-22T17:00:00Z")
ZONES = ("UTC", "Asia/Kolkata", "America/Los_Angeles", "Australia/Lord_Howe", "Asia/Kathmandu")


def cut(
    asked: Span, unit: str, zone: tzinfo = UTC, now_ns: int = NOW, first_at: str | None = None
) -> tuple[Slot, ...]:
    """Cut a span."""
    return slots(asked, unit=unit, zone=zone, now_ns=now_ns, first_at=first_at)


def spent(amount: int, provider: str = "kimi", *, day: str | None = None, hour: str | None = None) -> Spending:
    """Spend pico-units of USD."""
    return Spending(provider=provider, day=day, hour=hour, currency="USD", spent_pico=amount)


@pytest.mark.parametrize(
    ("word", "unit", "bars"),
    [
        ("1h", "hour", 1),
        ("24h", "hour", 24),
        ("7d", "day", 8),
        ("30d", "day", 31),
        ("today", "hour", 17),
        ("mtd", "day", 22),
    ],
)
def test_every_range_has_bars_that_can_be_told_apart(word: str, unit: str, bars: int) -> None:
    """Hours for a day or two, days for a month; the first and the last bar may be cut short."""
    asked = span(word=word, now_ns=NOW, zone=UTC)
    assert unit == unit_of(asked, now_ns=NOW, first_at=None)
    found = cut(asked, unit)
    assert bars == len(found)
    assert (asked.since, asked.until) == (found[0].since, found[-1].until)


def test_long_ranges_have_months_and_years() -> None:
    """However long a range, the bars stay few; a range without a begin begins with the first call."""
    for first_at, unit, bars in (
        ("2026-11-22T08:30:00.000000Z", "hour", 9),
        ("2026-01-15T00:00:00.000000Z", "month", 11),
        ("1970-01-01T00:00:00.000000Z", "year", 57),
    ):
        everything = Span(None, None)
        assert unit == unit_of(everything, now_ns=NOW, first_at=first_at)
        assert bars == len(cut(everything, unit, first_at=first_at))
    assert () == cut(Span(None, None), unit_of(Span(None, None), now_ns=NOW, first_at=None))
    assert "hour" == unit_of(
        Span("2026-11-22T16:00:00.000000Z", "9999-01-01T00:00:00.000000Z"), now_ns=NOW, first_at=None
    )


@pytest.mark.parametrize("zone_name", ZONES)
@pytest.mark.parametrize(
    "now", ["2026-03-08T20:00:00Z", "2026-11-01T20:00:00Z", "2026-04-05T03:10:00Z", "2026-11-22T17:07:00Z"]
)
@pytest.mark.parametrize("word", RANGES)
def test_no_quarter_hour_falls_between_bars(zone_name: str, now: str, word: str) -> None:
    """Bars follow each other without a gap, and every quarter hour's group of the sums has its bar."""
    zone, now_ns = (UTC if zone_name == "UTC" else ZoneInfo(zone_name)), utc_ns(now)
    asked = span(word=word, now_ns=now_ns, zone=zone)
    unit = unit_of(asked, now_ns=now_ns, first_at=None)
    found = cut(asked, unit, zone, now_ns)
    for earlier, later in pairwise(found):
        assert earlier.until == later.since
    assert len({slot.key for slot in found}) == len(found)
    name = local_hour if unit == "hour" else local_day
    for at_ns in range(utc_ns(str(asked.since)), now_ns, 900 * 10**9):
        at = utc_text(at_ns)
        (mine,) = [slot for slot in found if slot.since <= at < slot.until]
        assert name(at[:16], zone).startswith(mine.key)


def test_providers_are_stacked_and_keep_their_colour() -> None:
    """A bar's pieces stand on each other; a provider has the same series in every chart of the page."""
    asked = span(word="7d", now_ns=NOW, zone=UTC)
    rows = [
        spent(3 * 10**12, "glm", day="2026-11-20"),
        spent(10**12, "kimi", day="2026-11-20"),
        Spending(provider="kimi", day="2026-11-21", currency="CNY", spent_pico=5),
        Spending(provider="kimi", day="2026-11-21", currency="USD", simulated=True, spent_pico=7),
        Spending(provider="kimi", day="2026-11-21", currency=None, unpriced=1),
    ]
    cny, usd, simulated = charts(rows, cut(asked, "day"), unit="day")
    assert [("CNY", False), ("USD", False), ("USD", True)] == [
        (one.currency, one.simulated) for one in (cny, usd, simulated)
    ]
    assert (((0, "glm"), (1, "kimi")), ((1, "kimi"),)) == (usd.series, cny.series)
    (column,) = [column for column in usd.columns if column.pieces]
    assert [("glm", "105.00", "35.00"), ("kimi", "35.00", "0.00")] == [
        (piece.provider, piece.height, piece.y) for piece in column.pieces
    ]
    assert ("4", "4", "2") == (column.amount, usd.top, usd.half)
    assert 8 == len(usd.columns)
    assert "Nov 20" == column.slot.label


def test_nothing_spent_is_no_chart() -> None:
    """Calls that cost nothing are drawn by no bar and by no chart."""
    assert () == charts(
        [spent(0, day="2026-11-22")], cut(span(word="7d", now_ns=NOW, zone=UTC), "day"), unit="day"
    )


@given(st.integers(1, 10**24))
def test_the_scale_is_round_and_high_enough(amount: int) -> None:
    """The scale's top is no lower than the tallest bar, at most 2.5 times it, and one digit with zeros."""
    top = nice_above(amount)
    assert amount <= top <= Fraction(5, 2) * amount
    assert str(top).rstrip("0") in {"1", "2", "4", "6"}


@given(st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["glm", "kimi", "zeta"]), st.integers(1, 10**18))))
def test_bars_add_up_to_the_sum(spendings: list[tuple[int, str, int]]) -> None:
    """What the bars stand for adds up to the chart's sum, exactly, and no bar leaves the plot."""
    rows = [spent(amount, provider, day=f"2026-11-{15 + day}") for day, provider, amount in spendings]
    found: tuple[Chart, ...] = charts(rows, cut(span(word="7d", now_ns=NOW, zone=UTC), "day"), unit="day")
    assert bool(rows) == bool(found)
    for one in found:
        pieces = [piece for column in one.columns for piece in column.pieces]
        assert (
            sum(row.spent_pico for row in rows) == pico(one.amount) == sum(pico(piece.amount) for piece in pieces)
        )
        assert all(float(piece.y) >= -3 for piece in pieces)  # three providers of next to nothing are still seen
        assert all(float(piece.y) + float(piece.height) <= PLOT_PX + 0.02 for piece in pieces)
