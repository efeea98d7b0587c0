"""Sums: what attempts came to, and that unknown is never zero."""

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from service.core.entries import OfCall
from service.core.money import pico
from service.core.record import Attempt
from service.core.times import utc_ns
from service.core.words import CostStatus, ResolutionSource
from service.proving.pieces import Measure
from service.proving.sums import came_to
from tests.rig import PRICES, PROVIDERS

if TYPE_CHECKING:
    from tests.conftest import Made

MONEY = Measure(provider=PROVIDERS["kimi"], plan=None, currency="USD", price_host="api.moonshot.ai", prices=PRICES)
PLAN = Measure(provider=PROVIDERS["glm"], plan="coding", currency="USD", price_host="api.z.ai", prices=PRICES)
OFF_PEAK = "2026-11-23T05:59:59.000000Z"  # 13:59:59 in Beijing, a Monday
PEAK = "2026-11-23T06:00:00.000000Z"


def attempt(made: "Made", *then: OfCall, **intent: Any) -> Attempt:  # noqa: ANN401 - any field of an intent
    """Make one attempt."""
    return made.call(made.intent(**intent), *then).attempts[0]


def at_time(settled: Attempt, at: str) -> Attempt:
    """Give it as if its settlement had been written down at another time."""
    assert settled.end is not None
    return msgspec.structs.replace(settled, end=msgspec.structs.replace(settled.end, at=at))


def came(*attempts: Attempt, by: Measure = MONEY) -> tuple[int | None, int | None]:
    """Give both sums."""
    found = came_to(attempts, by)
    return found.amount, found.most


def test_settlements_are_added_up(made: "Made") -> None:
    """What was refused or never left adds nothing; no attempt at all is nothing."""
    settled, refused = attempt(made, made.settlement()), attempt(made, made.refusal())
    assert (pico("0.5"), pico("0.5")) == came(settled, settled, refused, attempt(made, made.unsent()))
    assert (0, 0) == came()
    free = attempt(made, made.settlement(cost=made.cost(status=CostStatus.FREE, amount="0")))
    assert (0, 0) == came(free)


def test_one_in_doubt_makes_the_sum_unknown(made: "Made") -> None:
    """It is bounded by its worst case, beside what is known of the others; so is one that is open."""
    settled = attempt(made, made.settlement())
    assert (None, pico("1.75")) == came(settled, attempt(made, made.doubt()))
    assert (None, pico("1.5")) == came(attempt(made))


def test_what_has_no_price_is_unknown(made: "Made") -> None:
    """Its bound is its worst case; without a price there is none, nor in another currency."""
    unknown = made.settlement(cost=made.cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None))
    assert (None, pico("1.5")) == came(attempt(made, unknown))
    unpriced = msgspec.structs.replace(made.intent().worst_case, currency=None, amount=None)
    assert (None, None) == came(attempt(made, unknown, worst_case=unpriced))
    assert (None, pico("1.5")) == came(attempt(made, made.settlement(cost=made.cost(currency="CNY"))))


@pytest.mark.parametrize(("amount", "known"), [("0.75", pico("0.75")), ("0", 0)])
def test_what_readings_resolved_is_known(made: "Made", amount: str, known: int) -> None:
    """The counter left one possibility; one that was written off stays unknown."""
    said = made.resolution(source=ResolutionSource.READINGS, amount=amount)
    assert (known, known) == came(attempt(made, made.doubt(), said))
    assert (None, pico("1.5")) == came(attempt(made, made.doubt(), made.written_off()))


def test_a_plan_counts_credits_at_the_settlements_time(made: "Made") -> None:
    """No settlement holds them; at peak hours the same tokens count twice."""
    cost = made.cost(status=CostStatus.PLAN, currency=None, amount=None)
    settled = attempt(made, made.settlement(cost=cost), model="glm-5.3", provider="glm", plan="coding")
    peak, other = (at_time(settled, at) for at in (PEAK, OFF_PEAK))
    drawn = PLAN.provider.counters.drawn_pico(
        plan="coding", model="glm-5.3", usage=made.usage(), at_ns=utc_ns(OFF_PEAK)
    )
    assert drawn
    assert (drawn, drawn) == came(other, by=PLAN)
    assert (2 * drawn, 2 * drawn) == came(peak, by=PLAN)
    assert (None, None) == came(attempt(made, made.settlement(cost=cost), model="unrated"), by=PLAN)


def test_a_plans_doubt_is_bounded_by_output_at_peak_hours(made: "Made") -> None:
    """The bound holds at whatever hour it is counted."""
    doubted = attempt(made, made.doubt(), model="glm-5.3", provider="glm", plan="coding", at=OFF_PEAK)
    assert (None, pico("3.84")) == came(doubted, by=PLAN)  # 1,600 tokens of 240 a 100,000
    huge = msgspec.structs.replace(made.intent().worst_case, input_tokens=10**15)
    assert (None, None) == came(attempt(made, made.doubt(), model="glm-5.3", worst_case=huge), by=PLAN)
