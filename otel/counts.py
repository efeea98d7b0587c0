"""Conservation: what the listeners saw, and the equations that must hold between it.

Counts are of this epoch, this one start of the service. What the start-up sweep closes belongs to earlier
epochs and is counted apart as `swept`.
"""

import msgspec

from otel.exporting import ExportCounts


class RecordCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What the steps said up to one index of the log.

    Attributes:
        index: of the last entry seen; -1 before the first.
        admitted, closed: tool calls of this epoch.
        open_calls: those of them that are open, counted one by one, not by subtraction.
        swept_calls: tool calls of earlier epochs that were closed in this one.
        intents, settled, refused, unsent, in_doubt: attempts of this epoch.
        open_attempts: those of them that are open, counted one by one.
        ended_in_open_calls: those of them that ended while their call is still open.
        swept_attempts: attempts of earlier epochs that ended in this one: in doubt, or never sent.
        counted_calls, counted_attempts: what the counters of closed tool calls and of ended attempts hold
            at this index, over all their series; floats, as the counters are.
        faults: steps that could not be counted, a fault of ours.
    """

    index: int = -1
    admitted: int = 0
    closed: int = 0
    open_calls: int = 0
    swept_calls: int = 0
    intents: int = 0
    settled: int = 0
    refused: int = 0
    unsent: int = 0
    in_doubt: int = 0
    open_attempts: int = 0
    ended_in_open_calls: int = 0
    swept_attempts: int = 0
    counted_calls: float = 0
    counted_attempts: float = 0
    faults: int = 0

    @property
    def ended(self) -> int:
        """Attempts of this epoch that ended."""
        return self.settled + self.refused + self.unsent + self.in_doubt


class SpanCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The spans that were made up to one index of the log, and what became of them.

    Attributes:
        index: of the last entry seen; -1 before the first.
        server, completion, attempt: spans of calls that were admitted in this epoch.
        swept_server: server spans of calls of earlier epochs.
        swept: all spans of calls of earlier epochs.
        faults: closed calls that could not be made into spans, a fault of ours.
        export: what became of all of them.
    """

    index: int = -1
    server: int = 0
    completion: int = 0
    attempt: int = 0
    swept_server: int = 0
    swept: int = 0
    faults: int = 0
    export: ExportCounts


def unbalanced(record: RecordCounts, spans: SpanCounts) -> tuple[str, ...]:
    """Name every equation that does not hold, with its numbers; nothing when all do.

    The two counts are compared with each other only when both saw the log up to the same index: between
    two listeners a step is always seen by one of them first.
    """
    equations: list[tuple[str, float, float]] = [
        ("admitted = closed + open", record.admitted, record.closed + record.open_calls),
        ("intents = ended + open", record.intents, record.ended + record.open_attempts),
        ("tool calls counted = closed + swept calls", record.counted_calls, record.closed + record.swept_calls),
        (
            "attempts counted = ended + swept attempts",
            record.counted_attempts,
            record.ended + record.swept_attempts,
        ),
        ("steps not counted = 0", record.faults, 0),
        ("calls without spans = 0", spans.faults, 0),
        (
            "spans made = spans ended",
            spans.server + spans.completion + spans.attempt + spans.swept,
            spans.export.ended,
        ),
        (
            "spans ended = exported + dropped + queued + off",
            spans.export.ended,
            spans.export.accounted,
        ),
    ]
    if record.index == spans.index:
        equations += [
            ("closed calls = server spans", record.closed, spans.server),
            ("swept calls = their server spans", record.swept_calls, spans.swept_server),
            ("ended attempts = their spans", record.ended, spans.attempt + record.ended_in_open_calls),
        ]
    return tuple(f"{text}: {left} ≠ {right}" for text, left, right in equations if left != right)
