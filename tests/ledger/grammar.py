"""The grammar of calls, told a second time in other words: what may follow what, and nothing of how it is kept."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from service.core.entries import AnyEntry, kind

_ENDS = {"settlement": "settled", "refusal": "refused", "unsent": "unsent", "doubt": "in_doubt"}
_OF_NO_CALL = frozenset({"system", "reading", "verification", "verdict"})


class _RefusedError(Exception):
    """The entry may not follow."""


@dataclass
class _Attempt:
    outcome: str = "open"
    is_accepted: bool = False
    is_repeatable: bool = False


@dataclass
class _Call:
    attempts: dict[str, _Attempt] = field(default_factory=dict)
    is_closed: bool = False


@dataclass
class Grammar:
    """A log by what it allows next.

    Attributes:
        length: how many entries were let through.
    """

    length: int = 0
    _calls: dict[str, _Call] = field(default_factory=dict)

    def take(self, entries: Sequence[AnyEntry]) -> bool:
        """Let entries through together, or say that one of them may not follow: then none of them was there."""
        before = deepcopy(self._calls)
        try:
            for entry in entries:
                self._fold(kind(entry), entry)
        except _RefusedError:
            self._calls = before
            return False
        self.length += len(entries)
        return True

    def open_calls(self) -> list[str]:
        """Name the calls that are not closed."""
        return sorted(name for name, call in self._calls.items() if not call.is_closed)

    def attempts(self, call_id: str) -> int:
        """Count a call's attempts."""
        return len(self._calls.get(call_id, _Call()).attempts)

    def outcomes(self) -> dict[tuple[str, int], str]:
        """Say of every attempt how it stands, by call and number."""
        return {
            (call_id, number): attempt.outcome
            for call_id, call in self._calls.items()
            for number, attempt in enumerate(call.attempts.values(), start=1)
        }

    def next_of(self, call_id: str) -> list[tuple[str, int]]:
        """List what may follow in a call: a kind, and the number of the attempt that it is about, or repeats."""
        call = self._calls.get(call_id)
        if call is None:
            return [("tool_call", 0)]
        found = [] if call.is_closed else [("intent", 0)]
        for number, attempt in enumerate(call.attempts.values(), start=1):
            if attempt.outcome == "in_doubt":
                found.append(("resolution", number))
            if attempt.outcome == "open":
                found += [("accepted", number)] * (not attempt.is_accepted) + [("end", number)] * 2
            if attempt.is_repeatable and not call.is_closed:
                found.append(("intent", number))
        ended = all(one.outcome != "open" for one in call.attempts.values())
        return found + [("answer", 0)] * (ended and not call.is_closed)

    def after(self, batch: Iterable[Sequence[AnyEntry]]) -> "Grammar":
        """Say what the log would be after some appends."""
        later = deepcopy(self)
        for entries in batch:
            later.take(entries)
        return later

    def _fold(self, what: str, entry: Any) -> None:  # noqa: ANN401 - whatever is asked for
        if what in _OF_NO_CALL:
            return
        if what == "tool_call":
            _refuse_if(entry.tool_call_id in self._calls)
            self._calls[entry.tool_call_id] = _Call()
            return
        call = self._calls.get(entry.tool_call_id)
        if call is None:
            raise _RefusedError
        _refuse_if(call.is_closed and what != "resolution")
        if what == "answer":
            _refuse_if(any(one.outcome == "open" for one in call.attempts.values()))
            _refuse_if((entry.zero_reason is None) != bool(call.attempts))
            call.is_closed = True
        elif what == "intent":
            _intend(call, entry)
        else:
            attempt = call.attempts.get(entry.attempt_id)
            if attempt is None:
                raise _RefusedError
            _go_on(attempt, what, entry)


def _intend(call: _Call, entry: Any) -> None:  # noqa: ANN401 - an intent
    _refuse_if(entry.attempt_id in call.attempts or entry.number != len(call.attempts) + 1)
    if entry.retry_of is not None:
        before = call.attempts.get(entry.retry_of)
        _refuse_if(before is None or not before.is_repeatable)
    call.attempts[entry.attempt_id] = _Attempt()


def _go_on(attempt: _Attempt, what: str, entry: Any) -> None:  # noqa: ANN401 - any that names an attempt
    if what == "resolution":
        _refuse_if(attempt.outcome != "in_doubt")
        off = entry.outcome == "written_off"
        _refuse_if(off != (entry.amount is None) or entry.currency not in ((None,) if off else ("USD",)))
        attempt.outcome = str(entry.outcome)
        return
    _refuse_if(attempt.outcome != "open")
    if what == "accepted":
        _refuse_if(attempt.is_accepted)
        attempt.is_accepted = True
        return
    _refuse_if(what == "unsent" and attempt.is_accepted)
    _refuse_if(what == "settlement" and entry.cost.amount.startswith("-"))
    attempt.outcome = _ENDS[what]
    attempt.is_repeatable = what == "unsent" or (what == "refusal" and entry.retryable)


def _refuse_if(wrong: bool) -> None:  # noqa: FBT001 - it reads as a sentence
    if wrong:
        raise _RefusedError
