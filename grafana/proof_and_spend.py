"""Proof and spend: is any provider really called, what did it cost, and does everything add up?"""

from collections.abc import Iterable
from functools import partial

from grafana.books import books
from grafana.parts import (
    MINE,
    OF_MODEL,
    OF_PROVIDER,
    Panel,
    Query,
    alarm,
    apart,
    board,
    figure,
    graph,
    query,
    simulated,
)
from grafana.sdk import dashboard, units

RANGE, RATE = "[$__range]", "[$__rate_interval]"
QUANTILES = ((0.5, "median"), (0.95, "95th percentile"))
_OF_RECORD = "A counter of floats for a picture; the money of record is in the ledger, which the console shows."
_MONEY = "What is marked SIMULATED is a simulator's, and no money."
_APART = "Simulated ones stand apart, marked SIMULATED."
_EXTRAPOLATED = "Prometheus extrapolates increases to the edges of the range, so a count may differ by a little."


def proof_and_spend() -> dashboard.Dashboard:
    """Build the dashboard."""
    return board(
        "exai-proof-and-spend",
        "EXAI: proof and spend",
        "Is any provider really called, what did it cost, and do all accounts agree? Every number derives from"
        " entries that are durable in the ledger.",
        (
            ("Is any provider really called, and what did it cost?", _answer()),
            ("Do the providers' own books agree?", books()),
            ("Calls", _calls()),
            ("What providers metered", _consumption()),
            ("How long it took: the points lead to receipts", _durations()),
            ("Does everything add up?", _accounts()),
            ("Can the record be relied on, and what may still be spent?", _reliance()),
        ),
    )


def _answer() -> Iterable[Panel]:
    yield simulated(
        "Whose money",
        "exai_simulated: red when a simulator answers instead of a provider, so that no money moves.",
        query(f"max(exai_simulated{{{MINE}}})"),
    )
    yield figure(
        "Attempts metered in the range",
        "Increase of exai_attempts_total with outcome settled: requests that a provider answered with its own"
        f" usage. {_APART} {_EXTRAPOLATED}",
        units.Short,
        *apart(
            lambda mode: _more("provider", f'exai_attempts_total{{{OF_MODEL}, {mode}, outcome="settled"}}'),
            "{{provider}}",
        ),
        width=5,
    )
    yield figure(
        "Tokens in the range",
        f"Increase of exai_tokens_total by kind, as providers metered them; kinds do not overlap. {_APART}"
        f" {_EXTRAPOLATED}",
        units.Short,
        *apart(lambda mode: _more("kind", f"exai_tokens_total{{{OF_MODEL}, {mode}}}"), "{{kind}}"),
        width=5,
    )
    yield figure(
        "Spend in the range, in units of each currency",
        f"Increase of exai_spend_total, one number a currency, never added. {_MONEY} {_OF_RECORD} {_EXTRAPOLATED}",
        units.NoUnit,
        *apart(lambda mode: _more("currency", f"exai_spend_total{{{OF_MODEL}, {mode}}}"), "{{currency}}"),
        width=5,
    ).decimals(6)
    yield figure(
        "Since the last settlement",
        "Age of exai_last_settlement_timestamp_seconds: when a provider last metered something. No data: nothing"
        f" was metered since the service started. {_APART}",
        units.Seconds,
        *apart(
            lambda mode: (
                f"time() - max by (provider) (exai_last_settlement_timestamp_seconds{{{OF_PROVIDER}, {mode}}})"
            ),
            "{{provider}}",
        ),
        width=5,
    )


def _calls() -> Iterable[Panel]:
    yield graph(
        "Tool calls",
        "Rates of exai_tool_calls_admitted_total and, by outcome, of exai_tool_calls_total.",
        units.CountsPerMinute,
        query(_a_minute("", f"exai_tool_calls_admitted_total{{{MINE}}}"), "admitted"),
        query(_a_minute("outcome", f"exai_tool_calls_total{{{MINE}}}"), "closed: {{outcome}}"),
    )
    yield graph(
        "Attempts: requests to providers",
        "Rate of exai_attempts_total: every request that ended, retries included. In doubt: sent, and no usage"
        f" came back. {_APART}",
        units.CountsPerMinute,
        *apart(
            lambda mode: _a_minute("provider, outcome", f"exai_attempts_total{{{OF_MODEL}, {mode}}}"),
            "{{provider}} {{outcome}}",
            exemplars=True,
        ),
    )
    yield graph(
        "Calls that asked no provider",
        "Rate of exai_tool_calls_without_attempts_total by reason: calls for which no credit can have moved.",
        units.CountsPerMinute,
        query(_a_minute("zero_reason", f"exai_tool_calls_without_attempts_total{{{MINE}}}"), "{{zero_reason}}"),
    )


