"""Rules and configuration are sound, every alert is tested, and each leads to a page that helps."""

import subprocess
from pathlib import Path

import yaml

from tests.equipping import promtool
from tests.grafana.asking import DASHBOARDS, GRAFANA, RULES, dashboard, grouped, rules

ROOT = GRAFANA.parent
SCENARIOS = tuple(sorted((Path(__file__).parent / "alerts").glob("*.yml")))
OF_ATTEMPTS = (
    *("exai_attempt", "exai_intents", "exai_tokens", "exai_spend", "exai_settlements", "exai_unpriced"),
    *("exai_wallet", "exai_readings", "exai_verifications", "exai_window", "exai_judged"),
    "exai_call_mismatches",
)
SEVERITIES = {"critical", "warning", "info"}
ALERTS = {rule["alert"]: rule for path in RULES for rule in rules(path) if "alert" in rule}


def judged(*words: object) -> str:
    """Run promtool; it must find nothing."""
    done = subprocess.run([promtool(), *map(str, words)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_promtool_finds_no_fault_in_rules_and_configuration() -> None:
    """Syntax, duplicates and names are as they should be."""
    judged("check", "rules", "--lint=all", "--lint-fatal", *RULES)
    judged("check", "config", "--syntax-only", GRAFANA / "prometheus.yml")


def test_alerts_fire_when_they_must_and_only_then() -> None:
    """The scenarios hold, and each alert is seen firing and not firing."""
    judged("test", "rules", *SCENARIOS)
    tests = [test for path in SCENARIOS for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]]
    asked = [one for test in tests for one in test.get("alert_rule_test", ())]
    assert set(ALERTS) == {one["alertname"] for one in asked if one["exp_alerts"]}
    assert set(ALERTS) == {one["alertname"] for one in asked if not one["exp_alerts"]}


def test_rules_never_add_real_and_simulated() -> None:
    """What is summed over attempts, tokens or money is summed for each of the two."""
    found = [
        (labels, names)
        for path in RULES
        for rule in rules(path)
        for labels, names in grouped(rule["expr"])
        if any(name.startswith(OF_ATTEMPTS) for name in names)
    ]
    assert len(found) >= 5
    assert [] == [names for labels, names in found if "simulated" not in labels]


def test_alerts_say_what_is_wrong_and_where_help_is() -> None:
    """Each waits a while, has a severity, a summary, a description and a page of its own; no page is left over."""
    for name, rule in ALERTS.items():
        assert name.startswith("Exai")
        assert rule["for"], name
        assert {"severity"} == set(rule["labels"])
        assert rule["labels"]["severity"] in SEVERITIES
        notes = rule["annotations"]
        assert {"summary", "description", "runbook"} == set(notes)
        assert notes["description"].endswith("."), name
        assert f"grafana/runbooks/{name}.md" == notes["runbook"]
        assert (ROOT / notes["runbook"]).read_text(encoding="utf-8").startswith(f"# {name}\n")
    assert set(ALERTS) == {path.stem for path in (GRAFANA / "runbooks").glob("*.md")}


def test_the_provisioning_fits_the_dashboards_and_the_metrics() -> None:
    """Sources are of the kind that dashboards choose among; points lead by the labels that exemplars have."""
    (provisioned,) = (GRAFANA / "provisioning" / "datasources").glob("*.yaml")
    sources = {one["uid"]: one for one in yaml.safe_load(provisioned.read_text(encoding="utf-8"))["datasources"]}
    chosen = {
        one["query"] for one in dashboard(DASHBOARDS[0])["templating"]["list"] if one["type"] == "datasource"
    }
    assert chosen == {sources["prometheus"]["type"]}
    ways = {one["name"]: one for one in sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]}
    assert {"trace_id", "tool_call_id"} == set(ways)
    assert ways["trace_id"]["datasourceUid"] in sources
    assert ways["tool_call_id"]["url"].endswith("/console/calls/$${__value.raw}")


def test_the_compose_file_mounts_what_is_here() -> None:
    """Paths, names and ports of Prometheus and Grafana are those that the compose file gives them."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    mounted = [volume.split(":")[:2] for name in ("prometheus", "grafana") for volume in services[name]["volumes"]]
    ours = {target: ROOT / source for source, target in mounted if source.startswith("./grafana/")}
    assert all(path.exists() for path in ours.values()), ours
    scrape = yaml.safe_load((GRAFANA / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"][0]
    host, port = scrape["static_configs"][0]["targets"][0].split(":")
    assert int(port) == services[host]["environment"]["EXAI_METRICS_PORT"]
    secret = scrape["authorization"]["credentials_file"].removeprefix("/run/secrets/")
    assert secret in services["prometheus"]["secrets"]
    assert "--enable-feature=exemplar-storage" in services["prometheus"]["command"]
    provider = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "exai.yaml").read_text(encoding="utf-8"))
    assert provider["providers"][0]["options"]["path"] in ours
