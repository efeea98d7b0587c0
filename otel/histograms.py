"""How long things took: histograms whose buckets reach the longest thought, each with the way to its receipt.

An exemplar names the trace and the tool call that a bucket saw last; only OpenMetrics carries it. A duration
that nobody measured (a call that a later start closed) is not observed: unknown is not 0.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Histogram

from otel.series import SIMULATED, OfModel, stand, standing
from service.core.entries import SettlementEntry
from service.core.record import Attempt, ToolCall

# Doublings from 10 ms, as the GenAI conventions have them up to 81.92 s; models that reason take longer.
BUCKETS_S = tuple(round(0.01 * 2**power, 2) for power in range(17))
_US_PER_S = 1_000_000


class Durations:
    """The histograms, on a registry; every series that is named stands at 0 from the start.

    Args:
        registry: where they are shown.
        tools: all values of the label `tool`.
        models: values of the labels (`provider`, `model`, `simulated`); others appear when they are observed.
    """

    def __init__(self, registry: CollectorRegistry, tools: Iterable[str], models: Iterable[OfModel]) -> None:
        calls = Histogram(
            "exai_tool_call_duration_seconds",
            "Tool calls from admission to answer, those that a later start closed excepted; tool: the tool's name"
            " or other.",
            ("tool",),
            registry=registry,
            buckets=BUCKETS_S,
        )
        self._attempts = Histogram(
            "exai_attempt_duration_seconds",
            "Attempts from durable intent to their end, whichever it was; provider and model: who was asked, or"
            " other; simulated: whether a simulator stands in for the provider.",
            ("provider", "model", SIMULATED),
            registry=registry,
            buckets=BUCKETS_S,
        )
        self._first_bytes = Histogram(
            "exai_first_byte_seconds",
            "Settled attempts from durable intent to the first byte of the answer; provider and model: who was"
            " asked, or other; simulated: whether a simulator stands in for the provider.",
            ("provider", "model", SIMULATED),
            registry=registry,
            buckets=BUCKETS_S,
        )
        series = tuple(models)
        self._calls: dict[str, Histogram] = {tool: calls.labels(tool) for tool in tools}
        self._attempts_of = stand(self._attempts, series)
        self._first_bytes_of = stand(self._first_bytes, series)

    def closed(self, tool: str, call: ToolCall) -> None:
        """Observe a closed call."""
        if call.answer is not None and call.answer.duration_us is not None:
            self._calls[tool].observe(call.answer.duration_us / _US_PER_S, exemplar(call))

    def ended(self, of: OfModel, attempt: Attempt, way: dict[str, str]) -> None:
        """Observe an attempt that ended; `way` is its call's exemplar."""
        timing = attempt.end.timing if attempt.end else None
        if timing is None:
            return
        standing(self._attempts, self._attempts_of, of).observe(timing.ended_us / _US_PER_S, way)
        if isinstance(attempt.end, SettlementEntry) and timing.first_byte_us is not None:
            first_bytes = standing(self._first_bytes, self._first_bytes_of, of)
            first_bytes.observe(timing.first_byte_us / _US_PER_S, way)


def exemplar(call: ToolCall) -> dict[str, str]:
    """Name a call's trace and receipt: 84 characters with the names, of 128 that OpenMetrics allows.

    Our own spans are made whether or not the client sampled its trace, so there is always a way to show.
    """
    return {"trace_id": call.opened.trace_id, "tool_call_id": call.tool_call_id}
