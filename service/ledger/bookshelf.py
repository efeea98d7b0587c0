"""The provider's books, read back: readings, verdicts, and what these decide. SQL finds, entries tell."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar, Unpack

from service.core import entries
from service.core.books import ReadingEntry, VerdictEntry, VerificationEntry
from service.core.judged import Judged
from service.core.times import NS_PER_S, utc_ns, utc_text
from service.core.words import AttemptOutcome, ReadingOutcome, VerificationOutcome
from service.ledger.listed import PAGE_ROWS_MAX, page, row_of
from service.ledger.rows import columns
from service.ledger.store import AttemptRow, JudgedRow

TRIES_MAX = 3
HISTORY_MAX = 100
"""Verdicts that are given of one attempt, the newest; the ones before them stand in the log."""
ID_ROWS_MAX = 1000
_VERDICTS = 50
CLOCK_BACK_S_MAX = 3600
"""By how much a clock may have been put back so that what ended in time is still found."""
_VALUES_MAX = 10_000  # in one statement; SQLite takes 32,766
_LAST = 2**62
_NAMES = ", ".join(f"attempts.{name}" for name in columns(AttemptRow))
Select = Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]
_Kind = TypeVar("_Kind", ReadingEntry, VerdictEntry, VerificationEntry)


def latest_readings(select: Select, wallet: str) -> tuple[ReadingEntry, ...]:
    """Give the newest reading of each counter of a wallet, read or not, in the order in which they were made."""
    query = """
        WITH RECURSIVE counters(counter) AS (
            SELECT min(counter) FROM readings WHERE wallet = ?1
            UNION ALL
            SELECT (SELECT min(counter) FROM readings WHERE wallet = ?1 AND counter > counters.counter)
            FROM counters WHERE counters.counter IS NOT NULL
        )
        SELECT (SELECT max("index") FROM readings WHERE wallet = ?1 AND counter = counters.counter)
        FROM counters WHERE counters.counter IS NOT NULL
    """
    return tuple(_told(select, ReadingEntry, (index for (index,) in select(query, (wallet,)))))


class WhichReadings(TypedDict, total=False):
    """Which readings of a wallet are meant.

    Attributes:
        after, before: only those whose index is greater, is less.
        since: UTC text; only those that were written then or later. Older ones are not even walked over.
        counter: only of this one.
        read_only: only those that were read.
        newest: list the newest first, and not the oldest.
        limit: at most this many, and never more than PAGE_ROWS_MAX, which it is if not given.
    """

    after: int
    before: int | None
    since: str | None
    counter: str | None
    read_only: bool
    newest: bool
    limit: int


class WhichVerdicts(TypedDict, total=False):
    """Which verdicts on windows are meant.

    Attributes:
        wallet: only of this one.
        before: only those whose index is less.
        since: UTC text; only those that were written then or later. Older ones are not even walked over.
        words: only these; none means all.
        simulated: only those of a simulator, or only others; None means both.
        limit: at most this many, and never more than PAGE_ROWS_MAX; 50 if not given.
    """

    wallet: str | None
    before: int | None
    since: str | None
    words: Collection[str]
    simulated: bool | None
    limit: int


def readings(select: Select, wallet: str, **which: Unpack[WhichReadings]) -> list[ReadingEntry]:
    """List a wallet's readings by index, oldest first if not asked otherwise."""
    before, counter = which.get("before"), which.get("counter")
    where = ["wallet = ?", '"index" < ?']
    values: list[object] = [wallet, _LAST if before is None else before]
    if counter is not None:
        where.append("counter = ?")
        values.append(counter)
    _since("readings", where, values, which.get("since"))
    if "after" in which:  # of two lower bounds SQLite looks up by one alone
        where.append('"index" > ?')
        values.append(which["after"])
    if which.get("read_only"):
        where.append("outcome = ?")
        values.append(ReadingOutcome.READ)
    newest = which.get("newest", False)
    order = "DESC" if newest else "ASC"
    query = f'SELECT "index" FROM readings WHERE {" AND ".join(where)} ORDER BY "index" {order} LIMIT ?'  # noqa: S608 - our own words
    found = select(query, (*values, page(which.get("limit", PAGE_ROWS_MAX))))
    return _told(select, ReadingEntry, (index for (index,) in found), newest=newest)


