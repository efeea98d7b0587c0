"""Terms: a budget as a person writes it, taken or refused with a sentence and a remedy."""

import re
from collections.abc import Iterable

from service.core.budget import FILTERS, TOKENS, amount_text, number_text
from service.core.entries import BudgetTerms
from service.core.money import PICO_PER_UNIT, pico
from service.core.ranges import find_zone
from service.core.words import BudgetPeriod
from service.errors import InvalidArgumentsError

LIMIT_UNITS_MAX = 9_000_000  # of a currency: the sum of a quarter hour holds a little more, in pico-units
LIMIT_TOKENS_MAX = 10**15
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_LIMIT = re.compile(r"(\S{1,40})\s+(\S{1,20})")
_CURRENCY = re.compile(r"[A-Z]{3}")
_FILTER_CHARS_MAX = 200
_SHOWN_CHARS_MAX = 60
_LIMITS_ARE = "Write an amount and its unit, such as 5 USD, 0.25 CNY or 100000 tokens."


class BudgetTermsError(ValueError):
    """Terms that no budget can have; the text is a sentence for who wrote them.

    Attributes:
        remedy: what to write instead.
    """

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def terms(
    *,
    name: str,
    limits: Iterable[str],
    period: str,
    zone: str = "UTC",
    each: Iterable[str] = (),
    allow_unknown_price: bool = False,
    **filters: str | None,
) -> BudgetTerms:
    """Take a budget's terms as a person writes them.

    Args:
        name: lower-case letters, digits, `-` and `_`.
        limits: such as `5 USD`, `30 CNY` or `100000 tokens`, one of each unit.
        period: a word of `BudgetPeriod`.
        zone: IANA name; whose days and months are meant.
        each: words of `FILTERS`.
        allow_unknown_price: see `BudgetTerms`.
        filters: by words of `FILTERS`; None is all.

    Raises:
        BudgetTermsError: they are no terms.
    """
    if not _NAME.fullmatch(name):
        raise BudgetTermsError(
            f"{_shown(name)} is no name of a budget",
            remedy="Use 1 to 40 lower-case letters, digits, - and _, such as team-daily.",
        )
    if period not in set(BudgetPeriod):
        raise BudgetTermsError(
            f"{_shown(period)} is no period of a budget", remedy=f"Say one of: {', '.join(BudgetPeriod)}."
        )
    try:
        find_zone(zone)
    except InvalidArgumentsError as error:
        raise BudgetTermsError(error.message, remedy=error.remedy) from error
    apart = tuple(each)
    for word in (*filters, *apart):
        if word not in FILTERS:
            raise BudgetTermsError(
                f"a budget knows no {_shown(word)}", remedy=f"Its attempts are told by: {', '.join(FILTERS)}."
            )
    return BudgetTerms(
        name=name,
        period=BudgetPeriod(period),
        limits=_limits(limits),
        zone=zone,
        each=tuple(word for word in FILTERS if word in apart),
        allow_unknown_price=allow_unknown_price,
        **{word: _filter(word, value) for word, value in filters.items()},
    )


def zone_for(period: str, zones: Iterable[str]) -> str:
    """Choose the zone of a budget that names none: that of the wallets whose attempts it may govern.

    Raises:
        BudgetTermsError: these live in several, and their days and months would differ.
    """
    found = sorted(set(zones))
    if len(found) > 1 and period in {BudgetPeriod.DAY, BudgetPeriod.MONTH}:
        raise BudgetTermsError(
            f"its wallets have different zones ({', '.join(found)}), so its {period} has no one begin",
            remedy=f'Name the zone that is meant, such as zone = "{found[0]}", or one wallet.',
        )
    return found[0] if len(found) == 1 else "UTC"


def _limits(texts: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        match = _LIMIT.fullmatch(text.strip())
        if match is None:
            raise BudgetTermsError(f"{_shown(text)} is no limit", remedy=_LIMITS_ARE)
        number, unit = match.groups()
        if unit in found:
            raise BudgetTermsError(f"there are two limits in {unit}", remedy="Keep one of them.")
        found[unit] = _limit(number, unit)
    if not found:
        raise BudgetTermsError("the budget has no limit", remedy=_LIMITS_ARE)
    return found


def _limit(number: str, unit: str) -> str:
    """Read one limit and write it in its shortest form."""
    if unit != TOKENS and not _CURRENCY.fullmatch(unit):
        raise BudgetTermsError(f"{_shown(unit)} is neither a currency nor the word tokens", remedy=_LIMITS_ARE)
    if number.startswith("-"):
        raise BudgetTermsError(
            f"{_shown(number)} {unit} is below zero", remedy="A limit of 0 stops every attempt."
        )
    if unit == TOKENS:
        if not (number.isascii() and number.isdecimal()):
            raise BudgetTermsError(f"{_shown(number)} is no whole number of tokens", remedy=_LIMITS_ARE)
        return _countable(int(number), LIMIT_TOKENS_MAX, unit)
    try:
        return _countable(pico(number), LIMIT_UNITS_MAX * PICO_PER_UNIT, unit)
    except ValueError as error:
        if isinstance(error, BudgetTermsError):
            raise
        raise BudgetTermsError(
            f"{_shown(number)} {unit} is no decimal amount with at most 12 digits after the point",
            remedy=_LIMITS_ARE,
        ) from error


def _countable(amount: int, most: int, unit: str) -> str:
    if amount > most:
        raise BudgetTermsError(
            f"{amount_text(unit, amount)} is more than can be counted",
            remedy=f"A limit is {amount_text(unit, most)} at most.",
        )
    return number_text(unit, amount)


def _filter(word: str, value: str | None) -> str | None:
    if value is not None and (not value.isprintable() or not 0 < len(value) <= _FILTER_CHARS_MAX):
        raise BudgetTermsError(
            f"the {word} of a budget is {_shown(value)}", remedy=f"Name one {word}, or leave it out to mean all."
        )
    return value


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARS_MAX else text[: _SHOWN_CHARS_MAX - 1] + "…")
