"""A wallet is an account that pays; its key shows itself to nobody and goes only where it may."""

from types import SimpleNamespace
from typing import cast

import pytest

from service.core.shapes import Provider
from service.core.wallet import Wallet, WalletError, fingerprint, wallet
from service.secret import Secret

REAL = "sk-abcdefghijklmnopqrstuvwx"


def price_host(host: str, key_hint: str) -> str | None:
    """Know one host, and let a simulator play it."""
    return {"real": {"api.example.com": "api.example.com"}.get(host), "sim": "api.example.com"}.get(key_hint)


PROVIDER = cast(
    "Provider",
    SimpleNamespace(
        name="kimi",
        price_host=price_host,
        currency=lambda host: "USD" if host else None,
        hosts=frozenset({"api.example.com"}),
        plan=lambda path: "coding" if path.startswith("/coding/") else None,
    ),
)


def test_a_wallet_is_put_together_from_key_and_url() -> None:
    """Host, prices, currency and fingerprint follow from them."""
    expected = Wallet(
        name="kimi-3631b5f1",
        provider="kimi",
        base_url="https://API.example.com/v1",
        host="api.example.com",
        price_host="api.example.com",
        currency="USD",
        fingerprint="3631b5f1",
        simulated=False,
        key=Secret(REAL),
        own_host=True,
    )
    assert expected == wallet(PROVIDER, REAL, base_url="https://API.example.com/v1/")


@pytest.mark.parametrize(
    ("key", "url", "simulated", "priced_as", "host"),
    [
        ("sim-a", "http://127.0.0.1:9100/v1", True, "api.example.com", "127.0.0.1:9100"),
        ("sim-cny-a", "http://localhost:9100/v1", True, None, "localhost:9100"),
        (REAL, "http://[::1]:80/v1", False, None, "[::1]:80"),
        (REAL, "https://other.example.org", False, None, "other.example.org"),
    ],
)
def test_a_host_nobody_knows_has_no_price_and_no_currency(
    key: str, url: str, *, simulated: bool, priced_as: str | None, host: str
) -> None:
    """A simulator bills as the host it plays; of an unknown host nothing is claimed."""
    made = wallet(PROVIDER, key, base_url=url, name="mine")
    assert ("mine", simulated, priced_as, host) == (made.name, made.simulated, made.price_host, made.host)
    assert (priced_as is None) == (made.currency is None)


@pytest.mark.parametrize(
    ("key", "url", "why"),
    [
        ("", "https://api.example.com", "the key is empty"),
        ("sk-a b-secret", "https://api.example.com", "no HTTP header can carry"),
        ("sk-a\n-secret", "https://api.example.com", "no HTTP header can carry"),
        ("sk-é-secret", "https://api.example.com", "no HTTP header can carry"),
        (REAL, "ftp://api.example.com", "the base URL of kimi is no plain http"),
        (REAL, "api.example.com/v1", "the base URL of kimi is no plain http"),
        (REAL, "https:///v1", "the base URL of kimi is no plain http"),
        (REAL, "https://api.example.com:99999", "the base URL of kimi is no plain http"),
        (REAL, "https://[broken", "the base URL of kimi is no plain http"),
        (REAL, "https://:secret@api.example.com", "the base URL of kimi is no plain http"),
        (REAL, "https://me@api.example.com", "the base URL of kimi is no plain http"),
        (REAL, "https://api.example.com?a=1", "the base URL of kimi is no plain http"),
        (REAL, "https://api.example.com#a", "the base URL of kimi is no plain http"),
        (REAL, "http://api.example.com", "a key is never sent to api.example.com without TLS"),
        (REAL, "http://127.0.0.1.example.com", "without TLS"),
        ("sim-secret", "https://api.example.com", r"a simulator's key \(sim-…\) is never sent to api.example.com"),
    ],
)
def test_a_key_is_refused_where_it_must_not_go(key: str, url: str, why: str) -> None:
    """The text says why, and holds no part of the key."""
    with pytest.raises(WalletError, match=why) as raised:
        wallet(PROVIDER, key, base_url=url)
    assert "secret" not in str(raised.value)
    assert REAL not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "path", "plan"),
    [
        (None, "/v1", None),
        (None, "/coding/v1", "coding"),
        ("none", "/coding/v1", None),
        ("team-2", "/v1", "team-2"),
    ],
)
def test_a_plan_is_what_the_operator_says_or_else_the_url(said: str | None, path: str, plan: str | None) -> None:
    """`none` says that there is none where the base URL is a plan's."""
    made = wallet(PROVIDER, REAL, base_url=f"https://api.example.com{path}", plan=said)
    assert plan == made.plan


@pytest.mark.parametrize("said", ["", "Coding", "a plan", "x" * 33, "1st"])
def test_a_plan_is_a_word(said: str) -> None:
    """Anything else would stand in labels and entries as it came."""
    with pytest.raises(WalletError, match="expected a word like coding, or none"):
        wallet(PROVIDER, REAL, base_url="https://api.example.com", plan=said)


@pytest.mark.parametrize(
    ("key", "url", "is_own"),
    [
        (REAL, "https://api.example.com/v1", True),
        (REAL, "https://api.example.com:443/v1", True),
        (REAL, "https://api.example.com:8443/v1", False),
        (REAL, "https://relay.example.org/v1", False),
        (REAL, "http://127.0.0.1:9100/v1", False),
        ("sim-a", "https://127.0.0.1/v1", False),
    ],
)
def test_a_providers_own_host_is_one_of_its_names_over_tls(key: str, url: str, *, is_own: bool) -> None:
    """A relay, another port and a simulator are not it."""
    assert is_own == wallet(PROVIDER, key, base_url=url).own_host


def test_a_wallet_does_not_show_its_key() -> None:
    """Its repr says only that there is one."""
    made = wallet(PROVIDER, REAL, base_url="https://api.example.com")
    assert "key=Secret(…)" in repr(made)
    assert REAL not in repr(made)


def test_a_fingerprint_is_no_part_of_the_key() -> None:
    """It is the beginning of the key's SHA-256."""
    assert fingerprint("abc") == "ba7816bf"
