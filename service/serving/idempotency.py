"""Idempotency keys: equal requests of one client under one key are paid once, whatever happens in between.

What binds a key is the ledger: the newest call that was opened with it and repeated no other, its *original*.
Calls in flight are found in memory, before anything is awaited. The kept answers are texts only: where one is
lost, nothing is sent a second time; the client is told so.
"""

import asyncio
import logging
from types import TracebackType
from typing import Protocol, Self

import msgspec

from service.core.entries import Idempotency, ToolCallEntry
from service.core.receipt import page_url
from service.core.record import ToolCall
from service.core.shapes import Clock
from service.core.times import NS_PER_S, utc_ns, utc_text
from service.errors import AnswerLostError, InternalError, NotRecordedError
from service.ledger.working import Kind, Working
from service.mcp.events import ToolReply
from service.mcp.terms import KEY_LIFETIME_S
from service.serving.quiet import QuietLog
from service.serving.repeats import Ended, binds, conflict, decode, encode, lost


class Past(Protocol):
    """What the ledger knows of earlier calls. It blocks and may be asked from any thread."""

    def call_of_key(self, client: str, key_sha256: str, since: str) -> str | None:
        """Find a key's newest original that was opened at or after a time (UTC text)."""

    def call(self, tool_call_id: str) -> ToolCall | None:
        """Fold the record of one call."""


class _Flight:
    """Calls of one client with one key that are in flight: the first of them, and how it ends."""

    def __init__(self, tool_call_id: str, request_sha256: str) -> None:
        loop = asyncio.get_running_loop()
        self.tool_call_id = tool_call_id
        self.request_sha256 = request_sha256
        self.is_original: asyncio.Future[bool] = loop.create_future()  # or it repeats an earlier one
        self.end: asyncio.Future[Ended | Exception] = loop.create_future()


class Keys:
    """The keys of all clients: who is in flight with which, and what became of earlier calls.

    It belongs to one event loop, `look` apart: it blocks and may be called from any thread.

    Args:
        past: the ledger, read.
        working: where answers are kept.
        console_url: where receipts are shown, without a slash at the end.

    Attributes:
        unkept: answers that could not be kept, since the start.
    """

    def __init__(
        self, past: Past, working: Working, *, clock: Clock, console_url: str, quiet: QuietLog | None = None
    ) -> None:
        self.unkept = 0
        self.console_url = console_url
        self.flights: dict[tuple[str, str], _Flight] = {}
        self._past = past
        self._working = working
        self._clock = clock
        self._quiet = quiet or QuietLog(logging.getLogger(__name__))

    def look(self, client: str, asked: Idempotency) -> Ended | None:
        """Find out how the key's original ended; None if the key is free.

        Raises:
            IdempotencyConflictError: the key is bound to another request.
            AnswerLostError: the original's answer is not there to be given.
            StoreError: the ledger cannot be read.
        """
        since = utc_text(self._clock.now_ns() - KEY_LIFETIME_S * NS_PER_S)
        found = self._past.call_of_key(client, asked.key_sha256, since)
        call = None if found is None else self._past.call(found)
        if call is None or call.opened.idempotency is None or not binds(call):
            return None
        if call.opened.idempotency.request_sha256 != asked.request_sha256:
            raise conflict(call.tool_call_id)
        content = self._working.get(Kind.ANSWER, client, asked.key_sha256)
        ended = None if content is None else decode(content)
        if ended is None or ended.tool_call_id != call.tool_call_id:
            raise lost(call, page_url(self.console_url, call.tool_call_id))
        return ended

    async def store(self, opened: ToolCallEntry, key_sha256: str, ended: Ended) -> None:
        """Keep an original's end for as long as its key is bound. What fails is counted: a reply must not wait."""
        expires_at_ns = utc_ns(opened.at) + KEY_LIFETIME_S * NS_PER_S

        def put() -> bool:
            content = encode(ended)
            return self._working.put(Kind.ANSWER, opened.client, key_sha256, content, expires_at_ns=expires_at_ns)

        try:
            why = None if await asyncio.to_thread(put) else "the working texts did not take it"
        except Exception as error:  # noqa: BLE001 - a text that cannot be written down costs itself, not its reply
            why = type(error).__name__
        if why is not None:
            self.unkept += 1
            self._quiet.warn("an answer could not be kept for its idempotency key", why)

    def claim(self, opened: ToolCallEntry, asked: Idempotency) -> "Claim":
        """Give a call its place among those with its key, at once: the first one in flight goes on."""
        return Claim(self, opened, asked)


