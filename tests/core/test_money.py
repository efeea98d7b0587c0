"""Money is exact, and of one currency."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.money import PICO_PER_UNIT, CurrencyMismatchError, Money, decimal_text, pico

PICOS = st.integers(-(10**30) + 1, 10**30 - 1)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("0", 0),
        ("-0", 0),
        ("1", 10**12),
        ("007", 7 * 10**12),
        ("0.000000000001", 1),
        ("-0.5", -5 * 10**11),
        ("1.20", 12 * 10**11),
        ("999999999999999999.999999999999", 10**30 - 1),
    ],
)
def test_a_decimal_is_read_exactly(text: str, units: int) -> None:
    """An amount is a whole number of pico-units."""
    assert units == pico(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".5",
        "5.",
        "+1",
        " 1",
        "1 ",
        "1\n",
        "1e3",
        "1,5",
        "0.0000000000001",
        "1" * 19,
        "NaN",
        "٣",
        "--1",
        "1.-5",
    ],
)
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    """No sign but minus, no exponent, no space, no thirteenth digit, no digit of another script."""
    with pytest.raises(ValueError, match="is no decimal amount with at most 12 fractional digits"):
        pico(text)


@given(PICOS)
def test_a_written_amount_is_read_back(amount: int) -> None:
    """Text and pico-units say the same."""
    assert amount == pico(decimal_text(amount))


@given(PICOS)
def test_the_text_is_the_shortest_exact_decimal(amount: int) -> None:
    """The standard library's decimals agree, and no zero or exponent is superfluous."""
    with localcontext(prec=60):
        exact = Decimal(amount) / PICO_PER_UNIT
        assert exact == Decimal(decimal_text(amount))
    _, point, fraction = decimal_text(amount).partition(".")
    assert bool(point) == bool(fraction)
    assert not fraction.endswith("0")


@given(PICOS, PICOS)
def test_sums_are_exact(one: int, other: int) -> None:
    """Adding loses nothing."""
    total = Money("USD", one) + Money("USD", other)
    assert Money("USD", one + other) == total
    with localcontext(prec=60):
        assert Decimal(decimal_text(one)) + Decimal(decimal_text(other)) == Decimal(total.amount)


def test_currencies_are_never_added() -> None:
    """Dollars and yuan have no sum."""
    with pytest.raises(CurrencyMismatchError, match="USD and CNY are never added"):
        Money("USD", 1) + Money("CNY", 1)


@pytest.mark.parametrize("currency", ["", "usd", "US", "USDT", "U$D", "USD\n", "ÜSD"])
def test_a_currency_is_three_capitals(currency: str) -> None:
    """What is no ISO 4217 code makes no money."""
    with pytest.raises(ValueError, match="is no ISO 4217 currency code"):
        Money(currency, 0)
