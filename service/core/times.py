"""Times: integer nanoseconds since 1970 UTC inside, RFC 3339 with microseconds outside."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

NS_PER_S = 1_000_000_000
NS_PER_US = 1_000


def utc_text(at_ns: int) -> str:
    """Write a time as `2026-11-22T16:21:00.123456Z`; finer digits are cut off."""
    at_s, rest_ns = divmod(at_ns, NS_PER_S)
    return f"{_second(at_s)}.{rest_ns // NS_PER_US:06d}Z"


@lru_cache(maxsize=16)
def _second(at_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%S}"


def utc_ns(text: str) -> int:
    """Read a time with an explicit zone.

    Raises:
        ValueError: the text is no RFC 3339 time, or names no zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        message = f"{text!r} names no time zone; end it with Z for UTC"
        raise ValueError(message)
    whole = moment.replace(microsecond=0)
    return int(whole.timestamp()) * NS_PER_S + moment.microsecond * NS_PER_US


def dated_ns(text: str | None) -> int | None:
    """Read an answer's `Date`, whole seconds; one that names no zone is UTC, as HTTP's are. None if it is none."""
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * NS_PER_S
