"""Reading on a thread: whoever is cancelled waits for it."""

import asyncio
import threading

import pytest

from service.proving.uncut import off_loop

WAIT_S = 20


async def test_what_is_read_is_given() -> None:
    """As if it had been called."""
    assert [1, 2] == await off_loop(sorted, [2, 1])


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancel_waits_for_the_thread(fails: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """The log may be closed only when nobody reads it any more; what the thread raised then is nobody's."""
    begun, let_go, ended = threading.Event(), threading.Event(), threading.Event()

    def read() -> None:
        begun.set()
        assert let_go.wait(WAIT_S)
        ended.set()
        if fails:
            raise ValueError

    reading = asyncio.create_task(off_loop(read))
    assert await asyncio.to_thread(begun.wait, WAIT_S)
    reading.cancel()
    await asyncio.sleep(0)
    assert not reading.done()
    let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(reading, WAIT_S)
    assert ended.is_set()
