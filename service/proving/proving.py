"""Proving: the readers, the reconciler and the verifier of a running service, driven in the background.

Nothing waits for them: neither a call, nor the start, nor the stop.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from service.core.books import ReadingEntry
from service.core.movement import speaks
from service.core.pricing import PriceTable
from service.core.shapes import Clock, Provider
from service.core.times import NS_PER_S, utc_ns, utc_text
from service.core.wallet import Wallet
from service.core.window import Settling
from service.errors import StoreError
from service.ledger.reading import Reading
from service.proving.activity import Activity
from service.proving.alike import alike
from service.proving.findings import why_unread
from service.proving.paying import default_price
from service.proving.pieces import Measure
from service.proving.readings import Readers, again_s
from service.proving.reconciler import Reconciler
from service.proving.remedies import key_state
from service.proving.scales import LOOKED_BACK_S
from service.proving.schedule import Pace, Standing, next_due
from service.proving.signatures import Verifier
from service.proving.uncut import off_loop

SIMULATED_USUAL_S = 2.0
SIMULATED_FINAL_S = 30.0
STOP_S = 5.0
_WAIT_S_MIN = 0.05  # a moment that is due and cannot be used must not make a loop spin

_log = logging.getLogger(__name__)


def settling_of(wallet: Wallet, provider: Provider, usual_s: float | None) -> Settling:
    """Say how a wallet's books follow its calls.

    Args:
        wallet: whose.
        provider: its provider.
        usual_s: what the operator says of the lag; None leaves it to the provider.
    """
    if wallet.simulated:
        return Settling(usual_s=SIMULATED_USUAL_S if usual_s is None else usual_s, final_s=SIMULATED_FINAL_S)
    return Settling(usual_s=provider.counters.settling_s if usual_s is None else usual_s)


@dataclass(frozen=True, kw_only=True)
class Proving:
    """All that compares the providers' books with ours.

    Attributes:
        wallets: in order of preference.
        providers: by name.
        prices: every known price.
        settlings: by wallet, how the provider's books follow.
        measures: by wallet, what its attempts are measured in.
        activity: what was seen of attempts; a listener of the ledger's feed.
        verifier: None if signatures are not verified.
        interval_s, idle_s: between readings while calls are made, and while none are.
        is_reading: whether counters are asked on a schedule at all.
    """

    wallets: Sequence[Wallet]
    providers: Mapping[str, Provider]
    prices: PriceTable
    settlings: Mapping[str, Settling]
    measures: Mapping[str, Measure]
    readers: Readers
    reconciler: Reconciler
    verifier: Verifier | None
    activity: Activity
    reading: Reading
    clock: Clock
    interval_s: float
    idle_s: float
    is_reading: bool = True
    _read_ns: dict[str, int] = field(default_factory=dict)
    _blind: set[str] = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run in the background while the context lasts; what is under way at its end is broken off."""
        task = asyncio.create_task(self.run(), name="proving")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task}, timeout=STOP_S)
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                _log.error("readings had ended early", exc_info=error)

    async def run(self) -> None:
        """Read, reconcile and verify for ever; what fails is logged and tried again in its turn."""
        async with asyncio.TaskGroup() as tasks:
            for wallet in self.wallets:
                tasks.create_task(self._watch(wallet) if self.is_reading else self._leave(wallet))
            if self.verifier is not None:
                tasks.create_task(self._verify(self.verifier))

    async def turn(self, wallet: Wallet) -> float:
        """Read and reconcile a wallet if that is due now; say how many seconds remain until it is."""
        due = next_due(self._standing(wallet), self._pace(wallet))
        now_ns = self.clock.now_ns()
        if due.at_ns <= now_ns:
            is_first = wallet.name not in self._read_ns
            self._read_ns[wallet.name] = now_ns
            found = await self.readers.read(wallet, cause=due.cause)
            self._read_ns[wallet.name] = _asked_ns(wallet, found, due.at_ns, now_ns)
            self._blind.discard(wallet.name)
            if not any(map(speaks, found)):
                self._blind.add(wallet.name)
            if is_first:
                provider = self.providers[wallet.provider]
                price = default_price(wallet, provider, self.prices, at_ns=now_ns)
                tell(wallet, provider, found, price=price)
                await self._tell_alike(wallet, found)
            await self.reconciler.reconcile(wallet)
            due = next_due(self._standing(wallet), self._pace(wallet))
        standing = self._standing(wallet)
        may_ns = 0 if standing.read_ns is None else standing.read_ns + _again_ns(wallet)
        return max(_WAIT_S_MIN, (max(due.at_ns, may_ns) - self.clock.now_ns()) / NS_PER_S)

    async def _tell_alike(self, wallet: Wallet, found: Sequence[ReadingEntry]) -> None:
        """Name the wallets whose keys seem to be of this one's account; nothing else follows from it."""
        for other in self.wallets:
            if other.name != wallet.name and alike(
                wallet, found, other, await off_loop(self.reading.latest_readings, other.name)
            ):
                extra = {"wallet": wallet.name, "other": other.name}
                _log.warning("two wallets state the same money and seem to be of one account", extra=extra)

    async def recall(self, wallet: Wallet) -> None:
        """Note when the last attempt of a wallet ended before this start: it may still have to settle."""
        since = utc_text(self.clock.now_ns() - LOOKED_BACK_S * NS_PER_S)
        try:
            rows = await off_loop(self.reading.attempts_of, [wallet.name], since=since)
        except (StoreError, ValueError):
            _log.exception("earlier attempts cannot be read", extra={"wallet": wallet.name})
            return
        ends = [utc_ns(row.ended_at) for row in rows if row.ended_at is not None]
        if ends:
            self.activity.recall(wallet.name, max(ends))

    async def _watch(self, wallet: Wallet) -> None:
        await self.recall(wallet)
        woken = self.activity.woken(wallet.name)
        while True:
            woken.clear()
            wait_s = self.idle_s
            try:
                wait_s = await self.turn(wallet)
            except Exception:  # noqa: BLE001 - a fault of ours must not end the readings for good
                _log.exception("a wallet could not be reconciled", extra={"wallet": wallet.name})
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await woken.wait()

    async def _leave(self, wallet: Wallet) -> None:
        """Say of a wallet's calls, from time to time, that nobody reads its counters."""
        while True:
            try:
                await self.reconciler.tell_unwatched(wallet)
            except Exception:  # noqa: BLE001 - as above
                _log.exception("what is not read could not be told", extra={"wallet": wallet.name})
            await asyncio.sleep(self.interval_s)

    async def _verify(self, verifier: Verifier) -> None:
        while True:
            try:
                await verifier.run(self.activity.signed)
            except Exception:  # noqa: BLE001 - as above
                _log.exception("signatures could not be verified")
            await asyncio.sleep(self.interval_s)

    def _standing(self, wallet: Wallet) -> Standing:
        seen, now_ns = self.activity.seen(wallet.name), self.clock.now_ns()
        read_ns = self._read_ns.get(wallet.name)
        return Standing(
            read_ns=None if read_ns is None else min(read_ns, now_ns),  # the clock may have been set back
            seen_ns=None if seen.at_ns is None else min(seen.at_ns, now_ns),
            is_open=seen.open > 0,
            is_blind=wallet.name in self._blind,
            due_ns=self.reconciler.due_ns(wallet),
        )

    def _pace(self, wallet: Wallet) -> Pace:
        usual_s = self.settlings[wallet.name].usual_s
        return Pace(interval_s=self.interval_s, idle_s=self.idle_s, usual_s=usual_s)


