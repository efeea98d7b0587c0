"""Panels on both sides of each wallet's account: what we count, and what the provider's own counter says."""

from collections.abc import Iterable
from functools import partial

from grafana.parts import OF_PROVIDER, Panel, Query, apart, figure, graph
from grafana.sdk import units

_APART = "Simulated ones stand apart, marked SIMULATED."
_OURS, _THEIRS = (f"job_instance_wallet:exai_wallet_{side}:increase1h" for side in ("spend", "consumed"))
_RANGE = "[$__range]"


def books() -> Iterable[Panel]:
    """Build the row's panels."""
    yield from _now()
    yield from _over_time()


def _now() -> Iterable[Panel]:
    yield figure(
        "Verdict on the newest window",
        "exai_wallet_verdict: what the readings at both ends of a wallet's newest window say. A balance proves a"
        f" window, never one call alone. No data: no window was judged yet. {_APART}",
        units.NoUnit,
        *apart(
            lambda mode: f"max by (wallet, verdict) (exai_wallet_verdict{{{OF_PROVIDER}, {mode}}}) == 1",
            "{{wallet}}: {{verdict}}",
        ),
        width=6,
    )
    yield figure(
        "Verdicts on windows in the range",
        "Increase of exai_windows_total by word; a window that is judged anew counts again. Prometheus"
        f" extrapolates increases to the edges of the range, so a count may differ by a little. {_APART}",
        units.Short,
        *apart(
            lambda mode: f"sum by (verdict) (increase(exai_windows_total{{{OF_PROVIDER}, {mode}}}{_RANGE}))",
            "{{verdict}}",
        ),
        width=6,
    )
    yield figure(
        "Since the provider's counter was read",
        "exai_wallet_reading_age_seconds: since the start, if it never was. No data: the provider offers no such"
        f" counter, or readings are switched off. {_APART}",
        units.Seconds,
        *apart(
            lambda mode: f"max by (wallet) (exai_wallet_reading_age_seconds{{{OF_PROVIDER}, {mode}}})",
            "{{wallet}}",
        ),
        width=6,
    )
    yield figure(
        "Left of plans and packages",
        "exai_wallet_quota_remaining: credits, percent or tokens, as last read. No data: no such counter was read."
        f" {_APART}",
        units.Short,
        *apart(
            lambda mode: f"max by (wallet, window, unit) (exai_wallet_quota_remaining{{{OF_PROVIDER}, {mode}}})",
            "{{wallet}} {{window}}: {{unit}}",
        ),
        width=6,
    )


def _over_time() -> Iterable[Panel]:
    yield graph(
        "In the last hour: ours, and the provider's own",
        f"{_OURS} and {_THEIRS}, recorded by the rules: cost of our attempts, and what the provider's counter"
        " moved. The second follows the first by as long as readings and bills take; what stays apart is a"
        f" difference. Currencies are never added. {_APART}",
        units.NoUnit,
        *_both_sides(),
        width=12,
    ).decimals(4)
    yield graph(
        "The newest window: the provider's movement less ours",
        "exai_window_difference: what moved less what our attempts surely come to; 0 where both agree. Above it:"
        " attempts in doubt, or at the window's edges, were billed inside; else somebody else spends, or we are"
        " overcharged. Below it something was not charged, or not yet. No data: no window was judged yet, or what"
        f" moved in the newest cannot be told. {_APART}",
        units.NoUnit,
        *apart(
            partial(_of_each_wallet, "exai_window_difference"),
            "{{wallet}} {{currency}}",
        ),
        width=12,
    ).decimals(6)
    yield graph(
        "What may still be spent",
        f"exai_wallet_balance: as last read; currencies are never added. {_APART}",
        units.NoUnit,
        *apart(
            partial(_of_each_wallet, "exai_wallet_balance"),
            "{{wallet}} {{currency}}",
        ),
        width=12,
    ).decimals(4)
    yield graph(
        "Readings, and signatures that were verified",
        "Rates of exai_readings_total by counter and outcome, and of exai_verifications_total by outcome. A valid"
        f" signature says that the provider accepted a request, nothing of its tokens. {_APART}",
        units.CountsPerMinute,
        *apart(lambda mode: _a_minute("exai_readings_total", "counter, outcome", mode), "{{counter}} {{outcome}}"),
        *apart(lambda mode: _a_minute("exai_verifications_total", "outcome", mode), "signatures {{outcome}}"),
        width=12,
    )


def _both_sides() -> Iterable[Query]:
    for record, side in ((_OURS, "ours"), (_THEIRS, "the provider's")):
        yield from apart(
            partial(_of_each_wallet, record),
            f"{{{{wallet}}}} {{{{currency}}}}: {side}",
        )


def _of_each_wallet(name: str, mode: str) -> str:
    return f"max by (wallet, currency) ({name}{{{OF_PROVIDER}, {mode}}})"


def _a_minute(name: str, labels: str, mode: str) -> str:
    return f"sum by ({labels}) (rate({name}{{{OF_PROVIDER}, {mode}}}[$__rate_interval])) * 60"
