"""Sharing: which wallets spend from one account, as far as key, host and the provider's own name for it tell."""

from typing import TYPE_CHECKING, Any, cast

from service.core.wallet import Wallet, wallet
from service.proving.sharing import sharing
from tests.proving.test_rounds import reading
from tests.rig import PROVIDERS

if TYPE_CHECKING:
    from service.core.books import ReadingEntry
    from service.ledger.reading import Reading

OWN, OTHER = "sk-0123456789abcdef", "sk-fedcba9876543210"
PAID, PLANNED = "https://api.z.ai/api/paas/v4", "https://api.z.ai/api/coding/paas/v4"
HOST = "https://api.moonshot.ai/v1"


class Log:
    """A log that holds what providers said of accounts."""

    def __init__(self, *told: "ReadingEntry") -> None:
        self._told = told

    def latest_readings(self, name: str) -> "tuple[ReadingEntry, ...]":
        """Give those of a wallet."""
        return tuple(one for one in self._told if one.wallet == name)


def named(name: str, provider: str, url: str, key: str = OWN) -> Wallet:
    """Make a wallet."""
    return wallet(PROVIDERS[provider], key, base_url=url, name=name)


def told(of: Wallet, account: str, **changed: Any) -> "ReadingEntry":  # noqa: ANN401 - any field of a reading
    """Make a reading in which the provider names a wallet's account."""
    said = {"account": account, "fingerprint": of.fingerprint, "wallet": of.name, **changed}
    return reading(1, "account", **said)


def shared(*wallets: Wallet, log: Log | None = None) -> list[str]:
    """Name the wallets that share the first one's account; itself last."""
    found = sharing(cast("Reading", log or Log()), wallets, wallets[0])
    return [one.name for one in found]


def test_one_key_at_one_host_is_one_account() -> None:
    """Whatever its names are; another key or another host is not known to be it."""
    first, second = named("first", "kimi", HOST), named("second", "kimi", HOST)
    another = named("another", "kimi", HOST, OTHER)
    elsewhere = named("elsewhere", "kimi", "https://api.moonshot.cn/v1")
    assert ["second", "first"] == shared(first, second, another, elsewhere)


def test_a_plan_and_money_are_counted_apart() -> None:
    """One key may pay by the token and by a plan: neither counter shows what the other pays for."""
    paid, planned = named("paid", "glm", PAID), named("planned", "glm", PLANNED)
    assert ["paid"] == shared(paid, planned)
    assert ["planned"] == shared(planned, paid)


def test_an_account_that_the_provider_names() -> None:
    """Two keys of one organisation share it; what it told another key under that name says nothing."""
    first, second = named("first", "kimi", HOST), named("second", "kimi", HOST, OTHER)
    assert ["second", "first"] == shared(first, second, log=Log(told(first, "org"), told(second, "org")))
    assert ["first"] == shared(first, second, log=Log(told(first, "org"), told(second, "another")))
    before = told(second, "org", fingerprint="00000000")
    assert ["first"] == shared(first, second, log=Log(told(first, "org"), before))
