"""Reading the log and its tables. Nothing here can write: every connection is opened read-only."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from service.core import entries, record
from service.core.entries import SystemEntry
from service.core.record import Step, ToolCall
from service.core.spending import Spending, checked_by, folded
from service.core.times import utc_ns, utc_text
from service.errors import StoreError
from service.ledger.rows import columns
from service.ledger.sqlite import FILE_NAME, refuse_other_schema, unusable
from service.ledger.store import AttemptRow, CallRow, Line, RollupKey, RollupSums
from service.ledger.sums import spending_query, spending_row
from service.ledger.verdicts import (
    CODE,
    VerdictCount,
    VerdictSum,
    codes_of,
    counts_query,
    sums_query,
    verdict_sum,
)

PAGE_ROWS_MAX = 500
OPEN = "open"
_LINES_PER_READ = 1000
_BUSY_TIMEOUT_MS = 5000
_Row = TypeVar("_Row", bound=msgspec.Struct)
_OF_ATTEMPTS = ("provider", "model", "wallet")
_OF_CALLS = ("tool", "client")
_LINE = '"index", kind, tool_call_id, leaf_hash, entry'


class CallFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls are meant. Several values of a field mean any of them; none means all.

    Attributes:
        outcome: tool outcomes, or `open`.
        verdict: words of verdicts, or codes of their reasons.
        owner: the one client whose calls may be seen at all, whatever `client` says; None for all.
        since, until: RFC 3339 texts with a zone, half-open, by the time the call was opened.
    """

    provider: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    wallet: tuple[str, ...] = ()
    tool: tuple[str, ...] = ()
    client: tuple[str, ...] = ()
    outcome: tuple[str, ...] = ()
    verdict: tuple[str, ...] = ()
    owner: str | None = None
    since: str | None = None
    until: str | None = None


class CallLine(msgspec.Struct, frozen=True):
    """One call of a list, with its attempts in order."""

    call: CallRow
    attempts: tuple[AttemptRow, ...]


class WalletSum(msgspec.Struct, frozen=True, kw_only=True):
    """What one wallet's attempts in one currency add up to. `currency` is None where no price is known."""

    provider: str
    wallet: str
    currency: str | None
    simulated: bool
    attempts: int
    settled: int
    in_doubt: int
    unpriced: int
    uncached_input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_pico: int
    held_pico: int


class Head(msgspec.Struct, frozen=True):
    """Where the log stands."""

    origin: str
    epoch: int
    next_index: int


