"""Numbers move where the record says so, under labels from closed sets."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from otel.exporting import ExportCounts, ExportState
from otel.metrics import KINDS, Labels, Metrics
from otel.wallets import OUTCOMES, WalletLabels
from service.core.entries import SystemEntry
from service.core.record import Attempt, ToolCall
from service.core.times import NS_PER_S, utc_ns
from service.core.words import CostStatus, ToolOutcome, ZeroReason

if TYPE_CHECKING:
    from tests.conftest import Made

LABELS = Labels(
    tools=("chat",),
    models=(("kimi", "kimi-k3"), ("glm", "glm-5.3")),
    currencies=("USD",),
    rejections=("bad_frame",),
    simulated=False,
    wallets=(WalletLabels(name="kimi-main", provider="kimi", currency="USD", simulated=False),),
)
EXPORT = ExportCounts(
    state=ExportState.ON,
    ended=21,
    exported=6,
    queued=5,
    dropped_full=4,
    dropped_failed=3,
    dropped_stopped=2,
    off=1,
)
KINDS_OF = ("false", "true")  # real, simulated
WALLET = ("kimi", "false", "kimi-main")
AT = "2026-11-22T16:21:00.000000Z"  # when entries are made
Readings = dict[tuple[str, ...], float]
Ended = tuple[ToolCall, Attempt]


@pytest.fixture
def metrics() -> Metrics:
    """Fresh metrics of a service that had two attempts in doubt before."""
    return Metrics(LABELS, version="1.2.3", in_doubt=[(False, 2), (True, 0)], export=lambda: EXPORT)


@pytest.fixture
def ended(made: "Made") -> Callable[..., Ended]:
    """Make a call and its attempt that ended."""

    def build(end: Any, **intent: Any) -> Ended:  # noqa: ANN401 - any entry, any field
        call = made.call(made.intent(**intent), end)
        return call, call.attempts[0]

    return build


def read(metrics: Metrics) -> Readings:
    """Read every counter and gauge of ours as (name, label values in the order of the labels' names)."""
    body, _ = metrics.render(None)
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in parse_plain(body.decode())
        for sample in family.samples
        if sample.name.startswith("exai_") and family.type != "histogram"
    }


def moved(metrics: Metrics, before: Readings) -> Readings:
    """Say which series changed since, and by how much."""
    return {
        series: value - before.get(series, 0)
        for series, value in read(metrics).items()
        if value != before.get(series)
    }


def test_every_series_stands_at_zero_from_the_start(metrics: Metrics) -> None:
    """The first event of each kind is an increase, not a birth."""
    at_start = read(metrics)
    counters = {series: value for series, value in at_start.items() if series[0].endswith("_total")}
    assert {value for series, value in counters.items() if "otlp" not in series[0]} == {0.0}
    assert {
        ("exai_attempts_total", "kimi-k3", outcome, "kimi", "false") for outcome in OUTCOMES
    } <= counters.keys()
    assert {("exai_tool_calls_total", outcome.value, "chat") for outcome in ToolOutcome} <= counters.keys()
    assert {("exai_ledger_entries_total", kind) for kind in KINDS} <= counters.keys()
    assert {
        ("exai_spend_total", "USD", "glm-5.3", "glm", "false"),
        ("exai_rejections_total", "bad_frame"),
    } <= counters.keys()


def test_gauges_say_where_they_begin(metrics: Metrics) -> None:
    """Doubts of earlier starts count; before the first entry the index is -1; the build is named."""
    at_start = read(metrics)
    assert (2.0, -1.0, 0.0, 1.0) == (
        at_start["exai_attempts_in_doubt", "false"],
        at_start["exai_ledger_index",],
        at_start["exai_tool_calls_open",],
        at_start["exai_build_info", "1.2.3"],
    )


def test_every_help_names_its_labels(metrics: Metrics) -> None:
    """Each metric is explained by a sentence, each label in it."""
    body, _ = metrics.render(None)
    for family in parse_plain(body.decode()):
        if family.name.startswith("exai_"):
            assert family.documentation.endswith(".")
            for label in {label for sample in family.samples for label in sample.labels} - {"le"}:
                assert label in family.documentation, (family.name, label)


