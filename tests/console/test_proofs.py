"""The way to begin a proof, without a page: what may be asked for, and what was begun."""

import pytest

from console.proofs import Proofs
from service.serving.auth import LOCAL, Caller


async def begin(_caller: Caller, _wallet: str | None, _max_cost: str | None) -> str:
    """Begin nothing, and give an id."""
    return "c" * 32


@pytest.mark.parametrize(
    ("wallet", "max_cost", "said"),
    [
        (None, "0.5", None),
        (None, "0.51", "may come to 0.5 USD at most for b; 0.51 is more"),
        ("a", "4", None),
        ("a", "4.01", "may come to 4 CNY at most for a; 4.01 is more"),
        ("b", "0.51", "may come to 0.5 USD at most for b; 0.51 is more"),
        ("c", "4001", "may come to 4000 credits at most for c; 4001 is more"),
        ("without-a-unit", "9999", None),
    ],
)
def test_a_wallet_has_its_own_ceiling_and_none_has_the_lowest(
    wallet: str | None, max_cost: str, said: str | None
) -> None:
    """A proof that names no wallet may come to be any, so the lowest number of all holds."""
    most = {"a": ("4", "CNY"), "b": ("0.5", "USD"), "c": ("4000", "credits")}
    found = Proofs(begin, most=most).too_much(wallet, max_cost)
    assert said == (None if found is None else found.removeprefix("A proof begun here ").removesuffix("."))


def test_without_wallets_nothing_is_too_much() -> None:
    """What no ceiling is known for is left to the proof itself."""
    assert Proofs(begin).too_much(None, "9999") is None


async def test_the_newest_that_were_begun_are_remembered() -> None:
    """Only ids that were given here; where no proof is offered there is none."""
    proofs = Proofs(begin)
    assert not proofs.begun("c" * 32)
    assert "c" * 32 == await proofs.begin(LOCAL, None, None)
    assert proofs.begun("c" * 32)
    with pytest.raises(LookupError):
        await Proofs(None).begin(LOCAL, None, None)