class Claim:
    """One call's place among its client's calls with its key; as a context it leaves nobody waiting."""

    def __init__(self, keys: Keys, opened: ToolCallEntry, asked: Idempotency) -> None:
        self._keys = keys
        self._opened = opened
        self._asked = asked
        self._flight = self._enter()

    @property
    def is_first(self) -> bool:
        """Whether no other call with the key was in flight."""
        return self._flight.tool_call_id == self._opened.tool_call_id

    async def joined(self) -> Ended | None:
        """Wait for the end of the call that is in flight; None: there is none any more, this one is the first.

        Raises:
            IdempotencyConflictError: the key is bound to another request.
            Exception: whatever kept the first one from being an original or from being recorded.
        """
        while not self.is_first:
            flight = self._flight
            if flight.request_sha256 == self._asked.request_sha256:
                end = await asyncio.shield(flight.end)
                if isinstance(end, Exception):
                    raise end
                return end
            if await asyncio.shield(flight.is_original):
                raise conflict(flight.tool_call_id)
            self._flight = self._enter()
        return None

    async def earlier(self) -> Ended | None:
        """Ask the ledger; None: this call is the key's original. It must then be made, and `land`.

        Raises:
            Exception: as `Keys.look`; whoever has joined gets the same.
        """
        try:
            ended = await asyncio.to_thread(self._keys.look, self._opened.client, self._asked)
        except Exception as error:
            self._end(error)
            raise
        if ended is None:
            self._flight.is_original.set_result(True)
        else:
            self._end(ended)
        return ended

    async def land(self, record: ToolCall | None, reply: ToolReply) -> None:
        """Keep how the original ended, then give it to all who joined.

        Args:
            record: the call as it is durable; None if nothing is.
            reply: what its client gets.
        """
        if record is None or record.answer is None:
            fault = reply.error
            why = ("the call could not be recorded", "", False)
            said = why if fault is None else (fault.message, fault.remedy, fault.retryable)
            self._end(NotRecordedError(said[0], remedy=said[1], retryable=said[2]))
            return
        answer = record.answer
        ended = Ended(
            tool_call_id=record.tool_call_id,
            answered_at=answer.at,
            outcome=answer.outcome,
            error_code=answer.error_code,
            reply=msgspec.structs.replace(reply, receipt=None),
        )
        if binds(record):
            await self._keys.store(record.opened, self._asked.key_sha256, ended)
        self._end(ended)

    def signed(self, end: Ended | Exception | None) -> ToolCallEntry:
        """Write the key into the call's first entry, if it is an original or repeats one.

        All others must not have it: what binds a key is an entry with it that repeats no other.
        """
        repeats = isinstance(end, Ended | AnswerLostError)
        return msgspec.structs.replace(self._opened, idempotency=self._asked if repeats or end is None else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_first:
            self._end(InternalError("the call that this one joined failed", remedy="Its receipt tells more."))

    def _enter(self) -> _Flight:
        place = (self._opened.client, self._asked.key_sha256)
        fresh = _Flight(self._opened.tool_call_id, self._asked.request_sha256)
        return self._keys.flights.setdefault(place, fresh)

    def _end(self, end: Ended | Exception) -> None:
        flight = self._flight
        if flight.end.done():
            return
        del self._keys.flights[self._opened.client, self._asked.key_sha256]
        flight.end.set_result(end)
        if not flight.is_original.done():
            flight.is_original.set_result(False)
