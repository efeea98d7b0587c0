"""The account of a ledger: a person's words resolved, and all its sums read at one moment."""

import re
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from service.core.account import Account, Asked
from service.core.ranges import span
from service.core.times import utc_text
from service.errors import InvalidArgumentsError
from service.ledger.reading import CallFilter, Reading

ZONE_CHARS_MAX = 64
# What systems keep beside the IANA names: the machine's own zone, copies, and zones that count leap seconds.
_NO_NAMES = frozenset(("Factory", "localtime", "posixrules"))
_NO_FOLDERS = ("posix/", "right/")
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


def find_zone(name: str) -> tzinfo:
    """Find a time zone by its IANA name; `UTC` needs no database of zones.

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


def account(reading: Reading, asked: Asked, *, now_ns: int, owner: str | None = None) -> Account:
    """Answer a question about spending. Blocks: call it off the loop.

    Args:
        reading: of the ledger.
        asked: the question.
        now_ns: the time; ranges by a word end here.
        owner: the one client whose calls may be seen; None for all.

    Raises:
        InvalidArgumentsError: a word, time or zone that is not known.
        StoreError: the ledger cannot be read.
    """
    zone = find_zone(asked.zone)
    meant = span(word=asked.range, since=asked.since, until=asked.until, now_ns=now_ns, zone=zone)
    only = CallFilter(**asked.filters, owner=owner, since=meant.since, until=meant.until)
    with reading.snapshot():
        rows = reading.spending(only, by=asked.by, zone=zone)
        totals = reading.spending(only) if asked.by else rows
    return Account(
        asked=asked,
        as_of=utc_text(now_ns),
        owner=owner,
        since=meant.since,
        until=meant.until,
        rows=tuple(rows),
        totals=tuple(totals),
    )
