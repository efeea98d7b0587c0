"""Times are whole nanoseconds inside and UTC text outside."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.times import NS_PER_S, NS_PER_US, dated_ns, utc_ns, utc_text

UNTIL_2200_S = 7_258_118_400


@pytest.mark.parametrize(
    ("at_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (999, "1970-01-01T00:00:00.000000Z"),
        (1_795_364_460_123_456_789, "2026-11-22T16:21:00.123456Z"),
        (-1000, "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_a_time_is_written_with_microseconds(at_ns: int, text: str) -> None:
    """Finer digits are cut off, never rounded up into the future."""
    assert text == utc_text(at_ns)


@given(st.integers(0, UNTIL_2200_S * NS_PER_S))
def test_a_written_time_is_read_back(at_ns: int) -> None:
    """Reading gives the time to the microsecond, as the standard library reads it."""
    text = utc_text(at_ns)
    assert at_ns - at_ns % NS_PER_US == utc_ns(text)
    assert datetime.fromisoformat(text) == datetime.fromtimestamp(at_ns // NS_PER_S, UTC).replace(
        microsecond=at_ns % NS_PER_S // NS_PER_US
    )


@given(st.integers(0, UNTIL_2200_S * NS_PER_S), st.integers(0, UNTIL_2200_S * NS_PER_S))
def test_texts_sort_as_their_times(one: int, other: int) -> None:
    """The later text is never the smaller one."""
    assert (one <= other) <= (utc_text(one) <= utc_text(other))


@pytest.mark.parametrize(
    "text", ["2026-11-22T16:21:00Z", "2026-11-23T00:21:00+08:00", "2026-11-22T10:51:00-05:30"]
)
def test_a_zone_is_heeded(text: str) -> None:
    """The same moment is the same number, whatever zone its text names."""
    assert utc_ns(text) == 1_795_364_460 * NS_PER_S


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-11-22T16:21:00", "names no time zone; end it with Z"),
        ("2026-11-22", "names no time zone"),
        ("yesterday", "Invalid isoformat string"),
        ("2026-13-01T00:00:00Z", "month must be in 1..12"),
    ],
)
def test_a_time_without_a_zone_is_refused(text: str, why: str) -> None:
    """A local time would mean another moment on another machine."""
    with pytest.raises(ValueError, match=why):
        utc_ns(text)


@pytest.mark.parametrize(
    ("date", "said"),
    [
        ("Sun, 22 Nov 2026 16:21:00 GMT", "2026-11-22T16:21:00Z"),
        ("Sun, 22 Nov 2026 16:21:00 +0800", "2026-11-22T08:21:00Z"),
        ("Sun, 22 Nov 2026 16:21:00 -0000", "2026-11-22T16:21:00Z"),
        ("Sun Nov 22 16:21:00 2026", "2026-11-22T16:21:00Z"),
        ("Sun, 32 Nov 2026 16:21:00 GMT", None),
        ("Sun, 22 Nov 2026 16:21:00 +99999999999999999999", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_an_answers_date_is_utc_wherever_it_is_read(
    date: str | None, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not this machine's time, where it names no zone; what is no date is none."""
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        assert dated_ns(date) == (None if said is None else utc_ns(said))
    finally:
        monkeypatch.undo()
        time.tzset()
