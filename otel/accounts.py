"""Accounts that are read when somebody looks: each at one moment, so that it balances in every scrape."""

from collections.abc import Callable, Iterable, Sequence

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from otel.exporting import ExportCounts
from otel.series import SIMULATED, simulated_word
from service.core.budget import TOKENS, BudgetState
from service.core.money import PICO_PER_UNIT

BUDGET_SERIES_MAX = 200
FOLDED = "other"
_OF_BUDGET = ("budget", "unit", "group", SIMULATED)
_WHOSE = (
    "budget: its name; unit: the currency, or tokens; group: whose share of it, or other;"
    " simulated: whether a simulator's use is meant"
)


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


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """How far the log is signed and verified. None is not known, which is not 0.

    Attributes:
        entries: how many it has.
        signed: how many of the first the newest checkpoint covers.
        signed_age_s: how long ago that was kept.
        failures: checkpoints that could not be kept since the start.
        verified: how many of the first were verified since the start.
        problems: what the audit found.
    """

    entries: int
    signed: int
    signed_age_s: float | None
    failures: int
    verified: int | None
    problems: int


class EvidenceAccount(Collector):
    """How far the log is signed and verified; nothing where that cannot be read now."""

    def __init__(self, evidence: Callable[[], Evidence | None]) -> None:
        self._evidence = evidence

    def collect(self) -> Iterable[Metric]:
        """Read it."""
        found = self._evidence()
        if found is None:
            return
        for name, value, said in (
            ("exai_ledger_size", found.entries, "Entries of the ledger, those of earlier starts included."),
            ("exai_ledger_checkpoint_size", found.signed, "Entries that the newest checkpoint covers."),
            (
                "exai_ledger_checkpoint_age_seconds",
                found.signed_age_s,
                "Time since the newest checkpoint was kept; one is made when there are new entries.",
            ),
            (
                "exai_ledger_audited_entries",
                found.verified,
                "Entries that were verified since the start, with the tables; not there before the first round.",
            ),
            (
                "exai_ledger_audit_problems",
                found.problems,
                "What the audit found wrong since the start; anything but 0 means that the record was changed.",
            ),
        ):
            if value is not None:
                yield GaugeMetricFamily(name, said, value=value)
        yield CounterMetricFamily(
            "exai_ledger_checkpoint_failures_total",
            "Checkpoints that could not be kept since the start.",
            value=found.failures,
        )


class BudgetAccount(Collector):
    """Where limits stand. Beyond `BUDGET_SERIES_MAX` those that used the least of theirs are added up."""

    def __init__(self, states: Callable[[], Sequence[BudgetState]]) -> None:
        self._states = states

    def collect(self) -> Iterable[Metric]:
        """Read all limits."""
        states = sorted(self._states(), key=lambda state: state.used / (state.limit or 1), reverse=True)
        amounts = {_place(state): _amounts(state) for state in states[:BUDGET_SERIES_MAX]}
        for state in states[BUDGET_SERIES_MAX:]:
            name, unit, _, simulated = _place(state)
            place = name, unit, FOLDED, simulated
            before = amounts.get(place, (0, 0, 0))
            amounts[place] = tuple(map(sum, zip(before, _amounts(state), strict=True)))
        for column, (word, said) in enumerate(
            (
                ("limit", "What a budget allows in its present window"),
                ("spent", "What was used of a budget in its present window, for certain"),
                (
                    "reserved",
                    "What may be used of a budget by attempts under way or in doubt, at their worst case",
                ),
            )
        ):
            family = GaugeMetricFamily(f"exai_budget_{word}", f"{said}; {_WHOSE}.", labels=_OF_BUDGET)
            for place, values in amounts.items():
                family.add_metric(place, values[column] / (1 if place[1] == TOKENS else PICO_PER_UNIT))
            yield family
        yield GaugeMetricFamily(
            "exai_budget_folded_groups",
            f"Limits that have no series of their own, for there are more than {BUDGET_SERIES_MAX}.",
            value=max(0, len(states) - BUDGET_SERIES_MAX),
        )


def _place(state: BudgetState) -> tuple[str, str, str, str]:
    group = ", ".join(f"{word}={value}" for word, value in zip(state.terms.each, state.group, strict=True))
    return state.terms.name, state.unit, group, simulated_word(simulated=state.simulated)


def _amounts(state: BudgetState) -> tuple[int, ...]:
    return state.limit, state.spent, state.reserved


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
