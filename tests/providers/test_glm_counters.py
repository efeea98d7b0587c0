"""GLM's books of money and packages: asked by the account pages' own routes, read as they were recorded."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.books import Figure
from service.core.evidence import Signature
from service.core.shapes import Stated
from service.core.words import ReadingOutcome
from service.providers.glm import PROVIDER

COUNTERS = PROVIDER.counters
AT_NS = 1_795_364_460_000_000_000  # 2026-11-22T16:21:00Z
REPORT = (
    '{"code":200,"msg":"操作成功","success":true,"data":{"balance":-0.350000000,'
    '"rechargeAmount":0.000000,"giveAmount":0.000000,"totalSpendAmount":0.350000000,"todaySpendAmount":null,'
    '"availableBalance":-0.350000000,"frozenBalance":0E-9,"creditBalance":null,"availableCreditBalance":null,'
    '"creditStatus":"NOT_OPEN","modelSpendAmountList":null,"isKA":false}}'
).encode()
PACKAGES: dict[str, Any] = {
    "code": 200,
    "rows": [
        {"tokenBalance": 800, "tokensMagnitude": 10_000, "status": "EFFECTIVE", "suitableModel": "glm-5.2"},
        {"tokenBalance": 5, "tokensMagnitude": 20, "status": "EFFECTIVE", "consumeType": "TOKENS"},
        {"tokenBalance": 20, "tokensMagnitude": 20, "status": "EFFECTIVE", "consumeType": "TIMES"},
        {"tokenBalance": 500, "tokensMagnitude": 1000, "status": "EXPIRED"},
    ],
}


def stated(counter: str, body: object, *, status: int = 200, currency: str | None = "CNY") -> Stated:
    """Read an answer."""
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return COUNTERS.stated(counter, status, {}, encoded, currency=currency, at_ns=AT_NS)


def test_a_wallet_is_asked_for_what_pays_it() -> None:
    """Money and packages, or the plan's counters; never both, for one moves without the other."""
    paid = COUNTERS.inquiries(plan=None, at_ns=AT_NS)
    planned = COUNTERS.inquiries(plan="coding", at_ns=AT_NS)
    assert COUNTERS.names == tuple(one.counter for one in (*paid, *planned))
    assert ("account_report", "packages") == tuple(one.counter for one in paid)
    assert {("GET", b"", True)} == {
        (one.prepared.method, one.prepared.body, one.prepared.rooted) for one in (*paid, *planned)
    }
    assert "/api/biz/account/query-customer-account-report" == paid[0].prepared.path
    assert "/api/monitor/usage/quota/limit" == planned[0].prepared.path


def test_a_report_is_read_to_its_last_digit() -> None:
    """What is null is not there; zero may be written 0E-9; a debt is below zero."""
    found = stated("account_report", REPORT)
    assert (ReadingOutcome.READ, {"credit": "NOT_OPEN"}) == (found.outcome, found.tells)
    assert {"spent": "0.35", "available": "-0.35", "recharged": "0", "given": "0"} == {
        figure.name: figure.amount for figure in found.figures
    }
    assert Figure(name="spent", amount="0.35", unit="CNY", resolution="0.000000001") == found.figures[0]


def test_one_of_the_two_numbers_is_enough() -> None:
    """What was spent, or what is left; a report with neither says nothing."""
    body = {"success": True, "data": {"totalSpendAmount": None, "availableBalance": 3}}
    assert ["available"] == [figure.name for figure in stated("account_report", body).figures]
    empty = stated("account_report", {"success": True, "data": {"balance": 1}})
    assert ReadingOutcome.UNREADABLE is empty.outcome
    assert ReadingOutcome.UNREADABLE is stated("account_report", REPORT, currency=None).outcome


def test_packages_in_force_are_added_up() -> None:
    """Those that have expired, and those that pay for uses instead of tokens, are not drawn."""
    found = stated("packages", PACKAGES)
    assert {"packages": "2", "packages_listed": "3", "packages_held": "11020"} == found.tells
    assert (
        Figure(name="package_tokens", amount="805", unit="tokens", resolution="1", cap="10020"),
    ) == found.figures


