"""Wallets that seem to be of one account."""

import pytest

from service.core.wallet import Wallet, wallet
from service.proving.alike import alike, pairs, same_money
from tests.core.two_ends import balance, figure, reading
from tests.rig import PROVIDERS


def keyed(key: str, url: str = "https://api.moonshot.ai/v1") -> Wallet:
    """Make a wallet with a key."""
    return wallet(PROVIDERS["kimi"], key, base_url=url)


ONE, OTHER, AWAY = keyed("sk-one"), keyed("sk-other"), keyed("sk-one", "https://api.moonshot.cn/v1")


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [("4.98765", "4.98765", True), ("4.98765", "4.98764", False), ("5", "5", False), ("4.5", "4.5", False)],
)
def test_only_the_last_digits_tell(before: str, after: str, *, same: bool) -> None:
    """Whole cents are what many accounts hold that were just opened."""
    assert same is same_money(balance(before).figures, balance(after).figures)


def test_other_counters_than_money_tell_nothing() -> None:
    """Nor do numbers that are none."""
    tokens = (figure("package_tokens", "1.23456", "tokens"),)
    assert not same_money(tokens, tokens)
    wild = (figure("spent", "1e9"),)
    assert not same_money(wild, wild)


def test_two_keys_at_one_host_are_alike_within_a_minute() -> None:
    """One key is one account anyway, and another host another account."""
    money = "4.98765"
    near, far = (reading("balance", *balance(money).figures, second=second) for second in (60, 61))
    assert alike(ONE, (balance(money),), OTHER, (near,))
    assert not alike(ONE, (balance(money),), OTHER, (far,))
    assert not alike(ONE, (balance(money),), ONE, (near,))
    assert not alike(ONE, (balance(money),), AWAY, (near,))
    assert not alike(ONE, (), OTHER, ())


def test_wallets_are_named_two_by_two() -> None:
    """Each pair once."""
    same, other = balance("4.98765").figures, balance("1.23456").figures
    assert [("a", "c")] == pairs(["a", "b", "c"], [same, other, same])
