"""Deriving: every number that a verdict states, worked out again from the log's entries and from nothing else.

The rules are written down here a second time, plainly, and share no line with the product's. What a plan draws is
asked of the simulator, whose rates are its own.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from service.simulator.rates import NANO, credits_nano
from tests.accounts import Said

USUAL_S = 2
_NUMBER = re.compile(
    r"(-?\d[\d,]*(?:\.\d+)?)"
    r" (USD|CNY|credits|(?:(?:uncached |cached )?input |cache write |output )?tokens|bytes)\b"
)
_SPAN = re.compile(r"Between (\S+ \S+) and (?:(\S+) )?(\S+) UTC")
_CAPPED = re.compile(r"from (\S+) to (\S+) credits and stands at its cap")
_CALLS = re.compile(r"(\d+) calls? in this window")
_ROLES = {
    "moved": re.compile(r"(?:fell|rose) by (\S+) "),
    "surely": re.compile(r"in this window comes? to (\S+) "),
    "in_doubt": re.compile(r"in doubt or under way may come to (\S+) "),
    "tolerance": re.compile(r"steps may hide (\S+) "),
    "added": re.compile(r"(?:at least|, with) (\S+) \S+ (?:was )?paid in"),
}
"""What a number is said to be."""
_CLASSES = {
    "uncached_input": "uncached_input_tokens",
    "cached_input": "cached_input_tokens",
    "output": "output_tokens",
}


def numbers(sentence: str) -> set[Decimal]:
    """Find every number with a unit in a sentence."""
    return {Decimal(number.replace(",", "")) for number, _ in _NUMBER.findall(sentence)}


class Derived:
    """What a log's entries come to."""

    def __init__(self, entries: Sequence[Said]) -> None:
        self._by_index = {entry["index"]: entry for entry in entries}
        self._intents = [entry for entry in entries if entry["kind"] == "intent"]
        kinds = ("settlement", "refusal", "unsent", "doubt")
        self._ends = {entry["attempt_id"]: entry for entry in entries if entry["kind"] in kinds}
        self._resolved = {entry["attempt_id"]: entry for entry in entries if entry["kind"] == "resolution"}
        self.windows = [
            entry for entry in entries if entry["kind"] == "verdict" and entry.get("opened") is not None
        ]

    def window(self, verdict: Said) -> set[Decimal]:
        """Work out both sides of a window, compare them with what the verdict holds, and give their numbers."""
        opening, closing = self._by_index[verdict["opened"]], self._by_index[verdict["closed"]]
        sums, unit = verdict["sums"], verdict["sums"]["unit"]
        moved, added, step = _moved(opening, closing, unit)
        inside = [one for one in self._intents if self._is_inside(one, verdict)]
        settled = [one for one in inside if self._ends[one["attempt_id"]]["kind"] == "settlement"]
        costs = [_cost(one, self._ends[one["attempt_id"]], unit) for one in settled]
        doubts = [one for one in inside if self._is_open_doubt(one, verdict)]
        worst = [Decimal(one["worst_case"]["amount"]) for one in doubts]
        charged = [cost for cost in costs if cost]
        tolerance = step * 2 + step * (len(charged) + len(doubts)) / 2
        found = {
            "moved": None if sums["moved"] is None else moved,
            "added": added or None,
            "surely": sum(costs, Decimal(0)),
            "straddling": Decimal(0),
            "in_doubt": sum(worst, Decimal(0)),
            "tolerance": tolerance,
        }
        said = {name: None if sums[name] is None else Decimal(sums[name]) for name in found}
        assert found == said
        assert len(charged) == sums["attempts"]
        ends = {_figures(end)["credits_5h"] for end in (opening, closing)} if unit == "credits" else set()
        assert ends <= {Decimal(sums["opening"]), Decimal(sums["closing"])}
        return {one for one in found.values() if one is not None} | ends | self._tokens(verdict, settled)

    def sentence(self, verdict: Said) -> None:
        """Hold a window's sentence against its readings and sums: each number, both times, the count of calls."""
        said = verdict["sentence"]
        assert numbers(said)
        assert numbers(said) <= self.window(verdict)
        stated = {role: pattern.findall(said) for role, pattern in _ROLES.items()}
        assert all([verdict["sums"][role]] == found for role, found in stated.items() if found)
        capped = _CAPPED.findall(said)
        assert not capped or capped == [(verdict["sums"]["opening"], verdict["sums"]["closing"])]
        assert stated["moved"] or stated["added"] or capped or "the provider counted" in said
        assert stated["added"] or "the balance" not in said or verdict["sums"]["added"] is None
        assert bool(verdict["sums"]["attempts"]) is bool(stated["surely"])
        first, day, second = _SPAN.findall(said)[0]
        opened, closed = (self._by_index[verdict[end]]["asked_at"] for end in ("opened", "closed"))
        assert (_second(opened), _second(closed)) == (first, f"{day or first[:10]} {second}")
        assert {str(verdict["sums"]["attempts"])} >= set(_CALLS.findall(said))

    def call(self, tool_call_id: str) -> set[Decimal]:
        """Give the numbers that the entries of one call hold."""
        found = set[Decimal]()
        for intent in self._intents:
            if intent["tool_call_id"] == tool_call_id:
                end = self._ends[intent["attempt_id"]]
                resolution = self._resolved.get(intent["attempt_id"], {})
                said = [
                    intent["max_output_tokens"],
                    intent["worst_case"]["input_tokens"],
                    resolution.get("amount"),
                    resolution.get("tolerance"),
                ]
                usage = end.get("usage") or {}
                said += [
                    *usage.values(),
                    sum(usage[name] for name in _CLASSES.values() if name != "output_tokens") if usage else None,
                ]
                found |= {Decimal(one) for one in said if one is not None}
        return found

    def _is_inside(self, intent: Said, verdict: Said) -> bool:
        opening, closing = self._by_index[verdict["opened"]], self._by_index[verdict["closed"]]
        end = self._ends[intent["attempt_id"]]
        shown_s = _time(end["at"]) + USUAL_S
        return bool(intent["index"] > opening["index"] and shown_s <= _time(closing["asked_at"]))

    def _is_open_doubt(self, intent: Said, verdict: Said) -> bool:
        """Whether it is in doubt, or was when the verdict was written and is not known to have cost nothing."""
        attempt_id = intent["attempt_id"]
        resolution = self._resolved.get(attempt_id)
        ends = f"readings {verdict['opened']} and {verdict['closed']}"
        is_free = resolution is not None and (resolution["by"], resolution["amount"]) == (ends, "0")
        return self._ends[attempt_id]["kind"] == "doubt" and not is_free

    def _tokens(self, verdict: Said, settled: Sequence[Said]) -> set[Decimal]:
        """Count tokens of both sides by class, and compare them with what the verdict holds."""
        usages = [self._ends[one["attempt_id"]]["usage"] for one in settled]
        found = set[Decimal]()
        for one in verdict["sums"].get("classes", ()):
            ours = sum(usage[_CLASSES[one["name"]]] for usage in usages)
            theirs = self._counted(verdict, one["name"])
            assert (ours, theirs) == (one["ours"], one["theirs"])
            found |= {Decimal(count) for count in (ours, theirs) if count is not None}
        return found

    def _counted(self, verdict: Said, name: str) -> int | None:
        """Say what the provider counted of a class between the readings beside those of the window's ends."""
        ends = []
        for end in ("opened", "closed"):
            near = [
                _figures(entry)[f"{name}_tokens"]
                for index, entry in self._by_index.items()
                if entry["kind"] == "reading" and entry["counter"] == "credit_usage" and index > verdict[end]
            ]
            ends += near[:1]
        return None if len(ends) < len(("opened", "closed")) else int(ends[1] - ends[0])


