"""Committed steps become numbers and spans, and the two agree."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from otel.counts import RecordCounts, SpanCounts, unbalanced
from otel.exporting import ExportCounts, ExportQueue, ExportState
from otel.listening import MetricsListener, SpanListener
from otel.metrics import Labels, Metrics
from service.core.entries import AnyEntry, SystemEntry
from service.core.record import Step
from service.core.shapes import Listener
from service.core.words import DoubtCause, ToolOutcome, ZeroReason

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.otel.conftest import Log, Sender

WAIT_S = 20.0


class Views:
    """Both listeners, as the service attaches them."""

    def __init__(self, sender: "Sender | None") -> None:
        self.queue = ExportQueue(sender)
        labels = Labels(
            tools=("chat",), models=(("kimi", "kimi-k3"),), currencies=("USD",), rejections=(), simulated=False
        )
        self.metrics = Metrics(labels, version="1", in_doubt=(), export=self.queue.counts)
        self.numbers = MetricsListener(self.metrics)
        self.spans = SpanListener(self.queue)
        self.listeners: tuple[Listener, ...] = (self.numbers, self.spans)

    def take(self, steps: list[Step]) -> None:
        """Give both the next steps, as the ledger does."""
        for listener in self.listeners:
            listener.take(steps)

    def broken(self) -> tuple[str, ...]:
        """Name what does not add up."""
        return unbalanced(self.numbers.counts(), self.spans.counts())

    def total(self, name: str) -> float:
        """Sum a metric over its labels."""
        families = text_string_to_metric_families(self.metrics.render(None)[0].decode())
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)


@pytest.fixture
def views(sender: "Sender") -> Iterator[Views]:
    """Both listeners and their way out."""
    listening = Views(sender)
    yield listening
    listening.queue.close(WAIT_S)


def named(entry: AnyEntry, call: int) -> AnyEntry:
    """Move an entry into another call, its attempts with it."""
    changes = {"tool_call_id": f"{call:032x}"}
    for name in ("attempt_id", "retry_of"):
        if (attempt := getattr(entry, name, None)) is not None:
            changes[name] = f"{call:016x}{attempt[16:]}"
    moved: AnyEntry = msgspec.structs.replace(entry, **changes)
    return moved


def histories(made: "Made") -> list[list[AnyEntry]]:
    """List one call for each way a call may go."""
    retry = made.intent(2, retry_of=made.attempt_id(1))
    return [
        [made.tool_call(), made.intent(), made.accepted(), made.settlement(), made.answer()],
        [made.tool_call(), made.answer(outcome=ToolOutcome.REFUSED, zero_reason=ZeroReason.NO_WALLET)],
        [made.tool_call(), made.intent(), made.refusal(), retry, made.settlement(2), made.answer()],
        [
            made.tool_call(),
            made.intent(),
            made.unsent(),
            retry,
            made.unsent(2),
            made.answer(outcome=ToolOutcome.FAILED),
        ],
        [
            made.tool_call(),
            made.intent(),
            made.accepted(),
            made.doubt(),
            made.answer(outcome=ToolOutcome.CANCELLED),
        ],
        [made.tool_call(), made.intent(), made.settlement(), made.intent(2), made.doubt(2), made.answer()],
    ]


def test_every_step_of_every_history_is_in_balance(made: "Made", log: "Log", views: Views) -> None:
    """After each single entry of interleaved calls all equations hold; at the end all numbers agree."""
    views.take(log.add(SystemEntry(event="start", detail={})))
    queues = [[named(entry, number) for entry in history] for number, history in enumerate(histories(made), 1)]
    while any(queues):
        for queue in filter(None, queues):
            views.take(log.add(queue.pop(0)))
            assert views.broken() == ()
    assert views.queue.flush(WAIT_S)
    assert views.numbers.counts() == RecordCounts(
        index=log.index,
        admitted=6,
        closed=6,
        intents=8,
        settled=3,
        refused=1,
        unsent=2,
        in_doubt=2,
        counted_calls=6.0,
        counted_attempts=8.0,
    )
    spans = views.spans.counts()
    assert (6, 6, 8, 20, 20) == (
        spans.server,
        spans.completion,
        spans.attempt,
        spans.export.ended,
        spans.export.exported,
    )
    assert (6, 6, 8, 8, 3, 8, 2, log.index + 1) == tuple(
        map(
            views.total,
            (
                "exai_tool_calls_total",
                "exai_tool_call_duration_seconds_count",
                "exai_attempts_total",
                "exai_attempt_duration_seconds_count",
                "exai_first_byte_seconds_count",
                "exai_intents_total",
                "exai_attempts_in_doubt",
                "exai_ledger_entries_total",
            ),
        )
    )


def test_what_is_open_is_counted(made: "Made", log: "Log", views: Views) -> None:
    """Open calls and attempts are counted one by one, and nothing is sent before the end."""
    views.take(
        log.add(made.tool_call(), made.intent(1), made.refusal(1), made.intent(2, retry_of=made.attempt_id(1)))
    )
    assert views.numbers.counts() == RecordCounts(
        index=3,
        admitted=1,
        open_calls=1,
        intents=2,
        refused=1,
        open_attempts=1,
        ended_in_open_calls=1,
        counted_attempts=1.0,
    )
    assert (1.0, 0) == (views.total("exai_tool_calls_open"), views.spans.counts().export.ended)
    assert views.broken() == ()


def test_the_sweep_is_counted_apart(made: "Made", log: "Log", views: Views) -> None:
    """What a start closes of earlier starts is seen, and the equations of its own epoch still hold."""
    lost = [[named(entry, number) for entry in (made.tool_call(), made.intent())] for number in (1, 2)]
    log.add(*lost[0], *lost[1], named(made.settlement(), 2))
    log.epoch = 2
    doubt = made.doubt(cause=DoubtCause.CRASH, timing=None)
    swept = made.answer(outcome=ToolOutcome.FAILED, duration_us=None)
    views.take(log.add(SystemEntry(event="start", detail={}), named(doubt, 1), named(swept, 1), named(swept, 2)))
    assert views.numbers.counts() == RecordCounts(
        index=8, swept_calls=2, swept_attempts=1, counted_calls=2.0, counted_attempts=1.0
    )
    assert views.queue.flush(WAIT_S)
    spans = views.spans.counts()
    assert spans == SpanCounts(index=8, swept_server=2, swept=6, export=spans.export)
    assert (2.0, 1.0, 6) == (
        views.total("exai_tool_calls_total"),
        views.total("exai_attempts_in_doubt"),
        spans.export.exported,
    )
    assert views.broken() == ()


def test_while_export_is_off_spans_are_counted_and_not_made(
    made: "Made", log: "Log", views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a collector no message is built, and the counts are those of the spans that would have been."""
    off = Views(None)
    log.epoch = 2
    lost = [named(entry, 9) for entry in (made.tool_call(), made.intent(), made.unsent(), made.answer())]
    steps = [step for number, history in enumerate(histories(made), 1) for step in _steps(log, history, number)]
    swept = log.add(*lost)[-1]
    assert swept.call is not None
    opened = msgspec.structs.replace(swept.call.opened, epoch=1)
    steps.append(Step(swept.entry, msgspec.structs.replace(swept.call, opened=opened)))
    views.take(steps)
    assert views.queue.flush(WAIT_S)
    monkeypatch.setattr("otel.listening.spans", None)
    off.take(steps)
    on, without = views.spans.counts(), off.spans.counts()
    assert (6, 6, 8, 1, 3) == (on.server, on.completion, on.attempt, on.swept_server, on.swept)
    assert msgspec.structs.replace(on, export=without.export) == without
    assert ExportCounts(state=ExportState.OFF, ended=23, off=23) == without.export


