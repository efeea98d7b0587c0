"""The outbox of one connection: frames in order, bounded in number and bytes, written by one task."""

import asyncio
from collections import deque
from collections.abc import Callable

Later = Callable[[], bytes | None]
"""A frame that is rendered when its turn comes; None when there is nothing left to say by then."""


class Outbox:
    """What waits to be sent. It belongs to the event loop: nothing here is thread-safe."""

    def __init__(self, *, frames_max: int, bytes_max: int) -> None:
        self._frames_max = frames_max
        self._bytes_max = bytes_max
        self._items: deque[bytes | Later] = deque()
        self._bytes = 0
        self._is_finished = False
        self._stirred = asyncio.Event()

    @property
    def is_half_full(self) -> bool:
        """Say whether so much waits that its writer should have a turn before more is put in."""
        return 2 * len(self._items) >= self._frames_max or 2 * self._bytes >= self._bytes_max

    def put(self, item: bytes | Later) -> bool:
        """Add a frame; False, and nothing is kept, when the outbox is full.

        A frame bigger than the byte limit still passes through an empty outbox.
        """
        size = len(item) if isinstance(item, bytes) else 0
        if self._items and (len(self._items) >= self._frames_max or self._bytes + size > self._bytes_max):
            return False
        self._items.append(item)
        self._bytes += size
        self._stirred.set()
        return True

    def finish(self) -> None:
        """Let `take` end with None once everything was taken."""
        self._is_finished = True
        self._stirred.set()

    async def take(self) -> bytes | None:
        """Wait for the next frame; None when the outbox is finished and empty."""
        while True:
            while self._items:
                frame = self._pop()
                if frame is not None:
                    return frame
            if self._is_finished:
                return None
            self._stirred.clear()
            await self._stirred.wait()

    def _pop(self) -> bytes | None:
        item = self._items.popleft()
        if not isinstance(item, bytes):
            return item()
        self._bytes -= len(item)
        return item
