"""Prices: dated rows with a source each, and usage × row = exact cost. What no row states has no price."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise, product
from typing import Annotated, Any

import msgspec

from service.core.canonical import canonical
from service.core.entries import Cost, Rates, WorstCase
from service.core.money import Money, decimal_text, pico
from service.core.times import utc_ns
from service.core.usage import Usage
from service.core.words import CostStatus

TOKENS_PER_RATE = 10**6
_RATE_DIGITS_MAX = 6  # so that one token's price is a whole number of pico-units, and no sum is ever rounded
_RATE = re.compile(rf"[0-9]{{1,4}}(\.[0-9]{{1,{_RATE_DIGITS_MAX}}})?")
_TIERS_MAX = 16
_ROWS_REMEMBERED = 1024  # what follows from a row alone is worked out once, not with every call
_CLASSES = ("uncached_input", "cached_input", "cache_write", "output")
Size = Annotated[int, msgspec.Meta(ge=1)]
Stated = Annotated[str, msgspec.Meta(min_length=1)]


class PriceTableError(ValueError):
    """A price row that cannot be used; its text names the row and what to change.

    Attributes:
        places: where the rows at fault stand among the rows that were given, from 0; empty if no row is.
    """

    def __init__(self, message: str, places: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.places = places


class Tier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates for requests below given sizes, in tokens; None is no bound. The first tier that fits holds."""

    input_tokens_below: Size | None = None
    output_tokens_below: Size | None = None
    uncached_input: str
    cached_input: str | None = None
    cache_write: str | None = None
    output: str

    def fits(self, input_tokens: int, output_tokens: int) -> bool:
        """Whether a request of these sizes is below both bounds."""
        fits_input = self.input_tokens_below is None or input_tokens < self.input_tokens_below
        return fits_input and (self.output_tokens_below is None or output_tokens < self.output_tokens_below)


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The price of one model on one host between two times.

    Attributes:
        host: the provider's host that bills by this row.
        reports: names under which answers report the model, beside `model` itself.
        uncached_input, cached_input, cache_write, output: per million tokens, decimal strings. Cached
            input may be left out: then a usage that has any has no known price. Cache writes are input
            that was not cached, and cost as such unless a price of their own is stated.
        request: a fee per request.
        tiers: rates by size instead of the plain ones.
        valid_from, valid_to: RFC 3339, half-open; None is unbounded.
        source: where the price is stated.
    """

    provider: str
    host: str
    model: Stated
    reports: tuple[str, ...] = ()
    currency: str
    uncached_input: str | None = None
    cached_input: str | None = None
    cache_write: str | None = None
    output: str | None = None
    request: str = "0"
    tiers: Annotated[tuple[Tier, ...], msgspec.Meta(max_length=_TIERS_MAX)] = ()
    valid_from: str | None = None
    valid_to: str | None = None
    source: Stated

    @property
    def names(self) -> frozenset[str]:
        """Every name that an answer by this model may carry."""
        return frozenset((self.model, *self.reports))

    @property
    def free(self) -> bool:
        """Whether nothing is ever charged by this row."""
        return _is_free(self)

    def all_rates(self) -> tuple[Rates, ...]:
        """The plain rates, or those of every tier."""
        return _all_rates(self)

    def rates(self, input_tokens: int, output_tokens: int) -> Rates | None:
        """Choose the rates by size; None when no tier fits."""
        if not self.tiers:
            return self.all_rates()[0]
        tiers = zip(self.tiers, self.all_rates(), strict=True)
        return next((rates for tier, rates in tiers if tier.fits(input_tokens, output_tokens)), None)

    def reachable(self, input_tokens_max: int, output_tokens_max: int) -> frozenset[Rates | None]:
        """Give the rates of every request up to these sizes; None stands for a size that no tier fits.

        Tiers cut the sizes into rectangles, so the smallest request of each one speaks for it.
        """
        if not self.tiers:
            return frozenset(self.all_rates())
        inputs = _corners((tier.input_tokens_below for tier in self.tiers), input_tokens_max)
        outputs = _corners((tier.output_tokens_below for tier in self.tiers), output_tokens_max)
        return frozenset(self.rates(*sizes) for sizes in product(inputs, outputs))

    def holds(self, at_ns: int) -> bool:
        """Whether the row is in force at a time."""
        begun = self.valid_from is None or utc_ns(self.valid_from) <= at_ns
        return begun and (self.valid_to is None or at_ns < utc_ns(self.valid_to))

    @property
    def label(self) -> str:
        """The row, as messages name it."""
        return f"{self.provider}/{self.host}/{self.model} from {self.valid_from or 'ever'}"


class PriceTable:
    """All rows, indexed. `version` is the first 16 hex of the SHA-256 over the whole table."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = tuple(rows)
        self._by_model: dict[tuple[str, str, str], list[Row]] = {}
        _check_all(self.rows)
        for row in self.rows:
            self._by_model.setdefault((row.provider, row.host, row.model), []).append(row)
        self.version = hashlib.sha256(canonical(msgspec.to_builtins(self.rows))).hexdigest()[:16]

    def row(self, provider: str, host: str, model: str, at_ns: int) -> Row | None:
        """Find the row in force at a time; None when no price is stated."""
        for row in self._by_model.get((provider, host, model), ()):
            if row.holds(at_ns):
                return row
        return None

    def models(self, provider: str, host: str, at_ns: int) -> tuple[str, ...]:
        """Name the models of one host that have a price at a time, sorted."""
        found = {
            row.model for row in self.rows if (row.provider, row.host) == (provider, host) and row.holds(at_ns)
        }
        return tuple(sorted(found))


