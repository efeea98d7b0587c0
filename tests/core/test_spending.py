"""Tests of spending."""

from datetime import UTC
from itertools import permutations
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.core.spending import BY, COUNTS, Spending, added, checked_by, folded
from service.errors import InvalidArgumentsError

KOLKATA = ZoneInfo("Asia/Kolkata")
BEFORE, AFTER = "2026-11-22T18:15", "2026-11-22T18:30"  # the two sides of midnight in Kolkata


def spent(pico: int, **changed: Any) -> Spending:  # noqa: ANN401 - any field
    """Spend an amount in one call."""
    return Spending(**{"currency": "USD", **changed}, calls=1, attempts=1, settled=1, spent_pico=pico)


def test_what_is_added_is_every_whole_number() -> None:
    """Sums of two rows are sums of each count; of the last times the later one stands."""
    twos: dict[str, Any] = dict.fromkeys(COUNTS, 2)
    row = Spending(currency="USD", last_at="2026-11-22T16:00:00.000000Z", **twos)
    later = Spending(currency="USD", last_at="2026-11-22T17:00:00.000000Z", **twos)
    both = added(row, later)
    assert {4} == {getattr(both, name) for name in COUNTS}
    assert later.last_at == both.last_at == added(later, row).last_at
    assert added(Spending(), Spending()).last_at is None
    assert 20 == len(COUNTS)


def test_input_is_of_three_classes() -> None:
    """The classes of input are disjoint, so they may be added."""
    row = Spending(uncached_input_tokens=1, cached_input_tokens=20, cache_write_tokens=300, output_tokens=5000)
    assert 321 == row.input_tokens


def test_words_are_taken_once_and_known() -> None:
    """Their order is kept; one that is not known is named, with those that are."""
    assert ("day", "tool") == checked_by(["day", "tool", "day"])
    assert BY == checked_by(BY)
    with pytest.raises(InvalidArgumentsError, match="'weekday'") as raised:
        checked_by(["day", "weekday"])
    assert all(word in raised.value.remedy for word in BY)


def test_quarter_hours_fold_into_the_zones_days_and_hours() -> None:
    """One quarter hour lies on either side of a midnight, as the zone says."""
    quarters = [(BEFORE, spent(1)), (AFTER, spent(10)), (AFTER, spent(100))]
    assert [("2026-11-22", 111)] == days(folded(quarters, by=["day"], zone=UTC))
    assert [("2026-11-22", 1), ("2026-11-23", 110)] == days(folded(quarters, by=["day"], zone=KOLKATA))
    hours = folded(quarters, by=["hour"], zone=KOLKATA)
    assert [("2026-11-22T23:00+05:30", 1), ("2026-11-23T00:00+05:30", 110)] == [
        (row.hour, row.spent_pico) for row in hours
    ]
    assert [None, None] == [row.day for row in hours]


def days(rows: list[Spending]) -> list[tuple[str | None, int]]:
    """Give each row's day and spend."""
    return [(row.day, row.spent_pico) for row in rows]


def test_currencies_and_simulations_stay_apart_in_one_order() -> None:
    """Rows are ordered by the words in their order, then by currency, the simulated last; whatever came first."""
    rows = [
        ("", Spending(tool="usage", calls=1, calls_without_attempt=1)),
        ("", spent(1, provider="glm", tool="chat", currency="CNY")),
        ("", spent(2, provider="glm", tool="chat")),
        ("", spent(3, provider="glm", tool="chat", simulated=True)),
        ("", spent(4, provider="kimi", tool="chat")),
    ]
    for shuffled in permutations(rows):
        assert [row for _, row in rows] == folded(shuffled, by=["provider", "tool"], zone=UTC)
    by_tool = folded(reversed(rows), by=["tool", "provider"], zone=UTC)
    assert ["glm", "glm", "glm", "kimi", None] == [row.provider for row in by_tool]


def test_amounts_beyond_64_bits_stay_exact() -> None:
    """Whole numbers have no end here."""
    (row,) = folded([("", spent(2**63)), ("", spent(2**63 + 1))], by=[], zone=UTC)
    assert 2**64 + 1 == row.spent_pico
