"""Pump: frames in order, one answer for each call, every deadline and bound, and no task afterwards."""

import asyncio
import logging
from itertools import count

import pytest

from service.errors import InvalidArgumentsError, NotRecordedError, OverCapacityError
from service.serving.auth import LOCAL
from service.serving.ports import PumpTerms
from service.serving.pump import Pump
from tests.serving.conftest import Pumping
from tests.serving.doubles import (
    INITIALIZE,
    WAIT_S,
    FakeCalls,
    FakeDuplex,
    Rejections,
    call_tool,
    cancelled,
    make_parts,
    no_task_left,
)


async def test_answer(pumping: Pumping) -> None:
    """A call is begun with what is known of its client, and answered once when it ends."""
    async with pumping() as pumped:
        await pumped.initialize()
        pumped.duplex.say(call_tool(7))
        running = await pumped.calls.next()
        assert LOCAL is running.caller
        assert running.on_text is None
        assert [(pumped.pump.session, "memory", "2025-11-25")] == pumped.calls.sessions
        running.end("hello")
        answer = await pumped.duplex.hear()
        assert 7 == answer["id"]
        assert "hello" == answer["result"]["content"][0]["text"]
    assert 0 == pumped.duplex.unheard()
    assert 1000 == pumped.duplex.closed.result()[0]


async def test_many_calls(pumping: Pumping) -> None:
    """Calls in flight end in any order, and each answer goes to its own id."""
    async with pumping() as pumped:
        await pumped.initialize()
        for number in range(1, 6):
            pumped.duplex.say(call_tool(number))
        running = [await pumped.calls.next() for _ in range(5)]
        for one in reversed(running):
            one.end(f"answer to {one.call.request_id}")
        answers = [await pumped.duplex.hear() for _ in range(5)]
    assert [5, 4, 3, 2, 1] == [answer["id"] for answer in answers]
    for answer in answers:
        assert f"answer to {answer['id']}" == answer["result"]["content"][0]["text"]


async def test_cancel(pumping: Pumping) -> None:
    """A cancel reaches the call; nothing is sent for it any more, and its id is free once it has ended."""
    async with pumping() as pumped:
        await pumped.initialize()
        pumped.duplex.say(call_tool(7))
        running = await pumped.calls.next()
        pumped.duplex.say(cancelled(7))
        async with asyncio.timeout(WAIT_S):
            await running.cancelled.wait()
        running.end()
        pumped.duplex.say(call_tool(8))
        (await pumped.calls.next()).end()
        assert 8 == (await pumped.duplex.hear())["id"]
        pumped.duplex.say(call_tool(7))
        (await pumped.calls.next()).end()
        assert 7 == (await pumped.duplex.hear())["id"]


async def test_disconnect(pumping: Pumping) -> None:
    """A client that goes away cancels nothing: the call runs on and its end disturbs nobody."""
    async with pumping() as pumped:
        await pumped.initialize()
        pumped.duplex.say(call_tool(7, progress="p"))
        running = await pumped.calls.next()
        pumped.duplex.say(None)
        assert 1000 == await pumped.close_code()
        assert not running.cancelled.is_set()
        running.say("nobody hears this")
        running.end()
        await asyncio.sleep(0)  # the callbacks of `done` run now
    assert 0 == pumped.duplex.unheard()


