"""The desk: a tool's only way to a provider. It routes, bounds, intends, sends, and retries if it may."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from service.calling.attempt import Attempting, Ended
from service.calling.faults import fault
from service.calling.journal import Journal
from service.calling.retry import RetryPolicy
from service.calling.routing import Route, Router
from service.calling.wire import Wire
from service.core import pricing
from service.core.bounds import input_tokens_max
from service.core.entries import IntentEntry, SettlementEntry, WorstCase
from service.core.shapes import Ask, Clock, Completion
from service.core.words import DoubtCause

ID_BYTES = 16
MAX_OUTPUT_TOKENS = 4096
_CHANCES = 2**16


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """What every desk needs, made once.

    Attributes:
        entropy: gives that many unpredictable bytes.
        pause: waits that many seconds.
        max_output_tokens: sent when nobody names a limit.
    """

    router: Router
    wire: Wire
    clock: Clock
    entropy: Callable[[int], bytes]
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    retry: RetryPolicy = RetryPolicy()
    max_output_tokens: int = MAX_OUTPUT_TOKENS


class CallDesk:
    """The desk of one tool call.

    Args:
        counter: what every desk shares.
        journal: the call's own.
        why_stopped: tells, after a cancel, who asked for it: the client, or the service's own stop.
    """

    def __init__(
        self, counter: Counter, journal: Journal, *, why_stopped: Callable[[], DoubtCause] | None = None
    ) -> None:
        self._counter = counter
        self._journal = journal
        self._why_stopped = why_stopped or (lambda: DoubtCause.CANCELLED)

    async def complete(self, ask: Ask) -> Completion:
        """Ask a model and wait for the settled answer; see the contract of `Desk`."""
        made = 0
        retry_of: str | None = None
        while True:
            route = self._counter.router.route(ask, at_ns=self._counter.clock.now_ns())
            ended = await self._shielded(self._prepare(ask, route, retry_of))
            made, retry_of = made + 1, ended.entry.attempt_id
            if isinstance(ended.entry, SettlementEntry):
                return _completion(route, ended, ended.entry)
            chance = int.from_bytes(self._counter.entropy(2), "big") / _CHANCES
            pause_s = self._counter.retry.pause_s(ended.entry, made, text_sent=ended.text_sent, chance=chance)
            if pause_s is None:
                raise fault(ended.entry, route.provider)
            await self._counter.pause(pause_s)

    def _prepare(self, ask: Ask, route: Route, retry_of: str | None) -> Attempting:
        """Write the request and the intent that must precede it."""
        counter, opened = self._counter, self._journal.opened
        max_output_tokens = ask.max_output_tokens or counter.max_output_tokens
        unique = str(uuid.UUID(bytes=counter.entropy(ID_BYTES), version=4))
        prepared = route.provider.prepare(
            ask, model=route.model, max_output_tokens=max_output_tokens, unique=unique
        )
        intent = IntentEntry(
            tool_call_id=opened.tool_call_id,
            attempt_id=counter.entropy(ID_BYTES).hex(),
            number=0,  # the journal counts
            retry_of=retry_of,
            provider=route.provider.name,
            wallet=route.wallet.name,
            endpoint=route.wallet.base_url + prepared.path,
            model=route.model,
            stream=ask.on_text is not None,
            max_output_tokens=max_output_tokens,
            nonce=prepared.nonce,
            client_request_id=prepared.client_request_id,
            request=self._journal.committed(prepared.body),
            worst_case=_worst_case(ask, route, max_output_tokens),
            price_version=counter.router.price_version,
            simulated=route.wallet.simulated,
            own_host=route.wallet.own_host,
            plan=route.wallet.plan,
        )
        return Attempting(
            wire=counter.wire,
            clock=counter.clock,
            journal=self._journal,
            route=route,
            prepared=prepared,
            intent=intent,
            on_text=ask.on_text,
        )

    async def _shielded(self, attempting: Attempting) -> Ended:
        """Run an attempt to its written end, even if the call is cancelled meanwhile: then it is stopped first."""
        task = asyncio.create_task(attempting.run())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            attempting.stop(self._why_stopped())
            while not task.done():
                with suppress(asyncio.CancelledError):  # a second cancel changes nothing: the end must be written
                    await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # seen: the cancellation is what the caller learns
            raise


def _worst_case(ask: Ask, route: Route, max_output_tokens: int) -> WorstCase:
    input_tokens = input_tokens_max(message.content for message in ask.messages)
    if route.wallet.plan is not None:
        return pricing.worst_case_of_plan(input_tokens, max_output_tokens, route.wallet.currency)
    return pricing.worst_case(input_tokens, max_output_tokens, route.row)


def _completion(route: Route, ended: Ended, settlement: SettlementEntry) -> Completion:
    return Completion(
        text=ended.answer.text,
        reasoning=ended.answer.reasoning,
        provider=route.provider.name,
        model=settlement.model_reported or route.model,
        finish_reason=settlement.finish_reason,
        usage=settlement.usage,
    )
