"""Every metric of the service: its name, its labels, and the one place that moves it.

Labels come from closed sets given at construction, and every series stands at 0 from the start, so that an
increase from the first event is seen. What is outside the sets counts as `other`. Counters are floats, for
graphs; the money of record is in the ledger.
"""

from collections.abc import Callable, Iterable
from typing import get_args

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPEN_METRICS_CONTENT_TYPE
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.registry import Collector

from otel.exporting import ExportCounts
from service.core.entries import AnyEntry, Entry, SettlementEntry, kind
from service.core.money import PICO_PER_UNIT, pico
from service.core.record import Attempt, ToolCall
from service.core.usage import Usage
from service.core.words import AttemptOutcome, CostStatus, ToolOutcome

OTHER = "other"
TOKEN_KINDS = ("uncached_input", "cached_input", "cache_write", "output")
OUTCOMES = tuple(outcome.value for outcome in AttemptOutcome if outcome is not AttemptOutcome.OPEN)
KINDS: tuple[str, ...] = tuple(str(entry.__struct_config__.tag) for entry in get_args(AnyEntry))
_OPEN_METRICS = "application/openmetrics-text"


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """The closed sets that label values come from.

    Attributes:
        tools: names of the tools on offer.
        models: (provider, model) of every price row and every configured default.
        currencies: of every price row. A cost in another one would count under its own code, for two
            currencies must never meet in one series.
        rejections: reasons for which a request is turned away before admission.
    """

    tools: tuple[str, ...]
    models: tuple[tuple[str, str], ...]
    currencies: tuple[str, ...]
    rejections: tuple[str, ...]