def test_a_settled_attempt_moves_tokens_and_spend(
    metrics: Metrics, made: "Made", ended: Callable[..., Ended]
) -> None:
    """Token kinds do not overlap; reasoning is counted apart; the cost is that of the record."""
    before = read(metrics)
    metrics.ended(*ended(made.settlement()))
    assert moved(metrics, before) == {
        ("exai_attempts_total", "kimi-k3", "settled", "kimi", "false"): 1,
        ("exai_tokens_total", "uncached_input", "kimi-k3", "kimi", "false"): 60,
        ("exai_tokens_total", "cached_input", "kimi-k3", "kimi", "false"): 40,
        ("exai_tokens_total", "output", "kimi-k3", "kimi", "false"): 50,
        ("exai_reasoning_tokens_total", "kimi-k3", "kimi", "false"): 30,
        ("exai_spend_total", "USD", "kimi-k3", "kimi", "false"): 0.25,
        ("exai_settlements_total", "priced", "false"): 1,
        ("exai_last_settlement_timestamp_seconds", "kimi", "false"): utc_ns(AT) / NS_PER_S,
        ("exai_wallet_attempts_total", "settled", *WALLET): 1,
        ("exai_wallet_spend_total", "USD", *WALLET): 0.25,
    }


@pytest.mark.parametrize(("end", "outcome"), [("refusal", "refused"), ("unsent", "unsent")])
def test_what_was_not_metered_moves_no_money(
    end: str, outcome: str, metrics: Metrics, made: "Made", ended: Callable[..., Ended]
) -> None:
    """A refused or unsent attempt is counted, and nothing else."""
    before = read(metrics)
    metrics.ended(*ended(getattr(made, end)()))
    assert moved(metrics, before) == {
        ("exai_attempts_total", "kimi-k3", outcome, "kimi", "false"): 1,
        ("exai_wallet_attempts_total", outcome, *WALLET): 1,
    }


def test_doubt_is_no_spend(metrics: Metrics, made: "Made", ended: Callable[..., Ended]) -> None:
    """An attempt in doubt raises the gauge beside the counter."""
    before = read(metrics)
    metrics.ended(*ended(made.doubt()))
    assert moved(metrics, before) == {
        ("exai_attempts_total", "kimi-k3", "in_doubt", "kimi", "false"): 1,
        ("exai_attempts_in_doubt", "false"): 1,
        ("exai_wallet_attempts_total", "in_doubt", *WALLET): 1,
    }


def test_real_and_simulated_never_share_a_series(
    metrics: Metrics, made: "Made", ended: Callable[..., Ended]
) -> None:
    """One cost of each kind is two sums; the kind is the attempt's own, whatever the wallets of this start are."""
    before = read(metrics)
    assert [] == [series for series in before if series[-1] == "true"]
    real, played = ended(made.settlement()), ended(made.settlement(), simulated=True)
    for call, attempt in (real, played):
        metrics.intended(attempt)
        metrics.ended(call, attempt)
    changed = {series: value for series, value in moved(metrics, before).items() if "_wallet_" not in series[0]}
    changed = {series: value for series, value in changed.items() if value}
    kinds = [{series[:-1]: value for series, value in changed.items() if series[-1] == kind} for kind in KINDS_OF]
    assert kinds[0] == kinds[1]
    assert len(changed) == 2 * len(kinds[0])
    assert {0.25} == {kind["exai_spend_total", "USD", "kimi-k3", "kimi"] for kind in kinds}
    assert {1} == {kind["exai_intents_total", "kimi-k3", "kimi"] for kind in kinds}


def test_an_answer_hides_no_spend(metrics: Metrics, made: "Made") -> None:
    """What a real key asked for counts as real, also where the answer says that a simulator gave it."""
    before = read(metrics)
    call = made.call(made.intent(), made.accepted(headers={"exai-simulator": "1"}), made.settlement())
    metrics.ended(call, call.attempts[0])
    moved_spend = {
        series: value for series, value in moved(metrics, before).items() if series[0] == "exai_spend_total"
    }
    assert {("exai_spend_total", "USD", "kimi-k3", "kimi", "false"): 0.25} == moved_spend


@pytest.mark.parametrize("simulated", [False, True])
def test_only_the_series_of_this_start_stand(simulated: bool) -> None:  # noqa: FBT001 - the very label
    """A start is of one kind, and shows as many series as if there were no other."""
    wallets = (msgspec.structs.replace(LABELS.wallets[0], simulated=simulated),)
    labels = msgspec.structs.replace(LABELS, simulated=simulated, wallets=wallets)
    metrics = Metrics(labels, version="1", in_doubt=[], export=lambda: EXPORT)
    body = metrics.render(None)[0].decode()
    shown = {
        sample.labels["simulated"]
        for family in parse_plain(body)
        for sample in family.samples
        if "simulated" in sample.labels
    }
    assert {str(simulated).lower()} == shown


