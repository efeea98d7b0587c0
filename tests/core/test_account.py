"""Tests of accounts."""

import json
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from service.core.account import SCHEMA, Account, Asked, held_text, span_text, spent_text, told, told_row
from service.core.spending import BY, Spending

AS_OF = "2026-11-22T16:22:00.000000Z"
DAY = "2026-11-22T00:00:00.000000Z"
SPENT = Spending(currency="USD", calls=2, attempts=2, settled=1, in_doubt=1, spent_pico=1, held_pico=25 * 10**10)
UNKNOWN = Spending(calls=1, attempts=2, settled=1, in_doubt=1, unpriced=1)


def account(*totals: Spending, rows: tuple[Spending, ...] = (), **asked: Any) -> Account:  # noqa: ANN401 - any word
    """Answer a question of today."""
    meant = Asked(**asked)
    return Account(asked=meant, as_of=AS_OF, since=DAY, until=AS_OF, rows=rows or totals, totals=totals)


def test_it_is_told_by_its_schema() -> None:
    """Amounts are exact decimal strings of the row's currency; what has none is null, never zero."""
    rows = (msgspec.structs.replace(SPENT, provider="kimi"), Spending(calls=1, calls_without_attempt=1))
    found = told(account(SPENT, UNKNOWN, rows=rows, by=("provider",), range="today", tool=("chat", "usage")))
    jsonschema_rs.meta.validate(dict(SCHEMA))
    jsonschema_rs.validate(dict(SCHEMA), json.loads(json.dumps(found)))
    assert {"word": "today", "zone": "UTC", "since": DAY, "until": AS_OF} == found["range"]
    assert {"tool": ["chat", "usage"]} == found["filter"]
    assert [("kimi", "USD"), (None, None)] == [(row["provider"], row["currency"]) for row in found["rows"]]
    assert [("0.000000000001", "0.25"), (None, None)] == [(row["spent"], row["held"]) for row in found["totals"]]


def test_a_row_names_what_it_is_grouped_by() -> None:
    """And nothing that it is not grouped by."""
    assert set(BY) <= told_row(Spending(), BY).keys()
    assert set() == set(BY) & told_row(Spending(), ()).keys()


@pytest.mark.parametrize(
    ("row", "spent", "held"),
    [
        (SPENT, "0.000000000001 USD", "≤ 0.25 USD"),
        (UNKNOWN, "unknown", "unknown"),
        (Spending(currency="CNY", attempts=1, free=1), "0 CNY", ""),
        (Spending(attempts=2, plan=1), "paid by a plan", ""),
        (Spending(calls=1, calls_without_attempt=1), "nothing", ""),
        (Spending(attempts=2, refused=1, unsent=1), "nothing", ""),
        (Spending(attempts=1, settled=1, free=1), "free", ""),
        (Spending(attempts=1, in_doubt=1), "none settled", "unknown"),
        (Spending(attempts=1, open=1), "none settled", ""),
    ],
)
def test_amounts_in_words(row: Spending, spent: str, held: str) -> None:
    """Unknown is said, a plan is said, and nothing is nothing."""
    assert (spent, held) == (spent_text(row), held_text(row))


def test_the_time_in_words() -> None:
    """A word keeps its zone beside its bounds; without bounds it is all of the ledger."""
    assert f"today in UTC, from {DAY} to {AS_OF}" == span_text(account(range="today"))
    one_sided = msgspec.structs.replace(account(), since=None)
    assert f"to {AS_OF}" == span_text(one_sided)
    assert f"from {DAY}" == span_text(msgspec.structs.replace(account(), until=None))
    assert "all of the ledger" == span_text(msgspec.structs.replace(one_sided, until=None))


def test_simulated_is_known() -> None:
    """One simulated row is enough to say so."""
    assert account(SPENT, msgspec.structs.replace(SPENT, simulated=True)).simulated
    assert not account(SPENT).simulated
