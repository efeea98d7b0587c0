"""The notary: signs the tree of what is durable, at most once a second, and keeps the newest checkpoint.

It works on a thread of its own, after the commit: a slow or failing disk of checkpoints delays no call.
"""

import logging
import threading
from collections.abc import Callable

import msgspec

from service.core.merkle import CompactRange
from service.core.note import Checkpoint, SigningKey, signed

PAUSE_S = 1.0
CLOSE_S = 5.0

_log = logging.getLogger(__name__)


class Signed(msgspec.Struct, frozen=True):
    """A checkpoint and the note that says it."""

    checkpoint: Checkpoint
    note: str


class Notary:
    """Signs checkpoints.

    Args:
        key: whose name is the log's origin.
        keep: makes a note durable where checkpoints are kept; may raise OSError.
        signed: the newest checkpoint that is kept already.
        pause_s: from one signature to the next.
    """

    def __init__(
        self,
        key: SigningKey,
        keep: Callable[[str], None],
        *,
        signed: Signed | None = None,
        pause_s: float = PAUSE_S,
    ) -> None:
        self.key = key
        self._keep = keep
        self._pause_s = pause_s
        self._changed = threading.Condition()
        self._tree: CompactRange | None = None  # what is to be signed next
        self._wanted = 0  # size that somebody waits for: it is signed without a pause
        self._closing = False
        self.latest = signed  # replaced whole, by the notary's thread; kept durably
        self.failures = 0  # times that a checkpoint could not be kept; written by the notary's thread only
        self.failing = False  # whether the last one could not
        self._thread = threading.Thread(target=self._run, name="ledger-notary", daemon=True)

    def start(self) -> None:
        """Begin to sign."""
        self._thread.start()

    def offer(self, tree: CompactRange) -> None:
        """Take the tree of what is durable now; never blocks."""
        with self._changed:
            is_first, self._tree = self._tree is None, tree
            if is_first:  # else it is awake, or pauses: a wake-up for each commit would cost every call
                self._changed.notify_all()

    def wait(self, size: int, timeout_s: float) -> Signed | None:
        """Have a tree of at least this size signed at once; None if time ran out first."""
        with self._changed:
            self._wanted = max(self._wanted, size)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._size() >= size, timeout_s)
            return self.latest if self._size() >= size else None

    def close(self, timeout_s: float = CLOSE_S) -> bool:
        """Sign what is not signed yet, then stop; False if time ran out first. It may be called at any time."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive() and not self.failing

    def _size(self) -> int:
        return self.latest.checkpoint.size if self.latest else 0

    def _run(self) -> None:
        while (tree := self._next()) is not None:
            self._sign(tree)
            with self._changed:
                self._changed.notify_all()
                self._changed.wait_for(self._pressed, self._pause_s)

    def _pressed(self) -> bool:
        return self._closing or (self._wanted > self._size() and not self.failing)

    def _next(self) -> CompactRange | None:
        """Wait for a tree that is not signed yet; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._tree is not None or self._closing)
            tree, self._tree = self._tree, None
            return tree

    def _sign(self, tree: CompactRange) -> None:
        if tree.size <= self._size():
            return
        checkpoint = Checkpoint(self.key.verifier.name, tree.size, tree.root)
        note = signed(checkpoint, self.key)
        try:
            self._keep(note)
        except OSError as error:
            if not self.failing:
                _log.warning("a checkpoint could not be kept: %s", error.strerror)
            self.failures, self.failing = self.failures + 1, True
            with self._changed:
                if not self._closing:
                    self._tree = self._tree or tree  # again after the pause
            return
        self.failing = False
        self.latest = Signed(checkpoint, note)
