"""The feed: committed steps on their way to the listeners, in the log's order, on a thread of its own.

It never slows the writer. A listener that is slow lets the feed fall behind; past `steps_max` the feed
forgets what waits and reads it from the log again when its turn comes. So no listener misses an entry,
unless the log itself cannot be read: then `missed` says how many.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from service.core.record import Step
from service.core.shapes import Listener

STEPS_MAX = 50_000
_STEPS_PER_BATCH = 500
_REREADS_MAX = 5

_log = logging.getLogger(__name__)


class Feed:
    """Delivers steps to listeners.

    Args:
        listeners: called one after the other for each batch.
        reread: gives `count` steps from an index on, read from the log.
        next_index: index of the first step that will be offered.
        steps_max: how many steps may wait in memory.
        pause_s: how long to wait before reading again what could not be read.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        *,
        reread: Callable[[int, int], Sequence[Step]],
        next_index: int,
        steps_max: int = STEPS_MAX,
        pause_s: float = 0.5,
    ) -> None:
        self._listeners = tuple(listeners)
        self._reread = reread
        self._steps_max = steps_max
        self._pause_s = pause_s
        self._changed = threading.Condition()
        # Indexes: delivered ≤ those in delivery < those in `_waiting` < those forgotten < offered.
        self._waiting: deque[Step] = deque()
        self._offered = next_index  # one past the last step offered
        self._delivered = next_index  # one past the last step delivered
        self._forgotten = False  # whether steps after those in `_waiting` were not kept in memory
        self._closing = False
        self.failures = 0  # exceptions that listeners or rereads raised; written by the feed's thread only
        self.missed = 0  # steps that no listener got; written by the feed's thread only
        self._thread = threading.Thread(target=self._run, name="ledger-feed", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    @property
    def lag(self) -> int:
        """How many steps were offered and not yet delivered."""
        with self._changed:
            return self._offered - self._delivered

    def offer(self, steps: Sequence[Step]) -> None:
        """Take committed steps; never blocks for a listener."""
        with self._changed:
            self._offered += len(steps)
            self._forgotten = self._forgotten or len(self._waiting) + len(steps) > self._steps_max
            if not self._forgotten:
                self._waiting.extend(steps)
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Block until all that was offered before this call is delivered; False if time ran out."""
        with self._changed:
            goal = self._offered
            return self._changed.wait_for(lambda: self._delivered >= goal, timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Deliver what is left, then stop; False if time ran out first. It may be called at any time."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.ident is None:
            return self.lag == 0
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            count, steps = batch
            for listener in self._listeners if steps else ():
                try:
                    listener.take(steps)
                except Exception:  # noqa: BLE001 - a view must never harm the record
                    self.failures += 1
                    _log.exception("a listener failed", extra={"listener": type(listener).__name__})
            with self._changed:
                self._delivered += count
                self._changed.notify_all()

    def _next(self) -> tuple[int, tuple[Step, ...]] | None:
        """Take the next batch, from memory or else from the log, with the number of steps it stands for."""
        with self._changed:
            self._changed.wait_for(lambda: self._offered > self._delivered or self._closing)
            if self._offered == self._delivered:
                return None
            if self._waiting:
                count = min(_STEPS_PER_BATCH, len(self._waiting))
                return count, tuple(self._waiting.popleft() for _ in range(count))
            first, count = self._delivered, min(_STEPS_PER_BATCH, self._offered - self._delivered)
            self._forgotten = self._delivered + count < self._offered
        return count, self._read_again(first, count)

    def _read_again(self, first: int, count: int) -> tuple[Step, ...]:
        """Read steps from the log; none if it cannot be read after several tries."""
        for _ in range(_REREADS_MAX):
            try:
                steps = tuple(self._reread(first, count))
                if [step.entry.index for step in steps] == list(range(first, first + count)):
                    return steps
                _log.error("the log gave other steps than asked", extra={"first": first, "count": count})
            except Exception:  # noqa: BLE001 - whatever it was, the next try or the count answers it
                _log.exception("steps could not be read again", extra={"first": first, "count": count})
            self.failures += 1
            with self._changed:
                if self._changed.wait_for(lambda: self._closing, self._pause_s):
                    break
        self.missed += count
        return ()