class Reading:
    """A reader of one data folder. Its methods block and may be called from any thread.

    Raises:
        StoreError: the folder holds no ledger; from every method, the file cannot be
            read or is of another version.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._local = threading.local()
        self._all: list[apsw.Connection] = []
        self._guard = threading.Lock()
        if not self._path.exists():
            raise StoreError(
                f"{folder} holds no ledger",
                remedy="Name the folder with EXAI_DATA_DIR, or start the service once: `exai serve`.",
            )

    def close(self) -> None:
        """Close every thread's connection."""
        with self._guard:
            for connection in self._all:
                connection.close()
            self._all.clear()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reads of this thread in the block see the ledger at one moment.

        While it lasts the writer goes on, but its write-ahead log cannot be emptied.
        """
        try:
            with self._connection():
                yield
        except apsw.Error as error:
            raise unusable(self._path, error) from error

    def head(self) -> Head:
        """Say where the log stands."""
        with self.snapshot():
            meta = dict(self._read("SELECT key, value FROM meta"))
            ((last,),) = self._read('SELECT max("index") FROM entries')
        return Head(str(meta["origin"]), int(meta["epoch"]), 0 if last is None else last + 1)

    def lines(self, first: int = 0) -> Iterator[Line]:
        """Give every line from an index on, in order, a batch at a time."""
        while True:
            batch = self._lines(first, _LINES_PER_READ)
            yield from batch
            if len(batch) < _LINES_PER_READ:
                return
            first = batch[-1].index + 1

    def steps(self, first: int, count: int) -> list[Step]:
        """Give committed steps again, each with the record of its call as it was after it."""
        calls: dict[str, ToolCall | None] = {}
        steps = []
        for line in self._lines(first, count):
            entry = entries.decode(line.entry)
            if isinstance(entry, SystemEntry):
                steps.append(Step(entry, None))
                continue
            call_id = entry.tool_call_id
            if call_id not in calls:
                calls[call_id] = self.call(call_id, before=line.index)
            calls[call_id] = record.after(calls[call_id], entry, line.leaf_hash)
            steps.append(Step(entry, calls[call_id]))
        return steps

    def call(self, tool_call_id: str, *, before: int | None = None) -> ToolCall | None:
        """Fold the record of one call, as it stands or stood before an index; None if there is none.

        Raises:
            UnreadableEntryError, BrokenRecordError: the log was damaged.
        """
        query = f'SELECT {_LINE} FROM entries WHERE tool_call_id = ? AND "index" < ? ORDER BY "index"'  # noqa: S608
        call: ToolCall | None = None
        for row in self._read(query, tool_call_id, 2**62 if before is None else before):
            line = Line(*row)
            entry = entries.decode(line.entry)
            if not isinstance(entry, SystemEntry):
                call = record.after(call, entry, line.leaf_hash)
        return call

    def call_row(self, tool_call_id: str) -> CallLine | None:
        """Give the rows of one call; None if there is none."""
        query = f"SELECT {', '.join(columns(CallRow))} FROM calls WHERE tool_call_id = ?"  # noqa: S608
        with self.snapshot():
            found = self._with_attempts([_row(CallRow, row) for row in self._read(query, tool_call_id)])
        return found[0] if found else None

    def calls(self, only: CallFilter, *, before: int | None = None, limit: int = 50) -> list[CallLine]:
        """List calls, newest first.

        Args:
            only: which calls.
            before: an `opened_index`; only older calls are listed.
            limit: at most this many, and never more than PAGE_ROWS_MAX.
        """
        where, values = _where(only)
        if before is not None:
            where.append("calls.opened_index < ?")
            values.append(before)
        names = ", ".join(f"calls.{name}" for name in columns(CallRow))
        query = f"SELECT {names} FROM calls{_and(where)} ORDER BY calls.opened_index DESC LIMIT ?"  # noqa: S608
        with self.snapshot():
            rows = self._read(query, *values, max(0, min(limit, PAGE_ROWS_MAX)))
            return self._with_attempts([_row(CallRow, row) for row in rows])

    def count(self, only: CallFilter) -> int:
        """Count calls."""
        where, values = _where(only)
        ((number,),) = self._read(f"SELECT count(*) FROM calls{_and(where)}", *values)  # noqa: S608
        return int(number)

    def sums(self, only: CallFilter) -> list[WalletSum]:
        """Add up the attempts of calls per wallet and currency, sorted; real and simulated apart."""
        return [
            WalletSum(
                **{name: getattr(row, name) for name in columns(WalletSum) if name != "cost_pico"},
                cost_pico=row.spent_pico,
            )
            for row in self.spending(only, by=("provider", "wallet"))
            if row.attempts
        ]

    def spending(self, only: CallFilter, *, by: Sequence[str] = (), zone: tzinfo = UTC) -> list[Spending]:
        """Add up what calls consumed and cost: one row per group, currency, and real or simulated.

        As everywhere, a filter on provider, model or wallet chooses calls that have such an attempt, and all
        attempts of these calls count; the time is that of the call's opening.

        Args:
            only: which calls.
            by: words of `core.spending.BY`; rows are in their order. None gives the totals.
            zone: whose days and hours are meant.

        Raises:
            InvalidArgumentsError: a word that rows cannot be grouped by.
        """
        by = checked_by(by)
        where, values = _where(only)
        rows = self._read(spending_query(by, _and(where)), *values)
        return folded((spending_row(by, row) for row in rows), by=by, zone=zone)

    def verdict_counts(self, only: CallFilter) -> list[VerdictCount]:
        """Count calls by the verdict on each, sorted by its code."""
        where, values = _where(only)
        return [_row(VerdictCount, row) for row in self._read(counts_query(_and(where)), *values)]

    def verdict_sums(self, only: CallFilter) -> list[VerdictSum]:
        """Add up the attempts of calls by the verdict on each call, and by currency."""
        where, values = _where(only)
        return [verdict_sum(*row) for row in self._read(sums_query(_and(where)), *values)]

    def facets(self, *, owner: str | None = None) -> dict[str, list[str]]:
        """Name the values that filters can take, sorted; of one client's calls if there is an owner."""
        where, values = _where(CallFilter(owner=owner))
        joined = f"calls LEFT JOIN attempts USING (tool_call_id){_and([*where, '{0} IS NOT NULL'])}"
        query = f"SELECT DISTINCT {{0}} FROM {joined} ORDER BY 1"  # noqa: S608 - our own names; values are bound
        names = (*(f"calls.{name}" for name in _OF_CALLS), *(f"attempts.{name}" for name in _OF_ATTEMPTS))
        return {
            name.partition(".")[2]: [str(value) for (value,) in self._read(query.format(name), *values)]
            for name in names
        }

    def rollups(self) -> dict[RollupKey, RollupSums]:
        """Give every quarter hour's sums."""
        keys, sums = columns(RollupKey), columns(RollupSums)
        rows = self._read(f"SELECT {', '.join((*keys, *sums))} FROM rollups")  # noqa: S608
        return {_row(RollupKey, row[: len(keys)]): _row(RollupSums, row[len(keys) :]) for row in rows}

    def row_counts(self) -> tuple[int, int]:
        """Count the rows of calls and of attempts, whatever they say."""
        ((calls, attempts),) = self._read("SELECT (SELECT count(*) FROM calls), (SELECT count(*) FROM attempts)")
        return int(calls), int(attempts)

    def _with_attempts(self, calls: list[CallRow]) -> list[CallLine]:
        names = ", ".join(columns(AttemptRow))
        marks = ", ".join("?" * len(calls))
        query = f"SELECT {names} FROM attempts WHERE tool_call_id IN ({marks}) ORDER BY number"  # noqa: S608
        of: dict[str, list[AttemptRow]] = {call.tool_call_id: [] for call in calls}
        for row in self._read(query, *of):
            attempt = _row(AttemptRow, row)
            of[attempt.tool_call_id].append(attempt)
        return [CallLine(call, tuple(of[call.tool_call_id])) for call in calls]

    def _lines(self, first: int, count: int) -> list[Line]:
        query = f'SELECT {_LINE} FROM entries WHERE "index" >= ? ORDER BY "index" LIMIT ?'  # noqa: S608
        return [Line(*row) for row in self._read(query, first, count)]

    def _read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - what SQL gives
        try:
            return list(self._connection().execute(query, values))
        except apsw.Error as error:
            raise unusable(self._path, error) from error

    def _connection(self) -> apsw.Connection:
        """Give this thread's own connection: a connection shared by threads would share snapshots too."""
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            with self._guard:
                self._all.append(connection)
        return connection

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
            connection.execute("PRAGMA query_only = ON")
            refuse_other_schema(connection, self._path)
        except BaseException:
            connection.close()
            raise
        return connection