class Metrics:
    """The service's numbers, on a registry of their own.

    Its methods may be called from any thread; none of them waits. Only one instance per process should
    be made: it switches the client library's `_created` series off, which is a setting of the process.

    Args:
        labels: the closed sets.
        version: of the program.
        in_doubt: attempts that were in doubt before this start, as the ledger's read models hold them
            before the start-up sweep; the sweep's own doubts arrive as steps.
        export: what became of the spans, as of now.
    """

    def __init__(self, labels: Labels, *, version: str, in_doubt: int, export: Callable[[], ExportCounts]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library left it unannotated
        self._labels = labels
        self._models = frozenset(labels.models)
        self._providers = frozenset(provider for provider, _ in labels.models)
        self._registry = CollectorRegistry()
        self._define_calls()
        self._define_attempts()
        self._define_ledger()
        self._in_doubt.set(in_doubt)
        build = Info("exai_build", "The program that runs here; version: its version.", registry=self._registry)
        build.info({"version": version})
        self._registry.register(_SpanMetrics(export))
        ProcessCollector(registry=self._registry)

    def admitted(self, open_calls: int) -> None:
        """Count a tool call that was admitted; `open_calls` are open now."""
        self._calls_admitted.inc()
        self._calls_open.set(open_calls)

    def closed(self, call: ToolCall, open_calls: int) -> None:
        """Count a tool call that was closed; `open_calls` are open now."""
        self._calls_open.set(open_calls)
        if call.answer is not None:
            self._calls.labels(_known(call.opened.tool, self._labels.tools), call.answer.outcome.value).inc()

    def intended(self, attempt: Attempt) -> None:
        """Count an intent."""
        self._intents.labels(*self._of(attempt)).inc()

    def ended(self, attempt: Attempt) -> None:
        """Count an attempt's end, and what it consumed."""
        series = self._of(attempt)
        self._attempts.labels(*series, attempt.outcome.value).inc()
        if attempt.outcome is AttemptOutcome.IN_DOUBT:
            self._in_doubt.inc()
        if isinstance(attempt.end, SettlementEntry):
            self._settled(series, attempt.end)

    def written(self, entry: Entry) -> None:
        """Count a committed entry."""
        self._entries.labels(_known(kind(entry), KINDS)).inc()
        self._index.set(entry.index)

    def rejected(self, reason: str) -> None:
        """Count a request that was turned away before admission."""
        self._rejections.labels(_known(reason, self._labels.rejections)).inc()

    def counted(self) -> tuple[float, float]:
        """Say what the counters of (closed tool calls, ended attempts) hold, each summed over all its series."""
        return _total(self._calls), _total(self._attempts)

    def render(self, accept: str | None) -> tuple[bytes, str]:
        """Write all metrics as (body, content type): OpenMetrics when the Accept header asks for it.

        It takes milliseconds: call it in a thread, never on the event loop.
        """
        asked = (part.split(";")[0].strip().lower() for part in (accept or "").split(","))
        if _OPEN_METRICS in asked:
            return open_metrics(self._registry), OPEN_METRICS_CONTENT_TYPE  # type: ignore[no-untyped-call] # as above
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def _settled(self, series: tuple[str, str], settlement: SettlementEntry) -> None:
        for token_kind, count in zip(TOKEN_KINDS, _token_counts(settlement.usage), strict=True):
            self._tokens.labels(*series, token_kind).inc(count)
        self._reasoning.labels(*series).inc(settlement.usage.reasoning_tokens)
        cost = settlement.cost
        if cost.status is CostStatus.UNKNOWN_PRICE:
            self._unpriced.inc()
        if cost.amount is not None and cost.currency is not None:
            self._spend.labels(*series, cost.currency).inc(pico(cost.amount) / PICO_PER_UNIT)

    def _of(self, attempt: Attempt) -> tuple[str, str]:
        provider, model = attempt.intent.provider, attempt.intent.model
        if provider not in self._providers:
            return OTHER, OTHER
        return provider, model if (provider, model) in self._models else OTHER

    def _series(self) -> tuple[tuple[str, str], ...]:
        return (*self._labels.models, *((provider, OTHER) for provider in sorted(self._providers)), (OTHER, OTHER))

    def _counter(self, name: str, help_text: str, names: tuple[str, ...] = ()) -> Counter:
        return Counter(name, help_text, names, registry=self._registry)

    def _gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(name, help_text, registry=self._registry)

    def _define_calls(self) -> None:
        self._calls = self._counter(
            "exai_tool_calls_total",
            "Tool calls that were closed; tool: the tool's name or other; outcome: how the call ended.",
            ("tool", "outcome"),
        )
        _stand(self._calls, ((tool, outcome) for tool in (*self._labels.tools, OTHER) for outcome in ToolOutcome))
        self._calls_admitted = self._counter("exai_tool_calls_admitted_total", "Tool calls that were admitted.")
        self._calls_open = self._gauge("exai_tool_calls_open", "Tool calls that were admitted and not yet closed.")
        self._rejections = self._counter(
            "exai_rejections_total",
            "Requests turned away before admission; reason: why, or other.",
            ("reason",),
        )
        _stand(self._rejections, ((reason,) for reason in (*self._labels.rejections, OTHER)))

    def _define_attempts(self) -> None:
        of_model, whose = ("provider", "model"), "provider and model: who was asked, or other"
        self._intents = self._counter(
            "exai_intents_total", f"Attempts that were allowed to be sent; {whose}.", of_model
        )
        self._attempts = self._counter(
            "exai_attempts_total",
            f"Attempts that ended; {whose}; outcome: how the attempt ended.",
            (*of_model, "outcome"),
        )
        self._tokens = self._counter(
            "exai_tokens_total",
            f"Tokens as providers metered them; {whose}; kind: one of four classes that do not overlap.",
            (*of_model, "kind"),
        )
        self._reasoning = self._counter(
            "exai_reasoning_tokens_total",
            f"Tokens of reasoning, a part of exai_tokens_total of kind output, never to be added to it; {whose}.",
            of_model,
        )
        self._spend = self._counter(
            "exai_spend_total",
            f"Cost of settled attempts in units of the currency; {whose}; currency: ISO 4217, never summed over.",
            (*of_model, "currency"),
        )
        for series in self._series():
            _stand(self._intents, (series,))
            _stand(self._attempts, ((*series, outcome) for outcome in OUTCOMES))
            _stand(self._tokens, ((*series, token_kind) for token_kind in TOKEN_KINDS))
            _stand(self._reasoning, (series,))
            _stand(self._spend, ((*series, currency) for currency in self._labels.currencies))
        self._in_doubt = self._gauge(
            "exai_attempts_in_doubt",
            "Attempts in doubt, those of earlier starts included: sent, no usage came back.",
        )
        self._unpriced = self._counter(
            "exai_unpriced_attempts_total", "Settled attempts whose cost is unknown, for no price is stated."
        )

    def _define_ledger(self) -> None:
        self._entries = self._counter(
            "exai_ledger_entries_total", "Entries committed since the start; kind: the entry's kind.", ("kind",)
        )
        _stand(self._entries, ((entry_kind,) for entry_kind in (*KINDS, OTHER)))
        self._index = self._gauge(
            "exai_ledger_index", "Index of the last committed entry that reached the metrics; -1 before the first."
        )
        self._index.set(-1)


class _SpanMetrics(Collector):
    """The account of spans, read at one moment, so that it balances in every scrape."""

    def __init__(self, export: Callable[[], ExportCounts]) -> None:
        self._export = export

    def collect(self) -> Iterable[Metric]:
        """Read the account."""
        counts = self._export()
        yield CounterMetricFamily("exai_otlp_spans_ended_total", "Spans that ended.", value=counts.ended)
        yield CounterMetricFamily(
            "exai_otlp_spans_exported_total", "Spans that the collector took.", value=counts.exported
        )
        dropped = CounterMetricFamily(
            "exai_otlp_spans_dropped_total",
            "Spans that were lost on the way to the collector; reason: full, failed or stopped.",
            labels=("reason",),
        )
        dropped.add_metric(("full",), counts.dropped_full)
        dropped.add_metric(("failed",), counts.dropped_failed)
        dropped.add_metric(("stopped",), counts.dropped_stopped)
        yield dropped
        yield CounterMetricFamily(
            "exai_otlp_spans_off_total", "Spans that ended while no collector was configured.", value=counts.off
        )
        yield GaugeMetricFamily(
            "exai_otlp_spans_queued", "Spans on their way to the collector.", value=counts.queued
        )


def _token_counts(usage: Usage) -> tuple[int, int, int, int]:
    """List a usage's classes in the order of TOKEN_KINDS."""
    return (
        usage.uncached_input_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
    )


def _known(value: str, values: tuple[str, ...]) -> str:
    return value if value in values else OTHER


def _total(counter: Counter) -> float:
    """Sum what a scrape would read of a counter."""
    samples = (sample for family in counter.collect() for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


def _stand(counter: Counter, series: Iterable[tuple[str, ...]]) -> None:
    """Make series stand at 0."""
    for values in series:
        counter.labels(*values)
