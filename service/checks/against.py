"""What speaks against the record: calls and attempts that were judged MISMATCH apart from any window."""

import threading
from collections.abc import Iterator

import msgspec

from service.core.books import VerdictEntry
from service.core.entries import AnswerEntry
from service.core.record import Step, ToolCall
from service.core.times import NS_PER_S, utc_text
from service.core.verdict import PHANTOM, own_code, verdict, word_of
from service.core.words import VerdictWord
from service.ledger.choosing import CallFilter
from service.ledger.reading import Reading

TOLD_S = 24 * 60 * 60
_CALLS_READ = 200  # of an earlier start, the newest

Whose = tuple[str | None, bool]
"""A wallet's name, None for a call that asked no provider, and whether a simulator stands in."""


class Contradiction(msgspec.Struct, frozen=True, kw_only=True):
    """One finding.

    Attributes:
        at: UTC text of when it was written down.
        code: of the reason.
        of: what it is on, by id: a tool call or an attempt.
        attempts: how many.
    """

    at: str
    code: str
    of: str
    attempts: int


class Against:
    """The newest of each wallet. The feed's thread writes it, any may read it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._newest: dict[Whose, Contradiction] = {}
        self._has_read = False

    def take(self, step: Step) -> None:
        """Note what a step says, if anything."""
        entry = step.entry
        if isinstance(entry, AnswerEntry) and step.call is not None:
            self._note(_of_call(step.call, entry.at))
        elif isinstance(entry, VerdictEntry) and entry.attempts and entry.word is VerdictWord.MISMATCH:
            self._note(iter([_of_entry(entry)]))

    def newest(self, reading: Reading, *, now_ns: int) -> dict[Whose, Contradiction]:
        """Give the newest of each wallet, if it is not older than a day; what earlier starts left is read once.

        Raises:
            StoreError: the ledger cannot be read.
        """
        since = utc_text(now_ns - TOLD_S * NS_PER_S)
        if not self._has_read:
            self._note(_earlier(reading, since))
            self._has_read = True
        with self._guard:
            return {whose: found for whose, found in self._newest.items() if found.at >= since}

    def _note(self, found: Iterator[tuple[Whose, Contradiction]]) -> None:
        for whose, one in found:
            with self._guard:
                before = self._newest.get(whose)
                if before is None or before.at <= one.at:
                    self._newest[whose] = one


def _earlier(reading: Reading, since: str) -> Iterator[tuple[Whose, Contradiction]]:
    only = CallFilter(since=since, verdict=(VerdictWord.MISMATCH.value,))
    for line in reading.calls(only, limit=_CALLS_READ):
        with reading.snapshot():
            call = reading.call(line.call.tool_call_id)
            judged = reading.judged((line.call.tool_call_id,))
        if call is None or call.answer is None:
            continue
        yield from _of_call(call, call.answer.at)
        for one in judged.values():
            if one.own is not None and one.own.word is VerdictWord.MISMATCH:
                yield _of_entry(one.own)


def _of_call(call: ToolCall, at: str) -> Iterator[tuple[Whose, Contradiction]]:
    if not call.attempts and verdict(call, as_of=at).code == PHANTOM:
        yield (None, False), Contradiction(at=at, code=PHANTOM, of=call.tool_call_id, attempts=0)
    for attempt in call.attempts:
        code = own_code(attempt)
        if word_of(code) is VerdictWord.MISMATCH:
            found = Contradiction(at=at, code=code, of=call.tool_call_id, attempts=1)
            yield (attempt.intent.wallet, attempt.simulated), found


def _of_entry(entry: VerdictEntry) -> tuple[Whose, Contradiction]:
    found = Contradiction(at=entry.at, code=entry.code, of=entry.attempts[0], attempts=len(entry.attempts))
    return (entry.wallet, entry.simulated), found
