"""What may be asked for where a form asks."""

from service.core.wallet import Wallet, wallet
from service.proving.choosing import COST_MAX, ceilings
from tests.rig import PROVIDERS


def paying(name: str, provider: str, url: str, plan: str | None = None) -> Wallet:
    """Make a wallet."""
    return wallet(PROVIDERS[provider], "sk-0123456789abcdef", base_url=url, name=name, plan=plan)


def test_a_form_asks_for_ten_times_the_usual_at_most() -> None:
    """In the unit that pays; of a wallet whose unit is not known nothing is said."""
    wallets = (
        paying("dollars", "kimi", "https://api.moonshot.ai/v1"),
        paying("yuan", "kimi", "https://api.moonshot.cn/v1"),
        paying("plan", "glm", "https://api.z.ai/api/coding/paas/v4"),
        paying("elsewhere", "kimi", "https://relay.example/v1"),
    )
    assert {"USD": "0.05", "CNY": "0.40", "credits": "400"} == COST_MAX
    assert {"dollars": ("0.5", "USD"), "yuan": ("4", "CNY"), "plan": ("4000", "credits")} == ceilings(wallets)
