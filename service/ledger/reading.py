"""Reading the log and its tables. Nothing here can write: every connection is opened read-only."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Unpack

from service.core import entries, record
from service.core.books import ReadingEntry, VerdictEntry
from service.core.budget import BudgetState
from service.core.entries import AnyEntry, BudgetEntry, OfLedger
from service.core.in_force import in_force
from service.core.judged import Judged
from service.core.merkle import CompactRange, Leaves
from service.core.record import Step, ToolCall
from service.core.spending import Spending, checked_by, folded
from service.errors import StoreError
from service.ledger import bookshelf, spans
from service.ledger.bookshelf import WhichReadings, WhichVerdicts
from service.ledger.choosing import OF_ATTEMPTS, OF_CALLS, CallFilter, conditions, split, where_clause
from service.ledger.connections import Connections
from service.ledger.listed import PAGE_ROWS_MAX, CallLine, Head, WalletSum, page, row_of
from service.ledger.rows import columns
from service.ledger.schema import LINE, OF_LEDGER
from service.ledger.sqlite import FILE_NAME
from service.ledger.store import AttemptRow, CallRow, Line, RollupKey, RollupSums
from service.ledger.sums import rolled_up_query, spending_query, spending_row
from service.ledger.used import states_of
from service.ledger.verdicts import (
    VerdictCount,
    VerdictSum,
    counts_query,
    sums_query,
    verdict_sum,
)

__all__ = ("PAGE_ROWS_MAX", "CallLine", "Head", "Reading", "WalletSum")
_LINES_PER_READ = 1000


class Reading:
    """A reader of one data folder. Its methods block and may be called from any thread.

    Raises:
        StoreError: the folder holds no ledger; from every method, the file cannot be
            read or is of another version.
    """

    def __init__(self, folder: Path) -> None:
        self._connections = Connections(folder / FILE_NAME)
        if not (folder / FILE_NAME).exists():
            raise StoreError(
                f"{folder} holds no ledger",
                remedy="Name the folder with EXAI_DATA_DIR, or start the service once: `exai serve`.",
            )

    def close(self) -> None:
        """Close every thread's connection."""
        self._connections.close()

    def snapshot(self) -> AbstractContextManager[None]:
        """Let all reads of this thread in the block see the ledger at one moment.

        While it lasts the writer goes on, but its write-ahead log cannot be emptied.
        """
        return self._connections.snapshot()

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

    def of_ledger(self) -> Iterator[OfLedger]:
        """Give every entry that belongs to no call, in order: starts and stops, budgets, tokens, actions.

        Those of the provider's books have methods of their own.

        Raises:
            UnreadableEntryError: the log was damaged.
        """
        query = f'SELECT entry FROM entries WHERE {OF_LEDGER} ORDER BY "index"'  # noqa: S608 - our own words
        for (line,) in self._read(query):
            entry = entries.decode(line)
            if isinstance(entry, OfLedger):
                yield entry

    def told(self, *, before: int | None = None, limit: int = 50) -> list[AnyEntry]:
        """List what people and the service did to the ledger, newest first: as `of_ledger`, and resolutions.

        Args:
            before: an index; only older entries are listed.
            limit: at most this many, and never more than PAGE_ROWS_MAX.

        Raises:
            UnreadableEntryError: the log was damaged.
        """
        of_none, resolved = (
            f'SELECT "index", entry FROM entries WHERE {which} AND "index" < ?1 ORDER BY "index" DESC LIMIT ?2'  # noqa: S608 - our own words
            for which in (OF_LEDGER, "kind = 'resolution'")  # each has an index of its own
        )
        query = f"SELECT * FROM ({of_none}) UNION ALL SELECT * FROM ({resolved}) ORDER BY 1 DESC LIMIT ?2"  # noqa: S608 - as above
        last, most = 2**62 if before is None else before, page(limit)
        return [entries.decode(entry) for _, entry in self._read(query, last, most)]

    def budgets(self, at: str) -> tuple[BudgetState, ...]:
        """Say where every limit in force stands in the windows that hold `at`, a UTC text; by the tables alone.

        Raises:
            UnreadableEntryError: the log was damaged.
        """
        with self.snapshot():
            said = in_force(entry for entry in self.of_ledger() if isinstance(entry, BudgetEntry))
            return states_of(self.select, said.terms, at)

    def select(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run a query of this room's own."""
        return self._read(query, *values)

    def hashes(self, size: int) -> Leaves:
        """Give the subtrees of the log's first entries, for proofs; `snapshot` must hold while they are used."""
        blocks = [block for (block,) in self._read("SELECT hash FROM blocks ORDER BY number")]
        query = 'SELECT leaf_hash FROM entries WHERE "index" >= ? AND "index" < ? ORDER BY "index"'
        return Leaves(size, blocks, lambda begin, end: [leaf for (leaf,) in self._read(query, begin, end)])

    def tree(self) -> CompactRange:
        """Give the tree as it was stored with the last entry."""
        rows = self._read("SELECT size, nodes FROM tree")
        return CompactRange.unpack(*rows[0]) if rows else CompactRange()

    def line(self, index: int) -> Line | None:
        """Give one line; None if the log has no such."""
        lines = self._lines(index, 1)
        return lines[0] if lines and lines[0].index == index else None

    def steps(self, first: int, count: int) -> list[Step]:
        """Give committed steps again, each with the record of its call as it was after it."""
        calls: dict[str, ToolCall | None] = {}
        steps = []
        for line in self._lines(first, count):
            entry = entries.decode(line.entry)
            if isinstance(entry, OfLedger):
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
        call: ToolCall | None = None
        for line in self.call_lines(tool_call_id, before=before):
            entry = entries.decode(line.entry)
            if not isinstance(entry, OfLedger):
                call = record.after(call, entry, line.leaf_hash)
        return call

    def call_lines(self, tool_call_id: str, *, before: int | None = None) -> list[Line]:
        """Give the lines of one call, in order, all or those before an index; none if there is no such call."""
        query = f'SELECT {LINE} FROM entries WHERE tool_call_id = ? AND "index" < ? ORDER BY "index"'  # noqa: S608
        return [Line(*row) for row in self._read(query, tool_call_id, 2**62 if before is None else before)]

    def call_of_attempt(self, attempt_id: str) -> str | None:
        """Find the tool call that an attempt belongs to; None if there is no such attempt."""
        found = self._read("SELECT tool_call_id FROM attempts WHERE attempt_id = ?", attempt_id)
        return str(found[0][0]) if found else None

    def call_of_key(self, client: str, key_sha256: str, since: str) -> str | None:
        """Find the newest call that a client opened with an idempotency key, and that repeated no other.

        Args:
            client: whose.
            key_sha256: of the key, hex.
            since: UTC text; older ones are not looked at.
        """
        query = (
            "SELECT tool_call_id FROM calls WHERE client = ? AND idempotency_key = ? AND replay_of IS NULL"
            " AND opened_at >= ? ORDER BY opened_index DESC LIMIT 1"
        )
        found = self._read(query, client, key_sha256, since)
        return str(found[0][0]) if found else None

    def call_row(self, tool_call_id: str) -> CallLine | None:
        """Give the rows of one call; None if there is none."""
        query = f"SELECT {', '.join(columns(CallRow))} FROM calls WHERE tool_call_id = ?"  # noqa: S608
        with self.snapshot():
            found = self._with_attempts([row_of(CallRow, row) for row in self._read(query, tool_call_id)])
        return found[0] if found else None

    def calls(self, only: CallFilter, *, before: int | None = None, limit: int = 50) -> list[CallLine]:
        """List calls, newest first.

        Args:
            only: which calls.
            before: an `opened_index`; only older calls are listed.
            limit: at most this many, and never more than PAGE_ROWS_MAX.
        """
        where, values = conditions(only)
        if before is not None:
            where.append("calls.opened_index < ?")
            values.append(before)
        names = ", ".join(f"calls.{name}" for name in columns(CallRow))
        query = f"SELECT {names} FROM calls{where_clause(where)} ORDER BY calls.opened_index DESC LIMIT ?"  # noqa: S608
        with self.snapshot():
            rows = self._read(query, *values, page(limit))
            return self._with_attempts([row_of(CallRow, row) for row in rows])

    def count(self, only: CallFilter) -> int:
        """Count calls."""
        where, values = conditions(only)
        ((number,),) = self._read(f"SELECT count(*) FROM calls{where_clause(where)}", *values)  # noqa: S608
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
        apart, stored = split(only)
        with self.snapshot():
            rows = self._read(spending_query(by, where_clause(apart[0])), *apart[1])
            if stored is not None:
                rows += self._read(rolled_up_query(by, where_clause(stored[0])), *stored[1])
        return folded((spending_row(by, row) for row in rows), by=by, zone=zone)

    def verdict_counts(self, only: CallFilter) -> list[VerdictCount]:
        """Count calls by the verdict on each, sorted by its code."""
        where, values = conditions(only)
        return [row_of(VerdictCount, row) for row in self._read(counts_query(where_clause(where)), *values)]

    def verdict_sums(self, only: CallFilter) -> list[VerdictSum]:
        """Add up the attempts of calls by the verdict on each call, and by currency."""
        where, values = conditions(only)
        return [verdict_sum(*row) for row in self._read(sums_query(where_clause(where)), *values)]

    def latest_readings(self, wallet: str) -> tuple[ReadingEntry, ...]:
        """Give the newest reading of each of a wallet's counters, read or not, in the order they were made."""
        with self.snapshot():
            return bookshelf.latest_readings(self.select, wallet)

    def readings(self, wallet: str, **which: Unpack[WhichReadings]) -> list[ReadingEntry]:
        """List a wallet's readings, oldest first; see `WhichReadings`."""
        with self.snapshot():
            return bookshelf.readings(self.select, wallet, **which)

    def reading(self, index: int) -> ReadingEntry | None:
        """Give one reading; None if the entry of this index is none."""
        return bookshelf.reading(self.select, index)

    def attempts_of(self, wallets: Collection[str], *, since: str) -> list[AttemptRow]:
        """Give the attempts of wallets that are open, and those that ended at or after a UTC text, by intent."""
        with self.snapshot():
            return bookshelf.attempts_of(self.select, wallets, since=since)

    def verdicts(self, **which: Unpack[WhichVerdicts]) -> list[VerdictEntry]:
        """List the verdicts on windows, newest first; see `WhichVerdicts`."""
        with self.snapshot():
            return bookshelf.verdicts(self.select, **which)

    def verdict(self, index: int) -> VerdictEntry | None:
        """Give one verdict, on a window or on attempts; None if the entry of this index is none."""
        return bookshelf.verdict(self.select, index)

    def verdicts_on_attempts(self, *, codes: Collection[str], before: int | None = None) -> list[VerdictEntry]:
        """List a page of the verdicts on attempts that bear one of these codes, before an index, newest first."""
        with self.snapshot():
            return bookshelf.on_attempts(self.select, codes=codes, before=before)

    def touching(self, window: VerdictEntry) -> list[VerdictEntry]:
        """List the other verdicts on windows of its wallet that share a part of its span, the newest 50 first."""
        with self.snapshot():
            return bookshelf.verdicts_at(self.select, spans.touching(self.select, window))

    def replaced(self, windows: Iterable[VerdictEntry]) -> dict[int, int]:
        """Give by index a later verdict on all of a window's span that takes its place; where there is one."""
        return spans.replaced(self.select, windows)

    def resting(self, only: CallFilter, code: str) -> list[VerdictEntry]:
        """List the verdicts on windows, the newest first, for which calls have a verdict of this code."""
        with self.snapshot():
            return bookshelf.verdicts_at(self.select, spans.resting(self.select, only, code))

    def inside(self, window: VerdictEntry, *, before: int | None = None, limit: int = 50) -> list[AttemptRow]:
        """List the attempts that lie in a window's span, the last to end first; see `spans.inside`."""
        return spans.inside(self.select, window, before=before, limit=limit)

    def judged(self, call_ids: Iterable[str]) -> dict[str, Judged]:
        """Give what was found of the attempts of calls, by attempt id; of those alone of which anything was."""
        with self.snapshot():
            return bookshelf.judged(self.select, call_ids)

    def unverified(self, wallet: str, *, since: str, after: int = -1, limit: int) -> list[tuple[str, str, int]]:
        """List a wallet's signed attempts since a UTC text of which the provider has not said whose they are.

        Returns:
            The ids of call and attempt and the index of the end, which is greater than `after`, in its order; none
            that the provider was asked about three times.
        """
        return bookshelf.unverified(self.select, wallet, since=since, after=after, limit=limit)

    def doubled(self, wallets: Collection[str], *, since: str) -> list[tuple[str, tuple[str, ...]]]:
        """List the provider's request ids that several attempts bear, one of these wallets since a UTC text."""
        with self.snapshot():
            return bookshelf.doubled(self.select, wallets, since=since)

    def facets(self, *, owner: str | None = None) -> dict[str, list[str]]:
        """Name the values that filters can take, sorted; of one client's calls if there is an owner."""
        where, values = conditions(CallFilter(owner=owner))
        joined = f"calls LEFT JOIN attempts USING (tool_call_id){where_clause([*where, '{0} IS NOT NULL'])}"
        query = f"SELECT DISTINCT {{0}} FROM {joined} ORDER BY 1"  # noqa: S608 - our own names; values are bound
        names = (*(f"calls.{name}" for name in OF_CALLS), *(f"attempts.{name}" for name in OF_ATTEMPTS))
        return {
            name.partition(".")[2]: [str(value) for (value,) in self._read(query.format(name), *values)]
            for name in names
        }

    def rollups(self) -> dict[RollupKey, RollupSums]:
        """Give every quarter hour's sums."""
        keys, sums = columns(RollupKey), columns(RollupSums)
        rows = self._read(f"SELECT {', '.join((*keys, *sums))} FROM rollups")  # noqa: S608
        return {row_of(RollupKey, row[: len(keys)]): row_of(RollupSums, row[len(keys) :]) for row in rows}

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
            attempt = row_of(AttemptRow, row)
            of.setdefault(attempt.tool_call_id, []).append(attempt)  # a damaged one may name a call not asked for
        return [CallLine(call, tuple(of[call.tool_call_id])) for call in calls]

    def _lines(self, first: int, count: int) -> list[Line]:
        query = f'SELECT {LINE} FROM entries WHERE "index" >= ? ORDER BY "index" LIMIT ?'  # noqa: S608
        return [Line(*row) for row in self._read(query, first, count)]

    def _read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - what SQL gives
        return self._connections.read(query, values)
