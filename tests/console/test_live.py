"""The live hub: what it passes on, to whom, and what it does when it is too much."""

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from console.live import STEPS, Event, Heard, Live, NoRoomError, Reader, events
from service.core.entries import ENDS, AnswerEntry, IntentEntry, OfCall, SystemEntry, ToolCallEntry, encode
from service.core.merkle import leaf_hash
from service.core.record import Step, ToolCall, after
from service.core.words import ZeroReason

if TYPE_CHECKING:
    from tests.conftest import Made

WAIT_S = 20
AT = "2026-11-22T16:21:00.000000Z"


class Still:
    """A clock that stands, or fails if it is told to."""

    def __init__(self) -> None:
        self.fails = False

    def now_ns(self) -> int:
        """Say the time."""
        if self.fails:
            raise OSError("no clock")
        return 1_795_364_460_000_000_000

    def monotonic_ns(self) -> int:
        """Say the same."""
        return self.now_ns()


class Bell:
    """A loop as far as another thread may use it: it counts its calls."""

    def __init__(self) -> None:
        self.rung = 0

    def call_soon_threadsafe(self, deed: Callable[[], None]) -> None:
        """Count, and do it."""
        self.rung += 1
        deed()


def steps(*entries: OfCall, first: int = 0) -> list[Step]:
    """Fold one call's entries into steps, placed in the log from an index on."""
    call: ToolCall | None = None
    made = []
    for index, entry in enumerate(entries, first):
        placed = msgspec.structs.replace(entry, origin="o-1", epoch=1, index=index, at=AT)
        call = after(call, placed, leaf_hash(encode(placed)))
        made.append(Step(placed, call))
    return made


def whole(made: "Made", *, first: int = 0, client: str = "owner") -> list[Step]:
    """Give the steps of one settled call; five, of which four are told."""
    return steps(
        made.tool_call(client=client),
        made.intent(),
        made.accepted(),
        made.settlement(),
        made.answer(),
        first=first,
    )


def bodies(heard: Heard) -> list[dict[str, Any]]:
    """Read what a reader was given."""
    return [json.loads(event.body) for event in heard.events]


def words(told: list[Event]) -> list[tuple[int, str]]:
    """Name each event's index and step."""
    return [(event.index, json.loads(event.body)["step"]) for event in told]


@pytest.fixture
def live() -> Live:
    """A hub for two readers, with room for eight events each."""
    return Live(Still(), readers_max=2, waiting_max=8)


async def heard(reader: Reader) -> Heard:
    """Wait for what must come."""
    async with asyncio.timeout(WAIT_S):
        return await reader.next(WAIT_S)


def test_every_step_that_changes_a_call_has_a_word() -> None:
    """Opened, intended, each of the four ends, closed: nothing else is told."""
    assert {ToolCallEntry, IntentEntry, *ENDS, AnswerEntry} == set(STEPS)
    assert ["opened", "intended", "settled", "refused", "unsent", "in doubt", "closed"] == list(STEPS.values())


def test_an_event_bears_its_ledger_index_and_its_calls_row(made: "Made") -> None:
    """The row is the call's as it was after the entry; headers that arrived and the service's own are not told."""
    started = SystemEntry(event="start", detail={}, index=0)
    told = events([Step(started, None), *whole(made, first=1)], as_of=AT)
    assert [(1, "opened"), (2, "intended"), (4, "settled"), (5, "closed")] == words(told)
    rows = [json.loads(event.body)["row"] for event in told]
    assert ["still open", "still open", "still open", "answered"] == [row["outcome"] for row in rows]
    assert ["0", "≤ 1.5\xa0USD", "0.25\xa0USD", "0.25\xa0USD"] == [row["costs"][0]["figure"] for row in rows]
    assert {row["tool_call_id"] for row in rows} == {"c" * 32}


