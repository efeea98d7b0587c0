"""The loop without a machine: asyncio's promises hold on it, time is free, and a seed decides the rest."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator

import pytest

from tests.simulation.loop import DeadError, EndlessError, StuckError, VirtualLoop

_DAY_S = 86_400.0


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    """A loop of one seed."""
    made = VirtualLoop(random.Random(1))  # noqa: S311 - dice
    yield made
    made.bury()


async def _days() -> list[str]:
    """Wait for days, in all the ways that asyncio has."""
    said: list[str] = []

    async def late(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        said.append(name)

    await asyncio.gather(late("second", 2 * _DAY_S), late("first", _DAY_S))
    try:
        async with asyncio.timeout(_DAY_S):
            await asyncio.Event().wait()
    except TimeoutError:
        said.append("timed out")
    said.append(await asyncio.to_thread(lambda: "worked"))
    return said


def test_time_is_free(loop: VirtualLoop) -> None:
    """Days of sleep, time-outs and work for threads end in their order, at once."""
    assert ["first", "second", "timed out", "worked"] == loop.run_until_complete(_days())
    assert loop.time() > 3 * _DAY_S


def test_callbacks_run_in_the_order_in_which_they_were_called_for(loop: VirtualLoop) -> None:
    """First in, first out: asyncio promises it and code leans on it."""
    seen: list[int] = []

    async def call() -> None:
        for number in range(50):
            asyncio.get_running_loop().call_soon(seen.append, number)
        await asyncio.sleep(1)

    loop.run_until_complete(call())
    assert list(range(50)) == seen


def test_words_of_another_thread_keep_their_order(loop: VirtualLoop) -> None:
    """They come later, and one after the other."""
    seen: list[int] = []

    async def call() -> None:
        for number in range(50):
            loop.call_soon_threadsafe(seen.append, number)
        assert [] == seen
        await asyncio.sleep(60)

    loop.run_until_complete(call())
    assert list(range(50)) == seen


def test_a_wait_for_nothing_is_found(loop: VirtualLoop) -> None:
    """Where a real loop would hang, this one says so."""
    with pytest.raises(StuckError):
        loop.run_until_complete(asyncio.Event().wait())


def test_a_schedule_without_end_is_found() -> None:
    """Where a real loop would burn a core, this one says so."""
    loop = VirtualLoop(random.Random(1), turns_max=100)  # noqa: S311 - dice

    async def spin() -> None:
        for _ in range(1000):
            await asyncio.sleep(0)

    with pytest.raises(EndlessError):
        loop.run_until_complete(spin())
    loop.bury()


@pytest.mark.parametrize("how", [VirtualLoop.die, lambda loop: loop.die_in(0)], ids=["now", "in turns"])
def test_the_dead_do_nothing_more(loop: VirtualLoop, how: Callable[[VirtualLoop], None]) -> None:
    """After its death a process runs no line of its own; what it held is let go without a warning."""
    done: list[str] = []

    async def work() -> None:
        try:
            how(loop)
            await asyncio.sleep(0)
            done.append("went on")
        except Exception:  # noqa: BLE001 - as much as code may catch
            done.append("caught it")

    async def beside() -> None:
        await asyncio.sleep(0)
        done.append("went on beside")

    async def both() -> None:
        waiting: list[Awaitable[None]] = [loop.create_task(work()), loop.create_task(beside())]
        await asyncio.gather(*waiting)

    with pytest.raises(DeadError):
        loop.run_until_complete(both())
    loop.bury()
    assert ([], True) == (done, loop.is_dead)


def test_what_nobody_looks_at_is_noted(loop: VirtualLoop) -> None:
    """A callback that raises is a fault that a world must answer for."""

    async def call() -> None:
        loop.call_soon(int, "no number")
        await asyncio.sleep(0)

    loop.run_until_complete(call())
    assert 1 == len(loop.faults)
    assert "ValueError" in loop.faults[0]


def test_failing_work_of_a_thread_reaches_who_waits(loop: VirtualLoop) -> None:
    """As with a real executor."""
    with pytest.raises(ValueError, match="no number"):
        loop.run_until_complete(asyncio.wait_for(loop.run_in_executor(None, int, "no number"), 5))
