"""The scales: all that the log holds of an account, weighed; what they find is to be written down by another.

They read and never write. Their methods block, so they belong on a thread.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence

import msgspec

from service.core.books import VerdictEntry
from service.core.entries import ResolutionEntry
from service.core.money import decimal_text
from service.core.record import Attempt
from service.core.shapes import Clock
from service.core.times import NS_PER_S, utc_ns, utc_text
from service.core.verdict import UNDECIDED
from service.core.wallet import Wallet
from service.core.window import Ends, Found, Settling, judge
from service.core.words import AttemptOutcome, ReadingOutcome, ResolutionOutcome, ResolutionSource, VerdictWord
from service.ledger.reading import Reading
from service.ledger.store import AttemptRow
from service.proving.coverage import (
    came_short,
    disagreed,
    disputed,
    first_proven,
    followed,
    holding,
    is_final,
    last_mismatch,
    owing,
    waiting,
)
from service.proving.findings import NAMED_MAX, doubled, switched_off, unread
from service.proving.maturing import matured
from service.proving.memory import ReadingsKept, is_of, verdicts_since
from service.proving.packages import unseen
from service.proving.pieces import UNSETTLED, Measure, pieces
from service.proving.rounds import OPENINGS_MAX, Round, calm, openings
from service.proving.sharing import sharing

LOOKED_BACK_S = 48 * 3600
BEFORE_S = 2 * 3600  # a window may begin so much earlier: its other attempts must be known, too
ATTEMPTS_MAX = 10_000  # weighed at one time; the newest
RECORDS_MAX = 50  # attempts without a settlement whose records are read; the newest
MANY = 2_000  # from so many attempts on fewer windows are tried
OPENINGS_OF_MANY = 4
_SHORT = "U2"  # moved less than our calls come to, and may move yet
_SHORT_FOR_GOOD = "M2"
_STOLEN = "U3"  # moved more than our calls explain


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """What the log holds of one wallet.

    Attributes:
        rows: its attempts, by the index of their intents.
        verdicts: on it, newest first.
        held: by attempt, the verdict of a window that holds.
        waits: the attempts that wait for a better verdict.
        doubts: those in doubt.
        known_from: UTC text; of attempts that ended later none is missing.
    """

    wallet: Wallet
    rows: tuple[AttemptRow, ...]
    verdicts: tuple[VerdictEntry, ...]
    held: dict[str, VerdictEntry]
    waits: tuple[AttemptRow, ...]
    doubts: tuple[AttemptRow, ...]
    known_from: str


class Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written down.

    Attributes:
        verdicts: in the order of writing; those of the wallet that was asked for last.
        resolutions: of attempts in doubt.
        due_at: UTC text of when the window is to be looked at again, written or not; None if it is not.
    """

    verdicts: tuple[VerdictEntry, ...] = ()
    resolutions: tuple[ResolutionEntry, ...] = ()
    due_at: str | None = None


