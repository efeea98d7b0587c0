"""The pump: one connection and its conversation, from the first frame to the last, and no task after that.

It decides nothing about messages (the conversation does) and runs no tool (`Calls` does). It moves frames,
holds the deadlines, and answers every call exactly once while the connection lives. A connection that
breaks does not end its calls: they run on and are recorded; only their answers have nowhere to go.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import msgspec

from service.errors import ExaiError, UnauthorizedError
from service.mcp.events import (
    BINARY_REFUSED,
    OPENING_TOO_LATE,
    OVERSIZE_REFUSED,
    CallTool,
    CancelCall,
    Close,
    Conversation,
    Event,
    Events,
    Hello,
    Rejected,
    RejectReason,
    RequestId,
    Send,
    ToolReply,
)
from service.mcp.predecessor import Predecessor
from service.serving.auth import Caller
from service.serving.limits import FrameRate
from service.serving.outbox import Outbox
from service.serving.ports import (
    ADMISSION,
    FRAME_RATE,
    LAPSED,
    REJECTIONS,
    SLOW_READER,
    Duplex,
    Mark,
    Parts,
    RunningCall,
)

_log = logging.getLogger(__name__)

_NORMAL = 1000
_GOING_AWAY = 1001
_POLICY = 1008
_INTERNAL = 1011
_TRY_LATER = 1013


class _Ending(msgspec.Struct, frozen=True):
    code: int
    reason: str
    flush: bool = False
    """Whether what waits in the outbox is still sent."""


class _InFlight(msgspec.Struct):
    """One call in flight, with the text that waits to be streamed."""

    request_id: RequestId
    running: RunningCall | None = None
    step: int = 0
    texts: list[str] = msgspec.field(default_factory=list)
    chars: int = 0
    is_queued: bool = False


class Pump:
    """One connection at work; `run` is its whole life."""

    def __init__(self, parts: Parts, duplex: Duplex, *, transport: str, caller: Caller | None) -> None:
        """Prepare it inside the running event loop.

        Args:
            parts: what all pumps share.
            duplex: the connection; the pump closes it.
            transport: its kind, for the record.
            caller: who was recognised at the handshake; None leaves it to the predecessor's hello.
        """
        terms = parts.terms
        self.session = parts.new_id()
        self._parts = parts
        self._duplex = duplex
        self._transport = transport
        self._caller = caller
        self._conversation: Conversation | None = None
        self._in_flight: dict[RequestId, _InFlight] = {}
        self._outbox = Outbox(frames_max=terms.queue_frames_max, bytes_max=terms.queue_bytes_max)
        self._rate = FrameRate(per_s=terms.frames_per_s, burst=terms.frames_burst)
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[_Ending] = self._loop.create_future()
        self._sending_since: float | None = None  # loop time; None while nothing is being sent
        self._stall: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve the connection until it ends; leaves no task behind."""
        tasks = [asyncio.create_task(self._watch(part)) for part in (self._write(), self._read(), self._beat())]
        ending = _Ending(_GOING_AWAY, "the service is stopping")
        try:
            ending = await self._ended
            self._outbox.finish()
            if ending.flush:
                await asyncio.wait(tasks[:1], timeout=self._parts.terms.close_s)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._duplex.close(ending.code, ending.reason)

    @property
    def client(self) -> str | None:
        """Name who is served; None until somebody was recognised."""
        return None if self._caller is None else self._caller.name

    def look(self) -> None:
        """Close if the caller's token was revoked or has expired. Calls in flight run on."""
        lapse = None if self._caller is None else self._parts.tokens.lapse(self._caller)
        if lapse is not None:
            self._drop(LAPSED, _Ending(_POLICY, lapse, flush=True))

    def goodbye(self) -> None:
        """Send what waits, then close: the service is stopping. Calls in flight run on."""
        self._end(_Ending(_GOING_AWAY, "the service is stopping", flush=True))

    async def _watch(self, part: Coroutine[Any, Any, None]) -> None:
        try:
            await part
        except ConnectionError:
            self._end(_Ending(_NORMAL, ""))
        except Exception:  # noqa: BLE001 - whatever breaks, the connection must end and its tasks with it
            _log.exception("a connection is closed for a fault of ours")
            self._end(_Ending(_INTERNAL, "a fault of the service; its log tells more"))

    def _end(self, ending: _Ending) -> None:
        if not self._ended.done():
            self._ended.set_result(ending)

    def _drop(self, cause: str, ending: _Ending) -> None:
        if not self._ended.done():
            self._parts.count_rejection(cause)
            self._parts.quiet.warn(f"a connection is closed: {cause}")
            self._end(ending)

    # Reading: frames in, events obeyed.

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(self._parts.terms.opening_s) as opening:
                while (frame := await self._duplex.receive()) is not None:
                    self._take(frame)
                    if self._ended.done():
                        return
                    if self._conversation is not None and self._conversation.is_open:
                        opening.reschedule(None)
                    if self._outbox.is_half_full:
                        # Frames that came in one piece are received without a pause: only a reader that
                        # is slow, not one that is quick, may fill the outbox.
                        await asyncio.sleep(0)
                self._end(_Ending(_NORMAL, ""))
        except TimeoutError:
            self._obey_all(OPENING_TOO_LATE)

    def _take(self, frame: bytes | Mark) -> None:
        if not self._rate.take():
            self._drop(FRAME_RATE, _Ending(_POLICY, "too many frames per second: send fewer"))
        elif frame is Mark.BINARY:
            self._obey_all(BINARY_REFUSED)
        elif frame is Mark.OVERSIZE:
            self._obey_all(OVERSIZE_REFUSED)
        elif isinstance(frame, bytes):
            self._obey_all(self._hear(frame))

    def _hear(self, frame: bytes) -> Events:
        if self._conversation is not None:
            return self._conversation.receive(frame)
        self._conversation, events = self._parts.open_conversation(frame)
        if self._caller is None and not isinstance(self._conversation, Predecessor):
            remedy = "connect with the header Authorization: Bearer, or say hello with the token"
            return (Rejected(RejectReason.UNAUTHORIZED), Close(_POLICY, remedy))
        return events

    def _obey_all(self, events: Events) -> None:
        for event in events:
            if self._ended.done():
                return
            self._obey(event)

    def _obey(self, event: Event) -> None:
        match event:
            case Send(frame):
                self._send(frame)
            case CallTool():
                self._begin(event)
            case CancelCall(request_id):
                call = self._in_flight.get(request_id)
                if call is not None and call.running is not None:
                    call.running.cancel()
            case Hello():
                self._greet(event)
            case Rejected(reason):
                self._parts.count_rejection(reason.value)
            case Close(code, reason):
                self._end(_Ending(code, reason, flush=True))

    def _greet(self, hello: Hello) -> None:
        conversation = self._conversation
        if not isinstance(conversation, Predecessor):
            return
        try:
            if self._caller is None or hello.token:
                self._caller = self._parts.tokens.caller(hello.token)
        except UnauthorizedError as error:
            self._obey_all(conversation.refuse(remedy=error.remedy))
        else:
            self._obey_all(conversation.welcome(self.session))

    # Calls: begun, heard, answered once.

    def _begin(self, event: CallTool) -> None:
        conversation, caller = self._conversation, self._caller
        if conversation is None or caller is None:
            return
        self.look()
        if self._ended.done():
            return
        call = _InFlight(event.request_id)
        try:
            call.running = self._parts.calls.begin(
                event,
                caller=caller,
                session=self.session,
                transport=self._transport,
                protocol=conversation.protocol,
                on_text=partial(self._hear_text, call) if event.wants_text else None,
            )
        except ExaiError as error:
            self._parts.count_rejection(error.code if error.code in REJECTIONS else ADMISSION)
            self._answer(event.request_id, self._parts.refusal(error))
            return
        self._in_flight[event.request_id] = call
        call.running.done.add_done_callback(partial(self._finish, call))
        self._send(conversation.accepted(event.request_id))

    def _finish(self, call: _InFlight, done: asyncio.Future[ToolReply]) -> None:
        if self._ended.done():
            return
        if call.texts:
            self._send(self._progress(call))
        del self._in_flight[call.request_id]
        self._answer(call.request_id, done.result())

    def _answer(self, request_id: RequestId, reply: ToolReply) -> None:
        if self._conversation is not None:
            self._send(self._conversation.answer(request_id, reply))

    def _hear_text(self, call: _InFlight, text: str) -> None:
        if self._ended.done():
            return
        call.texts.append(text)
        call.chars += len(text)
        if call.chars > self._parts.terms.text_chars_max:
            self._drop_slow_reader()
        else:
            self._queue_progress(call)

    def _queue_progress(self, call: _InFlight) -> None:
        # One place in the outbox for each call: what is said while it waits becomes one frame.
        if not call.is_queued:
            call.is_queued = True
            self._send(partial(self._progress, call))

    def _progress(self, call: _InFlight) -> bytes | None:
        call.is_queued = False
        # The id may name another call by now.
        if self._conversation is None or self._in_flight.get(call.request_id) is not call:
            return None
        text = "".join(call.texts)
        call.texts.clear()
        call.chars = 0
        call.step += 1
        return self._conversation.progress(call.request_id, call.step, text)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._parts.terms.heartbeat_s)
            self.look()
            for call in self._in_flight.values():
                self._queue_progress(call)

    # Writing: one task, one frame at a time.

    def _send(self, item: bytes | Callable[[], bytes | None] | None) -> None:
        if item is not None and not self._outbox.put(item):
            self._drop_slow_reader()

    def _drop_slow_reader(self) -> None:
        self._drop(SLOW_READER, _Ending(_TRY_LATER, "frames wait and are not read: read faster, then come back"))

    async def _write(self) -> None:
        try:
            while (frame := await self._outbox.take()) is not None:
                self._sending_since = self._loop.time()
                if self._stall is None:
                    self._stall = self._loop.call_later(self._parts.terms.write_stall_s, self._look_for_stall)
                await self._duplex.send(frame)
                self._sending_since = None
        finally:
            if self._stall is not None:
                self._stall.cancel()

    def _look_for_stall(self) -> None:
        """Drop a reader that lets one frame wait for too long. One timer serves many frames."""
        self._stall = None
        if self._sending_since is None:
            return
        ends_at = self._sending_since + self._parts.terms.write_stall_s
        if self._loop.time() >= ends_at:
            self._drop_slow_reader()
        else:
            self._stall = self._loop.call_at(ends_at, self._look_for_stall)