def reading(select: Select, index: int) -> ReadingEntry | None:
    """Give one reading; None if the entry is none."""
    return _one(select, ReadingEntry, index)


def verdict(select: Select, index: int) -> VerdictEntry | None:
    """Give one verdict, on a window or on attempts; None if the entry is none."""
    return _one(select, VerdictEntry, index)


def verdicts(select: Select, **which: Unpack[WhichVerdicts]) -> list[VerdictEntry]:
    """List the verdicts on windows, newest first."""
    before, wallet, words = which.get("before"), which.get("wallet"), which.get("words", ())
    where = ['"index" < ?']
    values: list[object] = [_LAST if before is None else before]
    if wallet is not None:
        where.append("wallet = ?")
        values.append(wallet)
    _since("windows", where, values, which.get("since"))
    simulated = which.get("simulated")
    if simulated is not None:
        where.append("simulated = ?")
        values.append(simulated)
    if words:
        where.append(f"word IN ({_marks(words)})")
        values.extend(words)
    query = f'SELECT "index" FROM windows WHERE {" AND ".join(where)} ORDER BY "index" DESC LIMIT ?'  # noqa: S608 - our own words
    found = select(query, (*values, page(which.get("limit", _VERDICTS))))
    return _told(select, VerdictEntry, (index for (index,) in found), newest=True)


def on_attempts(select: Select, *, codes: Collection[str], before: int | None) -> list[VerdictEntry]:
    """List the newest PAGE_ROWS_MAX verdicts on attempts that bear one of these codes, newest first."""
    query = (
        f'SELECT DISTINCT "index" FROM owns WHERE code IN ({_marks(codes)}) AND "index" < ?'  # noqa: S608 - our own words
        ' ORDER BY "index" DESC LIMIT ?'
    )
    found = select(query, (*codes, _LAST if before is None else before, PAGE_ROWS_MAX))
    return _told(select, VerdictEntry, (index for (index,) in found), newest=True)


def verdicts_at(select: Select, indexes: Iterable[int]) -> list[VerdictEntry]:
    """Give the verdicts among some entries, the newest first."""
    return _told(select, VerdictEntry, indexes, newest=True)


def judged(select: Select, call_ids: Iterable[str]) -> dict[str, Judged]:
    """Give what was found of the attempts of calls, by attempt id; of those alone of which anything was."""
    found: dict[str, Judged] = {}
    wanted = list(dict.fromkeys(call_ids))
    for at in range(0, len(wanted), _VALUES_MAX):
        found |= _judged(select, wanted[at : at + _VALUES_MAX])
    return found


def _judged(select: Select, call_ids: Sequence[str]) -> dict[str, Judged]:
    marks = _marks(call_ids)
    names = ", ".join(f"judged.{name}" for name in columns(JudgedRow))
    query = (
        f"SELECT attempts.attempt_id, {names} FROM judged JOIN attempts USING (tool_call_id, number)"  # noqa: S608 - our own names
        f" WHERE judged.tool_call_id IN ({marks})"
    )
    rows = {str(row[0]): row_of(JudgedRow, row[1:]) for row in select(query, tuple(call_ids))}
    if not rows:
        return {}
    deciding = _history(select, call_ids)
    spoken = {index for indexes in deciding.values() for index in indexes}
    spoken |= {index for row in rows.values() for index in (row.own_index, row.window_index) if index is not None}
    said = {entry.index: entry for entry in _told(select, VerdictEntry, spoken)}
    asked = [row.verification_index for row in rows.values() if row.verification_index is not None]
    answers = {entry.index: entry for entry in _told(select, VerificationEntry, asked)}
    return {
        attempt_id: Judged(
            own=_of(said, row.own_index),
            window=_of(said, row.window_index),
            history=tuple(said[index] for index in deciding.get(attempt_id, ()) if index in said),
            verification=_of(answers, row.verification_index),
        )
        for attempt_id, row in rows.items()
    }


