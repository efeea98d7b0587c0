"""Matching: our attempts and a statement's rows, one to one; what only one side has stays visible on that side.

By the provider's own id where the statement has it. Else by time and tokens, the nearest pair first; where two are
equally near nothing is chosen, and what then has no other candidate is left open with them.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import islice

import msgspec

from service.core.entries import SettlementEntry
from service.core.money import pico
from service.core.record import Attempt, ToolCall
from service.core.statement import StatementRow
from service.core.times import NS_PER_US, utc_ns
from service.core.words import AttemptOutcome, CostStatus

CANDIDATES_MAX = 20
"""A row with more attempts that it may mean is ambiguous, whichever is nearest."""
_NOT_BILLED = frozenset({AttemptOutcome.REFUSED, AttemptOutcome.UNSENT, AttemptOutcome.WRITTEN_OFF})


class Status(StrEnum):
    """What became of an attempt or of a row."""

    MATCHED = "matched"
    DIFFERS = "amount_differs"
    TOKENS_DIFFER = "tokens_differ"
    AMBIGUOUS = "ambiguous"
    MISSING_THERE = "missing_there"
    MISSING_HERE = "missing_here"


class Ours(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, as a statement may show it. None is unknown.

    Attributes:
        ids: every id that the provider gave it, and the one that we gave it.
        models: by what it was asked, and what it said.
        amount_pico: 0 where nothing can have been billed; None where that is not known.
        is_expected: whether a statement of charges must show it.
    """

    tool_call_id: str
    attempt_id: str
    ids: frozenset[str]
    began_ns: int
    ended_ns: int
    models: tuple[str, ...]
    outcome: str
    uncached_input_tokens: int | None
    cached_input_tokens: int | None
    output_tokens: int | None
    currency: str | None
    amount_pico: int | None
    is_expected: bool
    simulated: bool


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt and the row that means it, or one of them alone.

    Attributes:
        by: `request_id` or `time_and_tokens`; None where they are no pair.
        tokens: the counts that differ, each said with both numbers.
    """

    status: Status
    ours: Ours | None
    row: StatementRow | None
    by: str | None = None
    tokens: tuple[str, ...] = ()


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """What one currency adds up to, in pico-units.

    Attributes:
        ours, theirs: all attempts that are meant, and all rows.
        matched_ours, matched_theirs: the pairs of which both amounts are known.
        missing_there, missing_here: what only one side has.
        ambiguous_ours, ambiguous_theirs: what could not be told apart.
    """

    currency: str
    ours: int = 0
    theirs: int = 0
    matched_ours: int = 0
    matched_theirs: int = 0
    missing_there: int = 0
    missing_here: int = 0
    ambiguous_ours: int = 0
    ambiguous_theirs: int = 0


_FIELDS: dict[Status, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Status.MATCHED: (("matched_ours",), ("matched_theirs",)),
    Status.DIFFERS: (("matched_ours",), ("matched_theirs",)),
    Status.TOKENS_DIFFER: (("matched_ours",), ("matched_theirs",)),
    Status.AMBIGUOUS: (("ambiguous_ours",), ("ambiguous_theirs",)),
    Status.MISSING_THERE: (("missing_there",), ()),
    Status.MISSING_HERE: ((), ("missing_here",)),
}


def ours_of(call: ToolCall) -> Iterator[Ours]:
    """Tell the attempts of a call that have ended."""
    return (_ours(call, attempt) for attempt in call.attempts if attempt.end is not None)


def matched(
    ours: Sequence[Ours], rows: Sequence[StatementRow], *, tolerance_ns: int, input_includes_cached: bool
) -> list[Pair]:
    """Match both sides. Every row is in one pair; so is every attempt that a statement must show, or shows.

    Args:
        ours: attempts of the wallets and of the time that the statement is of.
        rows: the statement's.
        tolerance_ns: how far a row's time may lie outside its attempt.
        input_includes_cached: whether the statement's input tokens count the cached ones.
    """
    found, left, open_rows = _by_id(ours, rows, input_includes_cached=input_includes_cached)
    near, tied = _by_time(left, open_rows, tolerance_ns, input_includes_cached=input_includes_cached)
    found += near
    paired = {id(side) for pair in found for side in (pair.ours, pair.row)}
    found += [
        Pair(status=Status.AMBIGUOUS if id(one) in tied else Status.MISSING_THERE, ours=one, row=None)
        for one in left
        if id(one) in tied or (id(one) not in paired and one.is_expected)
    ]
    found += [
        Pair(status=Status.AMBIGUOUS if id(row) in tied else Status.MISSING_HERE, ours=None, row=row)
        for row in open_rows
        if id(row) in tied or id(row) not in paired
    ]
    return sorted(found, key=_order)


def sums(pairs: Iterable[Pair]) -> list[Sums]:
    """Add up both sides by currency; amounts that are not known are in no sum."""
    added: dict[str, dict[str, int]] = {}

    def add(currency: str | None, pico_units: int | None, *names: str) -> None:
        if currency is not None and pico_units is not None:
            of = added.setdefault(currency, {})
            for name in names:
                of[name] = of.get(name, 0) + pico_units

    for pair in pairs:
        mine, theirs = _FIELDS[pair.status]
        one, row = pair.ours, pair.row
        if one is not None and row is not None and None in (one.amount_pico, row.amount_pico):
            mine, theirs = (), ()
        if one is not None:
            add(one.currency, one.amount_pico, "ours", *mine)
        if row is not None:
            add(row.currency, row.amount_pico, "theirs", *theirs)
    return [Sums(currency=currency, **of) for currency, of in sorted(added.items())]


def difference_pico(pair: Pair) -> int | None:
    """Say by how much a row is more than its attempt; None where that cannot be told."""
    if pair.ours is None or pair.row is None or pair.row.amount_pico is None or pair.ours.amount_pico is None:
        return None
    if pair.ours.currency not in (None, pair.row.currency):
        return None
    return pair.row.amount_pico - pair.ours.amount_pico


def _ours(call: ToolCall, attempt: Attempt) -> Ours:
    intent, end = attempt.intent, attempt.end
    began_ns = utc_ns(intent.at)
    settled = end if isinstance(end, SettlementEntry) else None
    timing = None if end is None else end.timing
    usage = None if settled is None else settled.usage
    currency, amount_pico, is_expected = _billed(attempt, settled)
    return Ours(
        tool_call_id=call.tool_call_id,
        attempt_id=intent.attempt_id,
        ids=frozenset(filter(None, (*attempt.provider_ids.values(), intent.client_request_id))),
        began_ns=began_ns,
        ended_ns=began_ns if timing is None else began_ns + timing.ended_us * NS_PER_US,
        models=tuple(
            dict.fromkeys(filter(None, (intent.model, None if settled is None else settled.model_reported)))
        ),
        outcome=attempt.outcome.value,
        uncached_input_tokens=None if usage is None else usage.uncached_input_tokens + usage.cache_write_tokens,
        cached_input_tokens=None if usage is None else usage.cached_input_tokens,
        output_tokens=None if usage is None else usage.output_tokens,
        currency=currency,
        amount_pico=amount_pico,
        is_expected=is_expected,
        simulated=attempt.simulated,
    )


def _billed(attempt: Attempt, settled: SettlementEntry | None) -> tuple[str | None, int | None, bool]:
    """Say in which currency an attempt was billed, how much, and whether a statement must show it."""
    if settled is not None:
        cost = settled.cost
        if cost.status is CostStatus.FREE:
            return cost.currency, 0, False
        amount = None if cost.amount is None else pico(cost.amount)
        return cost.currency, amount, cost.status is not CostStatus.PLAN
    if attempt.resolution is not None and attempt.resolution.amount is not None:
        amount = pico(attempt.resolution.amount)
        return attempt.resolution.currency, amount, amount > 0
    return None, 0 if attempt.outcome in _NOT_BILLED else None, False


def _by_id(
    ours: Sequence[Ours], rows: Sequence[StatementRow], *, input_includes_cached: bool
) -> tuple[list[Pair], list[Ours], list[StatementRow]]:
    """Match what bears one id; give what is left of both sides."""
    by_id: dict[str, list[Ours]] = {}
    for one in ours:
        for its in one.ids:
            by_id.setdefault(its, []).append(one)
    found: list[Pair] = []
    taken: set[int] = set()
    open_rows: list[StatementRow] = []
    for row in rows:
        bearers = [one for one in by_id.get(row.request_id or "", ()) if id(one) not in taken]
        if len(bearers) == 1:
            taken.add(id(bearers[0]))
            counts = _counts(bearers[0], row, input_includes_cached=input_includes_cached)
            tokens = tuple(f"{name}: ours {mine}, theirs {its}" for name, mine, its in counts if mine != its)
            found.append(_pair(bearers[0], row, "request_id", tokens))
        else:
            open_rows.append(row)
    return found, [one for one in ours if id(one) not in taken], open_rows


def _by_time(
    ours: Sequence[Ours], rows: Sequence[StatementRow], tolerance_ns: int, *, input_includes_cached: bool
) -> tuple[list[Pair], set[int]]:
    """Match what is near in time and equal in tokens, the nearest first.

    Returns:
        The pairs, and the identities of attempts and of rows that cannot be told apart.
    """
    candidates = _Candidates(ours, tolerance_ns, input_includes_cached=input_includes_cached)
    crowded: list[StatementRow] = []
    near: list[tuple[int, int, int]] = []
    for at, row in enumerate(rows):
        these = candidates.of(row)
        if len(these) > CANDIDATES_MAX:
            crowded.append(row)
        else:
            near += [(distance_ns, at, place) for distance_ns, place in these]
    tied = {id(row) for row in crowded} | {id(one) for one in candidates.of_crowds(crowded)}
    found: list[Pair] = []
    done = set(tied)
    for group in _equal(sorted(near)):
        pairs = [(candidates.settled[place], rows[at]) for at, place in group]
        pairs = [pair for pair in pairs if not {id(pair[0]), id(pair[1])} & done]
        uses = Counter(id(side) for pair in pairs for side in pair)
        for one, row in pairs:
            done |= {id(one), id(row)}
            if uses[id(one)] == uses[id(row)] == 1:
                found.append(_pair(one, row, "time_and_tokens"))
            else:
                tied |= {id(one), id(row)}
    # What has nothing left but what cannot be told apart may be meant by that: it is not missing.
    edges = ((id(candidates.settled[place]), id(rows[at])) for _, at, place in near)
    beside = {side for edge in edges if not tied.isdisjoint(edge) for side in edge if side not in done}
    return found, tied | beside


class _Candidates:
    """The attempts that rows without a known id may mean, by time."""

    def __init__(self, ours: Sequence[Ours], tolerance_ns: int, *, input_includes_cached: bool) -> None:
        self.settled = sorted((one for one in ours if one.output_tokens is not None), key=lambda one: one.began_ns)
        self._by_output: dict[int | None, list[int]] = {None: list(range(len(self.settled)))}
        for place, one in enumerate(self.settled):
            self._by_output.setdefault(one.output_tokens, []).append(place)
        self._longest_ns = max((one.ended_ns - one.began_ns for one in self.settled), default=0)
        self._tolerance_ns = tolerance_ns
        self._input_includes_cached = input_includes_cached

    def of(self, row: StatementRow) -> list[tuple[int, int]]:
        """Give (distance, place in `settled`) of the attempts that a row may mean, one too many at most."""
        if row.at_ns is None:
            return []
        begin_ns, end_ns = row.at_ns, row.at_ns + row.lasts_ns
        near = (
            (_apart_ns(self.settled[place], begin_ns, end_ns), place)
            for place in self._between(row, begin_ns - self._tolerance_ns, end_ns + self._tolerance_ns)
            if self._is_like(self.settled[place], row)
        )
        return list(islice(near, CANDIDATES_MAX + 1))

    def of_crowds(self, rows: Iterable[StatementRow]) -> Iterator[Ours]:
        """Give all attempts that any of these rows may mean; rows that state the same are looked up together."""
        alike: dict[tuple[object, ...], list[StatementRow]] = {}
        for row in rows:
            stated = (row.model, row.input_tokens, row.cached_input_tokens, row.output_tokens)
            alike.setdefault(stated, []).append(row)
        for same in alike.values():
            times = ((row.at_ns, row.lasts_ns) for row in same if row.at_ns is not None)
            spans = sorted((at_ns - self._tolerance_ns, at_ns + it + self._tolerance_ns) for at_ns, it in times)
            for begin_ns, end_ns in _merged(spans):
                near = (self.settled[place] for place in self._between(same[0], begin_ns, end_ns))
                yield from (one for one in near if self._is_like(one, same[0]))

    def _between(self, row: StatementRow, begin_ns: int, end_ns: int) -> Iterator[int]:
        """Give the places of attempts that were under way in that time, both ends included."""
        places = self._by_output.get(row.output_tokens, [])
        first, last = self._first(places, begin_ns - self._longest_ns), self._first(places, end_ns + 1)
        return (place for place in places[first:last] if self.settled[place].ended_ns >= begin_ns)

    def _first(self, places: list[int], began_ns: int) -> int:
        return bisect_left(places, began_ns, key=lambda place: self.settled[place].began_ns)

    def _is_like(self, one: Ours, row: StatementRow) -> bool:
        """Say whether everything that both sides state of a request is equal, some tokens at least."""
        if row.model is not None and row.model.casefold() not in {model.casefold() for model in one.models}:
            return False
        counts = _counts(one, row, input_includes_cached=self._input_includes_cached)
        return bool(counts) and all(mine == theirs for _, mine, theirs in counts)


def _counts(one: Ours, row: StatementRow, *, input_includes_cached: bool) -> list[tuple[str, int, int]]:
    """Give (name, ours, theirs) of each count of tokens that both sides state."""
    uncached, cached = one.uncached_input_tokens or 0, one.cached_input_tokens or 0
    if one.output_tokens is None:
        return []  # nobody metered it here
    both = (
        ("input_tokens", uncached + (cached if input_includes_cached else 0), row.input_tokens),
        ("cached_input_tokens", cached, row.cached_input_tokens),
        ("output_tokens", one.output_tokens, row.output_tokens),
    )
    return [(name, mine, theirs) for name, mine, theirs in both if theirs is not None]


def _equal(near: list[tuple[int, int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Give candidates that are equally near together, the nearest first."""
    group: list[tuple[int, int]] = []
    for place, (distance, at, which) in enumerate(near):
        group.append((at, which))
        if place + 1 == len(near) or near[place + 1][0] != distance:
            yield group
            group = []