def _steps(log: "Log", history: list[AnyEntry], number: int) -> list[Step]:
    return log.add(*(named(entry, number) for entry in history))


def test_only_a_closed_call_is_sent(made: "Made", log: "Log", sender: "Sender", views: Views) -> None:
    """Spans leave with the answer, all of a call together, in one batch."""
    views.take(log.add(made.tool_call(), made.intent(), made.settlement()))
    assert views.spans.counts().export.ended == 0
    views.take(log.add(made.answer()))
    assert views.queue.flush(WAIT_S)
    assert [[span.name for span in batch] for batch in sender.batches] == [
        ["tools/call chat", "chat kimi-k3", "POST"]
    ]


def test_a_counter_that_counts_twice_is_named(made: "Made", log: "Log", views: Views) -> None:
    """What `/metrics` says is one side of the balance: a counter that moves without a step is seen."""
    steps = log.add(made.tool_call(), made.intent(), made.settlement(), made.answer())
    views.take(steps)
    call = steps[-1].call
    assert call is not None
    views.metrics.ended(call, call.attempts[0])
    assert views.broken() == ("attempts counted = ended + swept attempts: 2.0 ≠ 1",)
    views.metrics.closed(call, 0)
    assert views.broken() == (
        "tool calls counted = closed + swept calls: 2.0 ≠ 1",
        "attempts counted = ended + swept attempts: 2.0 ≠ 1",
    )


