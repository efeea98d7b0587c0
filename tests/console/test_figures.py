"""Figures as a reader sees them."""

import pytest

from console import figures


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0 \u00b5s"),
        (99, "99 \u00b5s"),
        (100, "0.1 ms"),
        (1500, "1.5 ms"),
        (9_999, "10.0 ms"),
        (20_250, "20 ms"),
        (999_999, "999 ms"),
        (1_230_000, "1.23 s"),
        (123_400_000, "2 min 3 s"),
    ],
)
def test_a_duration_has_the_unit_that_suits_it(us: int, text: str) -> None:
    """Durations read well from microseconds to minutes."""
    assert text == figures.duration(us)


def test_counts_are_grouped_and_amounts_are_exact() -> None:
    """Tokens are grouped by a narrow space; an amount keeps every digit and gains none."""
    assert figures.grouped(1_234_567) == "1\u202f234\u202f567"
    assert figures.amount(2_998_700_000) == "0.0029987"
    assert (figures.counted(1, "call"), figures.counted(0, "call")) == ("1 call", "0 calls")


def test_times_keep_their_zone() -> None:
    """A moment is a day, a time to the millisecond, and UTC."""
    at = "2026-11-22T16:21:00.123456Z"
    assert figures.moment(at) == "2026-11-22 16:21:00.123 UTC"
    assert (figures.day(at), figures.clock(at)) == ("2026-11-22", "16:21:00")


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("2026-11-22T16:20:59.500000Z", "just now"),
        ("2026-11-22T16:20:59.000000Z", "1 second ago"),
        ("2026-11-22T16:19:00.000000Z", "2 minutes ago"),
        ("2026-11-22T14:20:59.000000Z", "2 hours ago"),
        ("2026-11-20T16:21:00.000000Z", "2 days ago"),
        ("2026-11-22T17:00:00.000000Z", "just now"),
    ],
)
def test_an_age_is_said_in_one_unit(at: str, text: str) -> None:
    """An age is rounded down to the unit that suits it; a clock set back never makes it negative."""
    assert text == figures.age(at, "2026-11-22T16:21:00.000000Z")
