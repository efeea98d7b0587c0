"""Accounts are read at the scrape: what is not known has no series, and there are never too many."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from otel.accounts import BUDGET_SERIES_MAX, BudgetAccount, Evidence, EvidenceAccount
from service.core.budget import BudgetState, window
from service.core.entries import BudgetTerms
from service.core.words import BudgetPeriod

AT = "2026-11-22T16:21:00.000000Z"
OF_EVIDENCE = (
    "exai_ledger_size",
    "exai_ledger_checkpoint_size",
    "exai_ledger_checkpoint_age_seconds",
    "exai_ledger_checkpoint_failures_total",
    "exai_ledger_audited_entries",
    "exai_ledger_audit_problems",
)


class Account:
    """One account, as a scrape sees it."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()

    def show(self, collector: Collector) -> None:
        """Have it scraped."""
        self._registry.register(collector)

    def read(self) -> dict[tuple[str, ...], float]:
        """Scrape, as (name, label values in the order of the labels' names)."""
        families = text_string_to_metric_families(generate_latest(self._registry).decode())
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }


@pytest.fixture
def account() -> Account:
    """Nothing is shown yet."""
    return Account()


def test_how_far_the_log_is_signed_and_verified_is_shown(account: Account) -> None:
    """Size, checkpoint, failures and what the audit found stand as they are at the scrape."""
    told: list[Evidence | None] = [
        Evidence(entries=9, signed=8, signed_age_s=1.5, failures=2, verified=7, problems=1)
    ]
    account.show(EvidenceAccount(lambda: told[0]))
    before = account.read()
    assert (9.0, 8.0, 1.5, 2.0, 7.0, 1.0) == tuple(before[name,] for name in OF_EVIDENCE)
    told[0] = Evidence(entries=9, signed=8, signed_age_s=None, failures=2, verified=None, problems=0)
    assert {"exai_ledger_checkpoint_age_seconds", "exai_ledger_audited_entries"} == {
        name for name in OF_EVIDENCE if (name,) not in account.read()
    }
    told[0] = None
    assert not [name for name in OF_EVIDENCE if (name,) in account.read()]


def test_limits_are_shown_in_their_units(account: Account) -> None:
    """Money is in units of its currency, tokens are whole; groups and simulated use stand apart."""
    terms = BudgetTerms(
        name="daily", period=BudgetPeriod.DAY, limits={"USD": "5", "tokens": "100"}, each=("client", "tool")
    )
    shared: dict[str, Any] = {"terms": terms, "window": window(terms, AT), "group": ("anna", "chat")}
    money = BudgetState(
        **shared, simulated=False, unit="USD", limit=5 * 10**12, spent=125 * 10**10, reserved=10**12
    )
    tokens = BudgetState(**shared, simulated=True, unit="tokens", limit=100, spent=7, reserved=0)
    account.show(BudgetAccount(lambda: (money, tokens)))
    readings = {series: value for series, value in account.read().items() if "budget_" in series[0]}
    group = "client=anna, tool=chat"
    assert readings == {
        ("exai_budget_limit", "daily", group, "false", "USD"): 5,
        ("exai_budget_spent", "daily", group, "false", "USD"): 1.25,
        ("exai_budget_reserved", "daily", group, "false", "USD"): 1,
        ("exai_budget_limit", "daily", group, "true", "tokens"): 100,
        ("exai_budget_spent", "daily", group, "true", "tokens"): 7,
        ("exai_budget_reserved", "daily", group, "true", "tokens"): 0,
        ("exai_budget_folded_groups",): 0,
    }


def test_more_limits_than_series_are_added_up(account: Account) -> None:
    """Beyond the bound those that used the least are one series, and their number is told."""
    terms = BudgetTerms(name="each", period=BudgetPeriod.DAY, limits={"tokens": "100"}, each=("client",))
    states = [
        BudgetState(
            terms=terms,
            window=window(terms, AT),
            group=(f"client-{number}",),
            simulated=False,
            unit="tokens",
            limit=100,
            spent=number % 100,
            reserved=1,
        )
        for number in range(BUDGET_SERIES_MAX + 50)
    ]
    account.show(BudgetAccount(lambda: states))
    readings = account.read()
    spent = {series: value for series, value in readings.items() if series[0] == "exai_budget_spent"}
    assert BUDGET_SERIES_MAX + 1 == len(spent)
    assert sum(state.spent for state in states) == sum(spent.values())
    folded = ("each", "other", "false", "tokens")
    assert (50, 50 * 100, 50) == (
        readings["exai_budget_folded_groups",],
        readings["exai_budget_limit", *folded],
        readings["exai_budget_reserved", *folded],
    )
    assert "client=client-99" in {series[2] for series in spent}
