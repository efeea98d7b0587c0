"""Tests of ranges."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest

from service.core.ranges import RANGES, Span, find_zone, local_day, local_hour, moment, span
from service.core.times import utc_ns
from service.errors import InvalidArgumentsError

KOLKATA = ZoneInfo("Asia/Kolkata")
ANGELES = ZoneInfo("America/Los_Angeles")
AZORES = ZoneInfo("Atlantic/Azores")
BEIRUT = ZoneInfo("Asia/Beirut")
NOW_NS = utc_ns("2026-11-22T19:00:00.123456Z")
NOW = "2026-11-22T19:00:00.123456Z"


@pytest.mark.parametrize(
    ("word", "zone", "since"),
    [
        ("1h", UTC, "2026-11-22T18:00:00.123456Z"),
        ("24h", KOLKATA, "2026-11-21T19:00:00.123456Z"),
        ("7d", UTC, "2026-11-15T19:00:00.123456Z"),
        ("30d", UTC, "2026-10-23T19:00:00.123456Z"),
        ("today", UTC, "2026-11-22T00:00:00.000000Z"),
        ("today", KOLKATA, "2026-11-22T18:30:00.000000Z"),
        ("today", ANGELES, "2026-11-22T08:00:00.000000Z"),
        ("mtd", UTC, "2026-11-01T00:00:00.000000Z"),
        ("mtd", ANGELES, "2026-11-01T07:00:00.000000Z"),  # summer time still, that morning
    ],
)
def test_a_word_ends_now(word: str, zone: tzinfo, since: str) -> None:
    """Rolling ranges are of elapsed hours; a day and a month begin at the zone's midnight."""
    assert Span(since, NOW) == span(word=word, now_ns=NOW_NS, zone=zone)


def test_every_word_is_a_range() -> None:
    """The list of words is the list of what is understood."""
    for word in RANGES:
        assert span(word=word, now_ns=NOW_NS, zone=UTC).until == NOW


@pytest.mark.parametrize(
    ("now", "zone", "since"),
    [
        ("2026-10-25T12:00:00Z", AZORES, "2026-10-25T00:00:00.000000Z"),  # 00:00 comes twice: the first
        ("2026-03-29T12:00:00Z", BEIRUT, "2026-03-28T22:00:00.000000Z"),  # 00:00 never comes: the day is at 01:00
    ],
)
def test_a_day_begins_once(now: str, zone: tzinfo, since: str) -> None:
    """Where the clock is changed at midnight, the day begins at its first moment."""
    assert since == span(word="today", now_ns=utc_ns(now), zone=zone).since


@pytest.mark.parametrize(
    ("day", "after", "hours"), [("2026-03-08", "2026-03-09", 23), ("2026-11-01", "2026-11-02", 25)]
)
def test_a_day_has_as_many_hours_as_its_zone_gives_it(day: str, after: str, hours: int) -> None:
    """Between midnights there are 23 hours in spring and 25 in autumn, and each belongs to that day."""
    found = span(since=day, until=after, now_ns=NOW_NS, zone=ANGELES)
    assert found.since is not None
    assert found.until is not None
    begin_s, end_s = utc_ns(found.since) // 10**9, utc_ns(found.until) // 10**9
    assert hours * 3600 == end_s - begin_s
    quarters = [quarter(at_s) for at_s in range(begin_s, end_s, 900)]
    assert {day} == {local_day(one, ANGELES) for one in quarters}
    assert hours == len({local_hour(one, ANGELES) for one in quarters})
    assert [False, False] == [local_day(quarter(at_s), ANGELES) == day for at_s in (begin_s - 900, end_s)]


def quarter(at_s: int) -> str:
    """Write a time as the ledger writes a quarter hour."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M}"


def test_hours_are_the_zones_own() -> None:
    """An hour of a zone off by half an hour begins at its own full hour, and says its offset."""
    assert "2026-11-22T21:00+05:30" == local_hour("2026-11-22T16:15", KOLKATA)
    assert "2026-11-22T22:00+05:30" == local_hour("2026-11-22T16:30", KOLKATA)
    assert "2026-11-22T16:00+00:00" == local_hour("2026-11-22T16:45", UTC)
    assert ("2026-11-22", "2026-11-23") == (
        local_day("2026-11-22T18:15", KOLKATA),
        local_day("2026-11-22T18:30", KOLKATA),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22", "2026-11-21T18:30:00.000000Z"),
        ("2026-11-22T10:00", "2026-11-22T04:30:00.000000Z"),
        ("2026-11-22 10:00:00.5", "2026-11-22T04:30:00.500000Z"),
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00.000000Z"),
        ("2026-11-22T10:00:00-08:00", "2026-11-22T18:00:00.000000Z"),
    ],
)
def test_a_moment_without_a_zone_is_the_zones(text: str, expected: str) -> None:
    """A day is its midnight in the zone; a time that names its own zone is left alone."""
    assert expected == moment(text, name="from", zone=KOLKATA)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "20261122",
        "2026-W47",
        "2026-13-01",
        "1969-12-31",
        "T",
        "9999-12-31T23:59:59-12:00",
        "2" * 41,
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """The refusal shows what was read, as what, and how to write it."""
    with pytest.raises(InvalidArgumentsError, match="to is ") as raised:
        moment(text, name="to", zone=UTC)
    assert "2026-11-22T16:00:00Z" in raised.value.remedy


def test_bounds_are_half_open_and_may_be_missing() -> None:
    """Either bound, both or none."""
    assert Span(None, None) == span(now_ns=NOW_NS, zone=UTC)
    assert Span("2026-11-22T00:00:00.000000Z", None) == span(since="2026-11-22", now_ns=NOW_NS, zone=UTC)
    assert Span(None, "2026-11-22T00:00:00.000000Z") == span(until="2026-11-22", now_ns=NOW_NS, zone=UTC)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"word": "2h"}, "no range '2h'"),
        ({"word": "1h", "since": "2026-11-22"}, "beside from or to"),
        ({"word": "1h", "until": "2026-11-22"}, "beside from or to"),
        ({"since": "2026-11-22", "until": "2026-11-22"}, "not later than from"),
        ({"since": "never"}, "from is 'never'"),
    ],
)
def test_a_contradiction_is_refused(asked: dict[str, str], said: str) -> None:
    """An unknown word, two answers to one question, a span that ends before it begins: each has a remedy."""
    with pytest.raises(InvalidArgumentsError, match=said) as raised:
        span(**asked, now_ns=NOW_NS, zone=UTC)
    assert raised.value.remedy


@pytest.mark.parametrize(("name", "zone"), [("UTC", UTC), ("Asia/Kolkata", KOLKATA)])
def test_a_zone_by_its_name(name: str, zone: tzinfo) -> None:
    """The one that needs no database, and one that stands in it."""
    assert zone is find_zone(name)


@pytest.mark.parametrize("name", ["", "America", "../etc/passwd", "/etc/passwd", "A" * 65, "UTC\0", "Asia/"])
def test_a_name_that_is_no_zone(name: str) -> None:
    """Nothing but a zone's file is opened, and nothing but a sentence comes back."""
    with pytest.raises(InvalidArgumentsError, match="no time zone"):
        find_zone(name)


@pytest.mark.parametrize(
    "name", ["localtime", "posixrules", "Factory", "posix/Asia/Kolkata", "right/Asia/Kolkata"]
)
def test_a_file_of_the_database_that_is_no_name(name: str) -> None:
    """A machine's own zone is nobody's word for one, and a zone that counts leap seconds would shift every day."""
    with pytest.raises(InvalidArgumentsError, match="no time zone"):
        find_zone(name)
