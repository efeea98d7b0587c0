"""Kimi's books: balance, account and signature, asked and read as they were recorded."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.books import Figure
from service.core.evidence import Signature
from service.core.shapes import Stated
from service.core.usage import Usage
from service.core.words import ReadingOutcome
from service.providers.kimi import PROVIDER

COUNTERS = PROVIDER.counters
AT_NS = 1_795_364_460_000_000_000  # 2026-11-22T16:21:00Z
BALANCE = {
    "code": 0,
    "data": {"available_balance": 49.58894, "voucher_balance": 46.58893, "cash_balance": 3.00001},
    "scode": "0x0",
    "status": True,
}
ME: dict[str, Any] = {
    "code": 0,
    "data": {
        "access_key": {"id": "ak-1"},
        "organization": {
            "id": "org-0123456789abcdef",
            "max_concurrency": 100,
            "max_request_per_minute": 5000,
            "max_token_per_minute": 2_000_000,
            "max_token_quota": 0,
        },
        "project": {"id": "proj-1"},
        "user": {"id": "user-1", "user_state": "active"},
        "user_group_id": "enterprise-tier-1",
    },
    "scode": "0x0",
    "status": True,
}
SIGNATURE = Signature(nonce="n-1", timestamp="1795364460123", signature="reqsigv1_abc", model="kimi-k2.6")


def stated(counter: str, body: object, *, status: int = 200, currency: str | None = "USD") -> Stated:
    """Read an answer."""
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return COUNTERS.stated(counter, status, {}, encoded, currency=currency, at_ns=AT_NS)


def test_balance_and_account_are_asked_below_the_base_url() -> None:
    """Both are GET without a body; of a plan's wallet nothing can be asked."""
    asked = COUNTERS.inquiries(plan=None, at_ns=AT_NS)
    assert [("balance", "/users/me/balance"), ("account", "/users/me")] == [
        (one.counter, one.prepared.path) for one in asked
    ]
    assert {("GET", b"", False)} == {
        (one.prepared.method, one.prepared.body, one.prepared.rooted) for one in asked
    }
    assert tuple(one.counter for one in asked) == COUNTERS.names
    assert () == COUNTERS.inquiries(plan="coding", at_ns=AT_NS)


def test_a_balance_is_read_to_its_last_digit() -> None:
    """The host says the currency, for the answer does not."""
    found = stated("balance", BALANCE)
    assert ReadingOutcome.READ is found.outcome
    expected = {"available": "49.58894", "voucher": "46.58893", "cash": "3.00001"}
    assert expected == {figure.name: figure.amount for figure in found.figures}
    assert Figure(name="available", amount="49.58894", unit="USD", resolution="0.00001") == found.figures[0]


def test_a_debt_is_below_zero() -> None:
    """Then what is available is the voucher."""
    data = {"available_balance": 0.5, "voucher_balance": 0.5, "cash_balance": -1.25}
    found = stated("balance", {"data": data})
    assert ["0.5", "0.5", "-1.25"] == [figure.amount for figure in found.figures]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        {"data": None},
        {"data": {"available_balance": 1}},
        {"data": {"available_balance": None, "voucher_balance": 0, "cash_balance": 0}},
    ],
)
def test_a_balance_with_a_gap_is_none(body: object) -> None:
    """Nothing is filled in."""
    assert ReadingOutcome.UNREADABLE is stated("balance", body).outcome


def test_a_balance_of_an_unknown_host_has_no_currency() -> None:
    """And an amount without one is no reading."""
    found = stated("balance", BALANCE, currency=None)
    assert (ReadingOutcome.UNREADABLE, ()) == (found.outcome, found.figures)
    assert "currency" in found.message


def test_an_account_tells_its_limits_and_whose_it_is() -> None:
    """The organisation stands apart, to be hashed; no other id is told."""
    found = stated("account", ME)
    assert (ReadingOutcome.READ, "org-0123456789abcdef", ()) == (found.outcome, found.organisation, found.figures)
    assert {
        "max_concurrency": "100",
        "max_request_per_minute": "5000",
        "max_token_per_minute": "2000000",
        "max_token_quota": "0",
        "tier": "enterprise-tier-1",
        "user_state": "active",
    } == found.tells
    assert ReadingOutcome.UNREADABLE is stated("account", {"data": {}}).outcome


def test_a_refusal_keeps_the_providers_words() -> None:
    """A key of the other platform is one."""
    body = {"error": {"message": "Invalid Authentication", "type": "invalid_authentication_error"}}
    found = stated("balance", body, status=401)
    assert (ReadingOutcome.REFUSED, "invalid_authentication_error", "Invalid Authentication") == (
        found.outcome,
        found.provider_code,
        found.message,
    )


def test_a_signature_is_asked_about_in_its_own_words() -> None:
    """The time is a number of milliseconds, and the model the one that was asked for."""
    asked = COUNTERS.verification(SIGNATURE)
    assert asked is not None
    assert ("POST", "/signatures/verify") == (asked.prepared.method, asked.prepared.path)
    expected = {"nonce": "n-1", "timestamp": 1795364460123, "model": "kimi-k2.6", "signature": "reqsigv1_abc"}
    assert expected == json.loads(asked.prepared.body)


@pytest.mark.parametrize(
    "signature",
    [
        Signature(nonce="n", timestamp="soon", signature="s", model="m"),
        Signature(nonce="n", timestamp="1" * 16, signature="s", model="m"),
        Signature(nonce="n", timestamp="1", signature="\ud800", model="m"),
    ],
)
def test_what_cannot_be_a_signature_is_not_asked_about(signature: Signature) -> None:
    """A time that is no number, half a character."""
    assert COUNTERS.verification(signature) is None


@pytest.mark.parametrize(
    ("status", "body", "valid"),
    [
        (200, b'{"valid":true}', True),
        (200, b'{"valid": false }', False),
        (200, b'{"valid":"true"}', None),
        (200, b"{}", None),
        (200, b"<html>", None),
        (401, b'{"valid":true}', None),
        (500, b"", None),
    ],
)
def test_only_a_plain_yes_or_no_is_an_answer(status: int, body: bytes, *, valid: bool | None) -> None:
    """Anything else says nothing of the signature."""
    assert valid is COUNTERS.verified(status, body)


def test_nothing_is_known_of_a_plans_measure() -> None:
    """So no attempt is said to draw anything from it."""
    usage = Usage(
        uncached_input_tokens=1,
        cached_input_tokens=0,
        cache_write_tokens=0,
        output_tokens=1,
        reasoning_tokens=0,
    )
    assert COUNTERS.drawn_pico(plan="coding", model="kimi-k3", usage=usage, at_ns=AT_NS) is None


@given(
    st.sampled_from((*COUNTERS.names, "nothing")),
    st.integers(100, 599),
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(("data", "error", "organization", "available_balance", "voucher_balance", "id")),
                inner,
            )
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)
def test_no_bytes_break_the_reader(counter: str, status: int, body: bytes) -> None:
    """A stranger's answer is read or it is not; it never raises."""
    found = stated(counter, body, status=status)
    assert isinstance(found, Stated)
    assert (found.outcome is ReadingOutcome.READ) or found.message
    assert COUNTERS.verified(status, body) in {True, False, None}
