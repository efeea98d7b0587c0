"""Quiet logs: at most one line per second for each cause, however many strangers make noise."""

import logging
import time
from collections.abc import Callable

EVERY_S = 1.0


class QuietLog:
    """A logger with a bounded rate. Causes must come from our code, never from a client: they are kept."""

    def __init__(
        self,
        logger: logging.Logger,
        *,
        every_s: float = EVERY_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._every_s = every_s
        self._monotonic_s = monotonic_s
        self._next_s: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def warn(self, cause: str, detail: str = "") -> None:
        """Say one line now, or count it and let the cause's next line tell how many were left out."""
        now_s = self._monotonic_s()
        if now_s < self._next_s.get(cause, now_s):
            self._unsaid[cause] = self._unsaid.get(cause, 0) + 1
            return
        self._next_s[cause] = now_s + self._every_s
        unsaid = self._unsaid.pop(cause, 0)
        more = f" (and {unsaid} more since the last line)" if unsaid else ""
        self._logger.warning("%s%s%s", cause, f": {detail}" if detail else "", more)
