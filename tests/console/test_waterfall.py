"""The waterfall: what took how long, as far as the entries say."""

from typing import TYPE_CHECKING

import msgspec

from console.waterfall import bars, drawn
from service.core.entries import OfCall
from service.core.evidence import Timing
from service.core.record import ToolCall, after

if TYPE_CHECKING:
    from tests.conftest import Made

WHOLE = Timing(connected_us=100, sent_us=150, headers_us=900, first_byte_us=950, ended_us=2000)


def at(entry: OfCall, us: int) -> OfCall:
    """Place an entry some microseconds after 16:21."""
    return msgspec.structs.replace(entry, at=f"2026-11-22T16:21:00.{us:06d}Z")


def record(*entries: OfCall) -> ToolCall:
    """Fold entries into a record."""
    call: ToolCall | None = None
    for entry in entries:
        call = after(call, entry, b"")
    assert call is not None
    return call


def told(call: ToolCall) -> list[tuple[str, int | None, int, int]]:
    """List the bars as (name, attempt, start, took)."""
    return [(bar.name, bar.attempt, bar.start_us, bar.took_us) for bar in bars(call)]


def test_a_settled_call_is_told_step_by_step(made: "Made") -> None:
    """Routing, every milestone of the exchange from the intent's own time on, and the answer follow each other."""
    call = record(
        at(made.tool_call(), 0),
        at(made.intent(), 300),
        at(made.settlement(timing=WHOLE), 3500),
        at(made.answer(), 3700),
    )
    assert [
        ("routing, bounding the cost", None, 0, 300),
        ("connecting", 1, 300, 100),
        ("sending the request", 1, 400, 50),
        ("waiting for the answer's head", 1, 450, 750),
        ("waiting for the body's first byte", 1, 1200, 50),
        ("reading the body", 1, 1250, 1050),
        ("making the answer", None, 3500, 200),
    ] == told(call)
    assert "settled" == bars(call)[-2].note


def test_a_retry_is_a_step_of_its_own(made: "Made") -> None:
    """The pause between two attempts is shown, and why the first one ended."""
    call = record(
        at(made.tool_call(), 0),
        at(made.intent(1), 0),
        at(made.refusal(1, timing=Timing(connected_us=100, sent_us=200, headers_us=800, ended_us=900)), 900),
        at(made.intent(2, retry_of=made.attempt_id(1)), 5900),
        at(made.unsent(2, timing=Timing(ended_us=400)), 6300),
        at(made.answer(), 6300),
    )
    found = bars(call)
    assert ("pause before trying again", None, 900, 5000) in told(call)
    assert ["refused: rate limited", "never left: connection refused"] == [bar.note for bar in found if bar.note]
    assert ("connecting", 2, 5900, 400) == told(call)[-1]


def test_when_the_end_was_written_moves_nothing(made: "Made") -> None:
    """An end that waited to be written neither shifts its attempt nor shortens a pause; none is below zero."""
    for written_us, next_us, pause in ((20_900, 25_900, [25_000]), (20_900, 850, [])):
        call = record(
            at(made.tool_call(), 0),
            at(made.intent(1), 0),
            at(
                made.refusal(1, timing=Timing(connected_us=100, sent_us=200, headers_us=800, ended_us=900)),
                written_us,
            ),
            at(made.intent(2, retry_of=made.attempt_id(1)), next_us),
        )
        found = told(call)
        assert ("connecting", 1, 0, 100) == found[0]
        assert pause == [took for name, _, _, took in found if "pause" in name]


def test_unknown_steps_are_absent(made: "Made") -> None:
    """Of an open attempt, of a crash, and of a clock set back, nothing is made up."""
    opened = at(made.tool_call(), 500)
    intent = at(made.intent(), 900)
    assert [("routing, bounding the cost", None, 0, 400)] == told(record(opened, intent))
    crashed = record(opened, intent, at(made.doubt(timing=None), 5000), at(made.answer(), 5000))
    assert [("routing, bounding the cost", None, 0, 400)] == told(crashed)
    back = record(opened, at(made.intent(), 400), at(made.settlement(timing=WHOLE), 450))
    assert [] == told(back)
    late = record(opened, intent, at(made.settlement(timing=WHOLE), 1000))
    assert ("connecting", 1, 400, 100) in told(late)
    assert [] == told(record(opened))


def test_a_call_without_a_provider_is_one_step(made: "Made") -> None:
    """Where nobody was asked there is one bar, as long as the call."""
    call = record(at(made.tool_call(), 0), at(made.answer(zero_reason="cached", duration_us=37), 40))
    assert [("answered without a provider", None, 0, 37)] == told(call)
    (only,) = drawn(bars(call))
    assert ("0.00%", "100.00%") == (only.x, only.width)


def test_bars_stand_on_one_line(made: "Made") -> None:
    """Places and widths are shares of the whole, as an SVG's attributes, and never leave it."""
    call = record(
        at(made.tool_call(), 0),
        at(made.intent(), 0),
        at(made.settlement(timing=Timing(first_byte_us=1000, ended_us=4000)), 4000),
        at(made.answer(), 4000),
    )
    assert [("0.00%", "25.00%"), ("25.00%", "75.00%")] == [(one.x, one.width) for one in drawn(bars(call))]
    assert () == drawn([])
