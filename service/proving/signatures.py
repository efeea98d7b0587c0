"""Signatures: what a provider says of its own, asked in the background, seldom more than a few times each.

Valid says that the provider accepted this nonce and model at that time, and nothing of success, content or tokens
(source: platform.kimi.com, request signature).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from service.calling.connection import LostError
from service.calling.wire import UnsentError
from service.core.books import VerdictEntry, VerificationEntry
from service.core.entries import SettlementEntry
from service.core.record import Attempt, Step
from service.core.redact import redacted
from service.core.shapes import Clock, Inquiry, Provider
from service.core.timely import untimely
from service.core.times import NS_PER_S, utc_text
from service.core.wallet import Wallet
from service.core.words import VerificationOutcome
from service.errors import LedgerError, StoreError
from service.ledger.reading import Reading
from service.proving.findings import forged
from service.proving.readings import WORD_CHARS_MAX, Appends, Inquires
from service.proving.uncut import off_loop

PAUSE_S = 0.5  # at most two questions a second
AGAIN_S = (60, 900)  # after the first try that gave no answer, and after the second; there is no fourth
TRIES_MAX = 3
LOOKED_BACK_S = 48 * 3600
JOBS_MAX = 500

_log = logging.getLogger(__name__)


class Verifier:
    """Whoever asks providers whether signatures are their own. A listener: signed settlements wake it.

    Args:
        inquirer: sends.
        ledger: takes the entries.
        reading: names the attempts whose signatures were not verified.
        clock: gives the times.
        wallets: all of them.
        providers: by name.
        pause: waits that many seconds.
    """

    def __init__(
        self,
        inquirer: Inquires,
        ledger: Appends,
        reading: Reading,
        clock: Clock,
        wallets: Sequence[Wallet],
        providers: Mapping[str, Provider],
        *,
        pause: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._inquirer = inquirer
        self._ledger = ledger
        self._reading = reading
        self._clock = clock
        self._wallets = {wallet.name: wallet for wallet in wallets}
        self._providers = providers
        self._pause = pause
        self._tried: dict[str, tuple[int, int]] = {}  # by attempt: tries of this start, and when the next may be
        self._done: dict[str, int] = {}  # by wallet: of attempts that ended until this index no try is left

    async def run(self, woken: asyncio.Event) -> None:
        """Verify what there is, then wait for more, for ever.

        Args:
            woken: set when a signed settlement was written.
        """
        while True:
            woken.clear()
            while await self.verify():
                pass
            await _either(woken, self._wait_s())

    async def verify(self) -> int:
        """Try each signature that may be tried now; say how many were."""
        since = utc_text(self._clock.now_ns() - LOOKED_BACK_S * NS_PER_S)
        known: set[str] = set()
        try:
            tried = sum([await self._verify_of(wallet, since, known) for wallet in self._wallets])
        except (StoreError, ValueError):
            _log.exception("signatures to verify cannot be read")
            return 0
        if not tried:  # so all that wait were seen; what waits no more is forgotten
            self._tried = {attempt_id: one for attempt_id, one in self._tried.items() if attempt_id in known}
        return tried

    async def _verify_of(self, wallet: str, since: str, known: set[str]) -> int:
        """Try the first JOBS_MAX of a wallet's that may be tried now, past those that may not; note all seen."""
        after = self._done.get(wallet, -1)
        while True:
            jobs = await off_loop(self._reading.unverified, wallet, since=since, after=after, limit=JOBS_MAX)
            known.update(attempt_id for _, attempt_id, _ in jobs)
            tried = 0
            for call_id, attempt_id, _ in jobs:
                if self._may_try(attempt_id):
                    await self._try(call_id, attempt_id)
                    tried += 1
                    await self._pause(PAUSE_S)
            if tried or len(jobs) < JOBS_MAX:
                return tried
            last = jobs[-1][2]
            if after == self._done.get(wallet, -1) and all(self._is_done(one) for _, one, _ in jobs):
                self._done[wallet] = last
            after = last

    def _is_done(self, attempt_id: str) -> bool:
        """Whether nothing is left to try of a signature in this start."""
        return self._tried.get(attempt_id, (0, 0))[0] >= TRIES_MAX

    def _may_try(self, attempt_id: str) -> bool:
        tries, next_ns = self._tried.get(attempt_id, (0, 0))
        return tries < TRIES_MAX and self._clock.monotonic_ns() >= next_ns

    def _wait_s(self) -> float | None:
        """Say how long until the next try is due; None if none is."""
        next_ns = [at_ns for tries, at_ns in self._tried.values() if tries < TRIES_MAX]
        if not next_ns:
            return None
        return max(PAUSE_S, (min(next_ns) - self._clock.monotonic_ns()) / NS_PER_S)

    async def _try(self, call_id: str, attempt_id: str) -> None:
        tries = self._tried.get(attempt_id, (0, 0))[0]
        again_ns = int(AGAIN_S[min(tries, len(AGAIN_S) - 1)] * NS_PER_S)
        self._tried[attempt_id] = (tries + 1, self._clock.monotonic_ns() + again_ns)
        try:
            attempt = await off_loop(self._attempt, call_id, attempt_id)
            written = () if attempt is None else await self._judge(attempt)
            if written:
                await self._ledger.append(*written)
        except (StoreError, LedgerError, ValueError):
            _log.exception("a signature could not be verified", extra={"attempt_id": attempt_id})
            return
        if not any(isinstance(one, VerificationEntry) and _is_open(one) for one in written):
            self._tried[attempt_id] = (TRIES_MAX, 0)

    def _attempt(self, call_id: str, attempt_id: str) -> Attempt | None:
        """Read an attempt, unless it was found already what is wrong with it."""
        judged = self._reading.judged((call_id,)).get(attempt_id)
        call = self._reading.call(call_id)
        return (
            None if call is None or (judged is not None and judged.own is not None) else call.attempt(attempt_id)
        )

    async def _judge(self, attempt: Attempt) -> tuple[VerificationEntry | VerdictEntry, ...]:
        wallet = self._wallets.get(attempt.intent.wallet)
        end = attempt.end
        if wallet is None or not isinstance(end, SettlementEntry) or end.signature is None:
            return ()
        if wallet.simulated is not attempt.simulated or not attempt.intent.endpoint.startswith(wallet.base_url):
            return ()  # another wallet bore this name: its key is not known any more
        if untimely(attempt) is not None:
            return ()  # the record itself says M8, whatever the provider says of it
        inquiry = self._providers[wallet.provider].counters.verification(end.signature)
        if inquiry is None:
            return ()
        said = await self._ask(wallet, attempt, inquiry)
        if said.outcome is VerificationOutcome.INVALID:
            return (said, forged(wallet, attempt.intent.attempt_id))
        return (said,)

    async def _ask(self, wallet: Wallet, attempt: Attempt, inquiry: Inquiry) -> VerificationEntry:
        provider, secrets = self._providers[wallet.provider], (wallet.key.reveal(),)
        asked_at = utc_text(self._clock.now_ns())
        status, valid, message, ids = None, None, "", dict[str, str]()
        try:
            heard = await self._inquirer.ask(wallet, inquiry.prepared)
        except (UnsentError, LostError) as error:
            message = error.message
        else:
            status, valid = heard.status, provider.counters.verified(heard.status, heard.body)
            refusal = None if valid is not None else provider.refusal(status, heard.headers, heard.body)
            message = "" if refusal is None else refusal.message
            ids = provider.ids(heard.headers)
        word = {True: VerificationOutcome.VALID, False: VerificationOutcome.INVALID}
        return VerificationEntry(
            tool_call_id=attempt.intent.tool_call_id,
            attempt_id=attempt.intent.attempt_id,
            provider=wallet.provider,
            wallet=wallet.name,
            outcome=VerificationOutcome.UNAVAILABLE if valid is None else word[valid],
            status=status,
            message=redacted(message, secrets),
            asked_at=asked_at,
            provider_ids={name: redacted(one, secrets, chars_max=WORD_CHARS_MAX) for name, one in ids.items()},
            simulated=wallet.simulated,
        )


def signed(steps: Sequence[Step]) -> bool:
    """Tell whether a signature came with these steps."""
    return any(isinstance(step.entry, SettlementEntry) and step.entry.signature is not None for step in steps)


def _is_open(said: VerificationEntry) -> bool:
    return said.outcome is VerificationOutcome.UNAVAILABLE


async def _either(woken: asyncio.Event, wait_s: float | None) -> None:
    """Wait until the event is set, or some seconds if they are fewer."""
    try:
        async with asyncio.timeout(wait_s):
            await woken.wait()
    except TimeoutError:
        return
