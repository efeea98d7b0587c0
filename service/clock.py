"""The clock: this machine's, and whether entries may bear its time.

Entries are never rewritten, so a wrong time would stay: prices, windows and the sums of a day follow it.
"""

import time

from service import RELEASED
from service.core.times import NS_PER_S, utc_ns, utc_text
from service.errors import ClockError

BACK_S_MAX = 60
YEARS_MAX = 20
_RELEASED_NS = utc_ns(f"{RELEASED}T00:00:00Z")
_YEAR_NS = 31_557_600 * NS_PER_S
_SET_IT = "Set the clock (by NTP, as with `timedatectl set-ntp true`), then start again."


class SystemClock:
    """The machine's clocks."""

    def now_ns(self) -> int:
        """Say the UTC wall time."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Say a time that never goes back."""
        return time.monotonic_ns()


def refuse_absurd(now_ns: int) -> None:
    """Refuse a time at which this version cannot be running.

    A clock without a battery begins in the past, at 1970 or at its firmware's day. A time far ahead does more
    harm: the entries that bear it would make every start at the right time look like one that goes back.

    Raises:
        ClockError: it is before the day of this version, or more than `YEARS_MAX` years after it.
    """
    if now_ns < _RELEASED_NS:
        raise ClockError(
            f"this machine's clock says {utc_text(now_ns)}, but this version is of {RELEASED}", remedy=_SET_IT
        )
    if now_ns > _RELEASED_NS + YEARS_MAX * _YEAR_NS:
        raise ClockError(
            f"this machine's clock says {utc_text(now_ns)}, more than {YEARS_MAX} years after this version"
            f" ({RELEASED})",
            remedy=f"{_SET_IT} If it is right, use a newer version.",
        )


def refuse_step_back(now_ns: int, last_at: str) -> None:
    """Refuse a time before the ledger's last entry.

    `BACK_S_MAX` is allowed: a clock that NTP corrects after a boot steps by less; by more, an entry's day,
    quarter hour or price could come before that of the entry it follows.

    Raises:
        ClockError: it is further back.
    """
    back_s = (utc_ns(last_at) - now_ns) // NS_PER_S
    if back_s > BACK_S_MAX:
        raise ClockError(
            f"this machine's clock says {utc_text(now_ns)}, {back_s} s before the ledger's last entry ({last_at})",
            remedy=f"{_SET_IT} If it is right and was ahead when that entry was written, wait until then, or set"
            " EXAI_DATA_DIR to a new folder.",
        )
