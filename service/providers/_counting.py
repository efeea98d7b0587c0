"""The parts of a counter's answer that both providers share: an exact number, a bounded word, an outcome."""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal

from msgspec import Raw

from service.core.books import Figure
from service.core.money import PICO_DIGITS, decimal_text
from service.core.movement import sound
from service.core.shapes import Prepared, Refusal, Stated
from service.core.words import ReadingOutcome
from service.providers._json import is_null
from service.providers._naming import MESSAGE_CHARS_MAX, WORD_CHARS_MAX, word

NOT_FOUND = 404
OK = 200

_NUMBER = re.compile(rb"-?[0-9]{1,24}(\.[0-9]{1,48})?([eE][+-]?[0-9]{1,2})?")
_AMOUNT_PICO_MAX = 10 ** (18 + PICO_DIGITS)
_EXACT = Context(prec=128)

Refusing = Callable[[int, Mapping[str, str], bytes], Refusal | None]


def pico_of(source: Raw | None) -> int | None:
    """Read a JSON number in 10⁻¹², exactly; None for anything else.

    Digits beyond that are rounded: no counter states them, but a binary float's writing may have them.
    """
    text = b"" if source is None else bytes(source).strip(b'"')  # some of these numbers are written as strings
    if not _NUMBER.fullmatch(text):
        return None
    scaled = _EXACT.scaleb(Decimal(text.decode()), PICO_DIGITS)
    pico = int(scaled.to_integral_value(ROUND_HALF_EVEN, _EXACT))
    return pico if abs(pico) < _AMOUNT_PICO_MAX else None


def figure(name: str, source: Raw | None, unit: str, resolution: str) -> Figure | None:
    """Make a figure of a number that begins nowhere anew; None where there is no number."""
    pico = pico_of(source)
    if pico is None:
        return None
    return Figure(name=name, amount=decimal_text(pico), unit=unit, resolution=resolution)


def told(name: str, source: Raw | None) -> dict[str, str]:
    """Read a limit or a tier: a word or a number, or nothing."""
    if source is None or is_null(source):
        return {}
    value = word(source)
    pico = pico_of(source) if value is None else None
    value = decimal_text(pico) if pico is not None else value
    return {} if value is None else {name: value[:WORD_CHARS_MAX]}


def stated(figures: Sequence[Figure], tells: Mapping[str, str] | None = None) -> Stated:
    """Say what was read, unless a name comes twice or the numbers are beyond what any account holds."""
    if len({each.name for each in figures}) < len(figures):
        return unreadable("the answer states one number twice")
    if not sound(figures):
        return unreadable("the answer states numbers that no account can hold")
    return Stated(outcome=ReadingOutcome.READ, figures=tuple(figures), tells=dict(tells or {}))


def get(path: str, *, rooted: bool = False) -> Prepared:
    """Write a question without a body."""
    return Prepared(path=path, headers=(("Accept", "application/json"),), body=b"", method="GET", rooted=rooted)


def unreadable(message: str) -> Stated:
    """Say that nothing could be read."""
    return Stated(outcome=ReadingOutcome.UNREADABLE, message=message[:MESSAGE_CHARS_MAX])


def refused(refusal: Refusal) -> Stated:
    """Say that the provider did not answer, in its own words."""
    return Stated(
        outcome=ReadingOutcome.REFUSED,
        message=refusal.message[:MESSAGE_CHARS_MAX],
        provider_code=refusal.provider_code or refusal.provider_type,
    )


def not_read(status: int, headers: Mapping[str, str], body: bytes, refusing: Refusing) -> Stated | None:
    """Tell an answer that is no reading: an error of the provider's, a route that is not there, a stranger's page.

    Returns:
        None for a 200 that is no error.
    """
    refusal = refusing(status, headers, body)
    if status == NOT_FOUND:
        message = refusal.message if refusal is not None else ""
        return Stated(outcome=ReadingOutcome.NOT_OFFERED, message=message or "there is no such route")
    if refusal is not None:
        return refused(refusal)
    return None if status == OK else unreadable(f"status {status} without an error of the provider's")
