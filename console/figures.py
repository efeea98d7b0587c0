"""Figures: numbers and times written to be read. Amounts stay the exact decimals that they are."""

from service.core.money import decimal_text
from service.core.times import NS_PER_US, utc_ns

_THIN = "\u202f"  # a narrow space that never breaks
_US_PER_MS = 1000
_US_PER_S = 1_000_000
_US_PER_MINUTE = 60 * _US_PER_S
_US_SHOWN_BELOW = 100
_MS_SHOWN_BELOW = 10


def grouped(count: int) -> str:
    """Write a whole number in groups of three."""
    return f"{count:,}".replace(",", _THIN)


def amount(pico: int) -> str:
    """Write pico-units as an exact decimal."""
    return decimal_text(pico)


def day(at: str) -> str:
    """Take the day of a UTC text."""
    return at[:10]


def clock(at: str) -> str:
    """Take the time of day of a UTC text, to the second."""
    return at[11:19]


def moment(at: str) -> str:
    """Write a UTC text as a day, a time to the millisecond, and the zone."""
    return f"{day(at)} {at[11:23]} UTC"


def duration(us: int) -> str:
    """Write microseconds in the unit that suits them."""
    if us < _US_SHOWN_BELOW:
        return f"{us} \u00b5s"
    if us < _MS_SHOWN_BELOW * _US_PER_MS:
        return f"{us / _US_PER_MS:.1f} ms"
    if us < _US_PER_S:
        return f"{us // _US_PER_MS} ms"
    if us < _US_PER_MINUTE:
        return f"{us / _US_PER_S:.2f} s"
    minutes, rest = divmod(us, _US_PER_MINUTE)
    return f"{minutes} min {rest // _US_PER_S} s"


def counted(count: int, noun: str) -> str:
    """Write a number with its noun, one or many."""
    return f"{grouped(count)} {noun}{'' if count == 1 else 's'}"


def age(at: str, as_of: str) -> str:
    """Say how long before another time a time was, in one unit, rounded down; `just now` within a second."""
    rest_s = max(0, utc_ns(as_of) - utc_ns(at)) // (NS_PER_US * _US_PER_S)
    for name, unit_s in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        if rest_s >= unit_s:
            return f"{counted(rest_s // unit_s, name)} ago"
    return "just now"
