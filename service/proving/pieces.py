"""Pieces: the attempts of a wallet as a window weighs them, in whole pico-units of what pays. Pure."""

from collections.abc import Iterable, Mapping

import msgspec

from service.core.entries import IntentEntry, ResolutionEntry
from service.core.money import pico
from service.core.pricing import TOKENS_PER_RATE, PriceTable, Row
from service.core.record import Attempt
from service.core.shapes import Provider
from service.core.times import utc_ns
from service.core.usage import TOKENS_MAX, Usage
from service.core.wallet import Wallet
from service.core.window import Piece
from service.core.words import AttemptOutcome, CostStatus, ResolutionSource
from service.ledger.store import AttemptRow

# The bound of an input counts every byte as a token, and a template of hundreds beside. Tokenizers make one of
# three to five bytes; sixty-four leaves room for any text that people or programs send.
INPUT_BOUND_PER_TOKEN = 64
PEAK_PER_OFF_PEAK = 2  # an attempt that has not ended may end in a dearer hour
_KNOWN = frozenset({CostStatus.PRICED, CostStatus.FREE})
_NOTHING_BILLED = frozenset({AttemptOutcome.REFUSED, AttemptOutcome.UNSENT})
UNSETTLED = frozenset(
    {AttemptOutcome.OPEN, AttemptOutcome.IN_DOUBT, AttemptOutcome.RECONCILED, AttemptOutcome.WRITTEN_OFF}
)


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """What the attempts of one wallet are measured in.

    Attributes:
        provider: knows what a plan draws.
        plan: that pays; None where money does.
        currency: of the wallet's bill; None if not known.
        price_host: whose prices hold.
        prices: every known price.
    """

    provider: Provider
    plan: str | None
    currency: str | None
    price_host: str | None
    prices: PriceTable

    def asks(self, at_ns: int) -> bool:
        """Tell whether the provider's own books can be asked with a key of this kind at all."""
        return bool(self.provider.counters.inquiries(plan=self.plan, at_ns=at_ns))


def measure(wallet: Wallet, providers: Mapping[str, Provider], prices: PriceTable) -> Measure:
    """Say what a wallet's attempts are measured in."""
    return Measure(
        provider=providers[wallet.provider],
        plan=wallet.plan,
        currency=wallet.currency,
        price_host=wallet.price_host,
        prices=prices,
    )


def pieces(
    rows: Iterable[AttemptRow], records: Mapping[str, Attempt], measures: Mapping[str, Measure]
) -> tuple[Piece, ...]:
    """Weigh attempts; those that cannot have been billed are left out.

    Args:
        rows: of attempts.
        records: of those that were not settled, by attempt; one that is missing is bounded by what its row holds.
        measures: by wallet.
    """
    weighed = (_piece(row, records.get(row.attempt_id), measures[row.wallet]) for row in rows)
    return tuple(piece for piece in weighed if piece is not None)


def _piece(row: AttemptRow, record: Attempt | None, by: Measure) -> Piece | None:
    if row.outcome in _NOTHING_BILLED:
        return None
    settled = row.outcome is AttemptOutcome.SETTLED
    least, most = _settled(row, by) if settled else _unsettled(row, record, by)
    return Piece(
        attempt_id=row.attempt_id,
        began_at=row.started_at,
        ended_at=row.ended_at,
        intent_index=row.intent_index,
        end_index=row.end_index,
        least=least,
        most=most,
        floor=0 if settled or record is None else _floor(row, record, by),
        settled=settled,
        classes=_classes(row) if settled else {},
    )


def _settled(row: AttemptRow, by: Measure) -> tuple[int, int | None]:
    if by.plan is not None:
        usage, ended_at = _usage(row), row.ended_at or row.started_at
        return (0, None) if usage is None else drawn(row.model, usage, row.started_at, ended_at, by)
    if row.cost_status in _KNOWN and row.cost_pico is not None and row.currency in (None, by.currency):
        return row.cost_pico, row.cost_pico
    return 0, None


