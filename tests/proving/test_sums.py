"""Sums: what attempts came to, and that unknown is never zero."""

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from service.core.entries import OfCall
from service.core.money import pico
from service.core.record import Attempt
from service.core.times import utc_ns
from service.core.words import CostStatus, ResolutionSource
from service.ledger.rows import attempt_row
from service.proving.pieces import Measure, pieces
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


def at_times(settled: Attempt, began_at: str, ended_at: str) -> Attempt:
    """Give it as if its intent and its settlement had been written down at other times."""
    assert settled.end is not None
    intent = msgspec.structs.replace(settled.intent, at=began_at)
    return msgspec.structs.replace(settled, intent=intent, end=msgspec.structs.replace(settled.end, at=ended_at))


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


@pytest.mark.parametrize(
    ("began_at", "ended_at", "least", "most"),
    [(OFF_PEAK, OFF_PEAK, 1, 1), (PEAK, PEAK, 2, 2), (OFF_PEAK, PEAK, 1, 2), (PEAK, OFF_PEAK, 1, 2)],
)
def test_a_plan_counts_credits_by_the_hour(
    made: "Made", began_at: str, ended_at: str, least: int, most: int
) -> None:
    """No settlement holds them. Across the peak's edge nobody knows which hour counts: at most the dearer one."""
    cost = made.cost(status=CostStatus.PLAN, currency=None, amount=None)
    settled = made.settlement(cost=cost)
    one = attempt(made, settled, model="glm-5.3", provider="glm", plan="coding")
    across = at_times(one, began_at, ended_at)
    drawn = PLAN.provider.counters.drawn_pico(
        plan="coding", model="glm-5.3", usage=made.usage(), at_ns=utc_ns(OFF_PEAK)
    )
    assert drawn
    known = least * drawn if least == most else None
    assert (known, most * drawn) == came(across, by=PLAN)
    row = attempt_row(across)
    (piece,) = pieces([row], {}, {row.wallet: PLAN})
    assert (least * drawn, most * drawn) == (piece.least, piece.most)


def test_what_a_plan_does_not_rate_is_unknown(made: "Made") -> None:
    """Not even a bound is known."""
    cost = made.cost(status=CostStatus.PLAN, currency=None, amount=None)
    assert (None, None) == came(attempt(made, made.settlement(cost=cost), model="unrated"), by=PLAN)


def test_a_plans_doubt_is_bounded_by_output_at_peak_hours(made: "Made") -> None:
    """The bound holds at whatever hour it is counted."""
    doubted = attempt(made, made.doubt(), model="glm-5.3", provider="glm", plan="coding", at=OFF_PEAK)
    assert (None, pico("3.84")) == came(doubted, by=PLAN)  # 1,600 tokens of 240 a 100,000
    huge = msgspec.structs.replace(made.intent().worst_case, input_tokens=10**15)
    assert (None, None) == came(attempt(made, made.doubt(), model="glm-5.3", worst_case=huge), by=PLAN)