async def test_duplicate_id(pumping: Pumping) -> None:
    """An id in flight is refused, and the first call under it goes on alone."""
    async with pumping() as pumped:
        await pumped.initialize()
        pumped.duplex.say(call_tool(7))
        running = await pumped.calls.next()
        pumped.duplex.say(call_tool(7))
        assert -32600 == (await pumped.duplex.hear())["error"]["code"]
        assert pumped.calls.begun.empty()
        running.end("the first")
        assert "the first" == (await pumped.duplex.hear())["result"]["content"][0]["text"]
    assert ["duplicate_id"] == pumped.rejections


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OverCapacityError("full", remedy="wait"), "over_capacity"),
        (InvalidArgumentsError("wrong", remedy="see the schema"), "invalid_arguments"),
        (NotRecordedError("no disk", remedy="make room"), "admission"),
    ],
)
async def test_refusal(pumping: Pumping, error: OverCapacityError, reason: str) -> None:
    """A call that may not begin is answered at once with its reason and remedy, counted, and its id is free."""
    async with pumping() as pumped:
        await pumped.initialize()
        pumped.calls.refusal = error
        pumped.duplex.say(call_tool(7))
        result = (await pumped.duplex.hear())["result"]
        assert result["isError"]
        assert (error.code, error.remedy) == (
            result["structuredContent"]["error"]["code"],
            result["structuredContent"]["error"]["remedy"],
        )
        pumped.calls.refusal = None
        pumped.duplex.say(call_tool(7))
        (await pumped.calls.next()).end()
        assert not (await pumped.duplex.hear())["result"]["isError"]
    assert [reason] == pumped.rejections


async def test_acknowledgement(pumping: Pumping) -> None:
    """A client of the predecessor is told that a call was accepted once it was admitted, before all else of it."""
    async with pumping() as pumped:
        pumped.duplex.say({"op": "hello"})
        assert "hello_ack" == (await pumped.duplex.hear())["op"]
        pumped.duplex.say({"op": "call_tool", "request_id": "r", "name": "chat", "arguments": {}})
        (await pumped.calls.next()).end()
        ops = [(await pumped.duplex.hear())["op"] for _ in range(3)]
    assert ["progress", "call_tool_ack", "call_tool_res"] == ops


async def test_refusal_is_not_acknowledged(pumping: Pumping) -> None:
    """A client of the predecessor is never told that a call was accepted when it was refused."""
    async with pumping() as pumped:
        pumped.duplex.say({"op": "hello"})
        assert "hello_ack" == (await pumped.duplex.hear())["op"]
        pumped.calls.refusal = OverCapacityError("full", remedy="wait")
        pumped.duplex.say({"op": "call_tool", "request_id": "r", "name": "chat", "arguments": {}})
        ops = [(await pumped.duplex.hear())["op"] for _ in range(2)]
    assert ["progress", "call_tool_res"] == ops
    assert 0 == pumped.duplex.unheard()
    assert ["over_capacity"] == pumped.rejections


async def test_streamed_text(pumping: Pumping) -> None:
    """Text is streamed as progress to a client that asked for it, and all of it precedes the answer."""
    async with pumping() as pumped:
        await pumped.initialize()
        pumped.duplex.say(call_tool(7, progress="p"))
        running = await pumped.calls.next()
        running.say("one ")
        first = await pumped.duplex.hear()
        running.say("two")
        running.end()
        second = await pumped.duplex.hear()
        assert 7 == (await pumped.duplex.hear())["id"]
    assert ["one ", "two"] == [each["params"]["message"] for each in (first, second)]
    assert first["params"]["progress"] < second["params"]["progress"]


async def test_coalesced_text(pumping: Pumping) -> None:
    """What is said while the client does not read becomes one frame."""
    async with pumping() as pumped:
        await pumped.initialize()
        pumped.duplex.say(call_tool(7, progress="p"))
        running = await pumped.calls.next()
        pumped.duplex.reads.clear()
        running.say("held")
        async with asyncio.timeout(WAIT_S):
            await pumped.duplex.held.wait()
        for piece in ("a", "b", "c"):
            running.say(piece)
        pumped.duplex.reads.set()
        texts = [(await pumped.duplex.hear())["params"]["message"] for _ in range(2)]
        running.end()
        assert 7 == (await pumped.duplex.hear())["id"]
    assert ["held", "abc"] == texts