def _row(kind: type[_Row], values: tuple[Any, ...]) -> _Row:
    """Read a row: SQLite has no booleans and no closed lists."""
    return msgspec.convert(dict(zip(columns(kind), values, strict=True)), kind, strict=False)


def _and(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _where(only: CallFilter) -> tuple[list[str], list[Any]]:
    """Write a filter as SQL conditions over `calls`, with the values to bind."""
    conditions: list[str] = []
    values: list[Any] = []
    for name in _OF_CALLS:
        _any_of(f"calls.{name}", getattr(only, name), conditions, values)
    if only.owner is not None:
        conditions.append("calls.client = ?")
        values.append(only.owner)
    inner: list[str] = []
    for name in _OF_ATTEMPTS:
        _any_of(f"one.{name}", getattr(only, name), inner, values)
    if inner:
        of_the_call = _and(["one.tool_call_id = calls.tool_call_id", *inner])
        conditions.append(f"EXISTS (SELECT 1 FROM attempts AS one{of_the_call})")  # noqa: S608 - our own names
    _any_of(f"coalesce(calls.outcome, '{OPEN}')", only.outcome, conditions, values)
    if only.verdict:
        codes = codes_of(only.verdict)  # none, where nothing can have such a verdict yet
        conditions.append(f"{CODE} IN ({', '.join('?' * len(codes))})")
        values.extend(codes)
    for bound, sign in ((only.since, ">="), (only.until, "<")):
        if bound is not None:
            conditions.append(f"calls.opened_at {sign} ?")
            values.append(utc_text(utc_ns(bound)))  # texts compare as times only with the same number of digits
    return conditions, values


def _any_of(column: str, wanted: tuple[str, ...], conditions: list[str], values: list[Any]) -> None:
    if wanted:
        conditions.append(f"{column} IN ({', '.join('?' * len(wanted))})")
        values.extend(wanted)