def _moved(opening: Said, closing: Said, unit: str) -> tuple[Decimal, Decimal, Decimal]:
    """Say how far a counter moved, what was seen to be paid in, and its step."""
    before, after = _figures(opening), _figures(closing)
    assert opening["counter"] == closing["counter"]
    step = Decimal(opening["figures"][0]["resolution"])
    rise = {name: after[name] - before[name] for name in after}
    paid = [max(Decimal(0), rise[name]) for name in ("recharged", "given", "voucher", "cash") if name in rise]
    if unit == "credits":
        return rise["credits_5h"], Decimal(0), step
    if unit == "tokens":
        return -rise["package_tokens"], Decimal(0), step
    moved = rise["spent"] if "spent" in rise else sum(paid) - rise["voucher"] - rise["cash"]
    return moved, sum(paid, Decimal(0)), step


def _cost(intent: Said, end: Said, unit: str) -> Decimal:
    usage = end["usage"]
    prompt = usage["uncached_input_tokens"] + usage["cached_input_tokens"]
    if unit == "tokens":
        return Decimal(prompt + usage["output_tokens"])
    if unit == "credits":
        cached, completion = usage["cached_input_tokens"], usage["output_tokens"]
        drawn = credits_nano(intent["model"], prompt=prompt, cached=cached, completion=completion, peak=False)
        return Decimal(drawn) / NANO
    return Decimal(end["cost"]["amount"])


def _figures(reading: Mapping[str, Any]) -> dict[str, Decimal]:
    return {figure["name"]: Decimal(figure["amount"]) for figure in reading["figures"]}


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _second(text: str) -> str:
    return f"{text[:10]} {text[11:19]}"