def test_no_package_is_an_answer_too() -> None:
    """There are none, and that is known; an answer without a list says nothing."""
    found = stated("packages", {"code": 200, "rows": []})
    assert [("package_tokens", "0", None)] == [(one.name, one.amount, one.cap) for one in found.figures]
    assert ReadingOutcome.UNREADABLE is stated("packages", {"code": 200}).outcome
    gap = {"code": 200, "rows": [{"status": "EFFECTIVE"}]}
    assert ReadingOutcome.UNREADABLE is stated("packages", gap).outcome


def test_more_packages_than_one_answer_lists_are_not_read() -> None:
    """What stands on the next page is not known, so neither is what is left."""
    rows = [{"tokenBalance": 1, "tokensMagnitude": 1, "status": "EXPIRED"}] * 100
    assert ReadingOutcome.UNREADABLE is stated("packages", {"code": 200, "rows": rows}).outcome
    assert ReadingOutcome.READ is stated("packages", {"code": 200, "rows": rows[1:]}).outcome


@pytest.mark.parametrize("field", ["tokenBalance", "tokensMagnitude"])
def test_packages_that_no_account_can_hold_are_not_read(field: str) -> None:
    """Each number alone is one; their sum would be an amount that nobody can write down."""
    row = {"tokenBalance": 1, "tokensMagnitude": 1, "status": "EFFECTIVE"} | {field: 9 * 10**17}
    found = stated("packages", {"code": 200, "rows": [row, row]})
    assert (ReadingOutcome.UNREADABLE, ()) == (found.outcome, found.figures)


@pytest.mark.parametrize("counter", COUNTERS.names)
@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (
            200,
            {"code": 1001, "msg": "Authentication parameter not received in Header", "success": False},
            ReadingOutcome.REFUSED,
            "1001",
        ),
        (200, {"code": 401, "msg": "令牌已过期或验证不正确", "success": False}, ReadingOutcome.REFUSED, "401"),
        (
            200,
            {"code": 500, "msg": "当前用户不存在coding plan", "success": False},
            ReadingOutcome.NOT_OFFERED,
            "500",
        ),
        (404, {"status": 404, "error": "Not Found", "path": "/v4"}, ReadingOutcome.NOT_OFFERED, None),
        (200, b"<html>", ReadingOutcome.UNREADABLE, None),
        (200, {"code": 200, "success": True}, ReadingOutcome.UNREADABLE, None),
        (503, b"", ReadingOutcome.UNREADABLE, None),
    ],
)
def test_a_200_may_refuse(
    counter: str, status: int, body: object, outcome: ReadingOutcome, code: str | None
) -> None:
    """Success and code tell; who has no plan has no such counter."""
    found = stated(counter, body, status=status)
    assert (outcome, code, ()) == (found.outcome, found.provider_code, found.figures)
    assert found.message


def test_nothing_is_signed() -> None:
    """So nothing can be verified."""
    signature = Signature(nonce="n", timestamp="1", signature="s", model="m")
    assert COUNTERS.verification(signature) is None
    assert COUNTERS.verified(200, b'{"valid":true}') is None


NAMES = (
    *("code", "success", "data", "rows", "limits", "modelUsage", "modelDataList", "xTime", "nextResetTime"),
    *("totalSpendAmount", "unit", "number", "type", "usage", "currentValue", "outputTokensUsage", "status"),
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.sampled_from(("EFFECTIVE", "CREDIT_LIMIT", "TOKENS_LIMIT", "2026-11-22 00:00", "9999-12-31")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=15,
)


@given(
    st.sampled_from((*COUNTERS.names, "nothing")),
    st.sampled_from((200, 200, 200, 404, 500)),
    st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()),
)
def test_no_bytes_break_the_reader(counter: str, status: int, body: bytes) -> None:
    """A stranger's answer is read or it is not; it never raises."""
    found = stated(counter, body, status=status)
    assert isinstance(found, Stated)
    assert (found.outcome is ReadingOutcome.READ) or found.message