def parse_rows(document: dict[str, Any]) -> tuple[Row, ...]:
    """Read the rows of a price file: `[[price]]` tables, nothing else.

    Raises:
        PriceTableError: an unknown key, a wrong type, a row that contradicts itself or another one.
    """
    unknown = sorted(set(document) - {"price"})
    if unknown:
        raise PriceTableError(f"unknown key {unknown[0]!r}; a price file holds [[price]] rows only")
    tables = document.get("price", [])
    if not isinstance(tables, list):
        raise PriceTableError("price is no list of rows; begin each row with [[price]]")
    rows = tuple(_read(place, table) for place, table in enumerate(tables))
    _check_all(rows)
    return rows


def cost(usage: Usage, row: Row | None, price_version: str, *, plan: str | None = None) -> Cost:
    """Price a usage exactly; `unknown_price` when no row, no tier or no rate is stated for a part of it.

    What a plan pays has no amount of money, whatever the row says: its credits are the provider's own measure.
    """
    if plan is not None:
        return Cost(status=CostStatus.PLAN, currency=None, amount=None, price_version=price_version)
    rates = row.rates(usage.input_tokens, usage.output_tokens) if row else None
    if row is None or rates is None or (usage.cached_input_tokens and rates.cached_input is None):
        return Cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None, price_version=price_version)
    charged = Money(row.currency, _charge(usage, rates))
    status = CostStatus.FREE if row.free else CostStatus.PRICED
    return Cost(
        status=status, currency=row.currency, amount=charged.amount, price_version=price_version, rates=rates
    )


def worst_case(input_tokens: int, output_tokens: int, row: Row | None) -> WorstCase:
    """Bound what a request can cost: all input at the dearest class and tier in reach, output to its limit.

    No amount is a bound where a usage in reach has no stated price.
    """
    reachable = row.reachable(input_tokens, output_tokens) if row else frozenset({None})
    charges = [_dearest(input_tokens, output_tokens, rates) for rates in reachable]
    known = [charge for charge in charges if charge is not None]
    if row is None or len(known) < len(charges):
        return WorstCase(input_tokens=input_tokens, output_tokens=output_tokens, currency=None, amount=None)
    amount = decimal_text(max(known))
    return WorstCase(input_tokens=input_tokens, output_tokens=output_tokens, currency=row.currency, amount=amount)


def worst_case_of_plan(input_tokens: int, output_tokens: int, currency: str | None) -> WorstCase:
    """Bound what a request can cost that a plan pays: nothing of money, so that no budget of money is used by it.

    Its tokens count in every budget of tokens.
    """
    return WorstCase(input_tokens=input_tokens, output_tokens=output_tokens, currency=currency, amount="0")


