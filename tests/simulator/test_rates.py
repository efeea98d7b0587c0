"""Rates are exact, and agree with sums worked out by others."""

from datetime import UTC, datetime

import pytest

from service.simulator.rates import amount_nano, amount_text, bill_nano, credits_nano, offered
from tests.simulator.conftest import Clock, Talk

NOW_NS = 1_795_161_600 * 10**9  # 2026-11-20
FULL_PRICE_NS = int(datetime(2026, 9, 9, 16, tzinfo=UTC).timestamp()) * 10**9
WORKED = {
    "kimi-k3": "0.0492",
    "kimi-k3.1-pro": "0.0328",
    "kimi-k2.6": "0.01434",
    "kimi-k2.7-code": "0.01446",
    "glm-4.5": "0.00844",
    "glm-4.6": "0.00844",
    "glm-4.7": "0.00844",
    "glm-5": "0.0132",
    "glm-5.2": "0.01824",
    "glm-5.3": "0.01824",
    "glm-5.3-flash": "0.00202",
    "glm-4.7-flash": "0",
}


def billed(currency: str, model: str, at_ns: int = NOW_NS) -> str:
    """Bill 10 000 tokens in, 4 000 of them cached, and 2 000 out."""
    name = model.partition("-")[0]
    nano = bill_nano(name, currency, model, prompt=10_000, cached=4_000, completion=2_000, at_ns=at_ns)
    return amount_text(nano)


@pytest.mark.parametrize(("model", "expected"), WORKED.items())
def test_ten_thousand_tokens_in_cost_the_worked_sum(model: str, expected: str) -> None:
    """10 000 in, 4 000 of them cached, and 2 000 out cost what the public price tables say."""
    assert expected == billed("USD", model)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("glm-5.3", "0.112"),
        ("glm-5.3-flash", "0.01132"),
        ("glm-5.3-flashx", "0.02828"),
        ("glm-4.7", "0.0484"),
        ("glm-4-plus", "0.05"),
        ("glm-z1-flash", "0"),
        ("kimi-k3", "0.328"),
        ("kimi-k2.6", "0.0974"),
    ],
)
def test_the_cny_hosts_bill_their_own_rates(model: str, expected: str) -> None:
    """The same tokens cost so many yuan, which is no conversion of the dollar price."""
    assert expected == billed("CNY", model)


def test_the_flash_model_costs_half_until_its_day() -> None:
    """Until 2026-09-09 at 16:00 UTC, and not a nanosecond longer."""
    assert ("0.00101", "0.00202") == (
        billed("USD", "glm-5.3-flash", FULL_PRICE_NS - 1),
        billed("USD", "glm-5.3-flash", FULL_PRICE_NS),
    )


@pytest.mark.parametrize(("late_s", "rate_nano"), [(-1, (75, 250)), (0, (150, 500))])
async def test_the_clock_of_the_simulator_decides_the_price(
    talk: Talk, clock: Clock, late_s: int, rate_nano: tuple[int, int]
) -> None:
    """A request is billed by the price of the moment it arrived at."""
    clock.ns = FULL_PRICE_NS + late_s * 10**9
    await talk.glm(model="glm-5.3-flash")
    (entry,) = talk.simulator.world.books.requests
    assert entry.usage is not None
    assert entry.billed_nano == entry.usage.prompt * rate_nano[0] + entry.usage.completion * rate_nano[1]


@pytest.mark.parametrize(
    ("prompt", "completion", "rates"),
    [(1000, 199, (2, 8)), (1000, 200, (3, 14)), (31_999, 199, (2, 8)), (32_000, 199, (3, 14))],
)
def test_a_short_answer_of_glm_47_is_cheaper_in_cny(prompt: int, completion: int, rates: tuple[int, int]) -> None:
    """Below 32 000 tokens in and 200 out the lower tier holds."""
    nano = bill_nano("glm", "CNY", "glm-4.7", prompt=prompt, cached=0, completion=completion, at_ns=NOW_NS)

    assert (rates[0] * prompt + rates[1] * completion) * 1000 == nano


def test_an_unlisted_model_has_no_price() -> None:
    """A model that is not offered raises; it is never free by accident."""
    with pytest.raises(KeyError):
        bill_nano("kimi", "CNY", "kimi-k2.7-code", prompt=1, cached=0, completion=1, at_ns=NOW_NS)


@pytest.mark.parametrize(
    ("nano", "text"), [(0, "0"), (1, "0.000000001"), (50 * 10**9, "50"), (-1_500_000_000, "-1.5")]
)
def test_amounts_are_written_and_read_exactly(nano: int, text: str) -> None:
    """Text and nano-units are the same number, both ways."""
    assert text == amount_text(nano)
    assert nano == amount_nano(text)


@pytest.mark.parametrize("text", ["", "one", "0.0000000001", "NaN", "Infinity"])
def test_what_is_no_exact_amount_is_refused(text: str) -> None:
    """Neither words nor parts of a nano-unit are amounts."""
    with pytest.raises(ValueError, match=r"amount|nano"):
        amount_nano(text)


def test_plan_credits_are_halved_off_peak() -> None:
    """10 000 plain input tokens of glm-5.3 are 6.9 credits at peak and 3.45 else."""
    peak = credits_nano("glm-5.3", prompt=10_000, cached=0, completion=0, peak=True)
    calm = credits_nano("glm-5.3", prompt=10_000, cached=0, completion=0, peak=False)

    assert (amount_text(peak), amount_text(calm)) == ("6.9", "3.45")


def test_the_free_models_are_offered() -> None:
    """Three free GLM models are offered on each host."""
    assert {"glm-4.7-flash", "glm-4.5-flash", "glm-4.6v-flash"} < set(offered("glm", "USD"))
    assert {"glm-4.7-flash", "glm-4-flash-250414", "glm-z1-flash"} < set(offered("glm", "CNY"))
