"""The listeners: committed steps become numbers and spans, in the log's order, on the listeners' thread.

A step that cannot be told is logged and counted; it never costs the steps after it.
"""

import logging
import threading
from collections.abc import Sequence

import msgspec

from otel.counts import RecordCounts, SpanCounts
from otel.exporting import ExportQueue
from otel.metrics import Metrics
from otel.spans import Shape, counted, shape, spans
from service.core.entries import (
    AnswerEntry,
    DoubtEntry,
    End,
    IntentEntry,
    RefusalEntry,
    ResolutionEntry,
    SettlementEntry,
    ToolCallEntry,
    UnsentEntry,
)
from service.core.record import Step, ToolCall

_log = logging.getLogger(__name__)


class MetricsListener:
    """Counts what is committed, for graphs and for the check of conservation."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        # Held while a step moves counts and counters: no reader in another thread sees them one step apart.
        self._lock = threading.Lock()
        self._counts = RecordCounts()
        self._open: dict[str, _OpenCall] = {}

    def take(self, steps: Sequence[Step]) -> None:
        """Count the next steps."""
        for step in steps:
            try:
                with self._lock:
                    self._take(step)
            except Exception:  # noqa: BLE001 - one step that cannot be told must not cost those after it
                _log.exception("an entry was not counted", extra={"index": step.entry.index})
                with self._lock:
                    self._add(faults=1)

    def counts(self) -> RecordCounts:
        """Say what was seen and what the counters hold, as of one step."""
        with self._lock:
            calls, attempts = self._metrics.counted()
            return msgspec.structs.replace(
                self._counts,
                open_calls=len(self._open),
                open_attempts=sum(len(call.open_attempts) for call in self._open.values()),
                ended_in_open_calls=sum(call.ended for call in self._open.values()),
                counted_calls=calls,
                counted_attempts=attempts,
            )

    def in_doubt(self) -> tuple[int, int, int]:
        """Give an index, and how many real and how many simulated attempts are in doubt as of that entry."""
        with self._lock:
            real, simulated = self._metrics.in_doubt()
            return self._counts.index, int(real), int(simulated)

    def _take(self, step: Step) -> None:
        entry, call = step.entry, step.call
        self._counts = msgspec.structs.replace(self._counts, index=entry.index)
        self._metrics.written(entry)
        if call is None:
            return
        match entry:
            case ToolCallEntry():
                self._open[call.tool_call_id] = _OpenCall()
                self._add(admitted=1)
                self._metrics.admitted(len(self._open))
            case IntentEntry():
                self._open[call.tool_call_id].open_attempts.add(entry.attempt_id)
                self._add(intents=1)
                self._metrics.intended(call.attempt(entry.attempt_id))
            case SettlementEntry() | RefusalEntry() | UnsentEntry() | DoubtEntry():
                self._ended(call, entry)
            case AnswerEntry():
                self._closed(call, entry)
            case ResolutionEntry():
                self._metrics.resolved(call, call.attempt(entry.attempt_id), entry)
            case _:
                return

    def _ended(self, call: ToolCall, end: End) -> None:
        attempt = call.attempt(end.attempt_id)
        if attempt.intent.epoch == end.epoch:
            seen = self._open[call.tool_call_id]
            seen.open_attempts.remove(end.attempt_id)
            seen.ended += 1
            self._add(**{attempt.outcome.value: 1})
        else:
            self._add(swept_attempts=1)
        self._metrics.ended(call, attempt)

    def _closed(self, call: ToolCall, answer: AnswerEntry) -> None:
        if call.opened.epoch == answer.epoch:
            del self._open[call.tool_call_id]
            self._add(closed=1)
        else:
            self._add(swept_calls=1)
        self._metrics.closed(call, len(self._open))

    def _add(self, **more: int) -> None:
        grown = {name: getattr(self._counts, name) + count for name, count in more.items()}
        self._counts = msgspec.structs.replace(self._counts, **grown)


class SpanListener:
    """Makes the spans of each call when it is closed, and hands them to the way out; none while that is off."""

    def __init__(self, queue: ExportQueue) -> None:
        self._queue = queue
        self._lock = threading.Lock()  # held while spans are put, so that no reader sees them put and not counted
        self._counts = SpanCounts(export=queue.counts())

    def take(self, steps: Sequence[Step]) -> None:
        """Make spans of the calls that these steps close."""
        for step in steps:
            with self._lock:
                self._counts = msgspec.structs.replace(self._counts, index=step.entry.index)
                if isinstance(step.entry, AnswerEntry) and step.call is not None:
                    self._close(step.call, step.entry)

    def counts(self) -> SpanCounts:
        """Say what was made and what became of it, as of one step."""
        with self._lock:
            return msgspec.structs.replace(self._counts, export=self._queue.counts())

    def _close(self, call: ToolCall, answer: AnswerEntry) -> None:
        counts = self._counts
        try:
            found = self._told(call)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("a tool call has no spans", extra={"tool_call_id": call.tool_call_id})
            self._counts = msgspec.structs.replace(counts, faults=counts.faults + 1)
            return
        if call.opened.epoch != answer.epoch:
            grown = {"swept_server": counts.swept_server + found.server, "swept": counts.swept + sum(found)}
        else:
            grown = {
                "server": counts.server + found.server,
                "completion": counts.completion + found.completion,
                "attempt": counts.attempt + found.attempt,
            }
        self._counts = msgspec.structs.replace(counts, **grown)

    def _told(self, call: ToolCall) -> Shape:
        """Send a call's spans, if anybody waits for them; say how many there are."""
        if self._queue.off:
            found = shape(call)
            self._queue.skip(sum(found))
            return found
        made = spans(call)
        found = counted(made)
        self._queue.put(made)
        return found


class _OpenCall:
    """An open call's attempts: those that are open by id, those that ended by number."""

    def __init__(self) -> None:
        self.open_attempts: set[str] = set()
        self.ended = 0