def lines(usage: Usage, rates: Rates) -> tuple[tuple[str, int, str, int], ...]:
    """Work a cost out: (class, tokens, rate per million, amount in pico-units) for each class with a rate."""
    counts = (
        usage.uncached_input_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
    )
    return tuple(
        (name, count, rate, count * pico(rate) // TOKENS_PER_RATE)
        for name, count, rate in zip(_CLASSES, counts, _rates_of(rates), strict=True)
        if rate is not None
    )


def _charge(usage: Usage, rates: Rates) -> int:
    return sum(amount for *_, amount in lines(usage, rates)) + pico(rates.request)


def _dearest(input_tokens: int, output_tokens: int, rates: Rates | None) -> int | None:
    """Bound one tier's charge in pico-units; None where a rate is not stated."""
    if rates is None or rates.cached_input is None:
        return None
    input_rate = max(pico(rate) for rate in (rates.uncached_input, rates.cached_input, rates.cache_write))
    tokens_cost = input_tokens * input_rate + output_tokens * pico(rates.output)
    return tokens_cost // TOKENS_PER_RATE + pico(rates.request)


def _corners(bounds: Iterable[int | None], tokens_max: int) -> set[int]:
    """Give the least size in each span that the bounds cut, as far as a request may reach."""
    return {0} | {bound for bound in bounds if bound is not None and bound <= tokens_max}


def _rates_of(rates: Rates) -> tuple[str | None, ...]:
    return tuple(getattr(rates, name) for name in _CLASSES)


@lru_cache(maxsize=_ROWS_REMEMBERED)
def _all_rates(row: Row) -> tuple[Rates, ...]:
    return tuple(_rates(row, stated) for stated in row.tiers or (row,))


@lru_cache(maxsize=_ROWS_REMEMBERED)
def _is_free(row: Row) -> bool:
    stated = [rate for rates in row.all_rates() for rate in (*_rates_of(rates), rates.request)]
    return not any(rate is None or pico(rate) for rate in stated)


def _rates(row: Row, stated: Row | Tier) -> Rates:
    if stated.uncached_input is None or stated.output is None:
        raise PriceTableError(f"price row {row.label}: uncached_input and output must be stated, or tiers")
    return Rates(
        uncached_input=stated.uncached_input,
        cached_input=stated.cached_input,
        cache_write=stated.uncached_input if stated.cache_write is None else stated.cache_write,
        output=stated.output,
        request=row.request,
    )


def _read(place: int, table: object) -> Row:
    try:
        return msgspec.convert(table, Row)
    except msgspec.ValidationError as error:
        named = table.get("model") if isinstance(table, dict) else None
        label = f"{place + 1} ({named})" if isinstance(named, str) else str(place + 1)
        raise PriceTableError(f"price row {label}: {error}", (place,)) from error


def _check_all(rows: Sequence[Row]) -> None:
    """Refuse a row that contradicts itself or another one."""
    same: dict[tuple[str, str, str], list[tuple[int, int, Row]]] = {}
    for place, row in enumerate(rows):
        try:
            _check(row)
        except PriceTableError as error:
            raise PriceTableError(str(error), (place,)) from error
        same.setdefault((row.provider, row.host, row.model), []).append((_begins(row), place, row))
    for placed in same.values():
        _check_disjoint(sorted(placed, key=lambda each: each[:2]))


def _check(row: Row) -> None:
    if row.tiers and any(getattr(row, name) is not None for name in _CLASSES):
        raise PriceTableError(f"price row {row.label}: plain rates stand beside tiers; state one of them")
    for rates in row.all_rates():
        _check_rates(row, rates)
    try:
        Money(row.currency, 0)
        begins = utc_ns(row.valid_from) if row.valid_from else None
        ends = utc_ns(row.valid_to) if row.valid_to else None
    except ValueError as error:
        raise PriceTableError(f"price row {row.label}: {error}") from error
    if begins is not None and ends is not None and ends <= begins:
        raise PriceTableError(f"price row {row.label}: valid_to must come after valid_from")


def _check_rates(row: Row, rates: Rates) -> None:
    for name in (*_CLASSES, "request"):
        found = getattr(rates, name)
        if found is not None and not _RATE.fullmatch(found):
            raise PriceTableError(
                f"price row {row.label}: {name} = {found!r} is no decimal"
                f" with at most {_RATE_DIGITS_MAX} digits after the point"
            )


def _check_disjoint(rows: Sequence[tuple[int, int, Row]]) -> None:
    """Refuse two rows that are in force at once: the price would depend on their order.

    Args:
        rows: of one model, each as (beginning in ns, place, row), sorted.
    """
    for (_, first, before), (begins_ns, second, row) in pairwise(rows):
        if before.valid_to is None or begins_ns < utc_ns(before.valid_to):
            raise PriceTableError(
                f"price row {row.label}: another row of this model is in force at the same time", (first, second)
            )


def _begins(row: Row) -> int:
    return utc_ns(row.valid_from) if row.valid_from else -1
