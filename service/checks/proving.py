"""Proof: are the providers' own counters read, and what did the newest verdict on a window say?

What was committed is looked at; no counter is asked for the sake of a check.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from service.checks.against import TOLD_S, Against, Contradiction
from service.core.books import ReadingEntry, VerdictEntry
from service.core.movement import speaks
from service.core.shapes import Provider
from service.core.times import NS_PER_S, utc_ns, utc_text
from service.core.wallet import Wallet
from service.core.words import ReadingOutcome, VerdictWord
from service.ledger.reading import Reading
from service.proving.memory import is_of
from service.proving.remedies import of_reading
from service.web.health import Check, Detail, State

STALE_INTERVALS = 3
LOOKED_BACK_DAYS = 30
"""How far a counter's last reading and a wallet's newest verdict are looked for, so that a look stays quick."""
_DAY_NS = 24 * 3600 * NS_PER_S
_UNREAD = "U4"  # its sentence may hold the provider's own words, which no check repeats
_OFF = "Readings are switched off (EXAI_READINGS), so no call can be proven."
_NEVER = "No counter has been read yet, so nothing can be proven."
_NOT_LATELY = f"No counter was read in the last {LOOKED_BACK_DAYS} days, so nothing can be proven."
_NO_COUNTER = "The provider offers no counter that this key may read, so no call can be proven here."
_OPEN_IT = "See the console's page Reconcile; `exai ledger match` compares with a statement"


class Cadence(msgspec.Struct, frozen=True, kw_only=True):
    """How often counters are read.

    Attributes:
        is_on: whether they are at all.
        interval_s: while calls are made.
        idle_s: while none are.
    """

    is_on: bool
    interval_s: float
    idle_s: float


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger holds of one wallet's counters and windows: of this key, real or simulated as it is.

    Attributes:
        newest: the newest reading of each counter, read or not; none of a counter that another key read since.
        read: the newest that says what was spent or is left; None if there is none of the last LOOKED_BACK_DAYS.
        verdict: the newest of these days on a window.
        mismatch: the newest MISMATCH on a window, if it is not older than a day.
        against: the newest on a single call or on attempts, likewise.
    """

    newest: tuple[ReadingEntry, ...]
    read: ReadingEntry | None
    verdict: VerdictEntry | None
    mismatch: VerdictEntry | None
    against: Contradiction | None = None

    @property
    def failed(self) -> ReadingEntry | None:
        """The newest that was not read; of the counter that was read before, if it is one of them."""
        found = [one for one in self.newest if one.outcome is not ReadingOutcome.READ]
        of_read = [one for one in found if self.read is not None and one.counter == self.read.counter]
        return max(of_read or found, key=lambda one: one.index, default=None)

    @property
    def is_offered(self) -> bool:
        """Whether any counter that is asked can be read, as far as the provider said."""
        return any(speaks(one) or one.outcome in _MAY_BE_READ for one in self.newest)


_MAY_BE_READ = frozenset({ReadingOutcome.REFUSED, ReadingOutcome.UNREACHABLE, ReadingOutcome.UNREADABLE})


def proofs(
    wallets: Sequence[Wallet],
    reading: Reading,
    known: Mapping[str, Provider],
    cadence: Cadence,
    *,
    now_ns: int,
    against: Against,
) -> tuple[Check, ...]:
    """Look at each wallet's readings and windows.

    Args:
        wallets: who pays.
        reading: of the ledger.
        known: providers by name.
        cadence: how often counters are read.
        now_ns: the wall time.
        against: what was judged MISMATCH apart from any window.

    Raises:
        StoreError: the ledger cannot be read.
    """
    newest = against.newest(reading, now_ns=now_ns)
    found = [
        _proof(
            one,
            msgspec.structs.replace(_known(reading, one, now_ns), against=newest.get((one.name, one.simulated))),
            known[one.provider],
            cadence,
            now_ns,
        )
        for one in wallets
    ]
    phantom = newest.get((None, False))
    return (*found, *(() if phantom is None else (_phantom(phantom),)))


def last_read(reading: Reading, wallet: str) -> Iterable[ReadingEntry]:
    """Give the newest reading of each of a wallet's counters that was read; older ones if the newest failed.

    Raises:
        StoreError: the ledger cannot be read.
    """
    for newest in reading.latest_readings(wallet):
        if newest.outcome is ReadingOutcome.READ:
            yield newest
        else:
            yield from reading.readings(wallet, counter=newest.counter, read_only=True, newest=True, limit=1)


def _known(reading: Reading, one: Wallet, now_ns: int) -> _Known:
    since = utc_text(now_ns - LOOKED_BACK_DAYS * _DAY_NS)
    told_since = utc_text(now_ns - TOLD_S * NS_PER_S)
    with reading.snapshot():
        newest = reading.latest_readings(one.name)
        read = [found for entry in newest for found in _last_of(reading, one, entry, since) if speaks(found)]
        verdict = reading.verdicts(wallet=one.name, simulated=one.simulated, since=since, limit=1)
        mismatch = reading.verdicts(
            wallet=one.name, simulated=one.simulated, since=told_since, words=(VerdictWord.MISMATCH,), limit=1
        )
    return _Known(
        newest=tuple(entry for entry in newest if is_of(entry, one)),
        read=max(read, key=lambda entry: entry.index, default=None),
        verdict=verdict[0] if verdict else None,
        mismatch=mismatch[0] if mismatch else None,
    )