def _consumption() -> Iterable[Panel]:
    yield graph(
        "Tokens by kind",
        f"Rate of exai_tokens_total; kinds do not overlap, and reasoning is a part of output. {_APART}",
        units.CountsPerMinute,
        *apart(lambda mode: _a_minute("kind", f"exai_tokens_total{{{OF_MODEL}, {mode}}}"), "{{kind}}"),
        *apart(
            lambda mode: _a_minute("", f"exai_reasoning_tokens_total{{{OF_MODEL}, {mode}}}"),
            "of output: reasoning",
        ),
    )
    yield graph(
        "Spend an hour, in units of each currency",
        f"Rate of exai_spend_total; currencies are never added. {_MONEY} {_OF_RECORD}",
        units.NoUnit,
        *apart(
            lambda mode: (
                f"sum by (provider, currency) (rate(exai_spend_total{{{OF_MODEL}, {mode}}}{RATE})) * 3600"
            ),
            "{{provider}} {{currency}}",
            exemplars=True,
        ),
    ).decimals(4)
    yield graph(
        "What is known of the cost",
        "Rate of exai_settlements_total: priced, free by the price table, paid by a plan, or of unknown price."
        f" {_APART}",
        units.CountsPerMinute,
        *apart(
            lambda mode: _a_minute("cost_status", f"exai_settlements_total{{{MINE}, {mode}}}"), "{{cost_status}}"
        ),
    )


def _durations() -> Iterable[Panel]:
    yield graph(
        "Tool calls: median and 95th percentile",
        "exai_tool_call_duration_seconds, admission to answer; estimates within the histogram's buckets.",
        units.Seconds,
        *_call_percentiles("exai_tool_call_duration_seconds_bucket"),
    )
    yield graph(
        "Attempts: median and 95th percentile",
        "exai_attempt_duration_seconds, durable intent to end; estimates within the histogram's buckets."
        f" {_APART}",
        units.Seconds,
        *_attempt_percentiles("exai_attempt_duration_seconds_bucket"),
    )
    yield graph(
        "First byte: median and 95th percentile",
        "exai_first_byte_seconds, durable intent to the first byte of a settled answer; estimates within the"
        f" histogram's buckets. {_APART}",
        units.Seconds,
        *_attempt_percentiles("exai_first_byte_seconds_bucket"),
    )


def _accounts() -> Iterable[Panel]:
    yield alarm(
        "Equations that do not hold",
        "exai_conservation_broken: equations between entries, counters and spans; /health names those that are"
        " broken.",
        units.Short,
        query(f"max(exai_conservation_broken{{{MINE}}})"),
    )
    yield alarm(
        "In doubt now",
        "exai_attempts_in_doubt: sent, and no usage came back. Held at their worst case, never counted as spend."
        f" {_APART}",
        units.Short,
        *apart(lambda mode: f"sum(exai_attempts_in_doubt{{{MINE}, {mode}}})"),
    )
    yield alarm(
        "Of unknown price in the range",
        f"Increase of exai_unpriced_attempts_total: metered, and no price is stated. {_APART} {_EXTRAPOLATED}",
        units.Short,
        *apart(lambda mode: _more("", f"exai_unpriced_attempts_total{{{MINE}, {mode}}}")),
    )
    yield alarm(
        "Admitted and swept, neither closed nor open",
        "exai_tool_calls_admitted_total and exai_tool_calls_swept_total, less exai_tool_calls_total and"
        " exai_tool_calls_open, since the start. Under load a scrape may fall between two of them; the equations"
        " beside this are read at one moment.",
        units.Short,
        query(
            f"sum(exai_tool_calls_admitted_total{{{MINE}}}) + sum(exai_tool_calls_swept_total{{{MINE}}})"
            f" - sum(exai_tool_calls_total{{{MINE}}}) - sum(exai_tool_calls_open{{{MINE}}})"
        ),
    )
    yield alarm(
        "Spans without a whereabouts",
        "exai_otlp_spans_ended_total less those exported, dropped, off and queued, since the start; read at one"
        " moment.",
        units.Short,
        query(
            f"sum(exai_otlp_spans_ended_total{{{MINE}}}) - sum(exai_otlp_spans_exported_total{{{MINE}}})"
            f" - sum(exai_otlp_spans_dropped_total{{{MINE}}}) - sum(exai_otlp_spans_off_total{{{MINE}}})"
            f" - sum(exai_otlp_spans_queued{{{MINE}}})"
        ),
    )
    yield alarm(
        "Spans dropped in the range",
        f"Increase of exai_otlp_spans_dropped_total by reason: calls that a trace cannot show. {_EXTRAPOLATED}",
        units.Short,
        query(_more("reason", f"exai_otlp_spans_dropped_total{{{MINE}}}"), "{{reason}}"),
    )
    yield graph(
        "Ledger entries",
        "Rate of exai_ledger_entries_total by kind: what became durable.",
        units.CountsPerMinute,
        query(_a_minute("kind", f"exai_ledger_entries_total{{{MINE}}}"), "{{kind}}"),
    )
    yield graph(
        "Tool calls open",
        "exai_tool_calls_open: admitted and not yet answered.",
        units.Short,
        query(f"sum by (instance) (exai_tool_calls_open{{{MINE}}})", "{{instance}}"),
    )
    yield graph(
        "Requests turned away",
        "Rate of exai_rejections_total by reason: before admission, so they leave no entry.",
        units.CountsPerMinute,
        query(_a_minute("reason", f"exai_rejections_total{{{MINE}}}"), "{{reason}}"),
    )


