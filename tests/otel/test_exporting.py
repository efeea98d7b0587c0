"""Every span that ended is accounted for, and nobody waits for a collector."""

import logging
import threading
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel.exporting import ExportCounts, ExportQueue, ExportState

if TYPE_CHECKING:
    from tests.otel.conftest import Sender

WAIT_S = 20.0
NEVER_S = 3600.0


def some(count: int) -> list[Span]:
    """Make spans without content."""
    return [Span(name=f"span {number}") for number in range(count)]


def test_spans_arrive_in_order_and_bounded_batches(sender: "Sender") -> None:
    """A long queue leaves in batches of at most the bound, first in first out."""
    queue = ExportQueue(sender, batch_spans_max=4, delay_s=NEVER_S)
    spans = some(10)
    for span in spans:
        queue.put([span])
    queue.close(WAIT_S)
    assert [span for batch in sender.batches for span in batch] == spans
    assert max(map(len, sender.batches)) <= 4
    assert queue.counts() == ExportCounts(state=ExportState.CLOSED, ended=10, exported=10)


def test_a_full_batch_does_not_wait(sender: "Sender") -> None:
    """As many spans as a batch holds leave at once."""
    queue = ExportQueue(sender, batch_spans_max=3, delay_s=NEVER_S)
    queue.put(some(3))
    assert sender.entered.acquire(timeout=WAIT_S)
    queue.close(WAIT_S)


def test_a_lone_span_leaves_after_the_delay(sender: "Sender") -> None:
    """What finds no company is sent all the same."""
    queue = ExportQueue(sender, delay_s=0.01)
    queue.put(some(1))
    assert sender.entered.acquire(timeout=WAIT_S)
    queue.close(WAIT_S)


def test_a_flush_waits_until_nothing_is_left(sender: "Sender") -> None:
    """After a flush every span has its fate, however long the delay."""
    queue = ExportQueue(sender, batch_spans_max=4, delay_s=NEVER_S)
    queue.put(some(6))
    assert queue.flush(WAIT_S)
    assert queue.counts() == ExportCounts(state=ExportState.ON, ended=6, exported=6)
    queue.close(WAIT_S)


def test_after_a_flush_spans_wait_for_company_again(sender: "Sender") -> None:
    """A flush hurries what it found, and nothing after it."""
    queue = ExportQueue(sender, batch_spans_max=3, delay_s=NEVER_S)
    queue.put(some(1))
    assert queue.flush(WAIT_S)
    queue.put(some(1))
    queue.put(some(2))
    queue.close(WAIT_S)
    assert [len(batch) for batch in sender.batches] == [1, 3]


def test_a_flush_keeps_its_deadline(blocking: "Sender") -> None:
    """A blocked collector is not waited for longer than asked."""
    queue = ExportQueue(blocking)
    queue.put(some(1))
    assert not queue.flush(0.01)
    blocking.let_go.set()
    queue.close(WAIT_S)


def test_a_failed_batch_is_dropped_and_counted(sender: "Sender", caplog: pytest.LogCaptureFixture) -> None:
    """The collector's refusal is counted; the state says so, and one line each way is logged."""
    caplog.set_level(logging.WARNING)
    sender.lost = 2
    queue = ExportQueue(sender)
    for _ in range(2):
        queue.put(some(2))
        assert queue.flush(WAIT_S)
    assert queue.counts() == ExportCounts(state=ExportState.FAILING, ended=4, dropped_failed=4)
    sender.lost = 0
    queue.put(some(1))
    assert queue.flush(WAIT_S)
    assert queue.counts() == ExportCounts(state=ExportState.ON, ended=5, exported=1, dropped_failed=4)
    queue.close(WAIT_S)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["spans do not reach the collector", "spans reach the collector again"]


def test_spans_that_the_collector_rejects_are_dropped(sender: "Sender") -> None:
    """Of a batch that was taken in part, both parts are counted, and the collector is no failure."""
    sender.lost = 1
    queue = ExportQueue(sender)
    queue.put(some(3))
    assert queue.flush(WAIT_S)
    assert queue.counts() == ExportCounts(state=ExportState.ON, ended=3, exported=2, dropped_failed=1)
    queue.close(WAIT_S)


