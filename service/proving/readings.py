"""The readers: a provider's own counters asked, and each answer written down, whatever it was.

They never raise for what a provider does: a counter that cannot be read is an entry, too.
"""

import asyncio
import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from service.calling.connection import LostError
from service.calling.inquiring import Heard
from service.calling.wire import UnsentError
from service.core.books import ReadingEntry
from service.core.entries import AnyEntry
from service.core.record import Step
from service.core.redact import redacted
from service.core.shapes import Clock, Inquiry, Prepared, Provider, Stated
from service.core.times import NS_PER_S, utc_ns, utc_text
from service.core.wallet import Wallet
from service.core.words import ReadingCause, ReadingOutcome
from service.errors import LedgerError, StoreError
from service.proving.memory import is_of
from service.proving.uncut import off_loop

AGAIN_S_MIN = 5.0
AGAIN_SIMULATED_S_MIN = 0.2
NOT_OFFERED_AGAIN_S = 86_400
REFUSED_AGAIN_S = 3_600
STILL_AGAIN_S = 86_400  # of a counter that tells limits and moves nothing
TOO_MANY = 429
SERVER_FAULT = 500
ACCOUNT_HEX = 16
WORD_CHARS_MAX = 64
_WANTED = frozenset({ReadingCause.START, ReadingCause.DEMAND, ReadingCause.PROOF})

_log = logging.getLogger(__name__)


class Inquires(Protocol):
    """The way of a question to a provider."""

    async def ask(self, wallet: Wallet, prepared: Prepared) -> Heard:
        """Send a question that costs nothing and give its answer.

        Raises:
            UnsentError: not one byte left.
            LostError: the answer did not come, or not to its end.
        """


class Appends(Protocol):
    """The ledger, as far as this room writes."""

    def append(self, *of: AnyEntry) -> "asyncio.Future[tuple[Step, ...]]":
        """Write entries in one transaction; see the ledger's own contract."""


class Remembers(Protocol):
    """The log, as far as a reader must know what was read before."""

    def latest_readings(self, wallet: str) -> tuple[ReadingEntry, ...]:
        """Give the newest reading of each counter of a wallet, read or not."""


class Readers:
    """Whoever asks the counters; one question at a time for each wallet.

    Args:
        inquirer: sends.
        ledger: takes the entries.
        reading: what was read before the start.
        clock: gives the times.
        providers: by name.
    """

    def __init__(
        self,
        inquirer: Inquires,
        ledger: Appends,
        reading: Remembers,
        clock: Clock,
        providers: Mapping[str, Provider],
    ) -> None:
        self._inquirer = inquirer
        self._ledger = ledger
        self._reading = reading
        self._clock = clock
        self._providers = providers
        self._turns: dict[str, asyncio.Lock] = {}
        self._newest: dict[str, dict[str, ReadingEntry]] = {}  # by wallet and counter
        self._asked_ns: dict[tuple[str, str], int] = {}  # of the clock that never goes back

    async def read(
        self, wallet: Wallet, *, cause: ReadingCause, counters: Collection[str] | None = None
    ) -> tuple[ReadingEntry, ...]:
        """Ask a wallet's counters and write down what they say.

        A counter that was asked a moment ago is not asked again: its newest entry is given. On a schedule, one
        that is not offered, was refused or only tells limits is left alone for long; a refusal that passes, by a
        moment's crowd or fault, leaves none alone.

        Args:
            wallet: whose.
            cause: why.
            counters: only these; None for all.

        Returns:
            The newest entry of each counter that is meant, in the provider's order, where the ledger has one.
        """
        async with self._turns.setdefault(wallet.name, asyncio.Lock()):
            newest = await self._known(wallet)
            counted = self._providers[wallet.provider].counters
            asked = counted.inquiries(plan=wallet.plan, at_ns=self._clock.now_ns())
            meant = [one for one in asked if counters is None or one.counter in counters]
            for inquiry in meant:
                if self._may_ask(wallet, inquiry.counter, cause):
                    await self._ask(wallet, inquiry, cause)
            return tuple(newest[one.counter] for one in meant if one.counter in newest)

    async def _known(self, wallet: Wallet) -> dict[str, ReadingEntry]:
        """Give the newest entry of each counter; at first, what the log holds of this very wallet."""
        if wallet.name not in self._newest:
            try:
                found = await off_loop(self._reading.latest_readings, wallet.name)
            except (StoreError, ValueError):
                _log.exception("earlier readings cannot be read", extra={"wallet": wallet.name})
                found = ()
            self._newest[wallet.name] = {one.counter: one for one in found if is_of(one, wallet)}
        return self._newest[wallet.name]

    def _may_ask(self, wallet: Wallet, counter: str, cause: ReadingCause) -> bool:
        asked_ns = self._asked_ns.get((wallet.name, counter))
        if asked_ns is not None and self._clock.monotonic_ns() - asked_ns < again_s(wallet) * NS_PER_S:
            return False
        last = self._newest[wallet.name].get(counter)
        if cause in _WANTED or last is None or asked_ns is None:
            return True
        age_s = (self._clock.now_ns() - utc_ns(last.asked_at)) / NS_PER_S
        is_still = counter in self._providers[wallet.provider].counters.still
        return not 0 <= age_s < _patience_s(last, is_still=is_still)

    async def _ask(self, wallet: Wallet, inquiry: Inquiry, cause: ReadingCause) -> None:
        self._asked_ns[wallet.name, inquiry.counter] = self._clock.monotonic_ns()
        asked_at = utc_text(self._clock.now_ns())  # before the first byte
        try:
            heard = await self._inquirer.ask(wallet, inquiry.prepared)
        except (UnsentError, LostError) as error:
            entry = unreached(wallet, inquiry, cause, asked_at, error)
        else:
            entry = self._entry(wallet, inquiry, cause, asked_at, heard)
        try:
            (step,) = await self._ledger.append(entry)
        except (LedgerError, ValueError):
            extra = {"wallet": wallet.name, "counter": inquiry.counter}
            _log.exception("a reading could not be written down", extra=extra)
            return
        assert isinstance(step.entry, ReadingEntry)  # noqa: S101 - the ledger gives back what it was given
        self._newest[wallet.name][inquiry.counter] = step.entry

    def _entry(
        self, wallet: Wallet, inquiry: Inquiry, cause: ReadingCause, asked_at: str, heard: Heard
    ) -> ReadingEntry:
        provider = self._providers[wallet.provider]
        try:
            stated = provider.counters.stated(
                inquiry.counter,
                heard.status,
                heard.headers,
                heard.body,
                currency=wallet.currency,
                at_ns=self._clock.now_ns(),
            )
            ids = provider.ids(heard.headers)
        except Exception:  # noqa: BLE001 - a stranger's bytes must not end the readings
            _log.exception("a counter's answer was not understood", extra={"wallet": wallet.name})
            stated, ids = Stated(outcome=ReadingOutcome.UNREADABLE, message="it was not understood"), {}
        secrets = (wallet.key.reveal(), *_organisation(stated))
        return ReadingEntry(
            provider=wallet.provider,
            wallet=wallet.name,
            counter=inquiry.counter,
            endpoint=endpoint(wallet, inquiry.prepared),
            cause=cause,
            outcome=stated.outcome,
            status=heard.status,
            asked_at=asked_at,
            figures=stated.figures,
            account=None if stated.organisation is None else account_of(stated.organisation),
            tells=_bounded(stated.tells, secrets),
            message=redacted(stated.message, secrets),
            provider_code=_word(stated.provider_code, secrets),
            provider_ids=_bounded(ids, secrets),
            date=_word(heard.headers.get("date"), secrets),
            fingerprint=wallet.fingerprint,
            simulated=wallet.simulated,
        )


