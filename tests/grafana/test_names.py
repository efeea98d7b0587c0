"""Whatever is asked for exists: metrics, their labels and what is grouped by, in dashboards and rules."""

from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from otel.accounts import Evidence
from otel.exporting import ExportCounts, ExportState
from otel.metrics import Labels, Metrics
from service.core import budget
from service.core.entries import BudgetTerms
from service.core.words import BudgetPeriod
from tests.conftest import Made
from tests.grafana.asking import DASHBOARDS, RULES, asked, dashboard, grouped, rules, selectors, substituted

OF_SCRAPES = {"job", "instance"}
LABELS = Labels(
    tools=("chat",), models=(("kimi", "kimi-k3"),), currencies=("USD",), rejections=("bad_frame",), simulated=False
)


@pytest.fixture(scope="module")
def known() -> dict[str, set[str]]:
    """List what a service shows, once something happened, and what Prometheus adds: labels by series' name."""
    metrics = Metrics(
        LABELS,
        version="1",
        in_doubt=(),
        export=lambda: ExportCounts(state=ExportState.OFF),
    )
    metrics.audit(list)
    evidence = Evidence(entries=1, signed=1, signed_age_s=1, failures=0, verified=1, problems=0)
    terms = BudgetTerms(name="daily", period=BudgetPeriod.TOTAL, limits={"tokens": "1"})
    states = budget.states(terms, budget.window(terms, ""), {})
    metrics.assure(lambda: evidence, lambda: states)
    call = Made().call(Made().intent(), Made().settlement(), Made().answer())
    metrics.ended(call, call.attempts[0])
    found: dict[str, set[str]] = {"up": set()}
    for family in text_string_to_metric_families(metrics.render(None)[0].decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    for path in RULES:
        for rule in rules(path):
            if name := rule.get("record"):
                ((labels, _), *_) = grouped(rule["expr"])
                found[name] = set(labels)
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Give (where it stands, expression) of everything that is asked."""
    for path in DASHBOARDS:
        yield from ((one.panel, substituted(one.expression)) for one in asked(path))
        for variable in dashboard(path)["templating"]["list"]:
            if variable["type"] == "query":
                selected, _, label = variable["query"].removeprefix("label_values(")[:-1].rpartition(", ")
                yield f"variable {variable['name']}", f"sum by ({label}) ({substituted(selected)})"
        for mark in dashboard(path)["annotations"]["list"]:
            yield f"marks {mark['name']}", substituted(mark["expr"])
    for path in RULES:
        yield from ((rule.get("alert") or rule["record"], rule["expr"]) for rule in rules(path))


@pytest.mark.parametrize(("where", "expression"), tuple(expressions()))
def test_what_is_asked_for_exists(where: str, expression: str, known: dict[str, set[str]]) -> None:
    """A renamed metric or label breaks the dashboard here and not in front of a user."""
    for one in selectors(expression):
        assert one.name in known, where
        assert one.labels <= known[one.name] | OF_SCRAPES, (where, one.name)
    for labels, names in grouped(expression):
        for name in names:
            assert labels <= known[name] | OF_SCRAPES, (where, name)