def test_a_sender_that_raises_costs_one_batch(sender: "Sender") -> None:
    """The thread survives whatever a sender throws."""
    sender.error = RuntimeError("broken")
    queue = ExportQueue(sender)
    queue.put(some(2))
    assert queue.flush(WAIT_S)
    sender.error = None
    queue.put(some(3))
    queue.close(WAIT_S)
    assert queue.counts() == ExportCounts(state=ExportState.CLOSED, ended=5, exported=3, dropped_failed=2)


def test_a_full_queue_drops_whole_trees(blocking: "Sender") -> None:
    """The bound holds for what waits and what is in flight; a call's spans stay together or go together."""
    queue = ExportQueue(blocking, spans_max=5, batch_spans_max=2)
    queue.put(some(2))
    assert blocking.entered.acquire(timeout=WAIT_S)
    queue.put(some(2))
    queue.put(some(2))
    assert queue.counts() == ExportCounts(state=ExportState.ON, ended=6, queued=4, dropped_full=2)
    queue.put(some(1))
    assert queue.counts() == ExportCounts(state=ExportState.ON, ended=7, queued=5, dropped_full=2)
    blocking.let_go.set()
    queue.close(WAIT_S)
    assert queue.counts() == ExportCounts(state=ExportState.CLOSED, ended=7, exported=5, dropped_full=2)


def test_closing_keeps_its_deadline(blocking: "Sender") -> None:
    """What has not left by the deadline is dropped; what is in flight is not guessed, and counted when known."""
    queue = ExportQueue(blocking, batch_spans_max=2)
    queue.put(some(2))
    assert blocking.entered.acquire(timeout=WAIT_S)
    queue.put(some(3))
    queue.close(0.01)
    assert queue.counts() == ExportCounts(state=ExportState.CLOSED, ended=5, queued=2, dropped_stopped=3)
    assert blocking.shut_down.wait(WAIT_S), "the sender is told to stop even while it blocks"
    blocking.let_go.set()
    queue.close(WAIT_S)
    assert queue.counts() == ExportCounts(state=ExportState.CLOSED, ended=5, exported=2, dropped_stopped=3)
    assert blocking.shutdowns == 1


def test_what_ends_after_closing_is_dropped(sender: "Sender") -> None:
    """A closed way out takes nothing, shuts its sender down once, and may be closed again."""
    queue = ExportQueue(sender)
    queue.close(WAIT_S)
    queue.put(some(2))
    queue.close(WAIT_S)
    assert sender.shutdowns == 1
    assert queue.counts() == ExportCounts(state=ExportState.CLOSED, ended=2, dropped_stopped=2)


def test_without_a_collector_nothing_is_claimed() -> None:
    """Spans that nobody waits for are neither exported nor dropped, and there is no thread."""
    before = threading.active_count()
    queue = ExportQueue(None)
    assert queue.off
    queue.skip(4)
    queue.put(some(3))
    assert queue.flush(WAIT_S)
    assert threading.active_count() == before
    queue.close(WAIT_S)
    assert queue.counts() == ExportCounts(state=ExportState.OFF, ended=7, off=7)


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_the_account_balances_under_load(lost: int, sender: "Sender") -> None:
    """With several threads putting into a short queue, every reading balances to the last span."""
    sender.lost = lost
    queue = ExportQueue(sender, spans_max=8, batch_spans_max=3, delay_s=0)
    readings: list[ExportCounts] = []

    def put() -> None:
        for number in range(200):
            queue.put(some(number % 4))
            readings.append(queue.counts())

    threads = [threading.Thread(target=put) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    queue.close(WAIT_S)
    last = queue.counts()
    assert all(reading.ended == reading.accounted for reading in [*readings, last])
    assert all(reading.queued <= 8 for reading in readings)
    assert (3 * 300, 0) == (last.ended, last.queued)
