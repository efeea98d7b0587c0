"""Counting: what `/metrics` shows, what moved in it, and what a call must have moved."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction

from prometheus_client.parser import text_string_to_metric_families

from tests.accounts import Said

LABELS: Mapping[str, tuple[str, ...]] = {
    "exai_tool_calls_admitted_total": (),
    "exai_tool_calls_total": ("tool", "outcome"),
    "exai_intents_total": ("provider", "model"),
    "exai_attempts_total": ("provider", "model", "outcome"),
    "exai_tokens_total": ("provider", "model", "kind"),
    "exai_reasoning_tokens_total": ("provider", "model"),
    "exai_spend_total": ("provider", "model", "currency"),
    "exai_attempts_in_doubt": (),
    "exai_unpriced_attempts_total": (),
}
_NAMES = tuple(LABELS)
Counted = dict[tuple[str, ...], float]
"""Values by metric and labels, without those that are 0."""


def counted(text: str) -> Counted:
    """Read the counters of calls, attempts, tokens and money."""
    found: Counted = defaultdict(float)
    lines = text.splitlines(keepends=True)
    moving = [line for line in lines if line.startswith(_NAMES) and not line.endswith(" 0.0\n")]
    for family in text_string_to_metric_families("".join(moving)):
        for sample in family.samples:
            if sample.name in LABELS and sample.value:
                found[sample.name, *(sample.labels[name] for name in LABELS[sample.name])] += sample.value
    return dict(found)


def moved(before: Counted, after: Counted) -> Counted:
    """Give what is different."""
    return {
        key: after.get(key, 0) - before.get(key, 0) for key in before | after if after.get(key) != before.get(key)
    }


def closed(values: Counted) -> int:
    """Count the calls that were closed."""
    return int(sum(value for key, value in values.items() if key[0] == "exai_tool_calls_total"))


def total(parts: Iterable[Mapping[tuple[str, ...], Fraction]]) -> Counted:
    """Add up exactly, and leave out what comes to nothing."""
    sums: dict[tuple[str, ...], Fraction] = defaultdict(Fraction)
    for part in parts:
        for key, value in part.items():
            sums[key] += value
    return {key: float(value) for key, value in sums.items() if value}


def of_call(tool: str, outcome: str, attempts: Iterable[tuple[str, str, str]]) -> Counter[tuple[str, ...]]:
    """Say what a closed call must move: itself, and each attempt's (provider, model, outcome)."""
    found: Counter[tuple[str, ...]] = Counter({("exai_tool_calls_total", tool, outcome): 1})
    found["exai_tool_calls_admitted_total",] += 1
    for attempt in attempts:
        found["exai_intents_total", *attempt[:-1]] += 1
        found["exai_attempts_total", *attempt] += 1
        found["exai_attempts_in_doubt",] += attempt[-1] == "in_doubt"
    return found


def of_settlement(request: Said, told_per_billed: Fraction = Fraction(1)) -> dict[tuple[str, ...], Fraction]:
    """Say what a settled request must move, by the judge's line of it: the tokens it told, the money they cost."""
    told, whose, bill = told_tokens(request), (request["provider"], request["model"]), request["billed"]
    found: dict[tuple[str, ...], Fraction] = {
        ("exai_tokens_total", *whose, kind): Fraction(told[kind])
        for kind in ("uncached_input", "cached_input", "output")
    }
    found["exai_reasoning_tokens_total", *whose] = Fraction(told["reasoning"])
    found["exai_spend_total", *whose, bill["currency"]] = Fraction(bill["amount"]) * told_per_billed
    return found


def told_tokens(request: Said) -> dict[str, int]:
    """Read the usage that an answer told, in disjoint classes; what a cut stream told is what was metered."""
    told = request["reported_usage"] or request["usage"]
    cached = told.get("cached_tokens", told.get("prompt_tokens_details", {}).get("cached_tokens", 0))
    thought = told.get("reasoning_tokens", told.get("completion_tokens_details", {}).get("reasoning_tokens", 0))
    return {
        "uncached_input": told["prompt_tokens"] - cached,
        "cached_input": cached,
        "output": told["completion_tokens"],
        "reasoning": thought,
    }
