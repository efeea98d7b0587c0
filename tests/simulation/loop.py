"""The loop: asyncio without a machine. Time is a number, nothing waits, and dice decide what comes when.

What asyncio promises is kept: callbacks run in the order in which they were called for, timers in the order of
their times. What it leaves open is rolled: how long work takes, so which timer or answer comes into its middle.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple, Unpack

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
_PAUSE_CHANCE = 0.08
_PAUSE_MEAN_S = 0.002
_THREAD_MEAN_S = 0.001


class DeadError(BaseException):
    """The process that the loop stands for is gone; no code of it may catch this."""


class StuckError(AssertionError):
    """Everybody waits and nothing will ever come."""


class EndlessError(AssertionError):
    """Far more turns than any schedule needs."""


class VirtualLoop(asyncio.BaseEventLoop):
    """A loop for one process of one simulation. It has no sockets, no threads and no clock.

    Args:
        dice: decide all that a real loop leaves to chance.
        begun_s: the loop's time at its begin.
        turns_max: callbacks after which it must have ended.

    Attributes:
        faults: what reached the loop's exception handler: a callback that raised, a failure that nobody looked at.
    """

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, dice: random.Random, *, begun_s: float = 0.0, turns_max: int = 200_000) -> None:
        super().__init__()
        self.faults: list[str] = []
        self._dice = dice
        self._now_s = begun_s
        self._heard_s = begun_s  # when the last word of another thread comes
        self._turns_left = turns_max
        self._dies_in: int | None = None
        self._is_dead = False
        self.set_exception_handler(self._note)

    @property
    def is_dead(self) -> bool:
        """Whether the process is gone."""
        return self._is_dead

    def time(self) -> float:
        """Say the time, in seconds."""
        return self._now_s

    def die(self) -> None:
        """Let the process end with the callback that runs now."""
        self._is_dead = True

    def die_in(self, turns: int) -> None:
        """Let the process end after so many callbacks."""
        self._dies_in = turns

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[Unpack[_Ts]], _T],
        *args: *_Ts,
    ) -> asyncio.Future[_T]:
        """Run blocking work between two callbacks, after a while; there is no thread."""
        del executor
        future: asyncio.Future[_T] = self.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:  # noqa: BLE001 - whoever awaits it gets it
                future.set_exception(error)

        self.call_later(self._dice.expovariate(1 / _THREAD_MEAN_S), work)
        return future

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Take what another thread says: later, and in the order in which it was said."""
        self._heard_s = max(self._heard_s, self._now_s) + self._dice.expovariate(1 / _THREAD_MEAN_S)
        return self.call_at(self._heard_s, callback, *args, context=context)

    def bury(self) -> None:
        """Free what a dead process held. Its code runs no further than the `finally` it stands in."""
        self._is_dead = True
        self.set_exception_handler(lambda _loop, _context: None)
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined] # not in the stubs
            coroutine = task.get_coro()
            if coroutine is not None:
                with suppress(Exception):  # its `finally` may miss what is gone already
                    coroutine.close()
        self.close()

    def _run_once(self) -> None:
        """Run one callback; BaseEventLoop calls this until it is stopped."""
        self._count()
        self._pass_time()
        handle = self._ready.popleft()
        if not handle.cancelled():
            handle._run()

    def _count(self) -> None:
        self._turns_left -= 1
        if self._turns_left < 0:
            raise EndlessError("the schedule does not end")
        if self._dies_in is not None:
            self._dies_in -= 1
            self._is_dead = self._is_dead or self._dies_in < 0
        if self._is_dead:
            raise DeadError

    def _pass_time(self) -> None:
        """Let work take time now and then; where there is none, go on to the next timer."""
        while self._scheduled and self._scheduled[0].cancelled():
            heapq.heappop(self._scheduled)._scheduled = False  # type: ignore[attr-defined] # not in the stubs
        if self._ready:
            if self._dice.random() < _PAUSE_CHANCE:
                self._now_s += self._dice.expovariate(1 / _PAUSE_MEAN_S)
        elif self._scheduled:
            self._now_s = max(self._now_s, self._scheduled[0].when())
        else:
            raise StuckError("everybody waits and nothing will ever come")
        while self._scheduled and self._scheduled[0].when() <= self._now_s:
            timer = heapq.heappop(self._scheduled)
            timer._scheduled = False  # type: ignore[attr-defined] # as above
            self._ready.append(timer)

    def _timer_handle_cancelled(self, _handle: asyncio.TimerHandle) -> None:
        """Count nothing: cancelled timers go when their time comes."""

    def _write_to_self(self) -> None:
        """Wake nobody: there is one thread."""

    def _note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.faults.append(f"{context['message']}: {context.get('exception')!r}")
