"""Every query of every dashboard runs on a real Prometheus that watched the service, and finds what happened."""

import subprocess
from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from grafana.parts import REAL
from tests.equipping import promtool
from tests.grafana.asking import DASHBOARDS, RULES, Asked, asked, rules, substituted

if TYPE_CHECKING:
    from tests.grafana.conftest import Watched

QUERIES = tuple(one for path in DASHBOARDS for one in asked(path))
AT_ZERO = {  # panels whose numbers are 0, for nothing is wrong
    "Equations that do not hold",
    "Of unknown price in the range",
    "Admitted and swept, neither closed nor open",
    "Spans without a whereabouts",
    "Spans dropped in the range",
    "Findings of the audit",
    "Checkpoints lost in the range",
}
UNUSED = {"Limits: what is used of each"}  # the demo sets no budget
RESTING = {
    "Tool calls open",
    "Entries not signed yet",
    "The newest window: the provider's movement less ours",
    "Left of plans and packages",
}  # 0 whenever nobody calls and calls may be over between two scrapes; where both sides agree; without a plan
SOON = {"ExaiProviderFails", "ExaiToolCallsFail", "ExaiCallsWithoutCreditUse"}  # they wait: it may still pass
EACH = pytest.mark.parametrize("query", QUERIES, ids=lambda one: one.panel)
WITH_EXEMPLARS = tuple(one for one in QUERIES if one.has_exemplars and REAL not in one.expression)


def expression(query: Asked) -> str:
    """Write a query as Grafana would send it, all chosen."""
    return substituted(query.expression, within="5m", at_rate="5m")


@EACH
def test_every_query_finds_something(query: Asked, watched: "Watched") -> None:
    """No query fails and none is empty, over the range and at its end; what happened is not 0.

    Those of real attempts are empty: all that is watched here is simulated, and nothing of it may look real. Those
    of budgets are empty, too, for none is set.
    """
    found = watched.over_time(expression(query))
    if REAL in query.expression or query.panel in UNUSED:
        assert [] == found
        return
    assert found, query
    values = [float(value) for series in found for _, value in series["values"]]
    if query.is_instant:
        values = [float(series["value"][1]) for series in watched.now(expression(query))]
        assert values, query
    moved = any(value > 0 for value in values)
    assert query.panel in RESTING or moved == (query.panel not in AT_ZERO), (query, values)


@pytest.mark.parametrize("query", WITH_EXEMPLARS, ids=lambda one: one.panel)
def test_points_lead_to_receipts(query: Asked, watched: "Watched") -> None:
    """What a graph shows as points are trace and tool call of entries in the ledger, and nothing else."""
    span = {"start": watched.begun_s, "end": watched.ended_s + 1}
    found = watched.ask("query_exemplars", query=expression(query), **span)
    points = {
        (point["labels"]["trace_id"], point["labels"]["tool_call_id"])
        for series in found
        for point in series["exemplars"]
    }
    opened = {(entry["trace_id"], entry["tool_call_id"]) for entry in watched.export.of("tool_call")}
    assert points, query
    assert points <= opened


def test_prometheus_and_ledger_are_equal(watched: "Watched") -> None:
    """Attempts by outcome are exactly those of the ledger; spend is its sum within a billionth."""
    found = watched.now("sum by (outcome) (exai_attempts_total)")
    counted = {series["metric"]["outcome"]: int(series["value"][1]) for series in found}
    assert watched.export.outcomes() == Counter({name: count for name, count in counted.items() if count})
    exact = defaultdict[str, Decimal](Decimal)
    for (_, currency), amount in watched.export.settled().items():
        exact[currency] += amount
    for metric in ("exai_spend_total", "exai_wallet_spend_total"):
        spend = {
            series["metric"]["currency"]: float(series["value"][1])
            for series in watched.now(f"sum by (currency) ({metric}) > 0")
        }
        assert spend == {name: pytest.approx(float(amount), rel=1e-9) for name, amount in exact.items()}


def test_the_rules_are_loaded_and_sound(watched: "Watched") -> None:
    """Every rule of ours is evaluated without an error, and records give values."""
    groups = watched.ask("rules")["groups"]
    loaded = {rule["name"]: rule for group in groups for rule in group["rules"]}
    ours = [rule for path in RULES for rule in rules(path)]
    assert {rule.get("alert") or rule["record"] for rule in ours} == set(loaded)
    assert [] == [(name, rule["lastError"]) for name, rule in loaded.items() if rule.get("lastError")]
    assert {"ok"} == {rule["health"] for rule in loaded.values()}
    for rule in ours:
        assert "alert" in rule or watched.now(rule["record"]), rule


def test_how_old_a_reading_may_be_follows_from_the_settings(watched: "Watched") -> None:
    """Three times what is set, as `/health` has it: here a second while calls are made, and an hour by default."""
    found = watched.now("exai_wallet_reading_age_allowed_seconds")
    allowed = {series["metric"]["during"]: float(series["value"][1]) for series in found}
    assert {"calls": 3.0, "quiet": 10_800.0} == allowed


def test_nothing_is_wrong_with_a_demo(watched: "Watched") -> None:
    """Of all alerts only those are about to fire that must: it is simulated, and an attempt is in doubt."""
    alerts = {alert["labels"]["alertname"] for alert in watched.ask("alerts")["alerts"]}
    assert {"ExaiSimulated", "ExaiAttemptsInDoubt"} == alerts - SOON


def test_promtool_finds_no_fault_in_the_metrics(watched: "Watched") -> None:
    """Names, types and helps are as Prometheus' own linter wants them."""
    text = watched.scraped()
    judged = subprocess.run(
        [promtool(), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (0, "") == (judged.returncode, judged.stdout + judged.stderr)
