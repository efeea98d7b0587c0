"""Ranges: which span of UTC a person means, said in the words and days of a zone."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import msgspec

from service.core.times import NS_PER_S, utc_ns, utc_text
from service.errors import InvalidArgumentsError

ROLLING_H = {"1h": 1, "24h": 24, "7d": 7 * 24, "30d": 30 * 24}
"""Ranges that end now, by their length in hours."""
RANGES = (*ROLLING_H, "mtd", "today")
MOMENT_CHARS_MAX = 40
ZONE_CHARS_MAX = 64
# What systems keep beside the IANA names: the machine's own zone, copies, and zones that count leap seconds.
_NO_NAMES = frozenset(("Factory", "localtime", "posixrules"))
_NO_FOLDERS = ("posix/", "right/")
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Span(msgspec.Struct, frozen=True):
    """A half-open span, as UTC texts; None is unbounded."""

    since: str | None
    until: str | None


def span(
    *, word: str | None = None, since: str | None = None, until: str | None = None, now_ns: int, zone: tzinfo
) -> Span:
    """Resolve what was asked for.

    Args:
        word: one of `RANGES`; it ends now. `today` begins at the zone's midnight, `mtd` at its month's first.
        since: what `moment` reads; None is unbounded. Not beside a word.
        until: the same, for the first moment that is left out.
        now_ns: the time.
        zone: whose midnights, and of what times that name no zone.

    Raises:
        InvalidArgumentsError: an unknown word, a text that is no time, or an end before its begin.
    """
    if word is not None:
        if since is not None or until is not None:
            raise InvalidArgumentsError(
                "a range stands beside from or to", remedy="Give a range, or from and to, not both."
            )
        return Span(_begin(word, now_ns, zone), utc_text(now_ns))
    found = Span(
        None if since is None else moment(since, name="from", zone=zone),
        None if until is None else moment(until, name="to", zone=zone),
    )
    if found.since is not None and found.until is not None and found.until <= found.since:
        raise InvalidArgumentsError(
            f"to ({found.until}) is not later than from ({found.since})",
            remedy="`to` is the first moment left out.",
        )
    return found


def moment(text: str, *, name: str, zone: tzinfo) -> str:
    """Read a time, or a day for its midnight, as a UTC text; one that names no zone is the zone's.

    Where clocks are put back, an hour that comes twice means its first time.

    Raises:
        InvalidArgumentsError: it is neither, or before 1970.
    """
    try:
        if len(text) <= MOMENT_CHARS_MAX and ("T" in text or " " in text or _DAY.fullmatch(text)):
            read = datetime.fromisoformat(text)
            at_ns = utc_ns((read if read.tzinfo else read.replace(tzinfo=zone)).isoformat())
            if at_ns >= 0:  # years of fewer than four digits would not compare as texts
                return utc_text(at_ns)
    except (ValueError, OverflowError):
        pass
    raise InvalidArgumentsError(
        f"{name} is {text[:MOMENT_CHARS_MAX]!r}, which is no time from 1970 on",
        remedy="Write a day like 2026-11-22, or a time like 2026-11-22T16:00:00Z.",
    )


def find_zone(name: str) -> tzinfo:
    """Find a time zone by its IANA name; `UTC` needs no database of zones, which is a table that stays as it is.

    Raises:
        InvalidArgumentsError: there is none of this name here.
    """
    if name == "UTC":
        return UTC
    try:
        known = name not in _NO_NAMES and not name.startswith(_NO_FOLDERS)
        if known and len(name) <= ZONE_CHARS_MAX and _ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (ValueError, KeyError, OSError):  # as the name is unknown, no zone's file, or a folder of them
        pass
    raise InvalidArgumentsError(
        f"there is no time zone {name[:ZONE_CHARS_MAX]!r}",
        remedy="Name one as the IANA database does, like Asia/Kolkata or UTC.",
    )


def local_day(quarter: str, zone: tzinfo) -> str:
    """Name the day of a zone that a quarter hour (`2026-11-22T16:15`, UTC) belongs to."""
    return f"{_local(quarter, zone):%Y-%m-%d}"


def local_hour(quarter: str, zone: tzinfo) -> str:
    """Name its hour, with the offset: where clocks are put back, one hour comes twice."""
    return _local(quarter, zone).replace(minute=0).isoformat(timespec="minutes")


def _local(quarter: str, zone: tzinfo) -> datetime:
    return datetime.fromisoformat(quarter).replace(tzinfo=UTC).astimezone(zone)


def _begin(word: str, now_ns: int, zone: tzinfo) -> str:
    if word in ROLLING_H:
        length_s = int(timedelta(hours=ROLLING_H[word]).total_seconds())
        return utc_text(now_ns - length_s * NS_PER_S)
    if word not in RANGES:
        raise InvalidArgumentsError(f"there is no range {word!r}", remedy=f"Say one of: {', '.join(RANGES)}.")
    local = datetime.fromtimestamp(now_ns // NS_PER_S, zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if word == "mtd":
        midnight = midnight.replace(day=1)
    return utc_text(utc_ns(midnight.isoformat()))
