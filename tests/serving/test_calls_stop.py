"""Tool calls that are stopped, by their client or by the end of the service: each is closed and recorded."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.core.shapes import Desk
from service.core.words import ZeroReason
from service.errors import OverCapacityError
from service.serving.calls import ToolCallRun
from service.simulator.faults import Hang
from tests.rig import WAIT_S
from tests.serving.running import Service, billed, checked, for_ever, serving


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A service whose provider is the simulator."""
    async with serving() as made:
        yield made


async def test_cancel_before_it_began(service: Service) -> None:
    """A cancel before the tool was entered: no attempt, and the call is closed as cancelled."""
    run = service.begin()
    run.cancel()
    reply = await asyncio.wait_for(run.done, WAIT_S)
    assert ZeroReason.CANCELLED == checked(reply)["zero_reason"]
    assert ([("cancelled", "cancelled")], []) == (service.answers, service.lab.books)


async def test_cancel_while_asking(service: Service) -> None:
    """A cancel while the provider works: the attempt is in doubt, the call cancelled; a second is nothing."""
    service.lab.fault(Hang())
    run = service.begin()
    await billed(service)
    run.cancel()
    run.cancel()
    reply = await asyncio.wait_for(run.done, WAIT_S)
    assert reply.error is not None
    assert "cancelled" == reply.error.code
    assert 0 == run.task.cancelling()
    assert ["in_doubt"] == [one["outcome"] for one in checked(reply)["attempts"]]
    assert [("cancelled", None)] == service.answers


async def test_cancel_after_the_end(service: Service) -> None:
    """A cancel that comes too late changes nothing."""
    run = service.begin()
    reply = await asyncio.wait_for(run.done, WAIT_S)
    run.cancel()
    assert not reply.is_error
    assert [("ok", None)] == service.answers


async def test_abandoned_call_settles(service: Service) -> None:
    """Whoever waits may leave: the call belongs to no connection, settles and is closed."""
    run = service.begin()
    waiting = asyncio.create_task(_wait(run))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting, run.task}, timeout=WAIT_S)
    assert run.task.exception() is None
    assert [("ok", None)] == service.answers
    assert 1 == len(service.lab.written("settlement"))


async def _wait(run: ToolCallRun) -> None:
    await run.done


async def test_drain_waits(service: Service) -> None:
    """A call that ends within the grace is not disturbed; no other begins."""
    go = asyncio.Event()

    async def wait(_desk: Desk) -> None:
        await go.wait()

    service.scripted.deed = wait
    run = service.begin("scripted")
    await asyncio.wait_for(service.scripted.begun.wait(), WAIT_S)
    draining = asyncio.create_task(service.calls.drain(WAIT_S))
    await asyncio.sleep(0)
    with pytest.raises(OverCapacityError):
        service.begin()
    go.set()
    await asyncio.wait_for(draining, WAIT_S)
    assert not run.done.result().is_error


async def test_drain_lets_an_answer_pass(service: Service) -> None:
    """An answer that came in the turn in which the service stops is passed on before its connection is closed."""
    passed_on: list[object] = []
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    answer.add_done_callback(passed_on.append)
    answer.set_result(None)
    await service.calls.drain(0)
    assert [answer] == passed_on


async def test_drain_stops(service: Service) -> None:
    """A call that does not end within the grace is stopped, and closed before the drain returns."""
    service.scripted.deed = for_ever
    run = service.begin("scripted")
    await asyncio.wait_for(service.scripted.begun.wait(), WAIT_S)
    await asyncio.wait_for(service.calls.drain(0), WAIT_S)
    told = run.done.result().error
    assert told is not None
    assert ("interrupted", True) == (told.code, bool(told.remedy))
    assert [("failed", "unavailable")] == service.answers


async def test_drain_stops_an_attempt(service: Service) -> None:
    """An attempt that the service's own stop breaks off says so: nobody cancelled it."""
    service.lab.fault(Hang())
    run = service.begin()
    await billed(service)
    await asyncio.wait_for(service.calls.drain(0), WAIT_S)
    assert ["in_doubt"] == [one["outcome"] for one in checked(run.done.result())["attempts"]]
    assert ["stopping"] == [entry["cause"] for entry in service.lab.written("doubt")]
    assert [("failed", "interrupted")] == [
        (entry["outcome"], entry["error_code"]) for entry in service.lab.written("answer")
    ]


async def test_cancel_storm() -> None:
    """Of many calls cancelled at any moment every one is closed, and every intent has ended."""
    async with serving(per_session=200, per_client=200, total=200) as service:
        runs = [service.begin() for _ in range(100)]
        for number, run in enumerate(runs):
            for _ in range(number % 7):
                await asyncio.sleep(0)
            run.cancel()
        await asyncio.wait_for(asyncio.gather(*(run.done for run in runs)), WAIT_S)
        kinds = [line.kind for line in service.lab.memory.lines]
        ends = sum(kinds.count(kind) for kind in ("settlement", "refusal", "unsent", "doubt"))
        assert (100, 100) == (kinds.count("tool_call"), kinds.count("answer"))
        assert kinds.count("intent") == ends
        assert len(service.lab.books) <= kinds.count("intent")
