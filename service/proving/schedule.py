"""The schedule: when a wallet's counters are asked next. Pure: times go in, a time comes out."""

import msgspec

from service.core.times import NS_PER_S
from service.core.words import ReadingCause

MARGIN_NS = NS_PER_S  # a reading must lie surely after the moment that it waits for


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How often a wallet's counters are asked, in seconds.

    Attributes:
        interval_s: while calls are made.
        idle_s: while none are.
        usual_s: after this long a call usually shows in them.
    """

    interval_s: float
    idle_s: float
    usual_s: float


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a wallet when its next reading is planned. Times are UTC nanoseconds.

    Attributes:
        read_ns: when its counters were last asked; None if they were not since the start.
        seen_ns: when an attempt last began or ended; None if none did.
        is_open: whether an attempt is under way.
        is_blind: whether the last reading told nothing of money or credits.
        due_ns: when a verdict asks to be looked at again.
    """

    read_ns: int | None = None
    seen_ns: int | None = None
    is_open: bool = False
    is_blind: bool = False
    due_ns: int | None = None


class Due(msgspec.Struct, frozen=True, order=True):
    """When the counters are asked next, and why."""

    at_ns: int
    cause: ReadingCause


def next_due(standing: Standing, pace: Pace) -> Due:
    """Plan a wallet's next reading.

    It is read at the start; every interval while calls are made or nothing can be
    read; once the last of them has settled; when a window
    that came short is final; and seldom while nothing happens.
    """
    read_ns, seen_ns = standing.read_ns, standing.seen_ns
    if read_ns is None:
        return Due(0, ReadingCause.START)
    found = [Due(read_ns + _ns(pace.idle_s), ReadingCause.SCHEDULE)]
    if standing.is_open or standing.is_blind or (seen_ns is not None and seen_ns > read_ns):
        found.append(Due(read_ns + _ns(pace.interval_s), ReadingCause.SCHEDULE))
    moments = [] if seen_ns is None else [seen_ns + _ns(pace.usual_s)]
    moments += [] if standing.due_ns is None else [standing.due_ns]
    found.extend(Due(at + MARGIN_NS, ReadingCause.ACTIVITY) for at in moments if at + MARGIN_NS > read_ns)
    return min(found)


def _ns(seconds: float) -> int:
    return int(seconds * NS_PER_S)
