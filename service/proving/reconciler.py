"""The reconciler: it has the log weighed, and writes down what the scales find; nothing else here does."""

import asyncio
import logging

from service.core.books import VerdictEntry
from service.core.entries import AnyEntry
from service.core.record import BrokenRecordError
from service.core.times import utc_ns
from service.core.wallet import Wallet
from service.core.window import Found
from service.core.words import VerdictWord
from service.errors import LedgerError, StoreError
from service.proving.readings import Appends
from service.proving.rounds import Round
from service.proving.scales import Scales, Weighed
from service.proving.uncut import off_loop

_log = logging.getLogger(__name__)


class Reconciler:
    """Compares the provider's books with ours; one wallet at a time, for wallets may share an account.

    Args:
        ledger: takes the entries.
        scales: read and judge.
    """

    def __init__(self, ledger: Appends, scales: Scales) -> None:
        self._ledger = ledger
        self._scales = scales
        self._turn = asyncio.Lock()
        self._due_ns: dict[str, int] = {}

    async def reconcile(self, wallet: Wallet) -> VerdictEntry | None:
        """Judge a wallet by what is committed now, and write verdicts and resolutions that say something new.

        Returns:
            The newest verdict that was written of this wallet; None if nothing new was found.
        """
        async with self._turn:
            try:
                found = await off_loop(self._scales.weigh, wallet)
            except (StoreError, ValueError):  # the latter: the log was damaged, which `/health` tells
                _log.exception("a wallet could not be judged", extra={"wallet": wallet.name})
                return None
            self._note_due(wallet, found)
            entries: tuple[AnyEntry, ...] = (*found.verdicts, *found.resolutions)
            written = [await self._write(one) for one in entries]
        verdicts = [one for one in written if isinstance(one, VerdictEntry) and one.wallet == wallet.name]
        return verdicts[-1] if verdicts else None

    async def between(self, wallet: Wallet, opening: Round, closing: Round) -> Found | None:
        """Judge a window between readings of somebody's choice, by the rule that the log's own are judged by.

        Nothing is written.

        Raises:
            StoreError: the log cannot be read.
            UnreadableEntryError, BrokenRecordError: it was damaged.
        """
        async with self._turn:
            return await off_loop(self._scales.between, wallet, opening, closing)

    async def tell_unwatched(self, wallet: Wallet) -> None:
        """Write down of which attempts no reading will tell, because none are taken."""
        async with self._turn:
            try:
                said = await off_loop(self._scales.unwatched, wallet)
            except (StoreError, ValueError):
                _log.exception("attempts cannot be read", extra={"wallet": wallet.name})
                return
            if said is not None:
                await self._write(said)

    def due_ns(self, wallet: Wallet) -> int | None:
        """Say when a wallet's window is to be looked at again, in UTC nanoseconds; None if it is not."""
        return self._due_ns.get(wallet.name)

    def _note_due(self, wallet: Wallet, found: Weighed) -> None:
        self._due_ns.pop(wallet.name, None)
        if found.due_at is not None:
            self._due_ns[wallet.name] = utc_ns(found.due_at)

    async def _write(self, entry: AnyEntry) -> AnyEntry | None:
        try:
            (step,) = await self._ledger.append(entry)
        except BrokenRecordError:  # somebody else resolved the attempt meanwhile
            _log.info("a resolution came too late", extra={"entry": type(entry).__name__})
            return None
        except (LedgerError, ValueError):
            _log.exception("a finding could not be written down", extra={"entry": type(entry).__name__})
            return None
        if isinstance(step.entry, VerdictEntry):
            _tell(step.entry)
        return step.entry


def _tell(verdict: VerdictEntry) -> None:
    level = logging.WARNING if verdict.word is VerdictWord.MISMATCH else logging.INFO
    extra = {"wallet": verdict.wallet, "code": verdict.code, "entry": verdict.index}
    _log.log(level, "%s: %r", verdict.word.value, verdict.sentence, extra=extra)
