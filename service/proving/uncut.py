"""Reading on a thread that is never left behind: a stop must not close the log under it."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Read = TypeVar("Read")


async def off_loop(read: Callable[Given, Read], *args: Given.args, **kwargs: Given.kwargs) -> Read:
    """Read on a thread; if whoever waits is cancelled, the thread is waited for first."""
    reading = asyncio.ensure_future(asyncio.to_thread(read, *args, **kwargs))
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        await asyncio.wait({reading})
        if not reading.cancelled():
            reading.exception()  # seen: the cancellation is what the caller learns
        raise
