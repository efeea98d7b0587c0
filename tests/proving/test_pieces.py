"""Pieces: what each kind of attempt may have been billed."""

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from service.core.entries import OfCall
from service.core.money import PICO_PER_UNIT, pico
from service.core.record import Attempt
from service.core.window import Piece
from service.core.words import AttemptOutcome, CostStatus, ResolutionSource
from service.ledger.rows import attempt_row
from service.proving.pieces import Measure, pieces
from tests.rig import PRICES, PROVIDERS

if TYPE_CHECKING:
    from tests.conftest import Made

MONEY = Measure(provider=PROVIDERS["kimi"], plan=None, currency="USD", price_host="api.moonshot.ai", prices=PRICES)
PLAN = Measure(provider=PROVIDERS["glm"], plan="coding", currency="USD", price_host="api.z.ai", prices=PRICES)


def attempt(made: "Made", *then: OfCall, **intent: Any) -> Attempt:  # noqa: ANN401 - any field of an intent
    """Make one attempt."""
    return made.call(made.intent(**intent), *then).attempts[0]


def weigh(one: Attempt, by: Measure = MONEY, *, known: bool = True, **changed: Any) -> Piece | None:  # noqa: ANN401 - any field of a row
    """Weigh one attempt; with its record, if that is known."""
    row = msgspec.structs.replace(attempt_row(one), **changed)
    found = pieces([row], {row.attempt_id: one} if known else {}, {row.wallet: by})
    return found[0] if found else None


def bounds(one: Piece | None) -> tuple[int, int | None]:
    """Give both bounds."""
    assert one is not None
    return one.least, one.most


def test_a_priced_settlement_is_certain(made: "Made") -> None:
    """What was metered and priced cost exactly that; its tokens are counted by class."""
    found = weigh(attempt(made, made.settlement()))
    assert found is not None
    assert (pico("0.25"), pico("0.25"), True) == (*bounds(found), found.settled)
    usage = made.usage()
    assert {
        "uncached_input_tokens": usage.uncached_input_tokens + usage.cache_write_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
        "requests": 1,
    } == found.classes


def test_a_free_settlement_costs_nothing(made: "Made") -> None:
    """A free model's attempt is certain to have cost nothing."""
    cost = made.cost(status=CostStatus.FREE, amount="0")
    assert (0, 0) == bounds(weigh(attempt(made, made.settlement(cost=cost))))


def test_an_unpriced_settlement_has_no_upper_bound(made: "Made") -> None:
    """Without a price nothing bounds a cost; neither does a price in another currency."""
    cost = made.cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None)
    assert (0, None) == bounds(weigh(attempt(made, made.settlement(cost=cost))))
    assert (0, None) == bounds(weigh(attempt(made, made.settlement(cost=made.cost(currency="CNY")))))


def test_what_never_left_or_was_refused_is_no_piece(made: "Made") -> None:
    """Neither can have been billed."""
    assert weigh(attempt(made, made.refusal())) is None
    assert weigh(attempt(made, made.unsent())) is None


@pytest.mark.parametrize("outcome", [AttemptOutcome.OPEN, AttemptOutcome.IN_DOUBT])
def test_what_is_open_or_in_doubt_is_held_at_its_worst(made: "Made", outcome: AttemptOutcome) -> None:
    """It cost nothing at least and its worst case at most, which its row holds, too."""
    one = attempt(made) if outcome is AttemptOutcome.OPEN else attempt(made, made.doubt())
    assert (0, pico("1.5")) == bounds(weigh(one))
    assert (0, pico("1.5")) == bounds(weigh(one, known=False))


def test_an_attempt_in_doubt_costs_its_input_if_anything(made: "Made") -> None:
    """The floor of a billed attempt is a small part of its input at the cheapest rate; without a price it is 0."""
    worst = made.intent().worst_case
    big = msgspec.structs.replace(worst, input_tokens=64_000)
    one = attempt(made, made.doubt(), worst_case=big)
    price = PRICES.row("kimi", "api.moonshot.ai", "kimi-k3", 0) or PRICES.row(
        "kimi", "api.moonshot.ai", "kimi-k3", 1_795_364_460_000_000_000
    )
    assert price is not None
    rates = price.all_rates()[0]
    cheapest = min(pico(rate) for rate in (rates.uncached_input, rates.cached_input, rates.cache_write) if rate)
    found = weigh(one)
    assert found is not None
    assert 1000 * cheapest // 10**6 == found.floor > 0
    unknown = weigh(one, msgspec.structs.replace(MONEY, price_host=None))
    assert unknown is not None
    assert 0 == unknown.floor


def test_what_readings_resolved_is_certain(made: "Made") -> None:
    """A resolution by readings is what it cost; one by hand is no evidence, but may raise the bound."""
    by_readings = made.resolution(source=ResolutionSource.READINGS, amount="0.01")
    assert (pico("0.01"), pico("0.01")) == bounds(weigh(attempt(made, made.doubt(), by_readings)))
    by_hand = made.resolution(amount="2")
    assert (0, pico("2")) == bounds(weigh(attempt(made, made.doubt(), by_hand)))
    assert (0, pico("1.5")) == bounds(weigh(attempt(made, made.doubt(), made.written_off())))


def test_a_worst_case_in_another_currency_is_no_bound(made: "Made") -> None:
    """Currencies are never compared."""
    assert (0, None) == bounds(weigh(attempt(made, made.doubt()), msgspec.structs.replace(MONEY, currency="CNY")))


def test_a_plans_attempt_is_weighed_in_credits(made: "Made") -> None:
    """(100 uncached × 6.9 + 50 output × 24) / 10,000 credits, halved outside the peak hours."""
    usage = made.usage(uncached_input_tokens=100, cached_input_tokens=0, cache_write_tokens=0, output_tokens=50)
    settlement = made.settlement(usage=usage)
    one = attempt(made, settlement, provider="glm", model="glm-5.2")
    full = (100 * 69 + 50 * 240) * PICO_PER_UNIT // 100_000
    sunday, monday_peak = "2026-11-22T07:00:00.000000Z", "2026-11-23T07:00:00.000000Z"
    monday = "2026-11-23T05:59:59.000000Z"
    assert (full // 2, full // 2) == bounds(weigh(one, PLAN, started_at=sunday, ended_at=sunday))
    assert (full, full) == bounds(weigh(one, PLAN, started_at=monday_peak, ended_at=monday_peak))
    assert (full // 2, full) == bounds(weigh(one, PLAN, started_at=monday, ended_at=monday_peak))
    assert (0, None) == bounds(weigh(one, PLAN, model="glm-unknown"))


def test_a_plans_attempt_in_doubt_is_bounded_by_its_dearest_tokens(made: "Made") -> None:
    """Every token as output, in the dearest hour."""
    one = attempt(made, made.doubt(), provider="glm", model="glm-5.2")
    worst = one.intent.worst_case
    tokens = worst.input_tokens + worst.output_tokens
    sunday = "2026-11-22T07:00:00.000000Z"
    found = weigh(one, PLAN, started_at=sunday)
    assert (0, tokens * 24 * PICO_PER_UNIT // 10_000) == bounds(found)
