"""Periods: windows cover all time once, and begin where a person of the zone says that they do."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.periods import FOR_EVER, Window, shown, window
from service.core.times import utc_ns, utc_text
from service.core.words import BudgetPeriod

ZONES = ("UTC", "Asia/Shanghai", "Asia/Kathmandu", "America/Los_Angeles", "Australia/Lord_Howe", "Africa/Cairo")
DAY, MONTH, MINUTE = BudgetPeriod.DAY, BudgetPeriod.MONTH, BudgetPeriod.MINUTE


def utc(text: str) -> str:
    """Write a time as windows do."""
    return utc_text(utc_ns(f"{text}Z"))


@pytest.mark.parametrize(
    ("period", "zone", "at", "begins", "ends"),
    [
        (MINUTE, "Asia/Shanghai", "2026-11-22T16:21:59.999999", "2026-11-22T16:21", "2026-11-22T16:22"),
        (MINUTE, "UTC", "2026-12-31T23:59:00", "2026-12-31T23:59", "2027-01-01T00:00"),
        (DAY, "UTC", "2026-11-22T00:00:00", "2026-11-22T00:00", "2026-11-23T00:00"),
        (DAY, "Asia/Shanghai", "2026-11-22T15:59:59", "2026-11-21T16:00", "2026-11-22T16:00"),
        (DAY, "Asia/Shanghai", "2026-11-22T16:00:00", "2026-11-22T16:00", "2026-11-23T16:00"),
        (MONTH, "Asia/Shanghai", "2026-12-31T16:00:00", "2026-12-31T16:00", "2027-01-31T16:00"),
        (MONTH, "America/Los_Angeles", "2026-11-01T06:59:59", "2026-10-01T07:00", "2026-11-01T07:00"),
        (DAY, "America/Los_Angeles", "2026-11-01T20:00:00", "2026-11-01T07:00", "2026-11-02T08:00"),  # 25 h
        (DAY, "Africa/Cairo", "2026-04-23T22:00:00", "2026-04-23T22:00", "2026-04-24T21:00"),  # no midnight: 23 h
        (DAY, "Asia/Kathmandu", "2026-11-22T18:15:00", "2026-11-22T18:15", "2026-11-23T18:15"),
        # Clocks went back from 00:01 to 23:01 of the day before: the new day had begun, and goes on.
        (DAY, "America/St_Johns", "2010-11-07T03:20:00", "2010-11-07T02:30", "2010-11-08T03:30"),
        (
            DAY,
            "Pacific/Apia",
            "2011-12-30T12:00:00",
            "2011-12-30T10:00",
            "2011-12-31T10:00",
        ),  # the 30th was left out
    ],
)
def test_a_window(period: BudgetPeriod, zone: str, at: str, begins: str, ends: str) -> None:
    """Minutes are of UTC; a day begins at its zone's midnight, a month at that of its first day."""
    assert Window(utc(begins), utc(ends)) == window(period, zone, utc(at))


def test_a_total_has_one_window() -> None:
    """It never ends, whenever it is asked."""
    assert FOR_EVER is window(BudgetPeriod.TOTAL, "UTC", utc("2026-11-22T16:21"))
    assert FOR_EVER == Window("", None)


@given(
    period=st.sampled_from([MINUTE, DAY, MONTH]),
    zone=st.sampled_from(ZONES),
    at=st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2037, 1, 1)),  # noqa: DTZ001 - UTC
)
def test_windows_follow_one_another(period: BudgetPeriod, zone: str, at: datetime) -> None:
    """A moment lies in its window; where that ends, the next begins; days and months on quarter hours."""
    moment = utc(at.isoformat())
    found = window(period, zone, moment)
    assert found.ends is not None
    assert found.begins <= moment < found.ends
    assert found.ends == window(period, zone, found.ends).begins
    assert found == window(period, zone, found.begins)
    if period is not MINUTE:
        assert {found.begins[14:16], found.ends[14:16]} <= {"00", "15", "30", "45"}


def test_a_day_is_the_date_on_the_wall() -> None:
    """Over a year of a zone that shifts its clocks, noon belongs to the window that began at its own midnight."""
    zone, day = ZoneInfo("America/Los_Angeles"), date(2026, 1, 1)
    while day.year == 2026:
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=zone)
        begins = window(DAY, zone.key, utc(f"{noon.astimezone(UTC):%Y-%m-%dT%H:%M}")).begins
        local = datetime.fromisoformat(begins).astimezone(zone)
        assert (day, "00:00") == (local.date(), f"{local:%H:%M}")
        day += timedelta(days=1)


def test_a_window_s_end_is_shown_in_both_times() -> None:
    """Where the zone is UTC, once is enough."""
    ends = utc("2026-11-22T16:00")
    assert "2026-11-22T16:00:00Z" == shown(ends, "UTC")
    assert "2026-11-22T16:00:00Z (2026-11-23 00:00 in Asia/Shanghai)" == shown(ends, "Asia/Shanghai")
