"""Money: whole pico-units (10⁻¹²) of one currency; never a float, never two currencies in one sum."""

import re
from functools import lru_cache

import msgspec

PICO_DIGITS = 12
PICO_PER_UNIT = 10**PICO_DIGITS
_DECIMAL = re.compile(r"(-?)([0-9]{1,18})(?:\.([0-9]{1,12}))?")
_CURRENCY = re.compile(r"[A-Z]{3}")


class CurrencyMismatchError(ValueError):
    """Two amounts of different currencies met in one sum."""


class Money(msgspec.Struct, frozen=True, order=False):
    """An exact amount of one currency.

    Attributes:
        currency: ISO 4217 code, three capitals.
        pico: the amount in 10⁻¹² of the currency's unit.
    """

    currency: str
    pico: int

    def __post_init__(self) -> None:
        if not _CURRENCY.fullmatch(self.currency):
            message = f"{self.currency!r} is no ISO 4217 currency code"
            raise ValueError(message)

    def __add__(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            message = f"{self.currency} and {other.currency} are never added"
            raise CurrencyMismatchError(message)
        return Money(self.currency, self.pico + other.pico)

    @property
    def amount(self) -> str:
        """The amount as an exact decimal string."""
        return decimal_text(self.pico)


@lru_cache(maxsize=4096)
def decimal_text(pico: int) -> str:
    """Write pico-units as the shortest exact decimal, without an exponent."""
    units, rest = divmod(abs(pico), PICO_PER_UNIT)
    fraction = f"{rest:0{PICO_DIGITS}d}".rstrip("0")
    return f"{'-' if pico < 0 else ''}{units}{'.' + fraction if fraction else ''}"


@lru_cache(maxsize=4096)
def pico(text: str) -> int:
    """Read a plain decimal of at most 12 fractional digits. The same rates are read with every call.

    Raises:
        ValueError: the text is no such decimal (signs but `-`, exponents and spaces are refused).
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        message = f"{text!r} is no decimal amount with at most {PICO_DIGITS} fractional digits"
        raise ValueError(message)
    sign, units, fraction = match.groups(default="")
    magnitude: int = int(units) * PICO_PER_UNIT + int(fraction.ljust(PICO_DIGITS, "0"))
    return -magnitude if sign else magnitude
