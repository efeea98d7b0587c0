"""Terms: what a person may write of a budget, and what is said to who writes something else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.budget import limits_of
from service.core.entries import BudgetTerms
from service.core.money import decimal_text
from service.core.terms import BudgetTermsError, terms, zone_for
from service.core.words import BudgetPeriod


def test_terms_in_full() -> None:
    """Amounts take their shortest form, and what attempts are told apart by has one order."""
    found = terms(
        name="team-a_1",
        limits=["5.50 USD", " 030  CNY ", "100000 tokens"],
        period="month",
        zone="Asia/Shanghai",
        each=["tool", "client", "tool"],
        allow_unknown_price=True,
        provider="kimi",
        model=None,
    )
    expected = BudgetTerms(
        name="team-a_1",
        period=BudgetPeriod.MONTH,
        limits={"USD": "5.5", "CNY": "30", "tokens": "100000"},
        zone="Asia/Shanghai",
        provider="kimi",
        each=("client", "tool"),
        allow_unknown_price=True,
    )
    assert expected == found


def test_terms_in_short() -> None:
    """A name, a limit and a period are enough: all attempts, days of UTC, no unknown price. Zero is a limit."""
    assert BudgetTerms(name="a", period=BudgetPeriod.DAY, limits={"USD": "0"}) == terms(
        name="a", limits=["0 USD"], period="day"
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "Team"}, "'Team' is no name of a budget"),
        ({"name": ""}, "'' is no name"),
        ({"name": "-a"}, "'-a' is no name"),
        ({"name": "a" * 41}, "is no name"),
        ({"name": "a" * 500}, "…' is no name"),
        ({"period": "week"}, "'week' is no period of a budget Say one of: minute, day, month, total."),
        ({"zone": "Mars/Base"}, "there is no time zone 'Mars/Base'"),
        ({"each": ["session"]}, "a budget knows no 'session' Its attempts are told by: client, provider,"),
        ({"endpoint": "x"}, "a budget knows no 'endpoint'"),
        ({"client": ""}, "the client of a budget is ''"),
        ({"model": "a\nb"}, "the model of a budget is 'a\\nb'"),
        ({"tool": "a" * 201}, "the tool of a budget is"),
        ({"limits": []}, "the budget has no limit Write an amount and its unit, such as 5 USD"),
        ({"limits": ["5"]}, "'5' is no limit Write"),
        ({"limits": ["5USD"]}, "'5USD' is no limit"),
        ({"limits": ["5 US dollars"]}, "'5 US dollars' is no limit"),
        ({"limits": ["5 usd"]}, "'usd' is neither a currency nor the word tokens"),
        ({"limits": ["5 calls"]}, "'calls' is neither"),
        ({"limits": ["-5 USD"]}, "'-5' USD is below zero A limit of 0 stops"),
        ({"limits": ["-5 tokens"]}, "below zero"),
        ({"limits": ["5e3 USD"]}, "'5e3' USD is no decimal amount with at most 12 digits after the point"),
        ({"limits": ["0.0000000000001 USD"]}, "at most 12 digits after the point"),
        ({"limits": ["5 USD", "6 USD"]}, "there are two limits in USD Keep one"),
        ({"limits": ["9000000.000000000001 USD"]}, "is more than can be counted A limit is 9000000 USD at most."),
        ({"limits": ["1000000000000001 tokens"]}, "A limit is 1000000000000000 tokens at most."),
        ({"limits": ["1.5 tokens"]}, "'1.5' is no whole number of tokens"),
        ({"limits": ["٣ tokens"]}, "is no whole number of tokens"),
    ],
)
def test_what_no_budget_can_have(changed: dict[str, Any], said: str) -> None:
    """Each refusal is a sentence, and has a remedy."""
    with pytest.raises(BudgetTermsError) as caught:
        terms(**{"name": "a", "limits": ["1 USD"], "period": "day"} | changed)
    assert said in f"{caught.value} {caught.value.remedy}"
    assert caught.value.remedy


@given(amount=st.integers(min_value=0, max_value=9 * 10**18), tokens=st.integers(min_value=0, max_value=10**15))
def test_limits_are_exact(amount: int, tokens: int) -> None:
    """What was written is what is counted, to the last digit."""
    found = terms(name="a", limits=[f"{decimal_text(amount)} USD", f"{tokens} tokens"], period="total")
    assert {"USD": amount, "tokens": tokens} == limits_of(found)


@pytest.mark.parametrize(
    ("period", "zones", "zone"),
    [
        ("day", [], "UTC"),
        ("day", ["Asia/Shanghai", "Asia/Shanghai"], "Asia/Shanghai"),
        ("total", ["UTC", "Asia/Shanghai"], "UTC"),
        ("minute", ["Asia/Kolkata", "Asia/Shanghai"], "UTC"),
    ],
)
def test_the_zone_of_who_names_none(period: str, zones: list[str], zone: str) -> None:
    """It is that of all its wallets; where they differ, a period without days does not care."""
    assert zone == zone_for(period, zones)


@pytest.mark.parametrize("period", ["day", "month"])
def test_a_day_of_two_zones_has_no_begin(period: str) -> None:
    """The refusal names the zones, and what to write."""
    with pytest.raises(
        BudgetTermsError, match=rf"\(Asia/Shanghai, UTC\), so its {period} has no one begin"
    ) as caught:
        zone_for(period, ["UTC", "Asia/Shanghai"])
    assert 'zone = "Asia/Shanghai"' in caught.value.remedy
