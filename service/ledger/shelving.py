"""Shelving: the tables of the provider's books against the entries that they derive from, and what these decide.

A walk over the log compares every reading's and verdict's own row, and counts. What was decided of attempts is
worked out again from these rows, a day at a time and at one moment.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from service.core import entries
from service.core.books import VerificationEntry
from service.core.entries import OfBooks
from service.ledger import quarters
from service.ledger.booking import Decisions, booked
from service.ledger.findings import Findings
from service.ledger.listed import row_of
from service.ledger.reading import Reading
from service.ledger.rows import columns
from service.ledger.store import AttemptRow, BookRows, JudgedRow, OwnRow, ReadingRow, VerificationRow, WindowRow

_Row = TypeVar("_Row", bound=msgspec.Struct)
_AFTER = "~"  # after every time of a day
_OF_DAY = "calls CROSS JOIN attempts USING (tool_call_id)", "calls.opened_at >= ? AND calls.opened_at < ?"
_COUNTS = """
    SELECT (SELECT count(*) FROM readings), (SELECT count(*) FROM windows), (SELECT count(*) FROM owns),
    (SELECT coalesce(sum(tries), 0) FROM judged),
    (SELECT count(*) FROM judged LEFT JOIN attempts USING (tool_call_id, number) WHERE attempts.attempt_id IS NULL)
"""
_NAMES = (
    "readings",
    "verdicts on windows",
    "verdicts on attempts",
    "answers about signatures",
    "decisions on no attempt",
)
_DECIDED = ("own_index", "own_code", "window_index", "window_code", "last_index")


class Shelf:
    """What a walk has met of the provider's books."""

    def __init__(self, reading: Reading, findings: Findings) -> None:
        self._reading = reading
        self._findings = findings
        self._counts = [0] * len(_NAMES)

    def take(self, entry: OfBooks) -> None:
        """Compare the rows of the next entry with what it says."""
        books = booked([entry])
        for reading in books.readings:
            self._compare(entry, reading, _stored(self._reading, "readings", reading))
        for window in books.windows:
            self._compare(entry, window, _stored(self._reading, "windows", window))
        for own in books.owns:
            self._compare(entry, own, _own(self._reading, own))
        for place, rows in enumerate((books.readings, books.windows, books.owns)):
            self._counts[place] += len(rows)
        for said in books.verifications:
            self._counts[3] += self._compare_verification(said)

    def compare_counts(self) -> None:
        """Look whether there are rows that no entry made; a snapshot must hold, and the walk have caught up."""
        (stored,) = self._reading.select(_COUNTS)
        for name, found, kept in zip(_NAMES, self._counts, stored, strict=True):
            if found != kept:
                self._findings.note(None, f"{found} {name} in the log, {kept} as rows")

    def _compare(self, entry: OfBooks, found: msgspec.Struct, stored: msgspec.Struct | None) -> None:
        if stored is None:
            self._findings.note(entry.index, f"the {entries.kind(entry)} has no row")
        elif found != stored:
            names = [name for name in columns(type(found)) if getattr(found, name) != getattr(stored, name)]
            self._findings.note(entry.index, f"the {entries.kind(entry)}'s row differs in {', '.join(names)}")

    def _compare_verification(self, said: VerificationRow) -> int:
        """Look whether the attempt knows this answer, or a later one; count it if there is such an attempt."""
        query = """
            SELECT attempts.intent_index, judged.verification_index, judged.verified, judged.tries FROM attempts
            LEFT JOIN judged USING (tool_call_id, number)
            WHERE attempts.tool_call_id = ? AND attempts.attempt_id = ?
        """
        rows = self._reading.select(query, (said.tool_call_id, said.attempt_id))
        rows = [row for row in rows if row[0] < said.index]
        for _, index, verified, tries in rows:
            known = index is not None and tries >= 1 and index >= said.index
            if not known or (index == said.index and verified != said.outcome):
                self._findings.note(said.index, f"attempt {said.attempt_id} does not know the verification")
        return len(rows)


def compare(reading: Reading, findings: Findings) -> Iterator[None]:
    """Look whether every attempt knows what decides it, and note what differs; a day of calls at a time."""
    day = quarters.next_day(reading, "")
    while day is not None:
        try:
            with reading.snapshot():
                _compare_day(reading, findings, (day, day + _AFTER))
        except ValueError as error:
            findings.note(None, f"what was decided of the calls of {day} cannot be compared: {error}")
        yield
        day = quarters.next_day(reading, day + _AFTER)


