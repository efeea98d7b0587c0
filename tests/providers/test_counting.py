"""What both providers' counters share: numbers are exact, words are bounded, and what is no reading says why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from service.core.money import decimal_text
from service.core.words import ReadingOutcome
from service.providers._counting import figure, not_read, pico_of, told
from service.providers._naming import MESSAGE_CHARS_MAX
from service.providers.glm import PROVIDER as GLM
from service.providers.kimi import PROVIDER as KIMI


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("49.58894", "49.58894"),
        ("0E-9", "0"),
        ("-0.350000000", "-0.35"),
        ("1e3", "1000"),
        ('"2004.6278"', "2004.6278"),
        ("46.588929999999998", "46.58893"),
        ("0.0000000000004", "0"),
        ("123456789012345678", "123456789012345678"),
    ],
)
def test_a_number_is_exact(written: str, amount: str) -> None:
    """It never was a float; what is finer than any counter's step is rounded."""
    pico = pico_of(Raw(written.encode()))
    assert pico is not None
    assert amount == decimal_text(pico)


@pytest.mark.parametrize(
    "written", ["null", "true", '""', "[]", "{}", '"abc"', "NaN", "1e99", "1" * 30, "--1", "1234567890123456789"]
)
def test_what_is_no_number_is_none(written: str) -> None:
    """Neither a word nor a number beyond any account is taken for one."""
    assert pico_of(Raw(written.encode())) is None
    assert figure("available", Raw(written.encode()), "USD", "0.00001") is None
    assert pico_of(None) is None


@given(st.integers(-(10**15), 10**15), st.integers(0, 9))
def test_a_decimal_survives_the_way(whole: int, digits: int) -> None:
    """A plain decimal of a counter comes back as it was written."""
    text = decimal_text(whole * 10 ** (12 - digits))
    assert text == decimal_text(pico_of(Raw(text.encode())) or 0)


def test_limits_and_tiers_are_words_or_numbers() -> None:
    """A sentence is none of them and is left out."""
    assert {"tier": "enterprise-tier-1"} == told("tier", Raw(b'"enterprise-tier-1"'))
    assert {"max": "5000"} == told("max", Raw(b"5000"))
    assert {"max": "0.5"} == told("max", Raw(b"0.5"))
    assert {} == told("x", Raw(b'"Dear customer"')) == told("x", Raw(b"null")) == told("x", None)


@pytest.mark.parametrize("provider", [KIMI, GLM], ids=["kimi", "glm"])
@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (404, b"<html>", ReadingOutcome.NOT_OFFERED),
        (404, b'{"error":"url.not_found"}', ReadingOutcome.NOT_OFFERED),
        (502, b"<html>bad gateway</html>", ReadingOutcome.UNREADABLE),
        (307, b"", ReadingOutcome.UNREADABLE),
        (
            401,
            b'{"error":{"message":"Invalid Authentication","type":"invalid_authentication_error","code":"1002"}}',
            ReadingOutcome.REFUSED,
        ),
    ],
)
def test_what_is_no_reading_says_why(provider: object, status: int, body: bytes, outcome: ReadingOutcome) -> None:
    """An error of the provider's is a refusal, a route that is not there is not offered, a page is unreadable."""
    refusing = provider.refusal  # type: ignore[attr-defined] # both have it
    found = not_read(status, {}, body, refusing)
    assert found is not None
    assert outcome is found.outcome
    assert found.message
    assert len(found.message) <= MESSAGE_CHARS_MAX


def test_a_200_without_an_error_may_be_a_reading() -> None:
    """Whether it is, its counter's reader says."""
    assert not_read(200, {}, b'{"data":{}}', KIMI.refusal) is None
