"""Accounts tell keys apart, and money by its time."""

import pytest

from service.simulator.accounts import Account, Draw, has_plan, standing_of, start_nano_of, wallet_of


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, "absent"),
        ("", "absent"),
        ("sim-1", "good"),
        ("sim-cny-1", "good"),
        ("sim-revoked", "revoked"),
        ("sim-empty-1", "empty"),
        ("sk-real", "unknown"),
    ],
)
def test_the_first_letters_of_a_key_say_what_it_is_worth(key: str | None, expected: str) -> None:
    """Nothing else is known of keys."""
    assert expected == standing_of(key)


def test_accounts_open_with_fifty_nothing_or_plenty() -> None:
    """In nano-units of their currency."""
    keys = ("sim-1", "sim-empty", "sim-rich")

    assert [start_nano_of(key) for key in keys] == [50 * 10**9, 0, 10**15]


def test_a_wallet_shows_nothing_of_its_key() -> None:
    """Its name is the provider's and eight digits of a hash."""
    wallet = wallet_of("glm", "sim-one")

    assert wallet.partition("-")[0] == "glm"
    assert "one" not in wallet


def test_movements_are_summed_up_to_a_time() -> None:
    """What came later does not count yet."""
    account = Account("w", "kimi", "USD", 100)
    account.move(10, "billed", 30)
    account.move(20, "topup", 5)

    assert account.balance_nano == 75
    assert (account.until(19)["billed"], account.until(19)["topup"]) == (30, 0)
    assert account.until(9)["billed"] == 0


def test_a_client_id_is_taken_once() -> None:
    """The second claim fails."""
    account = Account("w", "glm", "USD", 0)

    assert [account.claim("a"), account.claim("a")] == [True, False]


def test_credits_of_more_than_a_week_are_forgotten() -> None:
    """The plan's windows are never longer."""
    account = Account("w", "glm", "USD", 0)
    account.draw_credits(0, 1)
    account.draw_credits(8 * 24 * 3600 * 10**9, 2)

    assert [nano for _, nano in account.credits] == [2]


@pytest.mark.parametrize(
    ("provider", "key", "expected"),
    [("glm", "sim-plan-1", True), ("glm", "sim-one", False), ("kimi", "sim-plan-1", False)],
)
def test_a_plan_is_of_one_provider(provider: str, key: str, *, expected: bool) -> None:
    """The key's first letters tell."""
    assert expected == has_plan(provider, key)


def test_packages_are_given_and_drawn() -> None:
    """What is left is known for every time."""
    account = Account("w", "glm", "USD", 0)
    account.packages.append((10, 100))
    account.draws.append(Draw(20, "glm-5.3", 3, 2, 1, package_tokens=6))

    assert [account.package_left(at_ns) for at_ns in (9, 10, 20, None)] == [0, 100, 94, 94]
    assert account.draws[0].tokens == 6