def again_s(wallet: Wallet) -> float:
    """Say how many seconds lie between two questions to one counter at least."""
    return AGAIN_SIMULATED_S_MIN if wallet.simulated else AGAIN_S_MIN


def unreached(
    wallet: Wallet, inquiry: Inquiry, cause: ReadingCause, asked_at: str, error: UnsentError | LostError
) -> ReadingEntry:
    """Write down that a counter gave no answer."""
    return ReadingEntry(
        provider=wallet.provider,
        wallet=wallet.name,
        counter=inquiry.counter,
        endpoint=endpoint(wallet, inquiry.prepared),
        cause=cause,
        outcome=ReadingOutcome.UNREACHABLE,
        status=None,
        asked_at=asked_at,
        tells={},
        message=redacted(error.message, (wallet.key.reveal(),)),
        provider_ids={},
        fingerprint=wallet.fingerprint,
        simulated=wallet.simulated,
    )


def endpoint(wallet: Wallet, prepared: Prepared) -> str:
    """Say where a question went, without its query."""
    path = prepared.path.partition("?")[0]
    if not prepared.rooted:
        return wallet.base_url + path
    scheme, _, rest = wallet.base_url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}{path}"


def account_of(organisation: str) -> str:
    """Tell accounts apart without keeping whose they are."""
    return hashlib.sha256(organisation.encode("utf-8", "surrogatepass")).hexdigest()[:ACCOUNT_HEX]


def _patience_s(last: ReadingEntry, *, is_still: bool) -> float:
    """Say for how long a counter is left alone on a schedule, by what it last said.

    Args:
        last: its newest reading.
        is_still: whether it tells limits alone, in all that it ever says.
    """
    match last.outcome:
        case ReadingOutcome.NOT_OFFERED:
            return NOT_OFFERED_AGAIN_S
        case ReadingOutcome.REFUSED if not _passes(last.status):
            return REFUSED_AGAIN_S
        case ReadingOutcome.READ if is_still:
            return STILL_AGAIN_S
        case _:
            return 0


def _passes(status: int | None) -> bool:
    """Whether a refusal is of the moment: too many questions, or a fault of the provider's."""
    return status is not None and (status == TOO_MANY or status >= SERVER_FAULT)


def _organisation(stated: Stated) -> tuple[str, ...]:
    return () if stated.organisation is None else (stated.organisation,)


def _bounded(said: Mapping[str, str], secrets: Sequence[str]) -> dict[str, str]:
    return {name: redacted(value, secrets, chars_max=WORD_CHARS_MAX) for name, value in said.items()}


def _word(said: str | None, secrets: Sequence[str]) -> str | None:
    return None if said is None else redacted(said, secrets, chars_max=WORD_CHARS_MAX)