class Scales:
    """Weighs wallets.

    Args:
        reading: the log.
        clock: gives the time.
        wallets: all of them.
        measures: by wallet.
        settlings: by wallet, how the provider's books follow.
    """

    def __init__(
        self,
        reading: Reading,
        clock: Clock,
        wallets: Sequence[Wallet],
        measures: Mapping[str, Measure],
        settlings: Mapping[str, Settling],
    ) -> None:
        self._reading = reading
        self._clock = clock
        self._wallets = tuple(wallets)
        self._measures = measures
        self._settlings = settlings
        self._readings = {one.name: ReadingsKept(reading, one) for one in self._wallets}
        self._since: dict[str, str] = {}  # by wallet: before this there are more attempts than can be weighed

    def weigh(self, wallet: Wallet) -> Weighed:
        """Judge what the log holds of a wallet, and of those that share its account, at this moment.

        Raises:
            StoreError: the log cannot be read.
            UnreadableEntryError, BrokenRecordError: it was damaged.
        """
        with self._reading.snapshot():
            since = utc_text(self._clock.now_ns() - (LOOKED_BACK_S + BEFORE_S) * NS_PER_S)
            shared = sharing(self._reading, self._wallets, wallet)
            group = [self._books(one, since) for one in shared]
            found = self._windows(wallet, group, since)
            verdicts = self._unread(wallet, group, found)
            verdicts += [
                doubled(wallet, provider_id, attempts)
                for provider_id, attempts in self._reading.doubled([one.name for one in shared], since=since)
                if not self._is_told(attempts)
            ]
            verdicts += _news(group, found)
            resolutions = self._resolutions(wallet, group, found)
        due = [one.verdict.due_at for one in found if one.verdict.due_at is not None]
        return Weighed(verdicts=tuple(verdicts), resolutions=resolutions, due_at=min(due, default=None))

    def _books(self, wallet: Wallet, since: str) -> Books:
        since = max(since, self._since.get(wallet.name, since))
        # What a key before this one asked moved an account of its own.
        others_until = self._readings[wallet.name].others_until(since)
        rows = [
            one
            for one in self._reading.attempts_of([wallet.name], since=since)
            if _is_of(one, wallet) and one.intent_index > others_until
        ]
        if len(rows) > ATTEMPTS_MAX:
            left = rows[:-ATTEMPTS_MAX]
            since = self._since[wallet.name] = max([since, *(row.ended_at for row in left if row.ended_at)])
            rows = [*(row for row in left if row.ended_at is None), *rows[-ATTEMPTS_MAX:]]
        verdicts = verdicts_since(self._reading, wallet.name, since, simulated=wallet.simulated)
        held = holding(rows, verdicts)
        begin = utc_text(self._clock.now_ns() - LOOKED_BACK_S * NS_PER_S)
        recent = [row for row in rows if row.ended_at is not None and row.ended_at >= begin]
        return Books(
            wallet=wallet,
            rows=tuple(rows),
            verdicts=tuple(verdicts),
            held=held,
            waits=tuple(waiting(recent, held)),
            doubts=tuple(row for row in recent if row.outcome is AttemptOutcome.IN_DOUBT),
            known_from=since,
        )

    def _windows(self, wallet: Wallet, group: Sequence[Books], since: str) -> list[Found]:
        """Judge windows that end with the newest readings: the widest one, and the next that is PROVEN."""
        found = self._readings[wallet.name].rounds(since)
        if len(found) < 2:  # noqa: PLR2004 - a window has two ends
            return []
        rows = [row for books in group for row in books.rows]
        held = {name: one for books in group for name, one in books.held.items()}
        weighed = disputed(pieces(rows, self._records(rows), self._measures), held)
        proven = {n: one for books in group for n, one in first_proven(books.rows, books.verdicts).items()}
        weighed = followed(weighed, proven, held)
        for books in group:
            weighed = disagreed(weighed, books.rows, books.verdicts)
        settling = self._settlings[wallet.name]
        judged: list[Found] = []
        around: list[Found] = []  # windows that hold what was judged MISMATCH before, the widest first
        stolen: Round | None = None
        for opening in self._openings(group, found, many=len(rows) > MANY):
            ends = self._ends(group, opening, found[-1])
            one = judge(ends, weighed, settling)
            if one is None:
                continue
            if one.verdict.word is VerdictWord.PROVEN:
                # What a wider window moved too much must lie before this one, not in what this one's edges blur.
                earlier = None if stolen is None else judge(self._ends(group, stolen, opening), weighed, settling)
                if stolen is None or (earlier is not None and earlier.verdict.code == _STOLEN):
                    judged.append(one)
                    break
                continue
            weighed = owing(weighed, one.decided) if came_short(one.verdict) else weighed
            stolen = opening if one.verdict.code == _STOLEN else stolen
            mended = matured(one, ends, weighed, settling) if one.verdict.code == _SHORT else None
            (around if one.disputed else judged).append(mended or one)
        return [*_around(around, judged), *(judged if len(judged) == 1 else _speaking(judged))]

    def _openings(self, group: Sequence[Books], found: list[Round], *, many: bool) -> list[Round]:
        """Choose where windows begin; never where an attempt that is not looked at may be billed after it."""
        known_ns = max(utc_ns(books.known_from) for books in group)
        known_ns += self._settlings[group[-1].wallet.name].usual_ns
        found = [*(one for one in found[:-1] if utc_ns(one[0].asked_at) >= known_ns), found[-1]]
        intents = [row.intent_index for books in group for row in (*books.waits, *books.doubts)]
        if not intents:
            return _idle_opening(group[-1], found)
        chosen = openings(found, intents, at_most=OPENINGS_OF_MANY if many else OPENINGS_MAX)
        return self._with_calm(group, found, chosen)

    def _with_calm(self, group: Sequence[Books], found: list[Round], chosen: list[Round]) -> list[Round]:
        """Begin windows also where no attempt blurs their edge: what was proven before may be weighed again."""
        usual_ns = self._settlings[group[-1].wallet.name].usual_ns
        rows = sorted((row for books in group for row in books.rows), key=lambda row: row.intent_index)
        ends = [(row.intent_index, None if row.ended_at is None else utc_ns(row.ended_at)) for row in rows]
        bills = [(intent, None if ended is None else ended + usual_ns) for intent, ended in ends]
        since = max(last_mismatch(books.verdicts) for books in group)
        calms = [one for one in calm(found[:-1], bills) if one[0].index >= since]
        begins = [one[0].index for one in calms]
        nearest = {bisect_right(begins, one[0].index) for one in chosen}
        each = {one[0].index: one for one in (*chosen, *(calms[place - 1] for place in nearest if place))}
        return [each[index] for index in sorted(each)]

    def _ends(self, group: Sequence[Books], opening: Round, closing: Round) -> Ends:
        wallet = group[-1].wallet
        return Ends(
            provider=wallet.provider,
            wallet=wallet.name,
            simulated=wallet.simulated,
            opening=_read(opening),
            closing=_read(closing),
            shared_with=tuple(books.wallet.name for books in group[:-1]),
            unseen=unseen(self._reading, wallet, self._measures[wallet.name], opening, closing),
        )

    def _records(self, rows: Sequence[AttemptRow]) -> dict[str, Attempt]:
        found = {}
        for row in [one for one in rows if one.outcome in UNSETTLED][-RECORDS_MAX:]:
            call = self._reading.call(row.tool_call_id)
            if call is not None:
                found[row.attempt_id] = call.attempt(row.attempt_id)
        return found

    def _unread(self, wallet: Wallet, group: Sequence[Books], found: Sequence[Found]) -> list[VerdictEntry]:
        """Say of attempts that have settled by now that no reading could be had since, once per change."""
        latest = [one for one in self._reading.latest_readings(wallet.name) if is_of(one, wallet)]
        if not latest and self._measures[wallet.name].asks(self._clock.now_ns()):
            return []
        books = group[-1]
        final = frozenset[str]().union(*(one.decided for one in found if is_final(one.verdict)))
        settled_ns = self._clock.now_ns() - int(self._settlings[wallet.name].usual_s * NS_PER_S)
        asked_ns = max((utc_ns(one.asked_at) for one in latest), default=self._clock.now_ns())
        limit_ns = min(settled_ns, asked_ns)
        rows = [
            row
            for row in books.waits
            if row.attempt_id not in final and row.ended_at is not None and utc_ns(row.ended_at) <= limit_ns
        ]
        said = unread(wallet, self._measures[wallet.name].provider, latest, rows) if rows else None
        if said is None or all(_says(books.held.get(row.attempt_id), said) for row in rows):
            return []
        return [said]

    def unwatched(self, wallet: Wallet) -> VerdictEntry | None:
        """Say of attempts that have settled since the last verdict that no reading is taken; None if none have.

        Raises:
            StoreError: the log cannot be read.
        """
        with self._reading.snapshot():
            books = self._books(wallet, utc_text(self._clock.now_ns() - LOOKED_BACK_S * NS_PER_S))
        settled_at = utc_text(self._clock.now_ns() - self._settlings[wallet.name].usual_ns)
        judged_until = max((one.until for one in books.verdicts), default=-1)
        rows = [
            row
            for row in books.waits
            if row.intent_index > judged_until and row.ended_at is not None and row.ended_at <= settled_at
        ]
        return switched_off(wallet, rows) if rows else None

    def _is_told(self, attempts: Sequence[str]) -> bool:
        """Tell whether something was found of each of these attempts before."""
        calls = {self._reading.call_of_attempt(attempt_id) for attempt_id in attempts[:NAMED_MAX]}
        judged = self._reading.judged(call_id for call_id in calls if call_id is not None)
        return all(
            (one := judged.get(attempt_id)) is not None and one.own is not None
            for attempt_id in attempts[:NAMED_MAX]
        )

    def _resolutions(
        self, wallet: Wallet, group: Sequence[Books], found: Sequence[Found]
    ) -> tuple[ResolutionEntry, ...]:
        """Say what attempts in doubt cost; not of a plan's, which are not paid one by one."""
        resolving = next((one for one in found if one.resolved), None)
        if resolving is None or wallet.plan is not None or wallet.currency is None:
            return ()
        rows = {row.attempt_id: row for books in group for row in books.rows}
        return tuple(
            _resolution(rows[attempt_id], cost_pico, wallet.currency, resolving.verdict)
            for attempt_id, cost_pico in resolving.resolved.items()
            if rows[attempt_id].outcome is AttemptOutcome.IN_DOUBT
        )


