"""Booking: what entries of the provider's books change in the tables, and which attempts they decide. Pure."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from service.core.books import ReadingEntry, VerdictEntry, VerificationEntry
from service.core.entries import OfBooks
from service.core.entry import Entry
from service.core.words import AttemptOutcome
from service.ledger.store import (
    NO_BOOKS,
    AttemptRow,
    BookRows,
    JudgedRow,
    OwnRow,
    ReadingRow,
    VerificationRow,
    WindowRow,
)

PROVEN_LETTER, MISMATCH_LETTER, UNVERIFIED_LETTER = "P", "M", "U"
Key = tuple[str, int]
"""A tool call's id, and the number of its attempt."""


def booked(entries: Iterable[Entry]) -> BookRows:
    """Give the rows of those entries of a batch that are of the provider's books."""
    of_books = [entry for entry in entries if isinstance(entry, OfBooks)]
    if not of_books:  # nearly always
        return NO_BOOKS
    verdicts = [entry for entry in of_books if isinstance(entry, VerdictEntry)]
    return BookRows(
        tuple(reading_row(entry) for entry in of_books if isinstance(entry, ReadingEntry)),
        tuple(window_row(entry) for entry in verdicts if not entry.attempts),
        tuple(row for entry in verdicts for row in own_rows(entry)),
        tuple(verification_row(entry) for entry in of_books if isinstance(entry, VerificationEntry)),
    )


def books_joined(parts: Sequence[BookRows]) -> BookRows:
    """Put the rows of several batches one after the other."""
    filled = [part for part in parts if part is not NO_BOOKS]
    if len(filled) < 2:  # noqa: PLR2004 - none or one: nothing to join
        return filled[0] if filled else NO_BOOKS
    return BookRows(
        tuple(row for part in filled for row in part.readings),
        tuple(row for part in filled for row in part.windows),
        tuple(row for part in filled for row in part.owns),
        tuple(row for part in filled for row in part.verifications),
    )


def reading_row(entry: ReadingEntry) -> ReadingRow:
    """Show a reading as one row."""
    return ReadingRow(
        index=entry.index,
        wallet=entry.wallet,
        counter=entry.counter,
        outcome=entry.outcome,
        at=entry.at,
        simulated=entry.simulated,
    )


def window_row(entry: VerdictEntry) -> WindowRow:
    """Show a verdict on a window as one row."""
    return WindowRow(
        index=entry.index,
        at=entry.at,
        provider=entry.provider,
        wallet=entry.wallet,
        simulated=entry.simulated,
        after=entry.after,
        until=entry.until,
        word=entry.word,
        code=entry.code,
    )


def own_rows(entry: VerdictEntry) -> tuple[OwnRow, ...]:
    """Show a verdict on single attempts as one row for each."""
    named = dict.fromkeys(entry.attempts)  # one that is named twice is meant once
    return tuple(OwnRow(attempt_id=name, index=entry.index, code=entry.code) for name in named)


def verification_row(entry: VerificationEntry) -> VerificationRow:
    """Show an answer about a signature as one row."""
    return VerificationRow(
        tool_call_id=entry.tool_call_id,
        attempt_id=entry.attempt_id,
        index=entry.index,
        outcome=entry.outcome,
    )


class Decisions:
    """What verdicts and verifications decide of some attempts: the rule that SQL follows, told in Python.

    Args:
        attempts: those that can be decided.
        judged: what was decided of them before.
    """

    def __init__(self, attempts: Iterable[AttemptRow], judged: Iterable[JudgedRow] = ()) -> None:
        self.judged: dict[Key, JudgedRow] = {(row.tool_call_id, row.number): row for row in judged}
        self._named: dict[str, list[AttemptRow]] = defaultdict(list)
        settled: dict[tuple[str, bool], list[tuple[int, AttemptRow]]] = defaultdict(list)
        for row in attempts:
            self._named[row.attempt_id].append(row)
            if row.outcome is AttemptOutcome.SETTLED and row.end_index is not None:
                settled[row.wallet, row.simulated].append((row.end_index, row))
        self._settled = {of: sorted(rows, key=lambda one: one[0]) for of, rows in settled.items()}

    def take(self, books: BookRows) -> None:
        """Let further entries decide, in the log's order."""
        for window in books.windows:
            for row in self._inside(window):
                self._decide(row, window)
        for own in books.owns:
            for row in self._before(own):
                self._change(row, own_index=own.index, own_code=own.code)
        for said in books.verifications:
            for row in self._before(said):
                if row.tool_call_id == said.tool_call_id:
                    tries = self._of(row).tries + 1
                    self._change(row, verification_index=said.index, verified=said.outcome, tries=tries)

    def _inside(self, window: WindowRow) -> Iterator[AttemptRow]:
        ends = self._settled.get((window.wallet, window.simulated), [])
        first = bisect_right(ends, window.after, key=lambda one: one[0])
        last = bisect_right(ends, min(window.until, window.index - 1), key=lambda one: one[0])
        return (row for _, row in ends[first:last] if row.intent_index > window.after)

    def _before(self, said: OwnRow | VerificationRow) -> list[AttemptRow]:
        return [row for row in self._named.get(said.attempt_id, []) if row.intent_index < said.index]

    def _decide(self, row: AttemptRow, window: WindowRow) -> None:
        if _holds(self._of(row).window_code or "", window.code):
            self._change(row, last_index=window.index)
        else:
            self._change(row, window_index=window.index, window_code=window.code, last_index=window.index)

    def _of(self, row: AttemptRow) -> JudgedRow:
        new = JudgedRow(tool_call_id=row.tool_call_id, number=row.number)
        return self.judged.get((row.tool_call_id, row.number), new)

    def _change(self, row: AttemptRow, **changed: object) -> None:
        self.judged[row.tool_call_id, row.number] = msgspec.structs.replace(self._of(row), **changed)


def _holds(held: str, code: str) -> bool:
    """Tell whether a verdict stands against a later one: a proof against all, a contradiction against a doubt."""
    if held.startswith(MISMATCH_LETTER):
        return code.startswith(UNVERIFIED_LETTER)
    return held.startswith(PROVEN_LETTER)
