"""Entropy: unpredictable bytes, asked of the system in larger portions, each byte given away once."""

from collections.abc import Callable

PORTION_BYTES = 4096


class Entropy:
    """A source of unpredictable bytes for one thread: asking the system for every id costs more than the id.

    Args:
        source: gives that many unpredictable bytes; the system's.
    """

    def __init__(self, source: Callable[[int], bytes]) -> None:
        self._source = source
        self._portion = b""
        self._at = 0

    def __call__(self, count: int) -> bytes:
        """Give that many bytes, never the same ones again."""
        if count > PORTION_BYTES:
            return self._source(count)
        if self._at + count > len(self._portion):
            self._portion, self._at = self._source(PORTION_BYTES), 0
        start, self._at = self._at, self._at + count
        return self._portion[start : self._at]
