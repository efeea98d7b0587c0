"""A wallet of a plan: its attempts draw credits, cost no money, and are told apart from every other."""

from decimal import Decimal

import msgspec
import pytest

from service.calling.routing import Router
from service.core.entries import BudgetEntry, BudgetTerms, SettlementEntry
from service.core.wallet import Wallet, wallet
from service.core.words import BudgetEvent, BudgetPeriod, CostStatus, RefusalReason
from service.errors import NoWalletError, ProviderRefusedError
from service.simulator.rates import amount_text
from tests.rig import PRICES, PROVIDERS, Rig, ask

PLAN_KEY = "sim-plan-1"


def placed(lab: Rig, *wallets: Wallet) -> Rig:
    """Let a rig pay with other wallets."""
    lab.counter = msgspec.structs.replace(lab.counter, router=Router(PROVIDERS, wallets, PRICES))
    return lab


def opened(lab: Rig, key: str, path: str, name: str) -> Wallet:
    """Open a wallet of GLM at the simulator."""
    return wallet(PROVIDERS["glm"], key, base_url=lab.simulator.url + path, name=name)


async def test_a_plan_costs_no_money(lab: Rig) -> None:
    """Its cost has a word and no amount; the intent names the plan and holds nothing of money."""
    placed(lab, opened(lab, PLAN_KEY, "/api/coding/paas/v4", "plan"))
    settled = await lab.end_of(SettlementEntry, ask(model="glm-5.3"))
    assert (CostStatus.PLAN, None, None) == (settled.cost.status, settled.cost.amount, settled.cost.currency)
    (intent,) = lab.written("intent")
    assert ("plan", "coding", False) == (intent["wallet"], intent["plan"], intent["own_host"])
    assert ("0", "USD") == (intent["worst_case"]["amount"], intent["worst_case"]["currency"])
    assert intent["worst_case"]["output_tokens"] > 0


async def test_a_plan_draws_what_its_page_says(lab: Rig) -> None:
    """What we work out from the usage is what the simulator's books drew."""
    placed(lab, opened(lab, PLAN_KEY, "/api/coding/paas/v4", "plan"))
    settled = await lab.end_of(SettlementEntry, ask("sim:words=50", model="glm-5.3"))
    entry = lab.books[-1]
    drawn = PROVIDERS["glm"].counters.drawn_pico(
        plan="coding", model="glm-5.3", usage=settled.usage, at_ns=entry.at_ns
    )
    assert drawn is not None
    assert Decimal(drawn) / 10**12 == Decimal(amount_text(entry.credits_nano or 0)) > 0


async def test_a_budget_of_money_does_not_stop_a_plan(lab: Rig) -> None:
    """However small it is, and whatever its currency: there is no money to be bounded."""
    placed(lab, opened(lab, PLAN_KEY, "/api/coding/paas/v4", "plan"))
    for unit in ("USD", "CNY"):
        name = f"in-{unit.lower()}"
        terms = BudgetTerms(name=name, period=BudgetPeriod.DAY, limits={unit: "0.000001"})
        await lab.ledger.append(
            BudgetEntry(event=BudgetEvent.SET, name=name, terms=terms, warning=None, by="a test")
        )
    await lab.end_of(SettlementEntry, ask(model="glm-5.3"))
    assert 1 == len(lab.written("intent"))


@pytest.mark.parametrize(
    ("key", "path"), [(PLAN_KEY, "/api/paas/v4"), ("sim-one", "/api/coding/paas/v4")], ids=["plan", "no plan"]
)
async def test_a_key_at_the_wrong_path_has_nothing_to_pay_with(lab: Rig, key: str, path: str) -> None:
    """The provider says so by its code for an empty account."""
    placed(lab, opened(lab, key, path, "wrong"))
    refused = await lab.complete(ask(model="glm-5.3"))
    assert isinstance(refused, ProviderRefusedError)
    await lab.close()
    (entry,) = lab.written("refusal")
    assert (RefusalReason.NO_BALANCE, "1113") == (entry["reason"], entry["provider_code"])


async def test_a_request_may_name_who_pays(lab: Rig) -> None:
    """Else the first wallet of the provider does; one that is not there, or another provider's, pays nothing."""
    placed(
        lab,
        opened(lab, "sim-one", "/api/paas/v4", "cash"),
        opened(lab, PLAN_KEY, "/api/coding/paas/v4", "plan"),
    )
    await lab.end_of(SettlementEntry, ask(model="glm-5.3"))
    await lab.end_of(SettlementEntry, ask(model="glm-5.3", wallet="plan"))
    assert ["cash", "plan"] == [intent["wallet"] for intent in lab.written("intent")]
    for asked in (ask(wallet="nobody"), ask(wallet="plan", provider="kimi")):
        assert isinstance(await lab.complete(asked), NoWalletError)
    assert 2 == len(lab.books)