def _compare_day(reading: Reading, findings: Findings, within: tuple[str, str]) -> None:
    source, condition = _OF_DAY
    names = ", ".join(f"attempts.{name}" for name in columns(AttemptRow))
    query = f"SELECT {names} FROM {source} WHERE {condition}"  # noqa: S608 - our own names; values are bound
    attempts = [row_of(AttemptRow, row) for row in reading.select(query, within)]
    if not attempts:
        return
    decisions = Decisions(attempts)
    decisions.take(BookRows(windows=_windows(reading, attempts), owns=_owns(reading, within)))
    stored = _judged(reading, within)
    for row in attempts:
        key = row.tool_call_id, row.number
        new = JudgedRow(tool_call_id=row.tool_call_id, number=row.number)
        found, kept = decisions.judged.get(key, new), stored.get(key, new)
        differing = [name for name in _DECIDED if getattr(found, name) != getattr(kept, name)]
        if differing or not _is_answer(reading, row, kept):
            where = f"attempt {row.number} of tool call {row.tool_call_id}"
            said = ", ".join(differing) or "what was said of its signature"
            findings.note(row.intent_index, f"what is known of {where} is not what decides it: {said}")


def _is_answer(reading: Reading, row: AttemptRow, kept: JudgedRow) -> bool:
    """Tell whether the answer that an attempt is said to have is one about it."""
    if kept.verification_index is None:
        return kept.verified is None and not kept.tries
    line = reading.line(kept.verification_index)
    try:
        entry = None if line is None else entries.decode(line.entry)
    except entries.UnreadableEntryError:  # the walk over the log says so
        return True
    return isinstance(entry, VerificationEntry) and (
        (entry.tool_call_id, entry.attempt_id, entry.outcome) == (row.tool_call_id, row.attempt_id, kept.verified)
    )


def _windows(reading: Reading, attempts: list[AttemptRow]) -> tuple[WindowRow, ...]:
    """Give the verdicts on windows that may decide any of these."""
    first = min(row.intent_index for row in attempts)
    last = max(row.intent_index for row in attempts)
    query = f"""
        SELECT {_columns(WindowRow)} FROM windows WHERE "index" > ? AND until >= ? AND after < ? ORDER BY "index"
    """  # noqa: S608 - our own names; values are bound
    return tuple(row_of(WindowRow, row) for row in reading.select(query, (first, first, last)))


def _owns(reading: Reading, within: tuple[str, str]) -> tuple[OwnRow, ...]:
    source, condition = _OF_DAY
    query = f"""
        SELECT DISTINCT owns.attempt_id, owns."index", owns.code FROM {source} JOIN owns USING (attempt_id)
        WHERE {condition} ORDER BY owns."index"
    """  # noqa: S608 - as above
    return tuple(row_of(OwnRow, row) for row in reading.select(query, within))


def _judged(reading: Reading, within: tuple[str, str]) -> dict[tuple[str, int], JudgedRow]:
    source, condition = _OF_DAY
    names = ", ".join(f"judged.{name}" for name in columns(JudgedRow))
    query = f"SELECT {names} FROM {source} JOIN judged USING (tool_call_id, number) WHERE {condition}"  # noqa: S608
    rows = (row_of(JudgedRow, row) for row in reading.select(query, within))
    return {(row.tool_call_id, row.number): row for row in rows}


def _stored(reading: Reading, table: str, row: ReadingRow | WindowRow) -> ReadingRow | WindowRow | None:
    query = f'SELECT {_columns(type(row))} FROM {table} WHERE "index" = ?'  # noqa: S608 - our own names
    return _first(type(row), reading.select(query, (row.index,)))


def _own(reading: Reading, row: OwnRow) -> OwnRow | None:
    query = f'SELECT {_columns(OwnRow)} FROM owns WHERE attempt_id = ? AND "index" = ?'  # noqa: S608 - as above
    return _first(OwnRow, reading.select(query, (row.attempt_id, row.index)))


def _first(kind: type[_Row], rows: list[tuple[Any, ...]]) -> _Row | None:
    return row_of(kind, rows[0]) if rows else None


def _columns(row: type[msgspec.Struct]) -> str:
    return ", ".join(f'"{name}"' for name in columns(row))