def _history(select: Select, call_ids: Sequence[str]) -> dict[str, list[int]]:
    """Give the indexes of all verdicts that decide each attempt, in order, the newest HISTORY_MAX of them."""
    marks = ", ".join(f"?{number}" for number in range(1, len(call_ids) + 1))
    query = f"""
        SELECT attempts.attempt_id, windows."index" FROM attempts
        CROSS JOIN judged USING (tool_call_id, number)
        CROSS JOIN windows ON windows.wallet = attempts.wallet
        AND windows."index" > attempts.end_index AND windows."index" <= judged.last_index
        AND windows.simulated = attempts.simulated
        AND windows.after < attempts.intent_index AND windows.until >= attempts.end_index
        WHERE attempts.tool_call_id IN ({marks}) AND attempts.outcome = '{AttemptOutcome.SETTLED}'
        UNION ALL
        SELECT attempts.attempt_id, owns."index" FROM attempts
        CROSS JOIN owns ON owns.attempt_id = attempts.attempt_id AND owns."index" > attempts.intent_index
        WHERE attempts.tool_call_id IN ({marks})
        ORDER BY 2
    """  # noqa: S608 - our own words; values are bound
    found: dict[str, list[int]] = defaultdict(list)
    for attempt_id, index in select(query, tuple(call_ids)):
        found[str(attempt_id)].append(int(index))
    return {attempt_id: indexes[-HISTORY_MAX:] for attempt_id, indexes in found.items()}


def attempts_of(select: Select, wallets: Collection[str], *, since: str) -> list[AttemptRow]:
    """Give the attempts of wallets that are open, and those that ended at or after a UTC text, by intent."""
    if not wallets:
        return []
    opened = f"""
        SELECT {_NAMES} FROM calls INDEXED BY calls_open CROSS JOIN attempts USING (tool_call_id)
        WHERE calls.outcome IS NULL AND attempts.end_index IS NULL AND attempts.wallet IN ({_marks(wallets)})
    """  # noqa: S608 - our own words; values are bound
    rows = select(opened, tuple(wallets))
    for wallet in wallets:
        ended = f"SELECT {_NAMES} FROM attempts WHERE {_ENDED}"  # noqa: S608 - as above
        rows += select(ended, _ended(wallet, since))
    return sorted((row_of(AttemptRow, row) for row in rows), key=lambda row: row.intent_index)


_ENDED = """
    attempts.wallet = ?1 AND attempts.end_index IS NOT NULL AND attempts.ended_at >= ?2
    AND attempts.end_index > coalesce((
        SELECT before.end_index FROM attempts AS before
        WHERE before.wallet = ?1 AND before.end_index IS NOT NULL AND before.ended_at < ?3
        ORDER BY before.end_index DESC LIMIT 1
    ), -1)
"""


def _ended(wallet: str, since: str) -> tuple[str, str, str]:
    """Bind a wallet and a time: the index of ends is walked back from its newest to well before that time."""
    at_ns = utc_ns(since)
    return wallet, utc_text(at_ns), utc_text(at_ns - CLOCK_BACK_S_MAX * NS_PER_S)


