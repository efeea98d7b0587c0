"""Durations fall into buckets, and each bucket leads to the receipt it saw last."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from otel.histograms import BUCKETS_S, Durations, exemplar
from otel.series import OfModel
from service.core.evidence import Timing
from service.core.words import DoubtCause

if TYPE_CHECKING:
    from tests.conftest import Made

KIMI = ("kimi", "kimi-k3", "false")
EXEMPLAR_CHARS_MAX = 128  # of names and values together, by the OpenMetrics specification


class Shown:
    """Durations on a registry of their own, and what a scrape reads of them."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library left it unannotated
        self._registry = CollectorRegistry()
        self.durations = Durations(self._registry, ("chat", "other"), (KIMI, ("other", "other", "false")))

    def samples(self, name: str, **labels: str) -> Iterator[Sample]:
        """Read the samples of a name that have these labels."""
        text: str = generate_latest(self._registry).decode()  # type: ignore[no-untyped-call] # as above
        for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call] # as above
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    yield sample

    def total(self, name: str) -> float:
        """Sum the samples of a name."""
        return sum(sample.value for sample in self.samples(name))

    def filled(self, name: str) -> list[tuple[str, dict[str, str]]]:
        """List (upper bound, exemplar) of the buckets that saw something."""
        buckets = self.samples(f"{name}_bucket")
        return [(one.labels["le"], one.exemplar.labels) for one in buckets if one.exemplar is not None]

    def end(self, made: "Made", end: Any, of: OfModel = KIMI) -> None:  # noqa: ANN401 - any entry that ends an attempt
        """Let an attempt end."""
        call = made.call(made.intent(), end)
        self.durations.ended(of, call.attempts[0], exemplar(call))


@pytest.fixture
def shown() -> Shown:
    """Give durations that have seen nothing."""
    return Shown()


def test_every_series_stands_at_zero_from_the_start(shown: Shown) -> None:
    """The first duration of each series is an increase, not a birth; the buckets reach ten minutes and more."""
    names = ("exai_tool_call_duration_seconds", "exai_attempt_duration_seconds", "exai_first_byte_seconds")
    assert [[0.0, 0.0]] * 3 == [[one.value for one in shown.samples(f"{name}_count")] for name in names]
    assert 655.36 == BUCKETS_S[-1]


def test_a_call_leads_to_its_receipt(shown: Shown, made: "Made") -> None:
    """A closed call falls into its bucket, with its trace and its id; the sum is exact."""
    shown.durations.closed("chat", made.call(made.intent(), made.settlement(), made.answer()))
    way = {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "tool_call_id": "c" * 32}
    assert [("0.04", way)] == shown.filled("exai_tool_call_duration_seconds")
    assert sum(map(len, (*way, *way.values()))) <= EXEMPLAR_CHARS_MAX
    (total,) = shown.samples("exai_tool_call_duration_seconds_sum", tool="chat")
    assert 0.021 == total.value


def test_a_duration_that_nobody_measured_is_not_observed(shown: Shown, made: "Made") -> None:
    """A swept call and its attempt have no duration; 0 would be a lie."""
    shown.durations.closed("chat", made.call(made.intent(), made.settlement(), made.answer(duration_us=None)))
    shown.end(made, made.doubt(cause=DoubtCause.CRASH, timing=None))
    assert 0.0 == shown.total("exai_tool_call_duration_seconds_count")
    assert 0.0 == shown.total("exai_attempt_duration_seconds_count")


@pytest.mark.parametrize(("kind", "first_bytes"), [("settlement", 1.0), ("refusal", 0.0), ("doubt", 0.0)])
def test_the_first_byte_is_that_of_a_settled_answer(
    kind: str, first_bytes: float, shown: Shown, made: "Made"
) -> None:
    """Every end has a duration; a quick refusal must not make models look quick."""
    shown.end(made, getattr(made, kind)(timing=Timing(first_byte_us=5_000_000, ended_us=700_000_000)))
    assert ["+Inf"] == [bound for bound, _ in shown.filled("exai_attempt_duration_seconds")]
    assert first_bytes == shown.total("exai_first_byte_seconds_count")
    assert ["5.12"] * int(first_bytes) == [bound for bound, _ in shown.filled("exai_first_byte_seconds")]


def test_simulated_durations_stand_apart(shown: Shown, made: "Made") -> None:
    """A simulator's speed is no provider's: its series appears when it is first observed, beside the real one."""
    shown.end(made, made.settlement())
    shown.end(made, made.settlement(), (*KIMI[:2], "true"))
    for name in ("exai_attempt_duration_seconds_count", "exai_first_byte_seconds_count"):
        seen = {one.labels["simulated"]: one.value for one in shown.samples(name, provider="kimi")}
        assert {"false": 1.0, "true": 1.0} == seen
