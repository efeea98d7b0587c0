"""The journal: one tool call's entries on their way to the ledger.

Entries that coincide share a transaction, and so an fsync: `tool_call` waits for the first intent, what
an attempt has to say waits for the next intent or the answer. It waits `HOLD_S` at most: a crash in that
time leaves the attempt in doubt, which is the safe side.
"""

import asyncio
import logging

import msgspec

from service.core.entries import AcceptedEntry, AnswerEntry, End, IntentEntry, OfCall, ToolCallEntry
from service.core.evidence import Commitment, commitment
from service.core.record import Step, ToolCall
from service.errors import LedgerError, NotRecordedError
from service.ledger.ledger import Ledger

HOLD_S = 0.02
AGAIN_S = 1.0
AGAIN_MAX = 600

_log = logging.getLogger(__name__)


class Journal:
    """Writes the entries of one call, in order: an append begins when the one before it has ended.

    Args:
        ledger: where they go.
        opened: the call's first entry; written with what follows first.
        salt: of every commitment of the call; given to the caller, kept nowhere.
        again_s: how long to wait before writing again what could not be written.
    """

    def __init__(self, ledger: Ledger, opened: ToolCallEntry, *, salt: bytes, again_s: float = AGAIN_S) -> None:
        self._ledger = ledger
        self._again_s = again_s
        self._again_left = AGAIN_MAX
        self._held: list[OfCall] = [opened]
        self._timer: asyncio.TimerHandle | None = None
        self._under_way: asyncio.Future[tuple[Step, ...]] | None = None
        self.opened = opened
        self.intents = 0
        self.record: ToolCall | None = None  # as far as it is durable
        self.salt = salt

    def committed(self, content: bytes) -> Commitment:
        """Commit to content with the call's salt."""
        return commitment(self.salt, content)

    async def intend(self, intent: IntentEntry) -> None:
        """Number an intent and make it durable. Only after this may its request be sent.

        Raises:
            BudgetStopError: a budget does not allow it; what went before it is written with what follows.
            NotRecordedError: it could not be made durable.
        """
        await self._turn()
        await self._write(msgspec.structs.replace(intent, number=self.intents + 1))

    def admits(self, attempt_id: str) -> bool:
        """Say whether an attempt's intent is durable and its end is not: only then may its request be sent."""
        return self.record is not None and any(
            attempt.intent.attempt_id == attempt_id for attempt in self.record.open_attempts
        )

    def accept(self, entry: AcceptedEntry) -> None:
        """Note that headers arrived; nobody waits for it."""
        self._hold(entry)

    def end(self, entry: End) -> None:
        """Note how an attempt ended; durable at the latest with the call's answer."""
        self._hold(entry)

    async def close(self, answer: AnswerEntry) -> ToolCall:
        """Make the answer durable. Only after this may it leave.

        Raises:
            NotRecordedError: it could not be made durable.
        """
        await self._turn()
        record = await self._write(answer)
        # Asserted in production too: what leaves is closed, with every attempt ended.
        if record.answer is None or record.open_attempts:
            raise NotRecordedError(f"tool call {self.opened.tool_call_id} was answered and is not closed")
        return record

    def abandon(self, answer: AnswerEntry) -> None:
        """Note the end of a call whose answer found no room and does not leave; written when there is some."""
        self._hold(answer)

    async def _turn(self) -> None:
        """Wait until no append is under way: what it failed to write must come before what follows."""
        while self._under_way is not None:
            await asyncio.wait({self._under_way})

    async def _write(self, entry: OfCall) -> ToolCall:
        self._release_timer()
        written, self._held = [*self._held, entry], []
        try:
            steps = await self._append(written, keep=written[:-1])
        except (LedgerError, ValueError) as error:
            if isinstance(error, LedgerError):
                why, remedy = str(error), error.remedy
            else:
                _log.exception("an entry was not allowed", extra={"tool_call_id": self.opened.tool_call_id})
                why, remedy = "an entry was not allowed", "This is a fault of the service; its log tells more."
            raise NotRecordedError(
                f"tool call {self.opened.tool_call_id} could not be recorded: {why}", remedy=remedy
            ) from error
        record = steps[-1].call
        assert record is not None  # noqa: S101 - every entry written here is of a call
        return record

    def _append(self, written: list[OfCall], *, keep: list[OfCall]) -> asyncio.Future[tuple[Step, ...]]:
        """Append entries; of what fails, `keep` is held for the next append."""
        future = self._ledger.append(*written)
        self._under_way = future
        future.add_done_callback(lambda done: self._appended(done, written, keep))
        return future

    def _appended(self, done: asyncio.Future[tuple[Step, ...]], written: list[OfCall], keep: list[OfCall]) -> None:
        self._under_way = None
        if done.cancelled() or done.exception() is None:  # a cancelled waiter's entries are written all the same
            self.intents += sum(isinstance(entry, IntentEntry) for entry in written)
            self.record = self.record if done.cancelled() else done.result()[-1].call
            self._arm(HOLD_S)
            return
        self._held = [*keep, *self._held]
        error = done.exception()
        may_pass = isinstance(error, LedgerError) and error.retryable
        if may_pass and self.intents and self._again_left:  # a full disk for a while must not cost a settlement
            self._again_left -= 1
            self._arm(self._again_s)

    def _hold(self, entry: OfCall) -> None:
        self._held.append(entry)
        self._arm(HOLD_S)

    def _arm(self, wait_s: float) -> None:
        if self._held and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._flush)

    def _flush(self) -> None:
        """Write what is held although nothing followed it."""
        self._timer = None
        if self._under_way is None and self._held:
            written, self._held = self._held, []
            self._append(written, keep=written)

    def _release_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
