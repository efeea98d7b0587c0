"""Every metric of the service: its name, its labels, and the one place that moves it.

Labels come from closed sets given at construction, and every series stands at 0 from the start, so that an
increase from the first event is seen; of real and simulated ones those of this start. What is outside the sets
counts as `other`. Real and simulated attempts never share a series. Counters are floats, for graphs; the money of
record is in the ledger.
"""

from collections.abc import Callable, Iterable, Sequence
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
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPEN_METRICS_CONTENT_TYPE
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics

from otel.accounts import Audit, BudgetAccount, Evidence, EvidenceAccount, SpanAccount
from otel.exporting import ExportCounts
from otel.histograms import Durations, exemplar
from otel.series import OTHER, SIMULATED, OfModel, simulated_word, stand, standing
from otel.wallets import OUTCOMES, BooksBefore, WalletLabels, WalletMetrics
from service.core.books import ReadingEntry, VerdictEntry, VerificationEntry
from service.core.budget import BudgetState
from service.core.entries import AnyEntry, ResolutionEntry, SettlementEntry, SystemEntry, kind
from service.core.entry import Entry
from service.core.money import PICO_PER_UNIT, pico
from service.core.record import Attempt, ToolCall
from service.core.times import NS_PER_S, utc_ns
from service.core.usage import Usage
from service.core.verdict import CODES, verdict, word_of
from service.core.words import AttemptOutcome, CostStatus, ResolutionOutcome, ToolOutcome, VerdictWord, ZeroReason

TOKEN_KINDS = ("uncached_input", "cached_input", "cache_write", "output")
KINDS: tuple[str, ...] = tuple(str(entry.__struct_config__.tag) for entry in get_args(AnyEntry))
_OF_SETTLEMENTS = tuple(
    status for status in CostStatus if status not in (CostStatus.STATED, CostStatus.RECONCILED)
)
MISMATCHES = tuple(sorted(code for code in CODES if word_of(code) is VerdictWord.MISMATCH))
_OPEN_METRICS = "application/openmetrics-text"
_OF_MODEL = ("provider", "model", SIMULATED)
_REAL_OR_NOT = "simulated: whether a simulator stands in for the provider"
_WHOSE = f"provider and model: who was asked, or other; {_REAL_OR_NOT}"


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """The closed sets that label values come from.

    Attributes:
        tools: names of the tools on offer.
        models: (provider, model) of every price row and every configured default.
        currencies: of every price row. A cost in another one would count under its own code, for two
            currencies must never meet in one series.
        rejections: reasons for which a request is turned away before admission.
        simulated: whether this start's wallets are a simulator's: of real and simulated series those that stand
            at 0. The others appear with their first event, such as a doubt that an earlier start left open.
        wallets: of this start.
        counters: (provider, counter) of all that a provider can be asked for its own books.
    """

    tools: tuple[str, ...]
    models: tuple[tuple[str, str], ...]
    currencies: tuple[str, ...]
    rejections: tuple[str, ...]
    simulated: bool
    wallets: tuple[WalletLabels, ...] = ()
    counters: tuple[tuple[str, str], ...] = ()


