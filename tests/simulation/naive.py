"""The log as a naive reader folds it: plain JSON, decimals and lists. Nothing here is shared with the service."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Said = dict[str, Any]
ENDS = ("settlement", "refusal", "unsent", "doubt")
TOKENS = "tokens"
_ATTEMPTS_MAX = 3
_METERED = ("uncached_input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
_WINDOW_CHARS = {"minute": 16, "day": 10, "month": 7, "total": 0}  # of a UTC time; all budgets here live in UTC


@dataclass
class Attempt:
    """One attempt: what was intended, how it ended, what became of it."""

    intent: Said
    opened: Said
    end: Said | None = None
    resolution: Said | None = None

    @property
    def kind(self) -> str:
        """How it ended."""
        return "open" if self.end is None else str(self.end["kind"])

    @property
    def is_held(self) -> bool:
        """Whether its worst case is reserved."""
        unpriced = self.kind == "settlement" and self.end and self.end["cost"]["status"] == "unknown_price"
        return self.resolution is None and (self.kind in {"open", "doubt"} or bool(unpriced))

    @property
    def held(self) -> Decimal:
        """What money is reserved for it."""
        return Decimal(self.intent["worst_case"]["amount"] or 0) if self.is_held else Decimal(0)

    @property
    def spent(self) -> Decimal:
        """What money was spent on it, as far as that is known."""
        if self.resolution is not None:
            return Decimal(self.resolution["amount"] or 0)
        return Decimal(self.end["cost"]["amount"] or 0) if self.end and self.kind == "settlement" else Decimal(0)

    @property
    def tokens(self) -> int:
        """What tokens it uses: metered, stated, or its worst case."""
        if self.end is not None and self.kind == "settlement":
            return sum(self.end["usage"][name] for name in _METERED)
        if self.resolution is not None and self.resolution["tokens"] is not None:
            return int(self.resolution["tokens"])
        known_as_none = self.resolution is not None and not self.spent
        if self.kind in {"refusal", "unsent"} or known_as_none:
            return 0
        worst = self.intent["worst_case"]
        return int(worst["input_tokens"] + worst["output_tokens"])

    def used(self, unit: str) -> Decimal:
        """What it uses of a limit."""
        if unit == TOKENS:
            return Decimal(self.tokens)
        return self.spent + self.held if self.currency == unit else Decimal(0)

    def is_reserved(self, unit: str) -> bool:
        """Whether what it uses is its worst case still; of tokens also where a resolution counts none."""
        uncounted = self.resolution is not None and self.resolution["tokens"] is None
        if unit == TOKENS and self.kind == "settlement":
            return False
        return self.is_held or (unit == TOKENS and uncounted)

    @property
    def currency(self) -> str | None:
        """What it is billed in."""
        stated: str | None = self.intent["worst_case"]["currency"]
        return stated

    def value(self, word: str) -> str:
        """What a budget tells it apart by."""
        return str(self.opened[word] if word in {"client", "tool"} else self.intent[word])

    def is_within(self, terms: Said, at: str) -> bool:
        """Whether it shares a budget's window with what was opened at a time: its call's opening decides."""
        chars = _WINDOW_CHARS[terms["period"]]
        return bool(self.opened["at"][:chars] == at[:chars])


@dataclass
class Call:
    """One tool call."""

    opened: Said
    attempts: list[str] = field(default_factory=list)
    answer: Said | None = None


@dataclass
class Naive:
    """A log, folded entry by entry.

    Attributes:
        wrong: what no log may say.
    """

    wrong: list[str]
    calls: dict[str, Call] = field(default_factory=dict)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    budgets: dict[str, Said] = field(default_factory=dict)
    _fresh: list[Said] = field(default_factory=list)
    _warned: set[tuple[str, str, str, str, int]] = field(default_factory=set)

    def take(self, entry: Said) -> None:
        """Fold the next entry."""
        kind = entry["kind"]
        folds: dict[str, Callable[[Said], None]] = {
            "tool_call": self._opened,
            "intent": self._intended,
            "answer": self._closed,
            "resolution": self._resolved,
            "budget": self._budget,
        }
        if kind in ENDS:
            self._ended(entry)
        elif kind in folds:
            folds[kind](entry)

    def commit(self) -> None:
        """Let the budgets of a transaction hold: what is written beside them was admitted before."""
        for entry in self._fresh:
            self.budgets.pop(entry["name"], None)
            if entry["event"] == "set":
                self.budgets[entry["name"]] = entry["terms"]
        self._fresh.clear()

    def counted(self, name: str, group: tuple[str, ...], begins: str, unit: str) -> list[Decimal]:
        """Add up what is spent and what is reserved in one window of a budget."""
        terms = self.budgets[name]
        found = [
            one
            for one in self.attempts.values()
            if _governs(terms, one)
            and tuple(one.value(word) for word in terms["each"]) == group
            and one.is_within(terms, begins)
        ]
        reserved = sum((one.used(unit) for one in found if one.is_reserved(unit)), Decimal(0))
        return [sum((one.used(unit) for one in found), Decimal(0)) - reserved, reserved]

    def doubtful(self) -> list[str]:
        """Name the attempts that are in doubt."""
        return [name for name, one in self.attempts.items() if one.kind == "doubt" and one.resolution is None]

    def _opened(self, entry: Said) -> None:
        if entry["tool_call_id"] in self.calls:
            self.wrong.append(f"I3: tool call {entry['tool_call_id']} was opened twice")
        self.calls[entry["tool_call_id"]] = Call(entry)

    def _intended(self, entry: Said) -> None:
        call = self.calls[entry["tool_call_id"]]
        for name in call.attempts:
            end = self.attempts[name].end
            if end is None or (end["kind"] != "unsent" and not end.get("retryable")):
                self.wrong.append(f"I1: attempt {name} may have been billed and was tried again")
        attempt = Attempt(entry, call.opened)
        self.attempts[entry["attempt_id"]] = attempt
        call.attempts.append(entry["attempt_id"])
        if len(call.attempts) > _ATTEMPTS_MAX:
            self.wrong.append(f"I1: {len(call.attempts)} attempts for one call")
        self.wrong += self._overrun(attempt)

    def _ended(self, entry: Said) -> None:
        attempt = self.attempts[entry["attempt_id"]]
        if attempt.end is not None:
            self.wrong.append(f"I3: attempt {entry['attempt_id']} ended twice")
        attempt.end = entry

    def _closed(self, entry: Said) -> None:
        call = self.calls[entry["tool_call_id"]]
        if call.answer is not None:
            self.wrong.append(f"I3: tool call {entry['tool_call_id']} was closed twice")
        call.answer = entry

    def _resolved(self, entry: Said) -> None:
        attempt = self.attempts[entry["attempt_id"]]
        if attempt.kind != "doubt" or attempt.resolution is not None:
            self.wrong.append(f"I3: attempt {entry['attempt_id']} was resolved and was not in doubt")
        attempt.resolution = entry

    def _budget(self, entry: Said) -> None:
        if entry["event"] != "warned":
            self._fresh.append(entry)
            self._warned = {said for said in self._warned if said[0] != entry["name"]}
            return
        said = entry["warning"]
        # A start knows the newest warning of a limit only: one of the window before may come once more.
        key = (
            entry["name"],
            said["unit"],
            str(said["group"]),
            f"{said['window']} {entry['epoch']}",
            said["percent"],
        )
        if key in self._warned or Decimal(said["used"]) * 100 < said["percent"] * Decimal(said["limit"]):
            self.wrong.append(f"I5: a warning that is wrong, or was given before: {entry}")
        self._warned.add(key)

    def _overrun(self, fresh: Attempt) -> Iterator[str]:
        """Name each budget that should have stopped an attempt."""
        for name, terms in self.budgets.items():
            if not _governs(terms, fresh):
                continue
            money = [unit for unit in terms["limits"] if unit != TOKENS]
            priced = fresh.intent["worst_case"]["amount"] is not None and fresh.currency in money
            if money and not priced and not terms["allow_unknown_price"]:
                yield f"I5: budget {name} let an attempt of {fresh.intent['model']} pass that it cannot bound"
            for unit, limit in terms["limits"].items():
                used = sum(one.used(unit) for one in self.attempts.values() if _meet(terms, one, fresh))
                if fresh.used(unit) and used > Decimal(limit):
                    yield f"I5: budget {name} allows {limit} {unit}, and with an attempt it is {used}"


def _governs(terms: Said, one: Attempt) -> bool:
    return all(terms[word] in (None, one.value(word)) for word in ("client", "provider", "model"))


def _meet(terms: Said, one: Attempt, other: Attempt) -> bool:
    """Tell whether two attempts share a limit."""
    same_group = all(one.value(word) == other.value(word) for word in terms["each"])
    return _governs(terms, one) and same_group and one.is_within(terms, other.opened["at"])