def _reliance() -> Iterable[Panel]:
    yield alarm(
        "Findings of the audit",
        "exai_ledger_audit_problems: the record was changed; /health and the console name the first bad entry.",
        units.Short,
        query(f"max(exai_ledger_audit_problems{{{MINE}}})"),
    )
    yield alarm(
        "Checkpoints lost in the range",
        f"Increase of exai_ledger_checkpoint_failures_total: signatures that could not be kept. {_EXTRAPOLATED}",
        units.Short,
        query(_more("", f"exai_ledger_checkpoint_failures_total{{{MINE}}}")),
    )
    yield figure(
        "Entries not signed yet",
        "exai_ledger_size less exai_ledger_checkpoint_size: a second's worth at most while all is well.",
        units.Short,
        query(f"sum(exai_ledger_size{{{MINE}}}) - sum(exai_ledger_checkpoint_size{{{MINE}}})"),
    )
    yield figure(
        "Since the newest checkpoint",
        "exai_ledger_checkpoint_age_seconds: one is signed when there are new entries.",
        units.Seconds,
        query(f"max(exai_ledger_checkpoint_age_seconds{{{MINE}}})"),
    )
    yield figure(
        "Entries verified since the start",
        "exai_ledger_audited_entries: bytes, places and tables were compared. No data before the first round.",
        units.Short,
        query(f"sum(exai_ledger_audited_entries{{{MINE}}})"),
        width=8,
    )
    yield graph(
        "Limits: what is used of each",
        "exai_budget_spent and exai_budget_reserved over exai_budget_limit, in the present window. At 100 % calls"
        f" are stopped before anything is sent. No data: no budget is set. {_APART}",
        units.PercentUnit,
        *apart(_share_used, "{{budget}} {{group}} {{unit}}"),
        width=24,
    )


def _share_used(mode: str) -> str:
    used = " + ".join(f"exai_budget_{part}{{{MINE}, {mode}}}" for part in ("spent", "reserved"))
    return f"max by (budget, group, unit) (({used}) / exai_budget_limit{{{MINE}, {mode}}})"


def _more(labels: str, series: str) -> str:
    """Ask how much a counter grew in the range that is shown."""
    return f"sum{_by(labels)} (increase({series}{RANGE}))"


def _a_minute(labels: str, series: str) -> str:
    return f"sum{_by(labels)} (rate({series}{RATE})) * 60"


def _call_percentiles(buckets: str) -> list[Query]:
    return [
        query(_quantile(quantile, "tool", f"{buckets}{{{MINE}}}"), f"{{{{tool}}}} {name}", exemplars=True)
        for quantile, name in QUANTILES
    ]


def _attempt_percentiles(buckets: str) -> list[Query]:
    return [
        asked
        for quantile, name in QUANTILES
        for asked in apart(
            partial(_attempt_quantile, quantile, buckets),
            f"{{{{provider}}}} {name}",
            exemplars=True,
        )
    ]


def _attempt_quantile(quantile: float, buckets: str, mode: str) -> str:
    return _quantile(quantile, "provider", f"{buckets}{{{OF_MODEL}, {mode}}}")


def _quantile(quantile: float, label: str, series: str) -> str:
    return f"histogram_quantile({quantile}, sum by (le, {label}) (rate({series}{RATE})))"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""