def _asked_ns(wallet: Wallet, found: Sequence[ReadingEntry], due_ns: int, now_ns: int) -> int:
    """Say when the counters were asked: before now, where somebody else had just asked all that speak.

    Args:
        wallet: whose.
        found: the newest of each counter.
        due_ns: the moment that was waited for; what was asked before it says nothing of it.
        now_ns: the time.
    """
    asked_ns = [utc_ns(one.asked_at) for one in found if speaks(one)]
    newest_ns = max(asked_ns, default=now_ns)
    is_just_before = newest_ns < due_ns and 0 <= now_ns - newest_ns < _again_ns(wallet)
    return newest_ns if is_just_before else now_ns


def _again_ns(wallet: Wallet) -> int:
    return int(again_s(wallet) * NS_PER_S)


def tell(wallet: Wallet, provider: Provider, found: Sequence[ReadingEntry], *, price: str) -> None:
    """Say once in the log what a wallet is, whether its key is taken, and what can be read, or why nothing can.

    Args:
        wallet: which.
        provider: the wallet's.
        found: what its counters said.
        price: of a call of the default model, in short.
    """
    mark = "SIMULATED " if wallet.simulated else ""
    plan = "pay as you go" if wallet.plan is None else f"plan {wallet.plan}"
    tier = next((one.tells["tier"] for one in found if "tier" in one.tells), "not told")
    read = [one for one in found if speaks(one)]
    figures = [f"{one.name} {one.amount} {one.unit}" for reading in read for one in reading.figures]
    figures = figures or [f"{name} {value}" for reading in read for name, value in reading.tells.items()]
    balance = ", ".join(figures) if read else why_unread(wallet, provider, found)
    level = logging.INFO if read else logging.WARNING
    text = "%swallet %s: %s at %s, %s, currency %s, tier %r; default model %s: %s; key %s; %r"
    currency, model = wallet.currency or "not known", provider.model_for(wallet.plan)
    said = (currency, tier, model, price, key_state(found), balance)
    _log.log(level, text, mark, wallet.name, wallet.provider, wallet.host, plan, *said)