async def test_text_before_the_answer(pumping: Pumping) -> None:
    """Text that still waits when the call ends is sent before the answer, not lost."""
    async with pumping() as pumped:
        await pumped.initialize()
        pumped.duplex.say(call_tool(7, progress="p"))
        running = await pumped.calls.next()
        pumped.duplex.reads.clear()
        running.say("held")
        async with asyncio.timeout(WAIT_S):
            await pumped.duplex.held.wait()
        running.say("the rest")
        running.end()
        await asyncio.sleep(0)  # the callbacks of `done` run now
        pumped.duplex.reads.set()
        texts = [(await pumped.duplex.hear())["params"]["message"] for _ in range(2)]
        assert 7 == (await pumped.duplex.hear())["id"]
    assert ["held", "the rest"] == texts


async def test_text_of_a_reused_id(pumping: Pumping) -> None:
    """A sign of life that waits for one call is never sent for the next call under the same id."""
    async with pumping() as pumped:
        await pumped.initialize()
        pumped.duplex.reads.clear()
        pumped.duplex.say({"jsonrpc": "2.0", "id": "ping", "method": "ping"})
        async with asyncio.timeout(WAIT_S):
            await pumped.duplex.held.wait()
        pumped.duplex.say(call_tool(7, progress="first"))
        first = await pumped.calls.next()
        first.say("waits behind the held frame")
        pumped.duplex.say(cancelled(7))
        async with asyncio.timeout(WAIT_S):
            await first.cancelled.wait()
        first.end()
        await asyncio.sleep(0)  # the callbacks of `done` run now
        pumped.duplex.say(call_tool(7, progress="second"))
        second = await pumped.calls.next()
        pumped.duplex.reads.set()
        assert "ping" == (await pumped.duplex.hear())["id"]
        second.end()
        assert 7 == (await pumped.duplex.hear())["id"]


async def test_write_stall(pumping: Pumping) -> None:
    """A client that reads nothing for too long is dropped with 1013."""
    async with pumping(terms=PumpTerms(write_stall_s=0.05)) as pumped:
        pumped.duplex.reads.clear()
        pumped.duplex.say(INITIALIZE)
        assert 1013 == await pumped.close_code()
    assert ["slow_reader"] == pumped.rejections


async def test_full_outbox(pumping: Pumping) -> None:
    """A client for whom too many frames wait is dropped with 1013."""
    async with pumping(terms=PumpTerms(queue_frames_max=3)) as pumped:
        await pumped.initialize()
        pumped.duplex.reads.clear()
        for number in range(10):
            pumped.duplex.say({"jsonrpc": "2.0", "id": number, "method": "ping"})
        assert 1013 == await pumped.close_code()


async def test_burst(pumping: Pumping) -> None:
    """A client that reads may ask for far more at once than the outbox holds."""
    async with pumping(terms=PumpTerms(queue_frames_max=10)) as pumped:
        await pumped.initialize()
        for number in range(300):
            pumped.duplex.say({"jsonrpc": "2.0", "id": number, "method": "ping"})
        assert list(range(300)) == [(await pumped.duplex.hear())["id"] for _ in range(300)]


async def test_too_much_text(pumping: Pumping) -> None:
    """Streamed text that waits for a slow reader is bounded too."""
    async with pumping(terms=PumpTerms(text_chars_max=100)) as pumped:
        await pumped.initialize()
        pumped.duplex.say(call_tool(7, progress="p"))
        running = await pumped.calls.next()
        pumped.duplex.reads.clear()
        running.say("x" * 101)
        assert 1013 == await pumped.close_code()
        assert not running.cancelled.is_set()


