"""Rates are exact, and agree with sums worked out by others."""

import pytest

from service.simulator.rates import amount_nano, amount_text, bill_nano, credits_nano, offered

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


@pytest.mark.parametrize(("model", "expected"), WORKED.items())
def test_ten_thousand_tokens_in_cost_the_worked_sum(model: str, expected: str) -> None:
    """10 000 in, 4 000 of them cached, and 2 000 out cost what the public price tables say."""
    nano = bill_nano(model.partition("-")[0], "USD", model, prompt=10_000, cached=4_000, completion=2_000)

    assert expected == amount_text(nano)


def test_the_cny_host_bills_its_own_rates() -> None:
    """The same tokens on glm-5.3 cost 0.112 yuan, which is no conversion of the dollar price."""
    nano = bill_nano("glm", "CNY", "glm-5.3", prompt=10_000, cached=4_000, completion=2_000)

    assert amount_text(nano) == "0.112"


@pytest.mark.parametrize(("completion", "expected"), [(199, 2 * 1000 + 8 * 199), (200, 3 * 1000 + 14 * 200)])
def test_a_short_answer_of_glm_47_is_cheaper_in_cny(completion: int, expected: int) -> None:
    """Below 200 output tokens the lower tier holds."""
    nano = bill_nano("glm", "CNY", "glm-4.7", prompt=1000, cached=0, completion=completion)

    assert expected * 1000 == nano


def test_an_unlisted_model_has_no_price() -> None:
    """A model that is not offered raises; it is never free by accident."""
    with pytest.raises(KeyError):
        bill_nano("kimi", "CNY", "kimi-k2.7-code", prompt=1, cached=0, completion=1)


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
    """The three free GLM models stand in the list."""
    assert {"glm-4.7-flash", "glm-4.5-flash", "glm-4.6v-flash"} < set(offered("glm", "USD"))