def test_a_counter_that_stands_still_is_named(
    made: "Made", log: "Log", views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps that reach the counts and not the counters are seen, and each by the equation of its own counter."""
    monkeypatch.setattr(views.metrics, "ended", lambda _call, _attempt: None)
    views.take(log.add(made.tool_call(), made.intent(), made.settlement(), made.answer()))
    assert views.broken() == ("attempts counted = ended + swept attempts: 0.0 ≠ 1",)


def test_no_reader_sees_a_counter_one_step_apart(
    made: "Made", log: "Log", views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counters move and are read while the lock of the counts is held."""
    held: dict[str, bool] = {}

    def watched(name: str) -> Callable[..., object]:
        real = getattr(views.metrics, name)

        def watch(*given: object) -> object:
            held[name] = views.numbers._lock.locked()
            return real(*given)

        return watch

    for name in ("ended", "closed", "counted"):
        monkeypatch.setattr(views.metrics, name, watched(name))
    views.take(log.add(made.tool_call(), made.intent(), made.settlement(), made.answer()))
    assert views.broken() == ()
    assert held == {"ended": True, "closed": True, "counted": True}


def test_a_step_that_cannot_be_told_costs_no_other(
    made: "Made", log: "Log", views: Views, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken record is logged, counted and named by the check; the calls after it are seen."""
    steps = log.add(named(made.tool_call(trace_id="no hex"), 1))
    steps += log.add(named(made.answer(zero_reason=ZeroReason.NO_MODEL_STEP), 1))
    steps += log.add(named(made.tool_call(), 2), named(made.answer(zero_reason=ZeroReason.NO_MODEL_STEP), 2))
    views.take(steps)
    assert (2, 1, 1) == (
        views.numbers.counts().closed,
        views.spans.counts().server,
        views.spans.counts().faults,
    )
    assert views.broken() == ("calls without spans = 0: 1 ≠ 0", "closed calls = server spans: 2 ≠ 1")
    assert [("a tool call has no spans", f"{1:032x}")] == [
        (record.getMessage(), vars(record)["tool_call_id"]) for record in caplog.records
    ]


def test_a_call_whose_opening_was_never_seen_is_a_fault(
    made: "Made", log: "Log", views: Views, caplog: pytest.LogCaptureFixture
) -> None:
    """A listener that missed steps says so instead of being wrong in silence."""
    log.add(made.tool_call())
    views.take(log.add(made.intent(), made.settlement(), made.answer()))
    assert views.numbers.counts().faults == 3
    assert "steps not counted = 0: 3 ≠ 0" in views.broken()
    assert ("an entry was not counted", 1) == (caplog.records[0].getMessage(), vars(caplog.records[0])["index"])


def test_doubts_are_told_as_of_an_index(views: Views, log: "Log", made: "Made") -> None:
    """Who compares the count with the tables must know how far the metrics have come."""
    assert (-1, 0, 0) == views.numbers.in_doubt()
    views.take(log.add(made.tool_call(), made.intent(simulated=True), made.doubt()))
    assert (2, 0, 1) == views.numbers.in_doubt()
