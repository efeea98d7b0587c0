"""What was seen must add up, and what does not is named."""

import msgspec
import pytest

from otel.counts import RecordCounts, SpanCounts, unbalanced
from otel.exporting import ExportCounts, ExportState

RECORD = RecordCounts(
    index=30,
    admitted=4,
    closed=3,
    open_calls=1,
    swept_calls=1,
    intents=6,
    settled=2,
    refused=1,
    unsent=1,
    in_doubt=1,
    open_attempts=1,
    ended_in_open_calls=1,
    swept_attempts=1,
    counted_calls=4.0,
    counted_attempts=6.0,
)
SPANS = SpanCounts(
    index=30,
    server=3,
    completion=3,
    attempt=4,
    swept_server=1,
    swept=3,
    export=ExportCounts(state=ExportState.ON, ended=13, exported=6, queued=3, dropped_full=2, off=2),
)


def test_counts_that_add_up_say_nothing() -> None:
    """A service in the middle of its work, after a crash, is in balance."""
    assert unbalanced(RECORD, SPANS) == ()
    assert unbalanced(RecordCounts(), SpanCounts(export=ExportCounts(state=ExportState.OFF))) == ()


@pytest.mark.parametrize(
    ("changed", "broken"),
    [
        ({"admitted": 5}, ["admitted = closed + open: 5 ≠ 4"]),
        ({"open_attempts": 0}, ["intents = ended + open: 6 ≠ 5"]),
        ({"faults": 2}, ["steps not counted = 0: 2 ≠ 0"]),
        ({"closed": 2, "admitted": 3, "counted_calls": 3.0}, ["closed calls = server spans: 2 ≠ 3"]),
        ({"swept_calls": 0, "counted_calls": 3.0}, ["swept calls = their server spans: 0 ≠ 1"]),
        ({"counted_calls": 3.0}, ["tool calls counted = closed + swept calls: 3.0 ≠ 4"]),
        ({"counted_attempts": 7.0}, ["attempts counted = ended + swept attempts: 7.0 ≠ 6"]),
        ({"ended_in_open_calls": 0}, ["ended attempts = their spans: 5 ≠ 4"]),
    ],
)
def test_a_record_that_does_not_add_up_is_named(changed: dict[str, int], broken: list[str]) -> None:
    """Each equation is broken by itself, with both numbers."""
    assert unbalanced(msgspec.structs.replace(RECORD, **changed), SPANS) == tuple(broken)


@pytest.mark.parametrize(
    ("changed", "broken"),
    [
        ({"completion": 4}, ["spans made = spans ended: 14 ≠ 13"]),
        ({"faults": 1}, ["calls without spans = 0: 1 ≠ 0"]),
        ({"attempt": 3, "completion": 4}, ["ended attempts = their spans: 5 ≠ 4"]),
    ],
)
def test_spans_that_do_not_add_up_are_named(changed: dict[str, int], broken: list[str]) -> None:
    """A lost span is seen wherever it was lost."""
    assert unbalanced(RECORD, msgspec.structs.replace(SPANS, **changed)) == tuple(broken)


def test_a_lost_span_is_named() -> None:
    """The account of the way out is checked too."""
    export = msgspec.structs.replace(SPANS.export, exported=5)
    assert unbalanced(RECORD, msgspec.structs.replace(SPANS, export=export)) == (
        "spans ended = exported + dropped + queued + off: 13 ≠ 12",
    )


def test_listeners_at_different_places_are_not_compared() -> None:
    """Between two listeners a step is seen by one of them first: that is no fault."""
    behind = SpanCounts(index=29, export=ExportCounts(state=ExportState.ON))
    assert unbalanced(RECORD, behind) == ()