def _apart_ns(one: Ours, begin_ns: int, end_ns: int) -> int:
    return max(0, one.began_ns - end_ns, begin_ns - one.ended_ns)


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans that overlap; they come in order."""
    found: list[tuple[int, int]] = []
    for begin_ns, end_ns in spans:
        if found and begin_ns <= found[-1][1]:
            found[-1] = found[-1][0], max(end_ns, found[-1][1])
        else:
            found.append((begin_ns, end_ns))
    return found


def _pair(one: Ours, row: StatementRow, by: str, tokens: tuple[str, ...] = ()) -> Pair:
    """Compare the amounts of a pair; a statement rounds, so what is below its last digit is equal."""
    status = Status.TOKENS_DIFFER if tokens else Status.MATCHED
    if row.amount_pico is not None:
        difference = difference_pico(Pair(status=status, ours=one, row=row))
        is_other = one.currency not in (None, row.currency)
        if is_other or (difference is not None and abs(difference) >= max(1, row.step_pico)):
            status = Status.DIFFERS
    return Pair(status=status, ours=one, row=row, by=by, tokens=tokens)


def _order(pair: Pair) -> tuple[int, str]:
    """Sort by time; what has none by its line, at the end."""
    if pair.ours is not None:
        return pair.ours.began_ns, pair.ours.attempt_id
    assert pair.row is not None  # noqa: S101 - a pair has one side at least
    at_ns = pair.row.at_ns
    return (2**63 if at_ns is None else at_ns), f"{pair.row.lines[0]:09d}"
