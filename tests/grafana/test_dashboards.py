"""The dashboards are what their builders make, and keep the rules that Grafana's own linter has."""

import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from grafana import generate
from grafana.sdk import dashboard as models
from tests.grafana.asking import ALL, DASHBOARDS, calls, dashboard, panels, selectors, substituted

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.cog.plugins import register_default_plugins

CHOICES = {"job": "Job", "instance": "Instance", "provider": "Provider", "model": "Model"}
BALANCES = {  # equations of totals since the start, with counters as they stand: increases never balance
    "Admitted and swept, neither closed nor open",
    "Spans without a whereabouts",
}
MODE = re.compile('simulated="(?:true|false)"')
OF_ATTEMPTS = {  # whatever may be a simulator's; calls and entries are neither
    "exai_attempts_total",
    "exai_attempts_in_doubt",
    "exai_attempt_duration_seconds_bucket",
    "exai_first_byte_seconds_bucket",
    "exai_tokens_total",
    "exai_reasoning_tokens_total",
    "exai_spend_total",
    "exai_settlements_total",
    "exai_unpriced_attempts_total",
    "exai_last_settlement_timestamp_seconds",
    "exai_wallet_verdict",
    "exai_wallet_reading_age_seconds",
    "exai_wallet_quota_remaining",
    "exai_wallet_balance",
    "exai_windows_total",
    "exai_window_difference",
    "exai_readings_total",
    "exai_verifications_total",
    "job_instance_wallet:exai_wallet_spend:increase1h",
    "job_instance_wallet:exai_wallet_consumed:increase1h",
}
OVER_TIME = frozenset(("rate", "irate", "increase"))
EACH = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)


def targets(path: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """List (panel, target) of a dashboard."""
    return [(panel, target) for panel in panels(path) for target in panel["targets"]]


def test_there_are_dashboards() -> None:
    """No test below passes for want of a dashboard."""
    assert ["proof-and-spend"] == [path.stem for path in DASHBOARDS]


def test_the_files_are_what_the_builders_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed was generated; a file that was changed by hand, or is a stranger, is named."""
    assert 0 == generate.main(["--check"])
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    assert 1 == generate.main(["--check"])
    assert 0 == generate.main([])
    (tmp_path / "stranger.json").write_text("{}")
    assert [tmp_path / "stranger.json"] == generate.differing()


@EACH
def test_no_key_is_unknown_to_the_schema(path: Path) -> None:
    """Read into the SDK's types and written again, a file is itself: a misspelt key would be dropped."""
    register_default_plugins()
    again = generate.text(models.Dashboard.from_json(dashboard(path)))
    assert json.loads(again) == dashboard(path)
    misspelt = dashboard(path)
    panels_of = [panel for panel in misspelt["panels"] if "targets" in panel]
    panels_of[0]["targets"][0]["legendFromat"] = "x"
    assert json.loads(generate.text(models.Dashboard.from_json(misspelt))) != misspelt


@EACH
def test_variables_choose_among_what_there_is(path: Path) -> None:
    """Data source, job, instance, provider and model can be chosen, several at once, anew for each range."""
    board = dashboard(path)
    variables = {one["name"]: one for one in board["templating"]["list"]}
    source = variables["datasource"]
    assert ("datasource", "prometheus", "Data source") == (source["type"], source["query"], source["label"])
    for name, label in CHOICES.items():
        one = variables[name]
        assert (label, True, True, ALL, 2) == (
            one["label"],
            one["multi"],
            one["includeAll"],
            one["allValue"],
            one["refresh"],
        )
        assert {"type": "prometheus", "uid": "${datasource}"} == one["datasource"]
        assert one["query"].startswith("label_values(")
        assert one["query"].endswith(f"{name})")
    assert board["editable"] is False


@EACH
def test_panels_say_what_they_show(path: Path) -> None:
    """Each has a title, the metric its number comes from, a unit, and words for the want of data; a gap stays."""
    found = panels(path)
    numbers = [panel["id"] for panel in dashboard(path)["panels"]]
    assert len(numbers) == len(set(numbers))
    for panel in found:
        assert panel["title"], panel
        assert panel["description"].endswith("."), panel["title"]
        names = {one.name for target in panel["targets"] for one in selectors(substituted(target["expr"]))}
        told = panel["description"]
        assert any(name.removesuffix("_bucket") in told for name in names), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert "no data" == panel["fieldConfig"]["defaults"]["noValue"]
        assert panel["targets"], panel["title"]
        assert {"type": "prometheus", "uid": "${datasource}"} == panel["datasource"]
        if panel["type"] == "timeseries":
            assert panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] is False
            assert panel["options"]["legend"]["showLegend"]


