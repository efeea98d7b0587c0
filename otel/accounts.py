"""Accounts that are read when somebody looks: each at one moment, so that it balances in every scrape."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from otel.exporting import ExportCounts


class SpanAccount(Collector):
    """What became of the spans."""

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


class Audit(Collector):
    """How many equations of conservation do not hold; which ones, `/health` says."""

    def __init__(self, broken: Callable[[], Sequence[str]]) -> None:
        self._broken = broken

    def collect(self) -> Iterable[Metric]:
        """Check all equations."""
        yield GaugeMetricFamily(
            "exai_conservation_broken",
            "Equations between entries, counters and spans that do not hold; anything but 0 is a fault of ours.",
            value=len(self._broken()),
        )
