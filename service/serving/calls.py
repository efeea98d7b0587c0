"""Tool calls under way: from admission to the answer that may leave.

A call runs in a task of its own. It belongs to no connection: when the client has gone it runs on,
settles and is closed. A cancel stops its tool and its attempt; its answer is written all the same.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import ExitStack
from typing import Any, TypeVar

import msgspec

from service.calling.desk import CallDesk, Counter
from service.calling.journal import Journal
from service.core.entries import AnswerEntry, ToolCallEntry
from service.core.receipt import page_url, receipt
from service.core.record import ToolCall
from service.core.shapes import Books, Clock, Desk, Prover, Tool, ToolResult
from service.core.times import NS_PER_US, utc_text
from service.core.words import DoubtCause, ZeroReason
from service.errors import (
    AnswerLostError,
    CallCancelledError,
    CallError,
    CallInterruptedError,
    ExaiError,
    InvalidArgumentsError,
    NotRecordedError,
    OverCapacityError,
)
from service.ledger.ledger import Ledger
from service.mcp.events import CallTool, ToolReply
from service.proving.prover import NoProver
from service.serving.admission import Admission
from service.serving.auth import Caller
from service.serving.idempotency import Claim, Keys
from service.serving.limits import Gate
from service.serving.problems import known, outcome, refusal, zero_reason
from service.serving.repeats import Ended, wish

_Found = TypeVar("_Found")

_log = logging.getLogger(__name__)


class ToolCallRun:
    """One admitted tool call. `done` gets its reply and never fails."""

    def __init__(self, tool_call_id: str, work: Callable[["ToolCallRun"], Coroutine[Any, Any, None]]) -> None:
        self.tool_call_id = tool_call_id
        self.done: asyncio.Future[ToolReply] = asyncio.get_running_loop().create_future()
        self.cause = DoubtCause.CANCELLED  # why it was stopped, once it was
        self._cancelled = False
        self._interruptible = False
        self.task = asyncio.create_task(work(self))

    def cancel(self, cause: DoubtCause = DoubtCause.CANCELLED) -> None:
        """Stop the tool and what it waits for; the call is still closed and recorded."""
        if not self._cancelled:
            self._cancelled = True
            self.cause = cause
            if self._interruptible:
                self.task.cancel()

    async def interruptible(self, work: Coroutine[Any, Any, _Found]) -> _Found:
        """Await what a cancel may interrupt: the tool's work, or the wait for another call's end.

        Raises:
            CallCancelledError: it was cancelled.
            CallInterruptedError: the service stops.
        """
        try:
            if self._cancelled:
                work.close()
                raise asyncio.CancelledError  # noqa: TRY301 - one way out for both
            self._interruptible = True
            return await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            raise self._why() from None
        finally:
            self._interruptible = False

    def _why(self) -> CallError:
        if self.cause is DoubtCause.STOPPING:
            return CallInterruptedError(
                "the service stopped before the call ended",
                remedy="The receipt says what was sent. Ask again when the service is back.",
            )
        return CallCancelledError("the call was cancelled", remedy="The receipt says what was sent.")


class ToolCalls:
    """Begins tool calls and keeps them until they are closed.

    Args:
        tools: by name.
        books: opens the ledger's sums for a caller, as far as it may see them.
        console_url: where receipts are shown, without a slash at the end.
        keys: the clients' idempotency keys; without it a call that brings one is refused.
        prover: opens the provider's own books for a caller and its tool call; without it nothing is proved here.
    """

    def __init__(
        self,
        tools: Mapping[str, Tool],
        *,
        ledger: Ledger,
        counter: Counter,
        gate: Gate,
        clock: Clock,
        entropy: Callable[[int], bytes],
        books: Callable[[Caller], Books],
        console_url: str,
        keys: Keys | None = None,
        prover: Callable[[Caller, str], Prover] | None = None,
    ) -> None:
        self._admission = Admission(tools, entropy=entropy)
        self._ledger = ledger
        self._counter = counter
        self._gate = gate
        self._clock = clock
        self._entropy = entropy
        self._books = books
        self._prover = prover
        self._console_url = console_url
        self._keys = keys
        self._running: set[ToolCallRun] = set()
        self._stopping = False

    @property
    def open(self) -> int:
        """How many calls are under way."""
        return len(self._running)

    @property
    def stopping(self) -> bool:
        """Whether no more calls are begun."""
        return self._stopping

    async def settled(self, timeout_s: float) -> bool:
        """Wait until no call is under way; False if time ran out."""
        if self._running:
            await asyncio.wait({run.done for run in self._running}, timeout=timeout_s)
        return not self._running

    def begin(
        self,
        call: CallTool,
        *,
        caller: Caller,
        session: str,
        transport: str,
        protocol: str,
        on_text: Callable[[str], None] | None,
    ) -> ToolCallRun:
        """Admit a call and set it going.

        Raises:
            AdmissionError: it may not begin.
            InvalidArgumentsError: its arguments do not fit. Neither leaves an entry.
        """
        if self._stopping:
            raise OverCapacityError("the service is stopping", remedy="Connect again in a moment.")
        tool = self._admission.tool(call, caller)
        asked = wish(call)
        if asked is not None and self._keys is None:
            raise InvalidArgumentsError("idempotency keys are not taken here", remedy="Ask without a key.")
        with ExitStack() as place:
            place.enter_context(self._gate.enter(session=session, client=caller.name))
            opened, salt = self._admission.opened(
                call, caller, session=session, transport=transport, protocol=protocol
            )
            claim = self._keys.claim(opened, asked) if self._keys and asked else None
            kept = place.pop_all()

        def deed(desk: Desk) -> Coroutine[Any, Any, ToolResult]:
            prover = NoProver() if self._prover is None else self._prover(caller, opened.tool_call_id)
            return tool.run(call.arguments, desk, self._books(caller), prover, on_text=on_text)

        async def work(run: ToolCallRun) -> None:
            with kept:
                if claim is None:
                    journal = Journal(self._ledger, opened, salt=salt)
                    reply = await self._reply(journal, self._run(run, deed, journal))
                else:
                    reply = await self._once(run, deed, claim, opened, salt)
            self._running.discard(run)
            if not run.done.done():  # whoever waited for it without a shield has cancelled it
                run.done.set_result(reply)

        run = ToolCallRun(opened.tool_call_id, work)
        self._running.add(run)
        return run

    async def drain(self, grace_s: float) -> None:
        """Begin no more calls; let the open ones end, and stop those that have not after `grace_s`."""
        self._stopping = True
        tasks = {run.task for run in self._running}
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        for run in tuple(self._running):
            run.cancel(DoubtCause.STOPPING)
        if tasks:
            await asyncio.wait(tasks)
        await asyncio.sleep(0)  # an answer that has just come is passed on in the loop's next turn

    async def _once(
        self,
        run: ToolCallRun,
        deed: Callable[[Desk], Coroutine[Any, Any, ToolResult]],
        claim: Claim,
        opened: ToolCallEntry,
        salt: bytes,
    ) -> ToolReply:
        """Run a call that has a key if it is the key's original; else give it what became of that."""
        began_ns = self._clock.monotonic_ns()
        with claim:
            end = await self._earlier(run, claim, opened.tool_call_id)
            journal = Journal(self._ledger, claim.signed(end), salt=salt)
            if end is None:
                reply = await self._reply(journal, self._run(run, deed, journal))
                await claim.land(journal.record, reply)
                return reply
        return await self._reply(journal, self._close(journal, end, began_ns))

    async def _earlier(self, run: ToolCallRun, claim: Claim, tool_call_id: str) -> Ended | ExaiError | None:
        """Find out how the key's original ended; None if this is it. A cancel ends only the wait for another."""
        try:
            joined = None if claim.is_first else await run.interruptible(claim.joined())
            return joined or await claim.earlier()
        except Exception as raised:  # noqa: BLE001 - whatever is wrong with the past, this call must be closed
            end = known(raised, tool_call_id)
            if end is not raised:
                _log.exception("an idempotency key failed", extra={"tool_call_id": tool_call_id})
            return end

    async def _reply(self, journal: Journal, running: Awaitable[ToolReply]) -> ToolReply:
        """Wait for a call's reply. Whatever goes wrong, one comes."""
        try:
            return await running
        except Exception as lost:  # noqa: BLE001 - without a written answer nothing may leave but this
            if isinstance(lost, NotRecordedError):
                shown = self._receipt(journal.record, journal) if journal.record else None
                return refusal(self._unrecorded(lost, journal), shown)
            _log.exception("a call could not be closed", extra={"tool_call_id": journal.opened.tool_call_id})
            return refusal(known(lost, journal.opened.tool_call_id))

    def _unrecorded(self, lost: NotRecordedError, journal: Journal) -> NotRecordedError:
        """Say whether money may have moved, and let the call be closed as failed once there is room."""
        if not journal.intents:
            remedy = f"{lost.remedy} Nothing was sent to a provider.".strip()
            return NotRecordedError(lost.message, remedy=remedy, retryable=True)
        tool_call_id = journal.opened.tool_call_id
        journal.abandon(
            AnswerEntry(
                tool_call_id=tool_call_id,
                outcome=outcome(lost),
                zero_reason=None,
                error_code=lost.code,
                response=None,
                duration_us=None,
            )
        )
        where = page_url(self._console_url, tool_call_id)
        asked = f"A provider was asked and may have billed it: look at {where} before you ask again."
        return NotRecordedError(lost.message, remedy=f"{lost.remedy} {asked}".strip())

    async def _run(
        self,
        run: ToolCallRun,
        deed: Callable[[Desk], Coroutine[Any, Any, ToolResult]],
        journal: Journal,
    ) -> ToolReply:
        """Run the tool and close the call."""
        began_ns = self._clock.monotonic_ns()
        end: ToolResult | ExaiError
        try:
            desk = CallDesk(self._counter, journal, why_stopped=lambda: run.cause)
            end = await run.interruptible(deed(desk))
        except Exception as raised:  # noqa: BLE001 - whatever a tool raises, its call must be closed
            end = known(raised, journal.opened.tool_call_id)
            if end is not raised:
                _log.exception("a tool failed", extra={"tool_call_id": journal.opened.tool_call_id})
        return await self._close(journal, end, began_ns)

    async def _close(self, journal: Journal, end: ToolResult | Ended | ExaiError, began_ns: int) -> ToolReply:
        """Close the call, and dress its end."""
        took_us = (self._clock.monotonic_ns() - began_ns) // NS_PER_US
        record = await journal.close(self._answer(journal, end, took_us))
        shown = self._receipt(record, journal)
        if isinstance(end, ExaiError):
            return refusal(end, shown)
        if isinstance(end, Ended):
            return end.again(shown, self._console_url)
        return ToolReply(content=(end.text,), structured=end.structured, receipt=shown)

    def _receipt(self, record: ToolCall, journal: Journal) -> dict[str, Any]:
        as_of = utc_text(self._clock.now_ns())
        told = receipt(
            record,
            as_of=as_of,
            console_url=self._console_url,
            salt=journal.salt.hex(),
            checkpoint=self._ledger.checkpoint,
        )
        shown: dict[str, Any] = msgspec.to_builtins(told)
        return shown

    def _answer(self, journal: Journal, end: ToolResult | Ended | ExaiError, took_us: int) -> AnswerEntry:
        if isinstance(end, Ended):
            return AnswerEntry(
                tool_call_id=journal.opened.tool_call_id,
                outcome=end.outcome,
                zero_reason=ZeroReason.IDEMPOTENT_REPLAY,
                error_code=end.error_code,
                response=None if end.reply.is_error else journal.committed("".join(end.reply.content).encode()),
                duration_us=took_us,
                replay_of=end.tool_call_id,
            )
        error, response = None, None
        if isinstance(end, ExaiError):
            error = end
        else:
            response = journal.committed(end.text.encode())
        return AnswerEntry(
            tool_call_id=journal.opened.tool_call_id,
            outcome=outcome(error),
            zero_reason=None if journal.intents else zero_reason(error),
            error_code=error.code if error else None,
            response=response,
            duration_us=took_us,
            replay_of=end.replay_of if isinstance(end, AnswerLostError) else None,
        )