class Metrics:
    """The service's numbers, on a registry of their own.

    Its methods may be called from any thread; none of them waits. Only one instance per process should
    be made: it switches the client library's `_created` series off, which is a setting of the process.

    Args:
        labels: the closed sets.
        version: of the program.
        in_doubt: (whether simulated, how many) of the attempts that were in doubt before this start, as the
            ledger's read models hold them before the start-up sweep; the sweep's own doubts arrive as steps.
        export: what became of the spans, as of now.
    """

    def __init__(
        self,
        labels: Labels,
        *,
        version: str,
        in_doubt: Iterable[tuple[bool, int]],
        export: Callable[[], ExportCounts],
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library left it unannotated
        self._labels = labels
        self._mode = simulated_word(simulated=labels.simulated)
        self._models = frozenset(labels.models)
        self._providers = frozenset(provider for provider, _ in labels.models)
        self._registry = CollectorRegistry()
        self._define_calls()
        self._define_attempts()
        self._define_consumption()
        self._define_ledger()
        for simulated, count in in_doubt:
            if count:
                self._doubts(simulated_word(simulated=simulated)).inc(count)
        build = Info("exai_build", "The program that runs here; version: its version.", registry=self._registry)
        build.info({"version": version})
        self._durations = Durations(self._registry, self._tools(), self._series())
        self._wallets = WalletMetrics(self._registry, labels.wallets, labels.counters)
        self._registry.register(SpanAccount(export))
        ProcessCollector(registry=self._registry)

    def audit(self, broken: Callable[[], Sequence[str]]) -> None:
        """Show from now on how many equations of conservation do not hold; call it once."""
        self._registry.register(Audit(broken))

    def assure(
        self, evidence: Callable[[], Evidence | None], budgets: Callable[[], Sequence[BudgetState]]
    ) -> None:
        """Show from now on how far the log is signed and verified, and where limits stand; call it once."""
        self._registry.register(EvidenceAccount(evidence))
        self._registry.register(BudgetAccount(budgets))

    def follow(self, before: BooksBefore, now_ns: Callable[[], int]) -> None:
        """Go on from what the ledger knew of wallets, and show from now on how old readings are; call it once."""
        self._wallets.follow(before, now_ns)

    def in_doubt(self) -> tuple[float, float]:
        """Say how many (real, simulated) attempts are in doubt, as the gauge holds them."""
        found = {
            sample.labels[SIMULATED]: sample.value
            for (family,) in [self._in_doubt.collect()]
            for sample in family.samples
        }
        real, simulated = (simulated_word(simulated=word) for word in (False, True))
        return found.get(real, 0.0), found.get(simulated, 0.0)

    def admitted(self, open_calls: int) -> None:
        """Count a tool call that was admitted; `open_calls` are open now."""
        self._calls_admitted.inc()
        self._calls_open.set(open_calls)

    def closed(self, call: ToolCall, open_calls: int) -> None:
        """Count a tool call that was closed; `open_calls` are open now."""
        self._calls_open.set(open_calls)
        answer = call.answer
        if answer is None:
            return
        tool = _known(call.opened.tool, self._labels.tools)
        self._calls_of[tool, answer.outcome.value].inc()
        if answer.zero_reason is not None:
            self._without_attempts_of[(answer.zero_reason.value,)].inc()
        if answer.epoch != call.opened.epoch:
            self._swept.inc()
        self._mismatched(call)
        self._durations.closed(tool, call)

    def intended(self, attempt: Attempt) -> None:
        """Count an intent."""
        standing(self._intents, self._intents_of, self._of(attempt)).inc()

    def ended(self, call: ToolCall, attempt: Attempt) -> None:
        """Count an attempt's end, and what it consumed."""
        series, way = self._of(attempt), exemplar(call)
        standing(self._attempts, self._attempts_of, (*series, attempt.outcome.value)).inc(1, way)
        if attempt.outcome is AttemptOutcome.IN_DOUBT:
            self._doubts(series[-1]).inc()
        if isinstance(attempt.end, SettlementEntry):
            self._settled(series, attempt.end, way)
        self._wallets.ended(attempt)
        self._durations.ended(series, attempt, way)

    def resolved(self, call: ToolCall, attempt: Attempt, said: ResolutionEntry) -> None:
        """Count what became of an attempt in doubt: it is none any more, and what was stated for it is spend."""
        series = self._of(attempt)
        self._doubts(series[-1]).dec()
        standing(self._resolutions, self._resolutions_of, (series[-1], said.outcome.value)).inc()
        if said.amount is not None and said.currency is not None:
            spend = standing(self._spend, self._spend_of, (*series, said.currency))
            spend.inc(pico(said.amount) / PICO_PER_UNIT, exemplar(call))
        self._wallets.resolved(attempt, said)

    def written(self, entry: Entry) -> None:
        """Count a committed entry."""
        self._entries_of[(_known(kind(entry), KINDS),)].inc()
        self._index.set(entry.index)
        match entry:
            case SystemEntry() if SIMULATED in entry.detail:
                self._simulated.set(entry.detail[SIMULATED] == "true")
            case ReadingEntry():
                self._wallets.read(entry)
            case VerificationEntry():
                self._wallets.verified(entry)
            case VerdictEntry():
                self._wallets.judged(entry)
            case _:
                return

    def rejected(self, reason: str) -> None:
        """Count a request that was turned away before admission."""
        self._rejections_of[(_known(reason, self._labels.rejections),)].inc()

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

    def _settled(self, series: OfModel, settlement: SettlementEntry, way: dict[str, str]) -> None:
        for token_kind, count in zip(TOKEN_KINDS, _token_counts(settlement.usage), strict=True):
            standing(self._tokens, self._tokens_of, (*series, token_kind)).inc(count)
        standing(self._reasoning, self._reasoning_of, series).inc(settlement.usage.reasoning_tokens)
        cost, mode = settlement.cost, series[-1]
        self._last_settlement.labels(series[0], mode).set(utc_ns(settlement.at) / NS_PER_S)
        standing(self._settlements, self._settlements_of, (mode, cost.status.value)).inc()
        if cost.status is CostStatus.UNKNOWN_PRICE:
            standing(self._unpriced, self._unpriced_of, (mode,)).inc()
        if cost.amount is not None and cost.currency is not None:
            spend = standing(self._spend, self._spend_of, (*series, cost.currency))
            spend.inc(pico(cost.amount) / PICO_PER_UNIT, way)

    def _mismatched(self, call: ToolCall) -> None:
        """Count a call whose own record contradicts itself; no reading need be compared for that."""
        code = verdict(call, as_of="").code
        if code in MISMATCHES:
            mode = max((simulated_word(simulated=one.simulated) for one in call.attempts), default=self._mode)
            standing(self._mismatches, self._mismatches_of, (code, mode)).inc()

    def _doubts(self, mode: str) -> Gauge:
        return standing(self._in_doubt, self._in_doubt_of, (mode,))

    def _of(self, attempt: Attempt) -> OfModel:
        provider, model = attempt.intent.provider, attempt.intent.model
        mode = simulated_word(simulated=attempt.simulated)
        if provider not in self._providers:
            return OTHER, OTHER, mode
        return provider, model if (provider, model) in self._models else OTHER, mode

    def _tools(self) -> tuple[str, ...]:
        return (*self._labels.tools, OTHER)

    def _series(self) -> tuple[OfModel, ...]:
        others = (*((provider, OTHER) for provider in sorted(self._providers)), (OTHER, OTHER))
        return tuple((*of, self._mode) for of in (*self._labels.models, *others))

    def _counter(self, name: str, help_text: str, names: tuple[str, ...] = ()) -> Counter:
        return Counter(name, help_text, names, registry=self._registry)

    def _gauge(self, name: str, help_text: str, names: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, help_text, names, registry=self._registry)

    def _define_calls(self) -> None:
        self._calls = self._counter(
            "exai_tool_calls_total",
            "Tool calls that were closed; tool: the tool's name or other; outcome: how the call ended.",
            ("tool", "outcome"),
        )
        self._calls_of = stand(self._calls, ((tool, how.value) for tool in self._tools() for how in ToolOutcome))
        without_attempts = self._counter(
            "exai_tool_calls_without_attempts_total",
            "Tool calls that were closed without asking a provider; zero_reason: why.",
            ("zero_reason",),
        )
        self._without_attempts_of = stand(without_attempts, ((reason.value,) for reason in ZeroReason))
        self._calls_admitted = self._counter("exai_tool_calls_admitted_total", "Tool calls that were admitted.")
        self._calls_open = self._gauge("exai_tool_calls_open", "Tool calls that were admitted and not yet closed.")
        self._swept = self._counter(
            "exai_tool_calls_swept_total",
            "Tool calls of earlier starts that this start closed: a crash cut them off.",
        )
        self._mismatches = self._counter(
            "exai_call_mismatches_total",
            "Tool calls that were closed and whose own record is a MISMATCH, without any reading; code: of the"
            f" reason; {_REAL_OR_NOT}.",
            ("code", SIMULATED),
        )
        self._mismatches_of = stand(self._mismatches, ((code, self._mode) for code in MISMATCHES))
        rejections = self._counter(
            "exai_rejections_total",
            "Requests turned away before admission; reason: why, or other.",
            ("reason",),
        )
        self._rejections_of = stand(rejections, ((reason,) for reason in (*self._labels.rejections, OTHER)))
        self._simulated = self._gauge(
            "exai_simulated", "1 when the wallets are a simulator's, so that no money moves."
        )

    def _define_attempts(self) -> None:
        all_series = self._series()
        self._intents = self._counter(
            "exai_intents_total", f"Attempts that were allowed to be sent; {_WHOSE}, by its key.", _OF_MODEL
        )
        self._intents_of = stand(self._intents, all_series)
        self._attempts = self._counter(
            "exai_attempts_total",
            f"Attempts that ended; {_WHOSE}; outcome: how the attempt ended.",
            (*_OF_MODEL, "outcome"),
        )
        self._attempts_of = stand(self._attempts, ((*of, outcome) for of in all_series for outcome in OUTCOMES))
        self._in_doubt = self._gauge(
            "exai_attempts_in_doubt",
            "Attempts in doubt and not resolved, those of earlier starts included: sent, no usage came back;"
            f" {_REAL_OR_NOT}.",
            (SIMULATED,),
        )
        self._in_doubt_of = stand(self._in_doubt, ((self._mode,),))
        self._resolutions = self._counter(
            "exai_resolutions_total",
            f"Attempts in doubt that were resolved later; {_REAL_OR_NOT}; outcome: what became of them.",
            (SIMULATED, "outcome"),
        )
        self._resolutions_of = stand(self._resolutions, ((self._mode, str(how)) for how in ResolutionOutcome))

    def _define_consumption(self) -> None:
        all_series, currencies = self._series(), self._labels.currencies
        self._tokens = self._counter(
            "exai_tokens_total",
            f"Tokens as providers metered them; {_WHOSE}; kind: one of four classes that do not overlap.",
            (*_OF_MODEL, "kind"),
        )
        self._tokens_of = stand(
            self._tokens, ((*of, token_kind) for of in all_series for token_kind in TOKEN_KINDS)
        )
        self._reasoning = self._counter(
            "exai_reasoning_tokens_total",
            f"Tokens of reasoning, a part of exai_tokens_total of kind output, never to be added to it; {_WHOSE}.",
            _OF_MODEL,
        )
        self._reasoning_of = stand(self._reasoning, all_series)
        self._spend = self._counter(
            "exai_spend_total",
            "Cost of settled attempts, and what was stated or read for reconciled ones, in units of the currency;"
            f" {_WHOSE}; currency: ISO 4217, never summed over.",
            (*_OF_MODEL, "currency"),
        )
        self._spend_of = stand(self._spend, ((*of, currency) for of in all_series for currency in currencies))
        self._settlements = self._counter(
            "exai_settlements_total",
            f"Attempts that were settled; {_REAL_OR_NOT}; cost_status: what is known of the cost.",
            (SIMULATED, "cost_status"),
        )
        self._settlements_of = stand(self._settlements, ((self._mode, status.value) for status in _OF_SETTLEMENTS))
        self._unpriced = self._counter(
            "exai_unpriced_attempts_total",
            f"Settled attempts whose cost is unknown, for no price is stated; {_REAL_OR_NOT}.",
            (SIMULATED,),
        )
        self._unpriced_of = stand(self._unpriced, ((self._mode,),))
        # No series before the first settlement: a time of 0 would be a lie.
        self._last_settlement = self._gauge(
            "exai_last_settlement_timestamp_seconds",
            "When the last settlement since the start was written, seconds since 1970; provider: who metered it;"
            f" {_REAL_OR_NOT}.",
            ("provider", SIMULATED),
        )

    def _define_ledger(self) -> None:
        entries = self._counter(
            "exai_ledger_entries_total", "Entries committed since the start; kind: the entry's kind.", ("kind",)
        )
        self._entries_of = stand(entries, ((entry_kind,) for entry_kind in (*KINDS, OTHER)))
        self._index = self._gauge(
            "exai_ledger_index", "Index of the last committed entry that reached the metrics; -1 before the first."
        )
        self._index.set(-1)


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