def _unsettled(row: AttemptRow, record: Attempt | None, by: Measure) -> tuple[int, int | None]:
    """Bound an attempt that no usage came back of; what readings resolved it at is what it cost."""
    said = record.resolution if record is not None else None
    if said is not None and said.source is ResolutionSource.READINGS and said.amount is not None:
        return pico(said.amount), pico(said.amount)
    return 0, _most(row, record, said, by)


def _most(row: AttemptRow, record: Attempt | None, said: ResolutionEntry | None, by: Measure) -> int | None:
    if record is None:
        return row.held_pico if by.plan is None and row.currency == by.currency else None
    most = bound(record.intent, by)
    if most is None or by.plan is not None or said is None or said.amount is None:
        return most
    return max(most, pico(said.amount))  # what a person stated is no bound, but it may be above ours


def bound(intent: IntentEntry, by: Measure) -> int | None:
    """Say what an attempt may be billed at most, before anything came back; None if that has no bound."""
    worst = intent.worst_case
    if by.plan is None:
        return pico(worst.amount) if worst.amount is not None and worst.currency == by.currency else None
    tokens = worst.input_tokens + worst.output_tokens
    if tokens > TOKENS_MAX:
        return None
    _, most = drawn(intent.model, _all_output(tokens), intent.at, intent.at, by)
    return None if most is None else most * PEAK_PER_OFF_PEAK


def drawn(model: str, usage: Usage, began_at: str, ended_at: str, by: Measure) -> tuple[int, int | None]:
    """Say by how much a plan's counter moves at least and at most; (0, None) where that is not known.

    Peak hours count more, and whether an attempt counts at its begin or at its end is not stated.
    """
    draws = by.provider.counters.drawn_pico
    each = [draws(plan=by.plan or "", model=model, usage=usage, at_ns=utc_ns(at)) for at in (began_at, ended_at)]
    known = [one for one in each if one is not None]
    return (min(known), max(known)) if len(known) == len(each) else (0, None)


def _floor(row: AttemptRow, record: Attempt, by: Measure) -> int:
    """Say the least that an attempt cost if it was billed at all: its input, at the cheapest rate."""
    if by.plan is not None or by.price_host is None:
        return 0
    intent = record.intent
    price = by.prices.row(row.provider, by.price_host, row.model, utc_ns(row.started_at))
    tokens = intent.worst_case.input_tokens // INPUT_BOUND_PER_TOKEN
    return 0 if price is None else tokens * _cheapest(price) // TOKENS_PER_RATE


def _cheapest(price: Row) -> int:
    """Give the lowest rate of input in pico-units per million tokens."""
    stated = ((rates.uncached_input, rates.cached_input, rates.cache_write) for rates in price.all_rates())
    return min((pico(rate) for rates in stated for rate in rates if rate is not None), default=0)


def _usage(row: AttemptRow) -> Usage | None:
    if row.output_tokens is None:
        return None
    return Usage(
        uncached_input_tokens=row.uncached_input_tokens or 0,
        cached_input_tokens=row.cached_input_tokens or 0,
        cache_write_tokens=row.cache_write_tokens or 0,
        output_tokens=row.output_tokens,
        reasoning_tokens=row.reasoning_tokens or 0,
    )


def _all_output(tokens: int) -> Usage:
    return Usage(
        uncached_input_tokens=0,
        cached_input_tokens=0,
        cache_write_tokens=0,
        output_tokens=tokens,
        reasoning_tokens=0,
    )


def _classes(row: AttemptRow) -> dict[str, int]:
    """Count as a provider's counters do: what was written to a cache was input that was not in it."""
    return {
        "uncached_input_tokens": (row.uncached_input_tokens or 0) + (row.cache_write_tokens or 0),
        "cached_input_tokens": row.cached_input_tokens or 0,
        "output_tokens": row.output_tokens or 0,
        "requests": 1,
    }
