"""Outbox: frames leave in order, within bounds, and late ones are rendered at their turn."""

import asyncio

from service.serving.outbox import Outbox


async def test_order() -> None:
    """Frames leave as they came; a late one that has nothing to say is passed over."""
    outbox = Outbox(frames_max=10, bytes_max=100)
    said = [b"late", None]
    for item in (b"1", lambda: said[0], lambda: said[1], b"2"):
        assert outbox.put(item)
    outbox.finish()
    assert [b"1", b"late", b"2", None] == [await outbox.take() for _ in range(4)]


async def test_bounds() -> None:
    """A full outbox keeps nothing more; taking makes room, and one huge frame passes when it is alone."""
    outbox = Outbox(frames_max=2, bytes_max=10)
    assert outbox.put(b"x" * 50)
    assert not outbox.put(b"y")
    assert b"x" * 50 == await outbox.take()
    assert outbox.put(b"123456")
    assert not outbox.put(b"12345")
    assert outbox.put(b"1234")
    assert not outbox.put(lambda: None)


async def test_wait() -> None:
    """Taking waits for a frame, and ends when the outbox is finished."""
    outbox = Outbox(frames_max=2, bytes_max=10)
    taking = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)  # the task waits now
    outbox.put(b"1")
    assert b"1" == await taking
    taking = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)  # the task waits now
    outbox.finish()
    assert None is await taking
