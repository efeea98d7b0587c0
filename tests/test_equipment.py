"""Equipment: what the operator's file says of wallets and budgets is judged where both are known."""

from pathlib import Path
from typing import Any

import pytest

from service.core.entries import BudgetTerms
from service.core.wallet import Wallet
from service.core.words import BudgetPeriod
from service.equipment import Stated, load_providers, open_budgets, open_wallets
from service.errors import SettingsError
from service.secret import Secret
from service.settings import BudgetSource, Settings, WalletSource

PROVIDERS = load_providers()
UTC_WALLET = WalletSource(provider="glm", key=Secret("sk-a"), name="home")
SHANGHAI = WalletSource(provider="kimi", key=Secret("sk-b"), name="work", zone="Asia/Shanghai")


def opened(*sources: WalletSource) -> tuple[Wallet, ...]:
    """Open wallets."""
    return open_wallets(Settings(data_dir=Path("/nowhere"), wallets=sources), PROVIDERS)


def stated(*wallets: WalletSource, **changed: Any) -> Stated:  # noqa: ANN401 - any field
    """Judge one budget of 5 USD a day."""
    said = {"place": "exai.toml line 7", "name": "daily", "limit": ("5 USD",), "period": "day"} | changed
    settings = Settings(data_dir=Path("/nowhere"), wallets=wallets, budgets=(BudgetSource(**said),))
    return open_budgets(settings, opened(*wallets), PROVIDERS)


def test_a_wallet_keeps_its_zone() -> None:
    """Unless it names one, its days are those of UTC."""
    assert [("home", "UTC"), ("work", "Asia/Shanghai")] == [
        (one.name, one.zone) for one in opened(UTC_WALLET, SHANGHAI)
    ]


def test_a_wallet_of_no_zone() -> None:
    """It refuses the start, and the remedy is of zones, not of keys."""
    with pytest.raises(SettingsError, match="there is no time zone 'Mars/Base'") as caught:
        opened(WalletSource(provider="kimi", key=Secret("sk-b"), zone="Mars/Base"))
    assert "IANA" in caught.value.remedy


def test_a_wallet_keeps_its_plan() -> None:
    """What the operator says precedes what the base URL tells."""
    plan = WalletSource(provider="glm", key=Secret("sk-a"), base_url="https://api.z.ai/api/coding/paas/v4")
    none = WalletSource(provider="glm", key=Secret("sk-b"), base_url=plan.base_url, plan="none")
    assert [("coding", True), (None, True)] == [(one.plan, one.own_host) for one in opened(plan, none)]
    with pytest.raises(SettingsError, match="expected a word like coding"):
        opened(WalletSource(provider="kimi", key=Secret("sk-b"), plan="My plan"))


def test_a_budget_of_the_file() -> None:
    """Its words are the terms that a command would set."""
    expected = BudgetTerms(
        name="daily",
        period=BudgetPeriod.DAY,
        limits={"USD": "5"},
        zone="Asia/Kolkata",
        client="bob",
        each=("tool",),
    )
    assert Stated((expected,), ()) == stated(SHANGHAI, zone="Asia/Kolkata", client="bob", each=("tool",))


@pytest.mark.parametrize(
    ("wallets", "changed", "zone"),
    [
        ((), {}, "UTC"),
        ((SHANGHAI,), {}, "Asia/Shanghai"),
        ((UTC_WALLET, SHANGHAI), {"wallet": "work"}, "Asia/Shanghai"),
        ((UTC_WALLET, SHANGHAI), {"provider": "glm"}, "UTC"),
        ((UTC_WALLET, SHANGHAI), {"period": "total"}, "UTC"),
        ((UTC_WALLET, SHANGHAI), {"zone": "UTC"}, "UTC"),
    ],
)
def test_the_zone_of_a_budget_that_names_none(
    wallets: tuple[WalletSource, ...], changed: dict[str, Any], zone: str
) -> None:
    """It is that of the wallets that it may govern."""
    ((terms,), warnings) = (stated(*wallets, **changed).budgets, stated(*wallets, **changed).warnings)
    assert (zone, ()) == (terms.zone, warnings)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "its wallets have different zones (Asia/Shanghai, UTC)"),
        ({"zone": "Mars/Base"}, "there is no time zone 'Mars/Base'"),
        ({"limit": ("5 usd",), "zone": "UTC"}, "'usd' is neither a currency"),
        ({"period": "week"}, "'week' is no period"),
    ],
)
def test_a_budget_without_meaning_refuses_the_start(changed: dict[str, Any], said: str) -> None:
    """The error says where it stands, and what to write."""
    with pytest.raises(SettingsError) as caught:
        stated(UTC_WALLET, SHANGHAI, **changed)
    assert str(caught.value).startswith("exai.toml line 7: ")
    assert said in str(caught.value)
    assert caught.value.remedy


def test_a_budget_of_what_is_not_there_warns() -> None:
    """It governs nothing, so the operator is told what there is."""
    (unknown,) = stated(SHANGHAI, wallet="wrok").warnings
    assert "exai.toml line 7: no attempt has the wallet 'wrok' of this budget; there are: work" == unknown
    (unknown,) = stated(SHANGHAI, provider="openai").warnings
    assert "the provider 'openai' of this budget; there are: glm, kimi" in unknown