def test_a_simulated_doubt_is_no_real_one(metrics: Metrics, made: "Made", ended: Callable[..., Ended]) -> None:
    """What a real start finds open of a simulated one raises the gauge of its own kind."""
    metrics.ended(*ended(made.doubt(), simulated=True))
    readings = read(metrics)
    assert (2.0, 1.0) == tuple(readings["exai_attempts_in_doubt", kind] for kind in KINDS_OF)


def test_doubts_of_both_kinds_stay_apart() -> None:
    """What earlier starts left in doubt keeps its kind, wallet by wallet."""
    doubts = [(False, 2), (True, 3), (False, 4), (True, 0)]
    readings = read(Metrics(LABELS, version="1", in_doubt=doubts, export=lambda: EXPORT))
    assert (6.0, 3.0) == tuple(readings["exai_attempts_in_doubt", kind] for kind in KINDS_OF)


def test_an_unknown_price_is_counted_and_costs_nothing_known(
    metrics: Metrics, made: "Made", ended: Callable[..., Ended]
) -> None:
    """Unpriced attempts are visible and never spend of 0."""
    before = read(metrics)
    unknown = made.cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None)
    metrics.ended(*ended(made.settlement(cost=unknown)))
    changed = moved(metrics, before)
    assert changed["exai_unpriced_attempts_total", "false"] == 1
    assert changed["exai_settlements_total", "unknown_price", "false"] == 1
    assert not [series for series in changed if series[0] == "exai_spend_total"]


def test_currencies_never_meet(metrics: Metrics, made: "Made", ended: Callable[..., Ended]) -> None:
    """A currency that no one announced has a series of its own, even under other."""
    metrics.ended(*ended(made.settlement(cost=made.cost(currency="CNY")), model="secret-model"))
    metrics.ended(*ended(made.settlement(), model="secret-model"))
    readings = read(metrics)
    assert (0.25, 0.25) == tuple(
        readings["exai_spend_total", currency, "other", "kimi", "false"] for currency in ("CNY", "USD")
    )


def test_sums_of_many_costs_stay_exact_enough(metrics: Metrics, made: "Made", ended: Callable[..., Ended]) -> None:
    """Ten thousand small costs differ from their exact sum by less than a billionth of it."""
    call, attempt = ended(made.settlement(cost=made.cost(amount="0.000123456789")))
    for _ in range(10_000):
        metrics.ended(call, attempt)
    assert read(metrics)["exai_spend_total", "USD", "kimi-k3", "kimi", "false"] == pytest.approx(
        1.23456789, rel=1e-9
    )


@pytest.mark.parametrize(
    ("provider", "model", "series"),
    [
        ("glm", "glm-5.3", ("glm-5.3", "glm")),
        ("glm", "kimi-k3", ("other", "glm")),
        ("kimi", "a-stranger", ("other", "kimi")),
        ("a-stranger", "kimi-k3", ("other", "other")),
    ],
)
def test_unknown_names_fold_into_other(
    provider: str,
    model: str,
    series: tuple[str, str],
    metrics: Metrics,
    made: "Made",
) -> None:
    """No text from outside the closed sets becomes a label."""
    before = read(metrics)
    metrics.intended(made.call(made.intent(provider=provider, model=model)).attempts[0])
    assert moved(metrics, before) == {("exai_intents_total", *series, "false"): 1}


def test_tool_calls_open_and_close(metrics: Metrics, made: "Made") -> None:
    """Admission and closing are counted, and the gauge follows; an unknown tool is other."""
    before = read(metrics)
    metrics.admitted(7)
    assert moved(metrics, before) == {("exai_tool_calls_admitted_total",): 1, ("exai_tool_calls_open",): 7}
    closed = made.call(made.answer(outcome=ToolOutcome.BUDGET, zero_reason=ZeroReason.BUDGET_STOP))
    before = read(metrics)
    metrics.closed(closed, 6)
    assert moved(metrics, before) == {
        ("exai_tool_calls_total", "budget", "chat"): 1,
        ("exai_tool_calls_without_attempts_total", "budget_stop"): 1,
        ("exai_tool_calls_open",): -1,
    }


def test_a_swept_call_is_counted_apart(metrics: Metrics, made: "Made") -> None:
    """A call that another start opened is closed and swept, so that admitted and swept are closed and open."""
    closed = made.call(made.intent(), made.settlement(), made.answer(duration_us=None))
    assert closed.answer is not None
    swept = msgspec.structs.replace(closed, answer=msgspec.structs.replace(closed.answer, epoch=2))
    before = read(metrics)
    metrics.closed(swept, 0)
    assert moved(metrics, before) == {
        ("exai_tool_calls_total", "ok", "chat"): 1,
        ("exai_tool_calls_swept_total",): 1,
    }


