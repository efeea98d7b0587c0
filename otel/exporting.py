"""The way out for spans: a bounded queue, one thread, and an exact account of what became of each span.

At any time: ended = exported + dropped + queued + off. A dead or slow collector costs spans, never time:
`put` waits for nobody. (The SDK's own batch processor drops without a count, and its shutdown may block for
half a minute.)
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SPANS_MAX = 2048
BATCH_SPANS_MAX = 512
DELAY_S = 1.0

_log = logging.getLogger(__name__)


class ExportState(StrEnum):
    """What the way out is doing."""

    OFF = "off"
    ON = "on"
    FAILING = "failing"
    CLOSED = "closed"


class ExportCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of every span that ended.

    Attributes:
        exported: the collector took them.
        queued: waiting, or in the batch that is being sent.
        dropped_full: the queue had no room.
        dropped_failed: their batch did not reach the collector, or the collector rejected them.
        dropped_stopped: the service stopped before their turn.
        off: no collector is configured, so nobody waits for them; neither exported nor lost.
    """

    state: ExportState
    ended: int = 0
    exported: int = 0
    queued: int = 0
    dropped_full: int = 0
    dropped_failed: int = 0
    dropped_stopped: int = 0
    off: int = 0

    @property
    def dropped(self) -> int:
        """All that somebody may miss."""
        return self.dropped_full + self.dropped_failed + self.dropped_stopped

    @property
    def accounted(self) -> int:
        """All whose whereabouts are known; must be all that ended."""
        return self.exported + self.dropped + self.queued + self.off


class Sender(Protocol):
    """The way to one collector. What it raises costs the batch; while it blocks, spans wait and calls do not."""

    def send(self, spans: Sequence[Span], /) -> int:
        """Send a batch, more than once if need be; say how many of its spans the collector took.

        One thread calls it, with one batch at a time.
        """
        ...

    def shutdown(self) -> None:
        """End what `send` waits for, and take nothing more. It is called once, also while `send` runs."""
        ...


class ExportQueue:
    """Spans on their way to a collector. It owns its thread and its sender.

    Args:
        sender: sends one batch; None when there is no collector.
        spans_max: bound of the queue and the batch in flight together.
        batch_spans_max: bound of one batch.
        delay_s: how long a span may wait for others to share its batch.
    """

    def __init__(
        self,
        sender: Sender | None,
        *,
        spans_max: int = SPANS_MAX,
        batch_spans_max: int = BATCH_SPANS_MAX,
        delay_s: float = DELAY_S,
    ) -> None:
        self._sender = sender
        self._spans_max = spans_max
        self._batch_spans_max = batch_spans_max
        self._delay_s = delay_s
        self._changed = threading.Condition()  # guards everything below; never held while a batch is sent
        self._queue: deque[Span] = deque()
        self._in_flight = 0
        self._flushing = 0
        self._closing = False
        self._failing = False
        self._shut = sender is None
        self._ended = self._exported = self._off = 0
        self._dropped_full = self._dropped_failed = self._dropped_stopped = 0
        self._thread = threading.Thread(target=self._run, name="otel-export", daemon=True)
        if sender is not None:
            self._thread.start()

    @property
    def off(self) -> bool:
        """Whether no collector is configured: then spans need not be made, only counted with `skip`."""
        return self._sender is None

    def skip(self, spans: int) -> None:
        """Count spans that ended and that nobody waits for."""
        with self._changed:
            self._ended += spans
            self._off += spans

    def put(self, spans: Sequence[Span]) -> None:
        """Take the spans of one call: all of them or, when there is no room, none, for half a tree misleads."""
        if self.off:
            self.skip(len(spans))
            return
        with self._changed:
            self._ended += len(spans)
            if self._closing:
                self._dropped_stopped += len(spans)
            elif len(self._queue) + self._in_flight + len(spans) > self._spans_max:
                self._dropped_full += len(spans)
            else:
                self._queue.extend(spans)
                self._changed.notify_all()

    def counts(self) -> ExportCounts:
        """Say what became of all spans so far, as of one moment."""
        with self._changed:
            return ExportCounts(
                state=self._state(),
                ended=self._ended,
                exported=self._exported,
                queued=len(self._queue) + self._in_flight,
                dropped_full=self._dropped_full,
                dropped_failed=self._dropped_failed,
                dropped_stopped=self._dropped_stopped,
                off=self._off,
            )

    def flush(self, deadline_s: float) -> bool:
        """Send what is queued without waiting for more; say whether nothing was left within the deadline."""
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self._queue and not self._in_flight, deadline_s)
            finally:
                self._flushing -= 1

    def close(self, deadline_s: float) -> None:
        """Send what is queued, then stop; never later than the deadline.

        What has not left by then is dropped and counted. A batch still in flight stays `queued` until its
        sender returns: whether it arrived is not known, and is not guessed. Closing again is harmless.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._sender is None:
            return
        self._thread.join(deadline_s)
        if self._thread.is_alive():
            with self._changed:
                self._dropped_stopped += len(self._queue)
                self._queue.clear()
            # A sender's shutdown ends its waits between tries, but may itself block.
            threading.Thread(target=self._shut_down, name="otel-export-shutdown", daemon=True).start()

    def _state(self) -> ExportState:
        if self._sender is None:
            return ExportState.OFF
        if self._closing:
            return ExportState.CLOSED
        return ExportState.FAILING if self._failing else ExportState.ON

    def _run(self) -> None:
        while batch := self._next_batch():
            taken = self._sent(batch)
            with self._changed:
                self._in_flight = 0
                self._exported += taken
                self._dropped_failed += len(batch) - taken
                turned, self._failing = self._failing is bool(taken), not taken
                self._changed.notify_all()
            if turned:
                _log.warning("spans %s", "reach the collector again" if taken else "do not reach the collector")
        self._shut_down()

    def _next_batch(self) -> list[Span]:
        """Wait for the next batch; an empty one means the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            self._changed.wait_for(self._due, self._delay_s)
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._batch_spans_max))]
            self._in_flight = len(batch)
            return batch

    def _due(self) -> bool:
        return self._closing or self._flushing > 0 or len(self._queue) >= self._batch_spans_max

    def _sent(self, batch: list[Span]) -> int:
        if self._sender is None:
            return 0
        try:
            return self._sender.send(batch)
        except Exception:  # noqa: BLE001 - a sender must never end the thread; the batch counts as dropped
            _log.exception("the way of spans to the collector is broken")
            return 0

    def _shut_down(self) -> None:
        with self._changed:
            first, self._shut = not self._shut, True
        if first and self._sender is not None:
            try:
                self._sender.shutdown()
            except Exception:  # noqa: BLE001 - nothing is left to be saved, and the service stops all the same
                _log.exception("the way of spans to the collector did not shut down")