@EACH
def test_queries_are_about_what_was_chosen(path: Path) -> None:
    """Every selection matches job and instance, and provider and model where its series have them."""
    for panel, target in targets(path):
        assert {"type": "prometheus", "uid": "${datasource}"} == target["datasource"]
        for one in selectors(substituted(target["expr"])):
            assert {"job", "instance"} <= one.labels, panel["title"]
        assert target["expr"].count('job=~"$job", instance=~"$instance"') == target["expr"].count("{"), panel


@EACH
def test_counters_are_seen_over_time(path: Path) -> None:
    """A counter stands in a rate or an increase, and a rate's window is Grafana's own; equations are excepted."""
    balances = set()
    for panel, target in targets(path):
        expression = target["expr"]
        for function, window in (("rate(", "[$__rate_interval]"), ("increase(", "[$__range]")):
            assert expression.count(function) == expression.count(window), panel["title"]
        over_time = {name for _, name in calls(substituted(expression), OVER_TIME)}
        bare = {one.name for one in selectors(substituted(expression))} - over_time
        if any(name.endswith(("_total", "_bucket", "_count", "_sum")) for name in bare):
            balances.add(panel["title"])
    assert balances <= BALANCES
    assert set(BALANCES) == balances


@EACH
def test_currencies_are_never_added(path: Path) -> None:
    """What shows spend keeps the currency apart and names no currency's sign as the unit."""
    found = [(panel, target) for panel, target in targets(path) if "exai_spend_total" in target["expr"]]
    assert len(found) >= 2
    for panel, target in found:
        assert "currency" in target["expr"].split("(")[1], panel["title"]
        assert "{{currency}}" in target["legendFormat"]
        assert "none" == panel["fieldConfig"]["defaults"]["unit"]


@EACH
def test_real_and_simulated_are_never_added(path: Path) -> None:
    """What counts attempts, tokens or money asks for one of the two; the legend marks what is simulated."""
    legends: dict[str, dict[str, list[str]]] = {}
    for panel, target in targets(path):
        if {one.name for one in selectors(substituted(target["expr"]))} & OF_ATTEMPTS:
            (mode,) = set(MODE.findall(target["expr"]))
            assert target["expr"].count(mode) == target["expr"].count("{"), panel["title"]
            legends.setdefault(panel["title"], {}).setdefault(mode, []).append(target["legendFormat"])
            assert "SIMULATED" in panel["description"], panel["title"]
    assert len(legends) >= 11
    for title, of in legends.items():
        marked = [f"SIMULATED {legend}".strip() for legend in of['simulated="false"']]
        assert marked == of['simulated="true"'], title


@EACH
def test_a_figure_is_of_now(path: Path) -> None:
    """A number is asked for at one moment: the last of a range might be hours old and look new."""
    for panel, target in targets(path):
        assert target["instant"] == (panel["type"] == "stat"), panel["title"]
        assert target["range"] == (panel["type"] != "stat"), panel["title"]


@EACH
def test_histograms_lead_to_receipts(path: Path) -> None:
    """Every query of a histogram asks for exemplars."""
    of_buckets = [target for _, target in targets(path) if "_bucket" in target["expr"]]
    assert len(of_buckets) >= 6
    assert all(target["exemplar"] for target in of_buckets)


def test_simulated_money_is_red() -> None:
    """The first panel says in words on a coloured ground whether the money is real."""
    first = panels(DASHBOARDS[0])[0]
    (mapped,) = first["fieldConfig"]["defaults"]["mappings"]
    assert {"text": "SIMULATED", "color": "red"} == mapped["options"]["1"]
    assert "background_solid" == first["options"]["colorMode"]