def _is_of(row: AttemptRow, wallet: Wallet) -> bool:
    return (row.provider, row.simulated) == (wallet.provider, wallet.simulated)


def _read(one: Round) -> Round:
    return tuple(reading for reading in one if reading.outcome is ReadingOutcome.READ)


def _idle_opening(books: Books, found: list[Round]) -> list[Round]:
    """Give the round that the last window closed with: what moved before was judged; none if it is the newest."""
    closed = next((one.closed for one in books.verdicts if one.closed is not None), -1)
    return [one for one in found[:-1] if one[-1].index >= closed][:1]


def _around(around: Sequence[Found], judged: Sequence[Found]) -> list[Found]:
    """Choose the widest finding on a window around a MISMATCH; it repeats no shortage that lies after that."""
    shortages = {_SHORT, _SHORT_FOR_GOOD}
    is_short_after = any(one.verdict.code in shortages for one in judged)
    return [one for one in around[:1] if not (is_short_after and one.verdict.code in shortages)]


def _speaking(judged: Sequence[Found]) -> list[Found]:
    """Choose the findings that speak, the wider first: a verdict that is PROVEN holds whatever follows it."""
    return [*judged[:1], *(one for one in judged[-1:] if one.verdict.word is VerdictWord.PROVEN)]


def _news(group: Sequence[Books], found: Sequence[Found]) -> list[VerdictEntry]:
    """Write findings for each wallet of the account that they say something new of; its last wallet asked."""
    names = [books.wallet.name for books in group]
    new: list[VerdictEntry] = []
    for place, one in enumerate(found):
        for books in group:
            name = books.wallet.name
            is_open = one.verdict.word is VerdictWord.UNVERIFIED  # an earlier finding would take its place
            is_covered = is_open and any(before.wallet == name for before in new)
            if is_covered or _is_new(books, one, found[place + 1 :], is_asked=books is group[-1]):
                others = tuple(other for other in names if other != name)
                new.append(msgspec.structs.replace(one.verdict, wallet=name, shared_with=others))
    return new


