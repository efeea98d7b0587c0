"""What speaks against the record: calls and attempts that were judged MISMATCH apart from any window."""

import threading
from collections.abc import Iterable, Iterator

import msgspec

from service.core.books import VerdictEntry
from service.core.entries import AnswerEntry
from service.core.record import Step, ToolCall
from service.core.times import NS_PER_S, utc_ns, utc_text
from service.core.verdict import CODES, PHANTOM, own_code, verdict, word_of
from service.core.words import VerdictWord
from service.ledger.choosing import CallFilter
from service.ledger.reading import Reading

TOLD_S = 24 * 60 * 60
_CALL_S_MAX = 2 * 60 * 60  # a call is found by when it was opened, and told by when it was answered: a proof waits
_PAGE = 500
_OF_WINDOWS = frozenset({"M2", "M7", "M9"})
_OWN = tuple(sorted(code for code in CODES - _OF_WINDOWS if word_of(code) is VerdictWord.MISMATCH))

Whose = tuple[str | None, bool]
"""A wallet's name, None for a call that asked no provider, and whether a simulator stands in."""


_NOBODYS: tuple[Whose, str] = ((None, False), PHANTOM)


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
    """Find again what was written down since a time: verdicts on attempts, however old those are, and calls."""
    before: int | None = None
    while page := reading.verdicts_on_attempts(codes=_OWN, before=before):
        yield from map(_of_entry, page)
        before = page[-1].index
        if page[-1].at < since:
            break
    only = CallFilter(since=utc_text(utc_ns(since) - _CALL_S_MAX * NS_PER_S), verdict=_OWN)
    before = None
    while lines := reading.calls(only, before=before, limit=_PAGE):
        for line in lines:
            if line.call.closed_at is not None:
                coded = [((row.wallet, row.simulated), row.code) for row in line.attempts]
                yield from _coded(line.call.tool_call_id, line.call.closed_at, coded or [_NOBODYS])
        before = lines[-1].call.opened_index


def _of_call(call: ToolCall, at: str) -> Iterator[tuple[Whose, Contradiction]]:
    coded = [((one.intent.wallet, one.simulated), own_code(one)) for one in call.attempts]
    is_phantom = not coded and verdict(call, as_of=at).code == PHANTOM
    return _coded(call.tool_call_id, at, [_NOBODYS] if is_phantom else coded)


def _coded(call_id: str, at: str, coded: Iterable[tuple[Whose, str]]) -> Iterator[tuple[Whose, Contradiction]]:
    """Give what contradicts, of codes by their own record alone of whoever was asked in a call."""
    for whose, code in coded:
        if word_of(code) is VerdictWord.MISMATCH:
            yield whose, Contradiction(at=at, code=code, of=call_id, attempts=0 if code == PHANTOM else 1)


def _of_entry(entry: VerdictEntry) -> tuple[Whose, Contradiction]:
    found = Contradiction(at=entry.at, code=entry.code, of=entry.attempts[0], attempts=len(entry.attempts))
    return (entry.wallet, entry.simulated), found