@pytest.mark.parametrize(("detail", "shown"), [("true", 1.0), ("false", 0.0)])
def test_a_simulated_start_says_so(detail: str, shown: float, metrics: Metrics) -> None:
    """The start's own entry tells whether money can move, and entries without that word change nothing."""
    metrics.written(SystemEntry(index=0, event="start", detail={"simulated": detail}))
    metrics.written(SystemEntry(index=1, event="stop", detail={}))
    assert shown == read(metrics)["exai_simulated",]


def test_broken_equations_are_counted_at_the_scrape(metrics: Metrics) -> None:
    """What `/health` names, `/metrics` counts; without an audit nothing is claimed."""
    assert ("exai_conservation_broken",) not in read(metrics)
    broken: list[str] = []
    metrics.audit(lambda: broken)
    assert 0.0 == read(metrics)["exai_conservation_broken",]
    broken.append("admitted = closed + open: 2 ≠ 1")
    assert 1.0 == read(metrics)["exai_conservation_broken",]


def test_a_settlement_leaves_its_time(metrics: Metrics, made: "Made", ended: Callable[..., Ended]) -> None:
    """The time is the entry's own, and before the first settlement there is none: 0 would be 1970."""
    name = "exai_last_settlement_timestamp_seconds"
    metrics.ended(*ended(made.refusal()))
    assert [] == [series for series in read(metrics) if series[0] == name]
    metrics.ended(*ended(made.settlement()))
    assert {(name, "kimi", "false"): utc_ns(AT) / NS_PER_S} == {
        series: value for series, value in read(metrics).items() if series[0] == name
    }


def test_rejections_have_closed_reasons(metrics: Metrics) -> None:
    """A reason that nobody announced is other."""
    before = read(metrics)
    for reason in ("bad_frame", "<script>", "other"):
        metrics.rejected(reason)
    assert moved(metrics, before) == {
        ("exai_rejections_total", "bad_frame"): 1,
        ("exai_rejections_total", "other"): 2,
    }


def test_entries_are_counted_by_kind(metrics: Metrics) -> None:
    """The last index and the kinds of entries are shown."""
    before = read(metrics)
    metrics.written(SystemEntry(index=41, event="start", detail={}))
    assert moved(metrics, before) == {("exai_ledger_entries_total", "system"): 1, ("exai_ledger_index",): 42}


def test_the_account_of_spans_balances_in_a_scrape(metrics: Metrics) -> None:
    """Ended is exported, dropped, queued and off together."""
    readings = {series: value for series, value in read(metrics).items() if "otlp" in series[0]}
    assert readings == {
        ("exai_otlp_spans_ended_total",): 21,
        ("exai_otlp_spans_exported_total",): 6,
        ("exai_otlp_spans_queued",): 5,
        ("exai_otlp_spans_dropped_total", "full"): 4,
        ("exai_otlp_spans_dropped_total", "failed"): 3,
        ("exai_otlp_spans_dropped_total", "stopped"): 2,
        ("exai_otlp_spans_off_total",): 1,
    }


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        "text/plain;q=0.5, Application/OpenMetrics-Text;version=nonsense",
    ],
)
def test_open_metrics_is_given_to_who_asks(accept: str, metrics: Metrics) -> None:
    """The format follows the Accept header, whatever version it names, and can be parsed."""
    body, content_type = metrics.render(accept)
    assert content_type.startswith("application/openmetrics-text; version=")
    families = parse_open_metrics(body.decode())  # type: ignore[no-untyped-call] # the library left it unannotated
    names = {family.name for family in families}
    assert {"exai_tool_calls", "exai_attempts_in_doubt", "exai_build"} <= names


@pytest.mark.parametrize("accept", [None, "", "*/*", "text/html\x00;;,,;", "application/json"])
def test_everyone_else_gets_plain_text(accept: str | None, metrics: Metrics) -> None:
    """Rubbish in the header breaks nothing; no series of creation times is shown."""
    body, content_type = metrics.render(accept)
    assert content_type.startswith("text/plain; version=0.0.4")
    assert b"_created" not in body


def test_the_gauge_of_doubts_can_be_asked(metrics: Metrics) -> None:
    """Real and simulated ones apart, as the scrape would show them."""
    assert (2.0, 0.0) == metrics.in_doubt()
