"""Setting a budget: what is not said stays, what cannot be is refused with a remedy, the file's is the file's."""

from dataclasses import replace
from typing import Any

import pytest

from service.actions import budget_set
from service.actions.budget_set import ACTION, BudgetSet, BudgetStands
from service.core.entries import BudgetEntry, BudgetTerms
from service.core.wallet import Wallet
from service.core.words import BudgetEvent, BudgetPeriod
from service.errors import ActionError
from service.ledger.limiting import BY_FILE
from service.secret import Secret
from tests.acting import BY, Acting


def wallet(name: str, provider: str = "kimi", zone: str = "UTC") -> Wallet:
    """Make a wallet."""
    return Wallet(
        name=name,
        provider=provider,
        base_url="http://127.0.0.1:9",
        host="127.0.0.1:9",
        price_host=None,
        currency="USD",
        fingerprint="00000000",
        simulated=True,
        key=Secret("sim-x"),
        zone=zone,
    )


async def put(lab: Acting, name: str = "daily", *wallets: Wallet, **said: Any) -> BudgetStands:  # noqa: ANN401 - any field
    """Set a budget."""
    return await ACTION.run(BudgetSet(name=name, **said), replace(lab.stand, wallets=lambda: wallets), BY)


def said(lab: Acting) -> list[BudgetEntry]:
    """Read what was said of budgets."""
    return [entry for entry in lab.stand.reading.of_ledger() if isinstance(entry, BudgetEntry)]


async def test_a_new_budget(lab: Acting) -> None:
    """The entry has its terms and its maker; it holds when the answer is there."""
    stands = await put(lab, limits=("5 USD", "100000 tokens"), period="day", client="ci", each=("model",))
    terms = BudgetTerms(
        name="daily",
        period=BudgetPeriod.DAY,
        limits={"USD": "5", "tokens": "100000"},
        client="ci",
        each=("model",),
    )
    (entry,) = said(lab)
    assert (BudgetEvent.SET, terms, BY) == (entry.event, entry.terms, entry.by)
    assert (terms, None, entry.index, ()) == (stands.terms, stands.before, stands.index, stands.warnings)
    assert lab.stand.ledger.writer.budgets.active


async def test_what_is_not_said_stays(lab: Acting) -> None:
    """A limit is put over that of its unit; filters, period and zone change where they are said."""
    first = await put(lab, limits=("5 USD", "9 tokens"), period="day", zone="Asia/Kolkata", wallet="main")
    stands = await put(lab, limits=("7 USD",), period="month", each=("client",), allow_unknown_price=True)
    assert first.terms == stands.before
    assert BudgetTerms(
        name="daily",
        period=BudgetPeriod.MONTH,
        limits={"USD": "7", "tokens": "9"},
        zone="Asia/Kolkata",
        wallet="main",
        each=("client",),
        allow_unknown_price=True,
    ) == (stands.terms)
    again = await put(lab, allow_unknown_price=False, zone="UTC")
    assert ({"USD": "7", "tokens": "9"}, False, "UTC") == (
        again.terms.limits,
        again.terms.allow_unknown_price,
        again.terms.zone,
    )


async def test_nothing_new_is_not_written(lab: Acting) -> None:
    """The same words twice are one entry, so no warning is given twice."""
    await put(lab, limits=("5 USD",), period="day")
    stands = await put(lab, limits=("5.00 USD",))
    assert (stands.before, None, 1) == (stands.terms, stands.index, len(said(lab)))


@pytest.mark.parametrize(
    ("asked", "why", "remedy"),
    [
        ({"limits": ("5 USD",)}, "no budget 'daily' yet, and a new one needs a period", "--per day"),
        ({"period": "day"}, "the budget has no limit", "5 USD"),
        ({"limits": ("5 dollars",), "period": "day"}, "neither a currency", "5 USD"),
        ({"limits": ("-5 USD",), "period": "day"}, "below zero", "0 stops"),
        ({"limits": ("5 USD",), "period": "week"}, "'week' is no period", "minute, day"),
        ({"limits": ("5 USD",), "period": "day", "zone": "Mars"}, "no time zone 'Mars'", "Asia/Kolkata"),
        ({"limits": ("5 USD",), "period": "day", "each": ("colour",)}, "no 'colour'", "client"),
        ({"limits": ("5 USD",), "period": "day", "client": ""}, "the client of a budget is ''", "leave it out"),
    ],
)
async def test_what_cannot_be(lab: Acting, asked: dict[str, Any], why: str, remedy: str) -> None:
    """It is refused in a sentence with a remedy, and nothing is written."""
    with pytest.raises(ActionError) as caught:
        await put(lab, **asked)
    assert why in str(caught.value)
    assert remedy in caught.value.remedy
    assert [] == said(lab)


async def test_a_name_that_is_none(lab: Acting) -> None:
    """It would be hard to type."""
    with pytest.raises(ActionError, match="'Daily!' is no name of a budget"):
        await put(lab, "Daily!", limits=("5 USD",), period="day")


async def test_the_file_s_budget(lab: Acting) -> None:
    """A command does not change it: the next start would undo it."""
    terms = BudgetTerms(name="daily", period=BudgetPeriod.DAY, limits={"USD": "5"})
    await lab.stand.ledger.append(
        BudgetEntry(event=BudgetEvent.SET, name="daily", terms=terms, warning=None, by=BY_FILE)
    )
    with pytest.raises(ActionError, match=r"'daily' is stated in the file of settings \(exai.toml\)") as caught:
        await put(lab, limits=("9 USD",))
    assert "Change it there" in caught.value.remedy


async def test_the_zone_of_its_wallets(lab: Acting) -> None:
    """A new budget that names no zone has that of the wallets that it may govern, if they have one."""
    wallets = (wallet("one", zone="Asia/Shanghai"), wallet("two", "glm", zone="Europe/Berlin"))
    assert (
        "Europe/Berlin"
        == (await put(lab, "a", *wallets, limits=("5 USD",), period="day", wallet="two")).terms.zone
    )
    assert (
        "Asia/Shanghai"
        == (await put(lab, "b", *wallets, limits=("5 USD",), period="day", provider="kimi")).terms.zone
    )
    assert "UTC" == (await put(lab, "c", *wallets, limits=("5 USD",), period="total")).terms.zone
    with pytest.raises(ActionError, match="different zones") as caught:
        await put(lab, "d", *wallets, limits=("5 USD",), period="day")
    assert "--zone Asia/Shanghai" in caught.value.remedy


async def test_who_is_not_there_is_named(lab: Acting) -> None:
    """A budget for a wallet that no attempt has is set, with a warning; where none is known nobody can say."""
    wallets = (wallet("one"), wallet("two"))
    stands = await put(lab, "a", *wallets, limits=("5 USD",), period="day", wallet="three", provider="openai")
    assert (
        "no attempt has the wallet 'three' of this budget now; there are: one, two",
        "no attempt has the provider 'openai' of this budget now; there are: kimi",
    ) == stands.warnings
    assert () == (await put(lab, "b", limits=("5 USD",), period="day", wallet="three")).warnings


async def test_budgets_have_a_limit(lab: Acting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each intent is compared with all of them, so there may not be any number; one that is there may change."""
    monkeypatch.setattr(budget_set, "BUDGETS_MAX", 2)
    for name in ("a", "b"):
        await put(lab, name, limits=("5 USD",), period="day")
    with pytest.raises(ActionError, match="there are 2 budgets; that is the limit"):
        await put(lab, "c", limits=("5 USD",), period="day")
    await put(lab, "b", limits=("6 USD",))
