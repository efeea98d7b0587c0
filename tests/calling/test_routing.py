"""Routing: which wallet, model and price row a request goes to, and what is refused before it is sent."""

from urllib.parse import urlsplit

import pytest

from service.calling.routing import Router
from service.core.shapes import Ask
from service.core.wallet import Wallet, wallet
from service.errors import NoWalletError, UnknownModelError
from tests.rig import BEGUN_NS, PRICES, PROVIDERS, ask


def keyed(name: str, key: str = "sim-one", host: str = "http://127.0.0.1:9100") -> Wallet:
    """Make a wallet of a provider."""
    provider = PROVIDERS[name]
    return wallet(provider, key, base_url=host + urlsplit(provider.base_url).path)


BOTH = Router(PROVIDERS, [keyed("kimi"), keyed("glm")], PRICES)


@pytest.mark.parametrize(
    ("asked", "provider", "model"),
    [
        (ask(), "kimi", "kimi-k2.6"),
        (ask(provider="glm"), "glm", "glm-5.3-flash"),
        (ask(model="glm-5.3"), "glm", "glm-5.3"),
        (ask(model="kimi-k3"), "kimi", "kimi-k3"),
        (ask(model="kimi-of-tomorrow"), "kimi", "kimi-of-tomorrow"),
        (ask(model="glm-5.3", provider="glm"), "glm", "glm-5.3"),
        (ask(model="brand-new", provider="kimi"), "kimi", "brand-new"),
    ],
)
def test_routes(asked: Ask, provider: str, model: str) -> None:
    """A provider is taken as named, else by its model's price row or family, else the first wallet's."""
    route = BOTH.route(asked, at_ns=BEGUN_NS)
    assert (provider, model) == (route.provider.name, route.model)
    assert provider == route.wallet.provider


def test_price_row() -> None:
    """The row in force is found for a known model and host; an unknown one has none, never a guess."""
    row = BOTH.route(ask(model="kimi-k3"), at_ns=BEGUN_NS).row
    assert row is not None
    assert ("kimi-k3", "USD") == (row.model, row.currency)
    assert BOTH.route(ask(model="kimi-of-tomorrow"), at_ns=BEGUN_NS).row is None
    chinese = Router(PROVIDERS, [keyed("kimi", "sim-cny-1")], PRICES)
    own = chinese.route(ask(model="kimi-k3"), at_ns=BEGUN_NS).row
    assert own is not None
    assert ("kimi-k3", "CNY") == (own.model, own.currency)
    assert chinese.route(ask(model="kimi-k2.7-code"), at_ns=BEGUN_NS).row is None
    assert BOTH.price_version == PRICES.version


def test_order_of_wallets() -> None:
    """Without a name the first wallet serves; of two of one provider, the first."""
    first, second = keyed("glm", "sim-one"), keyed("glm", "sim-two")
    route = Router(PROVIDERS, [first, second, keyed("kimi")], PRICES).route(ask(), at_ns=BEGUN_NS)
    assert first is route.wallet


def test_a_named_wallet_pays() -> None:
    """Its provider is meant, with that one's default model; a model of another's is refused as ever."""
    first, second = keyed("glm", "sim-one"), keyed("glm", "sim-two")
    router = Router(PROVIDERS, [keyed("kimi"), first, second], PRICES)
    route = router.route(ask(wallet=second.name), at_ns=BEGUN_NS)
    assert (second, "glm-5.3-flash") == (route.wallet, route.model)
    with pytest.raises(UnknownModelError):
        router.route(ask(wallet=second.name, model="kimi-k3"), at_ns=BEGUN_NS)


def test_a_plan_s_default_model_is_one_that_it_rates() -> None:
    """Nobody named a model, and a plan pays: what the call draws must be known."""
    provider = PROVIDERS["glm"]
    plan = wallet(provider, "sim-one", base_url="http://127.0.0.1:9100/api/coding/paas/v4")
    route = Router(PROVIDERS, [plan], PRICES).route(ask(), at_ns=BEGUN_NS)
    assert ("coding", "glm-5.2") == (route.wallet.plan, route.model)


@pytest.mark.parametrize("asked", [ask(wallet="nobody"), ask(wallet="", provider="glm")])
def test_no_such_wallet(asked: Ask) -> None:
    """The refusal names those that there are."""
    with pytest.raises(NoWalletError, match="there is no wallet") as caught:
        BOTH.route(asked, at_ns=BEGUN_NS)
    assert keyed("glm").name in caught.value.remedy


@pytest.mark.parametrize("asked", [ask(model="gpt-9"), ask(model="glm-5.3", provider="kimi")])
def test_unknown_model(asked: Ask) -> None:
    """A model of nobody's, or of the other provider's, is refused with what to name instead."""
    with pytest.raises(UnknownModelError) as caught:
        BOTH.route(asked, at_ns=BEGUN_NS)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("asked", "variable"),
    [(ask(provider="kimi"), "KIMI_API_KEY"), (ask(model="kimi-k3"), "KIMI_API_KEY")],
)
def test_no_wallet(asked: Ask, variable: str) -> None:
    """A provider without a key is refused with the variable to set."""
    only_glm = Router(PROVIDERS, [keyed("glm")], PRICES)
    with pytest.raises(NoWalletError) as caught:
        only_glm.route(asked, at_ns=BEGUN_NS)
    assert variable in caught.value.remedy


def test_no_wallet_at_all() -> None:
    """Without any key every variable that would help is named."""
    with pytest.raises(NoWalletError) as caught:
        Router(PROVIDERS, [], PRICES).route(ask(), at_ns=BEGUN_NS)
    assert "KIMI_API_KEY or GLM_API_KEY" in caught.value.remedy
