"""Retrying: whether, when, how often. An attempt that may have been billed is never repeated."""

import msgspec

from service.core.entries import End, RefusalEntry, UnsentEntry
from service.core.words import UnsentReason

_MS_PER_S = 1000
_JITTER_MAX = 0.03  # of the pause, so that clients refused together do not come back together

_GIVEN_UP = {UnsentReason.CANCELLED, UnsentReason.STOPPING, UnsentReason.SERVICE_FAILED}


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of trying again.

    Attributes:
        attempts_max: attempts for one completion, the first included.
        pause_first_s: before the second attempt; doubled each time.
        pause_max_s: a provider that asks for more is not waited for.
    """

    attempts_max: int = 3
    pause_first_s: float = 1.0
    pause_max_s: float = 30.0

    def pause_s(self, end: End, attempts: int, *, text_sent: bool, chance: float) -> float | None:
        """Say how long to wait before trying again; None for never.

        Args:
            end: how the last attempt ended.
            attempts: how many were made.
            text_sent: whether text of the last one has reached the client.
            chance: 0 ≤ chance < 1, for the jitter.
        """
        if text_sent or attempts >= self.attempts_max:
            return None
        if isinstance(end, RefusalEntry) and end.retryable:
            wanted_ms = end.retry_after_ms
        elif isinstance(end, UnsentEntry) and end.reason not in _GIVEN_UP:
            wanted_ms = None
        else:
            return None
        pause_s = self.pause_first_s * 2 ** (attempts - 1) if wanted_ms is None else wanted_ms / _MS_PER_S
        return pause_s * (1 + _JITTER_MAX * chance) if pause_s <= self.pause_max_s else None