def unverified(
    select: Select, wallet: str, *, since: str, after: int = -1, limit: int
) -> list[tuple[str, str, int]]:
    """List a wallet's signed attempts that the provider has neither called its own nor not, in the order of ends.

    Args:
        select: runs a query.
        wallet: by name.
        since: UTC text; only attempts that ended then or later are looked at.
        after: only those whose end has a greater index.
        limit: at most this many, and never more than PAGE_ROWS_MAX.

    Returns:
        The ids of call and attempt, and the index of the end; none that was asked for `TRIES_MAX` times.
    """
    query = f"""
        SELECT attempts.tool_call_id, attempts.attempt_id, attempts.end_index
        FROM attempts INDEXED BY attempts_ended LEFT JOIN judged USING (tool_call_id, number)
        WHERE {_ENDED} AND attempts.end_index > ?4
        AND attempts.signed = 1 AND coalesce(judged.tries, 0) < {TRIES_MAX}
        AND coalesce(judged.verified, '{VerificationOutcome.UNAVAILABLE}') = '{VerificationOutcome.UNAVAILABLE}'
        ORDER BY attempts.end_index LIMIT ?5
    """  # noqa: S608 - our own words; values are bound
    rows = select(query, (*_ended(wallet, since), after, page(limit)))
    return [(str(call_id), str(attempt_id), int(index)) for call_id, attempt_id, index in rows]


def doubled(select: Select, wallets: Collection[str], *, since: str) -> list[tuple[str, tuple[str, ...]]]:
    """List the provider's request ids that several attempts of one provider bear, with these attempts in order.

    One of them, at least, is of these wallets and ended at or after `since`, a UTC text.
    """
    query = f"""
        SELECT other.provider_request_id, other.attempt_id, other.intent_index FROM (
            SELECT DISTINCT attempts.provider, attempts.provider_request_id FROM attempts
            WHERE {_ENDED} AND EXISTS (
                SELECT 1 FROM attempts AS twin INDEXED BY attempts_of_provider_id
                WHERE twin.provider_request_id = attempts.provider_request_id
                AND twin.provider_request_id IS NOT NULL
                AND twin.provider = attempts.provider AND twin.intent_index <> attempts.intent_index
            )
        ) AS one
        CROSS JOIN attempts AS other INDEXED BY attempts_of_provider_id
        ON other.provider_request_id = one.provider_request_id AND other.provider_request_id IS NOT NULL
        AND other.provider = one.provider
        LIMIT {ID_ROWS_MAX}
    """  # noqa: S608 - our own words; values are bound
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for wallet in wallets:
        for request_id, attempt_id, index in select(query, _ended(wallet, since)):
            found[str(request_id)][int(index)] = str(attempt_id)
    return [(one, tuple(named[index] for index in sorted(named))) for one, named in sorted(found.items())]


def _since(table: str, where: list[str], values: list[object], since: str | None) -> None:
    """Bound rows by a time: those of the same conditions are walked back from the newest to well before it."""
    if since is None:
        return
    at_ns = utc_ns(since)
    older = f'SELECT "index" FROM {table} WHERE {" AND ".join(where)} AND at < ? ORDER BY "index" DESC LIMIT 1'  # noqa: S608 - our own words
    bound = [*values, utc_text(at_ns - CLOCK_BACK_S_MAX * NS_PER_S), utc_text(at_ns)]
    where += [f'"index" > coalesce(({older}), -1)', "at >= ?"]
    values += bound


def _one(select: Select, kind: type[_Kind], index: int) -> _Kind | None:
    found = _told(select, kind, (index,))
    return found[0] if found else None


def _told(select: Select, kind: type[_Kind], indexes: Iterable[int], *, newest: bool = False) -> list[_Kind]:
    """Read entries by their indexes, in the log's order or against it; what is of another kind is left out.

    Raises:
        UnreadableEntryError: the log was damaged.
    """
    wanted = sorted(set(indexes), reverse=newest)
    found: list[_Kind] = []
    for at in range(0, len(wanted), _VALUES_MAX):
        part = wanted[at : at + _VALUES_MAX]
        order = "DESC" if newest else "ASC"
        query = f'SELECT entry FROM entries WHERE "index" IN ({_marks(part)}) ORDER BY "index" {order}'  # noqa: S608
        told = (entries.decode(entry) for (entry,) in select(query, tuple(part)))
        found += [entry for entry in told if isinstance(entry, kind)]
    return found


def _of(found: Mapping[int, _Kind], index: int | None) -> _Kind | None:
    return None if index is None else found.get(index)


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))
