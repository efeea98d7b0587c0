"""The scales: all that the log holds of an account, weighed; what they find is to be written down by another.

They read and never write. Their methods block, so they belong on a thread.
"""

from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from service.core.books import VerdictEntry
from service.core.entries import ResolutionEntry
from service.core.money import decimal_text
from service.core.times import NS_PER_S, utc_ns, utc_text
from service.core.verdict import UNDECIDED
from service.core.wallet import Wallet
from service.core.window import Found
from service.core.words import AttemptOutcome, ResolutionOutcome, ResolutionSource, VerdictWord
from service.ledger.store import AttemptRow
from service.proving.coverage import is_final, last_mismatch
from service.proving.findings import NAMED_MAX, around_stolen, doubled, switched_off, unread
from service.proving.holdings import LOOKED_BACK_S, Books, Holdings
from service.proving.memory import is_of
from service.proving.narrowing import SHORT, STOLEN, Narrowing
from service.proving.rounds import OPENINGS_MAX, Round, calm, openings

__all__ = ["LOOKED_BACK_S", "Scales", "Weighed"]

MANY = 2_000  # from so many attempts on fewer windows are tried
OPENINGS_OF_MANY = 4
_SHORT_FOR_GOOD = "M2"


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
        holdings: what the log holds of them.
    """

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self._reading = holdings.reading
        self._clock = holdings.clock
        self._measures = holdings.measures
        self._settlings = holdings.settlings

    def weigh(self, wallet: Wallet) -> Weighed:
        """Judge what the log holds of a wallet, and of those that share its account, at this moment.

        Raises:
            StoreError: the log cannot be read.
            UnreadableEntryError, BrokenRecordError: it was damaged.
        """
        with self._reading.snapshot():
            since = self._holdings.since()
            group = self._holdings.group(wallet, since)
            found = self._windows(wallet, group, since)
            verdicts = self._unread(wallet, group, found)
            verdicts += [
                doubled(wallet, provider_id, attempts)
                for provider_id, attempts in self._reading.doubled(
                    [books.wallet.name for books in group], since=since
                )
                if not self._is_told(attempts)
            ]
            verdicts += _news(group, found)
            resolutions = self._resolutions(wallet, group, found)
        due = [one.verdict.due_at for one in found if one.verdict.due_at is not None]
        return Weighed(verdicts=tuple(verdicts), resolutions=resolutions, due_at=min(due, default=None))

    def between(self, wallet: Wallet, opening: Round, closing: Round) -> Found | None:
        """Judge a window between readings of somebody's choice as the log's own: after the wider ones around it.

        Raises:
            StoreError: the log cannot be read.
            UnreadableEntryError, BrokenRecordError: it was damaged.
        """
        holdings = self._holdings
        with holdings.reading.snapshot():
            since = holdings.since()
            group = holdings.group(wallet, since)
            last = max(one.index for one in opening)
            before = [one for one in holdings.rounds(wallet, since) if one[-1].index < last]
            windows = Narrowing(holdings, group, closing)
            for wider in self._openings(group, [*before, opening, closing]):
                if wider is not opening:
                    windows.judge(wider)
            found = windows.judge(opening)
            if found is None or found.verdict.word is not VerdictWord.PROVEN or windows.is_apart(opening):
                return found
        return msgspec.structs.replace(found, verdict=around_stolen(wallet, found.verdict))

    def _windows(self, wallet: Wallet, group: Sequence[Books], since: str) -> list[Found]:
        """Judge windows that end with the newest readings: the widest one, and the next that is PROVEN."""
        found = self._holdings.rounds(wallet, since)
        if len(found) < 2:  # noqa: PLR2004 - a window has two ends
            return []
        windows = Narrowing(self._holdings, group, found[-1])
        judged: list[Found] = []
        around: list[Found] = []  # windows that hold what was judged MISMATCH before, the widest first
        for opening in self._openings(group, found):
            one = windows.judge(opening)
            if one is None:
                continue
            if one.verdict.word is VerdictWord.PROVEN:
                if windows.is_apart(opening):
                    judged.append(one)
                    break
                continue
            (around if one.disputed else judged).append(windows.matured(one, opening))
        return [*_around(around, judged), *(judged if len(judged) == 1 else _speaking(judged))]

    def _openings(self, group: Sequence[Books], found: list[Round]) -> list[Round]:
        """Choose where windows begin; never where an attempt that is not looked at may be billed after it."""
        known_ns = max(utc_ns(books.known_from) for books in group)
        known_ns += self._settlings[group[-1].wallet.name].usual_ns
        found = [*(one for one in found[:-1] if utc_ns(one[0].asked_at) >= known_ns), found[-1]]
        intents = [row.intent_index for books in group for row in (*books.waits, *books.doubts)]
        if not intents:
            return _idle_opening(group[-1], found)
        many = sum(len(books.rows) for books in group) > MANY
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
            books = self._holdings.books(wallet, utc_text(self._clock.now_ns() - LOOKED_BACK_S * NS_PER_S))
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
        """Say what attempts in doubt cost; of a plan's no least is known, so the rule resolves none."""
        resolving = next((one for one in found if one.resolved), None)
        if resolving is None or wallet.currency is None:
            return ()
        rows = {row.attempt_id: row for books in group for row in books.rows}
        return tuple(
            _resolution(rows[attempt_id], cost_pico, wallet.currency, resolving.verdict)
            for attempt_id, cost_pico in resolving.resolved.items()
            if rows[attempt_id].outcome is AttemptOutcome.IN_DOUBT
        )


def _idle_opening(books: Books, found: list[Round]) -> list[Round]:
    """Give the round that the last window closed with: what moved before was judged; none if it is the newest."""
    closed = next((one.closed for one in books.verdicts if one.closed is not None), -1)
    return [one for one in found[:-1] if one[-1].index >= closed][:1]


def _around(around: Sequence[Found], judged: Sequence[Found]) -> list[Found]:
    """Choose the widest finding on a window around a MISMATCH; it repeats no shortage that lies after that."""
    shortages = {SHORT, _SHORT_FOR_GOOD}
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
    alone = verdict.code == STOLEN and verdict.sums is not None and verdict.sums.attempts == 0
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