def _last_of(reading: Reading, one: Wallet, newest: ReadingEntry, since: str) -> Iterator[ReadingEntry]:
    """Give the newest reading of a counter that was read by this wallet's key since a time, if there is one."""
    if newest.outcome is ReadingOutcome.READ and is_of(newest, one):
        yield newest
        return
    before: int | None = None
    while page := reading.readings(one.name, counter=newest.counter, read_only=True, newest=True, before=before):
        for found in page:
            if found.at < since:
                return
            if is_of(found, one):
                yield found
                return
        before = page[-1].index


def _proof(one: Wallet, said: _Known, provider: Provider, cadence: Cadence, now_ns: int) -> Check:
    state, sentence = _read(one, said, provider, cadence, now_ns)
    parts = [sentence]
    if said.mismatch is not None:
        state = State.DEGRADED
        parts.append(f"MISMATCH ({said.mismatch.at}): {said.mismatch.sentence} {_OPEN_IT}.")
    if said.against is not None:
        state = State.DEGRADED
        parts.append(_contradiction(said.against))
    if said.verdict is not None and said.verdict != said.mismatch:
        parts.append(_window(said.verdict))
    if one.simulated:
        parts.insert(0, "SIMULATED, no money is proven.")
    return Check(
        name="proof", of=one.name, state=state, sentence=" ".join(parts), detail=_detail(one, said, now_ns)
    )


def _read(one: Wallet, said: _Known, provider: Provider, cadence: Cadence, now_ns: int) -> tuple[State, str]:
    """Say how readings are: how old the newest is, and what came in between since."""
    if not cadence.is_on:
        return State.OFF, _OFF
    if said.newest and not said.is_offered:
        return State.OFF, f"{_NO_COUNTER} {of_reading(one, provider, said.newest)}"
    failed = said.failed
    why = "" if failed is None else f" {_failure(failed)} {of_reading(one, provider, said.newest)}"
    if said.read is None:
        refused = failed is not None and failed.outcome in _MAY_BE_READ
        none = _NOT_LATELY if said.newest else _NEVER
        return (State.DEGRADED if refused else State.UNKNOWN), f"{none}{why if refused else ''}"
    age_s = _age_s(said.read.at, now_ns)
    last = f"The counter {said.read.counter} was read {age_s} s ago."
    is_failing = failed is not None and failed.index > said.read.index and failed.counter == said.read.counter
    if is_failing and age_s > STALE_INTERVALS * cadence.interval_s:
        return State.DEGRADED, f"{last}{why}"
    if age_s > STALE_INTERVALS * cadence.idle_s:
        return State.DEGRADED, f"{last} That is too long; see the service's log."
    return State.OK, f"{last}{why if is_failing else ''}"


def _window(verdict: VerdictEntry) -> str:
    told = f"The newest verdict ({verdict.at}): {verdict.word}, {verdict.code}."
    return told if verdict.code == _UNREAD else f"{told} {verdict.sentence}"


def _contradiction(found: Contradiction) -> str:
    """Name it by its code: its sentence may hold the provider's own words."""
    more = f" and {found.attempts - 1} more" if found.attempts > 1 else ""
    return f"MISMATCH, {found.code} ({found.at}), of {found.of}{more}. See its receipt in the console."


def _phantom(found: Contradiction) -> Check:
    """Say of a call that asked no wallet what nobody else would."""
    return Check(name="proof", of="no wallet", state=State.DEGRADED, sentence=_contradiction(found))


def _failure(failed: ReadingEntry) -> str:
    status = "" if failed.status is None else f", status {failed.status}"
    return f"Since {failed.at} {failed.counter} is {failed.outcome.replace('_', ' ')}{status}."


def _detail(one: Wallet, said: _Known, now_ns: int) -> Detail:
    failed, read, verdict = said.failed, said.read, said.verdict
    return {
        "provider": one.provider,
        "simulated": one.simulated,
        "plan": one.plan,
        "last_reading": None if read is None else read.counter,
        "last_reading_at": None if read is None else read.at,
        "last_reading_age_s": None if read is None else _age_s(read.at, now_ns),
        "last_failure": None if failed is None else str(failed.outcome),
        "last_failure_at": None if failed is None else failed.at,
        "last_failure_status": None if failed is None else failed.status,
        "verdict": None if verdict is None else str(verdict.word),
        "verdict_code": None if verdict is None else verdict.code,
        "verdict_at": None if verdict is None else verdict.at,
    }


def _age_s(at: str, now_ns: int) -> int:
    return max(0, (now_ns - utc_ns(at)) // NS_PER_S)