async def test_what_another_thread_gives_wakes_the_reader(live: Live, made: "Made") -> None:
    """The feed has a thread of its own; what it gave before the reader looks is given at once."""
    with live.reading(None) as reader:
        await asyncio.to_thread(live.take, whole(made))
        assert [0, 1, 3, 4] == [body["index"] for body in bodies(await heard(reader))]
        await asyncio.to_thread(live.take, whole(made, first=5))
        await asyncio.to_thread(live.take, steps(made.tool_call(), first=10))
        assert [5, 6, 8, 9, 10] == [body["index"] for body in bodies(await heard(reader))]
        assert Heard((), lost=False, closed=False) == await reader.next(0)


async def test_the_loop_is_called_safely_and_once(
    live: Live, made: "Made", monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much comes before the reader looks, its sleeping loop is called by the one way that wakes it."""
    bell = Bell()
    with live.reading(None) as reader:
        monkeypatch.setattr(reader, "_loop", bell)
        live.take(whole(made))
        live.take(steps(made.tool_call(), first=5))
        assert 1 == bell.rung
        await reader.next(0)
        live.take(steps(made.tool_call(), first=6))
        assert 2 == bell.rung


async def test_without_a_reader_nothing_is_worked_out(made: "Made") -> None:
    """Not even the time is asked for."""
    clock = Still()
    clock.fails = True
    live = Live(clock)
    live.take(whole(made))
    assert 0 == live.readers


async def test_a_reader_gets_its_own_clients_calls_alone(live: Live, made: "Made") -> None:
    """Who may not see all sees no step of another client."""
    with live.reading("guest") as guest, live.reading(None) as anyone:
        live.take([*whole(made), *whole(made, first=5, client="guest")])
        seen = bodies(await heard(guest))
        assert [5, 6, 8, 9] == [body["index"] for body in seen]
        assert {"guest"} == {body["row"]["client"] for body in seen}
        assert 8 == len((await heard(anyone)).events)
        live.take(whole(made, first=10))
        assert not (await guest.next(0)).events


async def test_a_full_queue_is_dropped_and_said_once(live: Live, made: "Made") -> None:
    """Nothing is kept of what waited, nothing blocks; after the reader has looked, it gets what comes."""
    with live.reading(None) as slow, live.reading("guest") as other:
        for first in (0, 5, 10, 15):
            live.take(whole(made, first=first))
        assert Heard((), lost=True, closed=False) == await heard(slow)
        assert not (await other.next(0)).lost
        live.take(whole(made, first=20))
        assert [20, 21, 23, 24] == [event.index for event in (await heard(slow)).events]


async def test_steps_that_the_feed_could_not_read_are_said(live: Live, made: "Made") -> None:
    """A hole in the log's order is a loss, like any other."""
    with live.reading(None) as reader:
        live.take(whole(made))
        await heard(reader)
        live.take(whole(made, first=7))
        assert Heard((), lost=True, closed=False) == await heard(reader)
        live.take(whole(made, first=12))
        assert [12, 13, 15, 16] == [event.index for event in (await heard(reader)).events]


async def test_steps_that_cannot_be_written_are_said(made: "Made") -> None:
    """The feed is told of the failure, as of any listener's, and the readers that something is missing."""
    clock = Still()
    live = Live(clock)
    with live.reading(None) as reader:
        clock.fails = True
        with pytest.raises(OSError, match="no clock"):
            live.take(whole(made))
        assert (await heard(reader)).lost


async def test_readers_are_counted_and_bounded(live: Live) -> None:
    """One too many is refused with a sentence; who leaves makes room."""
    with live.reading(None), live.reading(None):
        assert 2 == live.readers
        with pytest.raises(NoRoomError, match="2 live streams are open"), live.reading(None):
            pass
    assert 0 == live.readers
    with live.reading(None):
        assert 1 == live.readers


async def test_closing_ends_every_reader_after_what_it_waits_for(live: Live, made: "Made") -> None:
    """What is queued is still given; then the end is said, and nobody begins to read any more."""
    with live.reading(None) as reader:
        live.take(steps(made.tool_call(), made.answer(zero_reason=ZeroReason.CANCELLED)))
        live.close()
        told = await heard(reader)
        assert ([0, 1], True) == ([event.index for event in told.events], told.closed)
        assert (await heard(reader)).closed
    with pytest.raises(NoRoomError, match="stopping"), live.reading(None):
        pass
