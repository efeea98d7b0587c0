"""Activity: when attempts of each wallet last began and ended. A listener that wakes whoever waits for it."""

import asyncio
import threading
from collections.abc import Sequence

import msgspec

from service.core.entries import DoubtEntry, IntentEntry, RefusalEntry, SettlementEntry, UnsentEntry
from service.core.record import Step
from service.core.times import utc_ns

Ended = SettlementEntry | RefusalEntry | UnsentEntry | DoubtEntry


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one wallet's attempts.

    Attributes:
        at_ns: UTC time at which the last one began or ended; None if none did.
        open: how many are under way.
    """

    at_ns: int | None = None
    open: int = 0


class Activity:
    """Keeps the last of each wallet. It is written by the feed's thread, and wakes events of one loop.

    It is made on that loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._guard = threading.Lock()
        self._seen: dict[str, Seen] = {}
        self._woken: dict[str, asyncio.Event] = {}
        self.signed = asyncio.Event()

    def take(self, steps: Sequence[Step]) -> None:
        """Note what each step says, then wake those whom it concerns."""
        wallets, signed = set[str](), False
        with self._guard:
            for step in steps:
                entry = step.entry
                if step.call is None or not isinstance(entry, IntentEntry | Ended):
                    continue
                wallet = step.call.attempt(entry.attempt_id).intent.wallet
                self._note(wallet, entry)
                wallets.add(wallet)
                signed = signed or (isinstance(entry, SettlementEntry) and entry.signature is not None)
        if wallets:
            self._wake(wallets, signed=signed)

    def seen(self, wallet: str) -> Seen:
        """Say what was last seen of a wallet."""
        with self._guard:
            return self._seen.get(wallet, Seen())

    def woken(self, wallet: str) -> asyncio.Event:
        """Give the event that is set when something was seen of a wallet; whoever waits clears it."""
        return self._woken.setdefault(wallet, asyncio.Event())

    def recall(self, wallet: str, at_ns: int) -> None:
        """Note what the log held of a wallet before this start."""
        with self._guard:
            seen = self._seen.get(wallet, Seen())
            self._seen[wallet] = msgspec.structs.replace(seen, at_ns=max(at_ns, seen.at_ns or at_ns))

    def _note(self, wallet: str, entry: IntentEntry | Ended) -> None:
        seen = self._seen.get(wallet, Seen())
        under_way = seen.open + (1 if isinstance(entry, IntentEntry) else -1)
        self._seen[wallet] = Seen(at_ns=utc_ns(entry.at), open=max(0, under_way))

    def _wake(self, wallets: set[str], *, signed: bool) -> None:
        try:
            self._loop.call_soon_threadsafe(self._set, wallets, signed)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _set(self, wallets: set[str], signed: bool) -> None:  # noqa: FBT001 - called by the loop, which has no keywords
        for wallet in wallets:
            self.woken(wallet).set()
        if signed:
            self.signed.set()