def _is_new(books: Books, found: Found, better: Sequence[Found], *, is_asked: bool) -> bool:
    verdict = found.verdict
    if verdict.code == UNDECIDED:
        return False
    decided = found.decided.difference(*(one.decided for one in better))
    if any(
        _code(books.held.get(row.attempt_id)) != verdict.code for row in books.waits if row.attempt_id in decided
    ):
        return True
    alone = verdict.code == _STOLEN and verdict.sums is not None and verdict.sums.attempts == 0
    return alone and is_asked and not any(_same_movement(one, verdict) for one in books.verdicts)


def _same_movement(before: VerdictEntry, now: VerdictEntry) -> bool:
    if before.sums is None or now.sums is None:
        return False
    return (before.code, before.opened, before.sums.moved) == (now.code, now.opened, now.sums.moved)


def _code(verdict: VerdictEntry | None) -> str | None:
    return None if verdict is None else verdict.code


def _says(held: VerdictEntry | None, found: VerdictEntry) -> bool:
    return held is not None and (held.code, held.sentence) == (found.code, found.sentence)


def _resolution(row: AttemptRow, cost_pico: int, currency: str, verdict: VerdictEntry) -> ResolutionEntry:
    amount = decimal_text(cost_pico)
    cost = f"{amount} {currency}" if cost_pico else "nothing"
    ends = f"readings {verdict.opened} and {verdict.closed}"
    return ResolutionEntry(
        tool_call_id=row.tool_call_id,
        attempt_id=row.attempt_id,
        outcome=ResolutionOutcome.RECONCILED,
        currency=currency,
        amount=amount,
        tokens=None,
        source=ResolutionSource.READINGS,
        by=ends,
        why=f"Of all that the attempts in doubt between {ends} may have cost, one alone explains how far the"
        f" provider's counter moved: this one cost {cost}.",
        tolerance=None if verdict.sums is None or not cost_pico else verdict.sums.tolerance,
    )
