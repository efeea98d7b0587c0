"""Whatever is asked for exists: metrics, their labels and what is grouped by, in dashboards and rules."""

from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from otel.accounts import Evidence
from otel.exporting import ExportCounts, ExportState
from otel.metrics import Labels, Metrics
from otel.wallets import BooksBefore, WalletLabels
from service.core import budget
from service.core.books import Figure, ReadingEntry, VerdictEntry, WindowSums
from service.core.entries import BudgetTerms
from service.core.times import utc_ns
from service.core.words import BudgetPeriod, ReadingCause, ReadingOutcome, VerdictWord
from tests.conftest import Made
from tests.grafana.asking import DASHBOARDS, RULES, asked, dashboard, grouped, rules, selectors, substituted

OF_SCRAPES = {"job", "instance"}
LABELS = Labels(
    tools=("chat",),
    models=(("kimi", "kimi-k3"),),
    currencies=("USD",),
    rejections=("bad_frame",),
    simulated=False,
    wallets=(WalletLabels(name="kimi-main", provider="kimi", currency="USD", simulated=False),),
    counters=(("kimi", "balance"),),
)
AT = "2026-11-22T16:21:00.000000Z"
READING = ReadingEntry(
    provider="kimi",
    wallet="kimi-main",
    simulated=False,
    counter="balance",
    endpoint="https://api.moonshot.ai/v1/users/me/balance",
    cause=ReadingCause.START,
    outcome=ReadingOutcome.READ,
    status=200,
    at=AT,
    asked_at=AT,
    figures=(
        Figure(name="available", amount="9", unit="USD", resolution="0.00001"),
        Figure(name="credits_5h", amount="9", unit="credits", resolution="1", cap="10"),
    ),
    tells={},
    message="",
    provider_ids={},
)
VERDICT = VerdictEntry(
    provider="kimi",
    wallet="kimi-main",
    simulated=False,
    rule=1,
    word=VerdictWord.PROVEN,
    code="P1",
    sentence="Said.",
    opened=1,
    closed=5,
    sums=WindowSums(
        unit="USD",
        opening="10",
        closing="9",
        moved="1",
        added=None,
        surely="1",
        straddling="0",
        in_doubt="0",
        tolerance="0.00002",
        attempts=1,
    ),
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
    metrics.follow(BooksBefore(readings=(READING,), verdicts=(VERDICT,)), lambda: utc_ns(AT))
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
