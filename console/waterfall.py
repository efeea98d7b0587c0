"""The waterfall of a call: where its time went, step by step, from its committed entries alone.

Inside an attempt the service's own steady clock counts; an attempt stands where its intent's own time says,
which is when the intent was handed over to be written. How long that writing took no entry tells, nor does the
time of an end entry, which may have waited for it. What is not told is left out: unknown is not zero.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec

from service.core.entries import DoubtEntry, RefusalEntry, SettlementEntry, UnsentEntry
from service.core.evidence import Timing
from service.core.record import Attempt, ToolCall
from service.core.times import NS_PER_US, utc_ns

_PARTS_OF_WHOLE = 10_000
_PARTS_OF_PERCENT = 100

# What is waited for until each milestone, and what an attempt was at when it ended before the next one.
_UNTIL = {
    "connected_us": "connecting",
    "sent_us": "sending the request",
    "headers_us": "waiting for the answer's head",
    "first_byte_us": "waiting for the body's first byte",
}
_AT_THE_END = {
    None: "connecting",
    "connected_us": "sending the request",
    "sent_us": "waiting for the answer",
    "headers_us": "waiting for the body",
    "first_byte_us": "reading the body",
}


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One step: what it was, when it began after the call was opened, and how long it took.

    Attributes:
        kind: `ours`, `provider` or `pause`: who was waited for.
        attempt: the number of the attempt that it belongs to; None for a step of the whole call.
    """

    name: str
    kind: str
    attempt: int | None
    start_us: int
    took_us: int
    note: str = ""


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A bar with its place on a line of 100 %, as texts for an SVG's attributes."""

    bar: Bar
    x: str
    width: str


def bars(call: ToolCall) -> tuple[Bar, ...]:
    """List a call's steps in order. An attempt that is open has not got further than its intent."""
    found: list[Bar] = []
    if not call.attempts:
        found += _without_attempt(call)
    else:
        found += _between("routing, bounding the cost", "ours", call, call.opened.at, call.attempts[0].intent.at)
        for before, attempt in zip((None, *call.attempts), call.attempts, strict=False):
            if before is not None:
                found += _pause(call, before, attempt)
            found += _of_attempt(call, attempt)
        last = call.attempts[-1].end
        if last is not None and call.answer is not None:
            found += _between("making the answer", "ours", call, last.at, call.answer.at)
    return tuple(found)


def drawn(steps: Iterable[Bar]) -> tuple[Drawn, ...]:
    """Place bars on one line that is as long as the call took."""
    listed = tuple(steps)
    whole_us = max((bar.start_us + bar.took_us for bar in listed), default=0) or 1
    return tuple(
        Drawn(bar=bar, x=_percent(bar.start_us, whole_us), width=_percent(bar.took_us, whole_us)) for bar in listed
    )


def _without_attempt(call: ToolCall) -> Iterator[Bar]:
    if call.answer is not None and call.answer.duration_us is not None:
        took_us = call.answer.duration_us
        yield Bar(name="answered without a provider", kind="ours", attempt=None, start_us=0, took_us=took_us)


def _between(name: str, kind: str, call: ToolCall, begun_at: str, ended_at: str) -> Iterator[Bar]:
    """Measure from entry to entry; where a clock was set back between them, how long is not known."""
    start_us, took_us = _us(call.opened.at, begun_at), _us(begun_at, ended_at)
    if start_us >= 0 and took_us > 0:
        yield Bar(name=name, kind=kind, attempt=None, start_us=start_us, took_us=took_us)


def _pause(call: ToolCall, before: Attempt, attempt: Attempt) -> Iterator[Bar]:
    """Measure from where an attempt's last bar ends to the next one's intent; those that overlap have no pause."""
    if before.end is None:
        return
    begun_at, begun_us = before.end.at, 0
    if before.end.timing is not None:
        begun_at, begun_us = before.intent.at, before.end.timing.ended_us
    start_us, took_us = _us(call.opened.at, begun_at) + begun_us, _us(begun_at, attempt.intent.at) - begun_us
    if start_us >= 0 and took_us > 0:
        again = attempt.intent.retry_of is not None
        name = "pause before trying again" if again else "between two requests"
        yield Bar(name=name, kind="pause", attempt=None, start_us=start_us, took_us=took_us)


def _of_attempt(call: ToolCall, attempt: Attempt) -> Iterator[Bar]:
    number, end = attempt.intent.number, attempt.end
    start_us = _us(call.opened.at, attempt.intent.at)
    timing = None if end is None else end.timing
    if end is None or timing is None or start_us < 0:
        return
    passed: list[tuple[str | None, int]] = [(None, 0)]
    passed += [(name, at_us) for name in _UNTIL if (at_us := getattr(timing, name)) is not None]
    for (_, begun_us), (name, at_us) in pairwise(passed):
        yield Bar(
            name=_UNTIL[str(name)],
            kind="provider",
            attempt=number,
            start_us=start_us + begun_us,
            took_us=max(0, at_us - begun_us),
        )
    yield _last(attempt, timing, passed[-1], start_us)


def _last(attempt: Attempt, timing: Timing, reached: tuple[str | None, int], start_us: int) -> Bar:
    name, at_us = reached
    return Bar(
        name=_AT_THE_END[name],
        kind="provider",
        attempt=attempt.intent.number,
        start_us=start_us + at_us,
        took_us=max(0, timing.ended_us - at_us),
        note=_ended(attempt),
    )


def _ended(attempt: Attempt) -> str:
    match attempt.end:
        case SettlementEntry():
            return "settled"
        case RefusalEntry(reason=reason):
            return f"refused: {reason.replace('_', ' ')}"
        case UnsentEntry(reason=reason):
            return f"never left: {reason.replace('_', ' ')}"
        case DoubtEntry(cause=cause):
            return f"in doubt: {cause.replace('_', ' ')}"
        case _:
            return ""


def _us(begun_at: str, ended_at: str) -> int:
    return (utc_ns(ended_at) - utc_ns(begun_at)) // NS_PER_US


def _percent(part_us: int, whole_us: int) -> str:
    parts = part_us * _PARTS_OF_WHOLE // whole_us
    return f"{parts // _PARTS_OF_PERCENT}.{parts % _PARTS_OF_PERCENT:02d}%"