async def test_heartbeat(pumping: Pumping) -> None:
    """A client of the predecessor gets signs of life for a call in flight, and none after its end."""
    async with pumping(terms=PumpTerms(heartbeat_s=0.01)) as pumped:
        pumped.duplex.say({"op": "hello"})
        assert {"op": "hello_ack", "ok": True, "session_id": pumped.pump.session} == await pumped.duplex.hear()
        pumped.duplex.say({"op": "call_tool", "request_id": "r", "name": "chat", "arguments": {}})
        running = await pumped.calls.next()
        ops = [(await pumped.duplex.hear())["op"] for _ in range(5)]
        running.end()
        while (frame := await pumped.duplex.hear())["op"] == "progress":
            pass
        pumped.duplex.say({"op": "ping", "request_id": "last"})
        assert "pong" == (await pumped.duplex.hear())["op"]
    assert ["progress", "call_tool_ack", "progress", "progress", "progress"] == ops
    assert ("call_tool_res", "r") == (frame["op"], frame["request_id"])


async def test_goodbye(pumping: Pumping) -> None:
    """A goodbye sends what waits and closes with 1001; calls in flight are not cancelled."""
    async with pumping() as pumped:
        await pumped.initialize()
        pumped.duplex.say(call_tool(7))
        running = await pumped.calls.next()
        pumped.duplex.reads.clear()
        pumped.duplex.say({"jsonrpc": "2.0", "id": "ping", "method": "ping"})
        async with asyncio.timeout(WAIT_S):
            await pumped.duplex.held.wait()
        pumped.pump.goodbye()
        pumped.pump.goodbye()
        pumped.duplex.reads.set()
        assert "ping" == (await pumped.duplex.hear())["id"]
        assert 1001 == await pumped.close_code()
        assert not running.cancelled.is_set()


async def test_goodbye_to_a_slow_reader(pumping: Pumping) -> None:
    """A goodbye does not wait for a client that does not read."""
    async with pumping(terms=PumpTerms(close_s=0.02)) as pumped:
        pumped.duplex.reads.clear()
        pumped.duplex.say(INITIALIZE)
        async with asyncio.timeout(WAIT_S):
            await pumped.duplex.held.wait()
        pumped.pump.goodbye()
        assert 1001 == await pumped.close_code()


async def test_broken_connection(pumping: Pumping) -> None:
    """A connection that breaks while a frame is written ends like one that was closed."""
    async with pumping() as pumped:
        pumped.duplex.is_broken = True
        pumped.duplex.say(INITIALIZE)
        assert 1000 == await pumped.close_code()
    assert [] == pumped.rejections


async def test_fault_of_ours(pumping: Pumping, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of ours ends one connection with 1011 and one log line; its text stays with us."""
    async with pumping() as pumped:
        await pumped.initialize()
        pumped.calls.refusal = RuntimeError("secret text")  # type: ignore[assignment] # what no contract allows
        with caplog.at_level(logging.ERROR):
            pumped.duplex.say(call_tool(7))
            assert 1011 == await pumped.close_code()
        assert "secret" not in pumped.duplex.closed.result()[1]
    assert 1 == len(caplog.records)


async def test_cancelled_run() -> None:
    """A pump that is cancelled closes its connection and leaves no task."""
    duplex = FakeDuplex()
    pump = Pump(make_parts(FakeCalls(), Rejections()), duplex, transport="memory", caller=LOCAL)
    async with no_task_left():
        running = asyncio.create_task(pump.run())
        duplex.say(INITIALIZE)
        await duplex.hear()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert 1001 == duplex.closed.result()[0]


async def test_quiet_log(caplog: pytest.LogCaptureFixture) -> None:
    """A storm of dropped connections makes one log line, without a word of the clients."""
    calls, rejections, ids = FakeCalls(), Rejections(), count()
    parts = make_parts(calls, rejections, terms=PumpTerms(frames_burst=0))
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            duplex = FakeDuplex()
            duplex.say({"secret": next(ids)})
            await Pump(parts, duplex, transport="memory", caller=LOCAL).run()
    assert 20 == len(rejections)
    assert ["a connection is closed: frame_rate"] == [record.getMessage() for record in caplog.records]
