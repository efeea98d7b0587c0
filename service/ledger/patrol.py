"""The patrol: who drives the audit, on a thread of its own, as gently as a share of one core allows."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

from service.errors import StoreError
from service.ledger.auditing import Audit

SHARE = 0.05
"""Of one core, at most, while it works."""
PAUSE_S_MAX = 60.0
AGAIN_EVERY_S = 60.0
WHOLE_EVERY_S = 24 * 3600.0
CLOSE_S = 5.0

_log = logging.getLogger(__name__)


class Patrol:
    """An audit that goes on until it is closed: the whole log at once, then every day; what is new, every minute.

    Args:
        audit: what is driven; its reading must outlive `close`.
        spent_s: the time that this thread has worked.
        monotonic_s: a time that never goes back.
    """

    def __init__(
        self,
        audit: Audit,
        *,
        spent_s: Callable[[], float] = time.thread_time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._audit = audit
        self._spent_s = spent_s
        self._monotonic_s = monotonic_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger-audit", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, timeout_s: float = CLOSE_S) -> bool:
        """Stop at the next step; False if that took too long. It may be called at any time."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def pauses(self) -> Iterator[float]:
        """Work, a step at a time, for ever; give how many seconds to pause before the next."""
        due_s = self._monotonic_s()
        while True:
            begun_s = self._monotonic_s()
            if begun_s >= due_s or not self._audit.follows:
                due_s = begun_s + WHOLE_EVERY_S
                yield from self._gently(self._audit.whole())
            yield from self._gently(self._audit.again())
            yield AGAIN_EVERY_S

    def _gently(self, work: Iterator[None]) -> Iterator[float]:
        """Go through a round; one that fails is said, and tried again at its next time."""
        before_s = self._spent_s()
        try:
            for _ in work:
                spent_s = self._spent_s() - before_s
                yield min(spent_s / SHARE - spent_s, PAUSE_S_MAX)
                before_s = self._spent_s()
        except StoreError as error:
            _log.warning("the audit cannot read the ledger: %s", error)
            self._audit.fail("the ledger cannot be read; see the service's log")
        except Exception as error:  # noqa: BLE001 - an audit that fails must not end, and not unsaid
            _log.exception("the audit failed")
            self._audit.fail(f"the audit failed ({type(error).__name__}); see the service's log")

    def _run(self) -> None:
        for pause_s in self.pauses():
            if self._closing.wait(pause_s):
                return
