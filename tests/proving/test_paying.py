"""What a call of the default model costs, in short, and which models a plan rates."""

import pytest

from service.core.pricing import PriceTable, Row
from service.core.wallet import wallet
from service.proving.paying import default_price, rated
from tests.rig import BEGUN_NS, PRICES, PROVIDERS

FREE = PriceTable(
    [
        Row(
            provider="kimi",
            host="api.moonshot.ai",
            model="kimi-k2.6",
            currency="USD",
            uncached_input="0",
            cached_input="0",
            output="0",
            source="a test",
        )
    ]
)


@pytest.mark.parametrize(
    ("provider", "base_url", "prices", "said"),
    [
        ("kimi", "https://api.moonshot.ai/v1", PRICES, "priced"),
        ("kimi", "https://api.moonshot.ai/v1", FREE, "free"),
        ("kimi", "https://relay.example/v1", PRICES, "unknown price"),
        ("kimi", "https://api.kimi.com/coding/v1", PRICES, "not rated by the plan coding"),
        ("glm", "https://api.z.ai/api/paas/v4", PRICES, "priced"),
        ("glm", "https://open.bigmodel.cn/api/coding/paas/v4", PRICES, "paid by the plan coding"),
    ],
)
def test_the_default_model_s_price(provider: str, base_url: str, prices: PriceTable, said: str) -> None:
    """By the wallet's own host and plan; what nobody states is unknown."""
    one = wallet(PROVIDERS[provider], "sk-1", base_url=base_url)
    assert said == default_price(one, PROVIDERS[provider], prices, at_ns=BEGUN_NS)


def test_what_a_plan_rates() -> None:
    """The models of its page, whichever host; none where no measure is known."""
    plan = wallet(PROVIDERS["glm"], "sk-1", base_url="https://open.bigmodel.cn/api/coding/paas/v4")
    of = rated(plan, PROVIDERS["glm"], PRICES, at_ns=BEGUN_NS)
    assert ("glm-4.7", "glm-5-turbo", "glm-5.2", "glm-5.3") == of
    other = wallet(PROVIDERS["glm"], "sk-1", base_url="https://api.z.ai/api/paas/v4", plan="team")
    assert () == rated(other, PROVIDERS["glm"], PRICES, at_ns=BEGUN_NS)
