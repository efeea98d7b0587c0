"""The notary signs what is durable, not more often than told, and survives a disk that takes nothing."""

import errno
import threading

import pytest

from service.core.merkle import CompactRange, leaf_hash
from service.core.note import SigningKey, opened
from service.ledger.notary import Notary

WAIT_S = 20.0
KEY = SigningKey("exai/test", b"k" * 32)


class Shelf:
    """Where notes are kept; it refuses as often as told."""

    def __init__(self, *, refusals: int = 0) -> None:
        self.notes: list[str] = []
        self.refusals = refusals
        self.asked = threading.Semaphore(0)

    def keep(self, note: str) -> None:
        """Keep a note, or fail as a full disk does."""
        self.asked.release()
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        self.notes.append(note)

    @property
    def sizes(self) -> list[int]:
        """The sizes that were signed."""
        return [opened(note, KEY.verifier).size for note in self.notes]


def tree(size: int) -> CompactRange:
    """Grow a tree."""
    return CompactRange().extended([leaf_hash(b"%d" % number) for number in range(size)])


def test_what_is_offered_is_signed() -> None:
    """Size and root are the tree's; the newest is kept before it is shown."""
    shelf = Shelf()
    notary = Notary(KEY, shelf.keep, pause_s=WAIT_S)
    notary.start()
    notary.offer(tree(3))
    found = notary.wait(3, WAIT_S)
    assert found is not None
    assert (3, tree(3).root, shelf.notes[-1]) == (found.checkpoint.size, found.checkpoint.root, found.note)
    assert notary.close()


def test_of_many_offers_the_newest_is_signed() -> None:
    """Between two signatures the pause passes; what comes meanwhile is signed once, at the stop at the latest."""
    shelf = Shelf()
    notary = Notary(KEY, shelf.keep, pause_s=WAIT_S)
    notary.start()
    notary.offer(tree(1))
    assert shelf.asked.acquire(timeout=WAIT_S)
    for size in range(2, 30):
        notary.offer(tree(size))
    assert notary.close()
    assert [1, 29] == shelf.sizes


def test_who_waits_is_served_without_a_pause() -> None:
    """Somebody who wants a checkpoint now gets one."""
    shelf = Shelf()
    notary = Notary(KEY, shelf.keep, pause_s=10 * WAIT_S)
    notary.start()
    for size in (1, 2, 3):
        notary.offer(tree(size))
        assert notary.wait(size, WAIT_S) is not None
    assert notary.close()
    assert 3 == shelf.sizes[-1]


def test_nothing_smaller_is_ever_signed() -> None:
    """A tree that is not larger than the one that was signed makes no checkpoint."""
    shelf = Shelf()
    notary = Notary(KEY, shelf.keep, pause_s=0)
    notary.start()
    notary.offer(tree(5))
    assert notary.wait(5, WAIT_S) is not None
    notary.offer(tree(5))
    notary.offer(tree(4))
    assert notary.close()
    assert [5] == shelf.sizes


def test_a_checkpoint_that_could_not_be_kept_is_tried_again() -> None:
    """Failures are counted and told; nothing is shown as signed that is not kept."""
    shelf = Shelf(refusals=2)
    notary = Notary(KEY, shelf.keep, pause_s=0)
    notary.start()
    notary.offer(tree(2))
    for _ in range(3):
        assert shelf.asked.acquire(timeout=WAIT_S)
    assert notary.close()
    assert ([2], 2, False) == (shelf.sizes, notary.failures, notary.failing)


def test_a_stop_says_that_the_last_one_was_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    """At the stop one more try is made, no more."""
    shelf = Shelf(refusals=1000)
    notary = Notary(KEY, shelf.keep, pause_s=WAIT_S)
    notary.start()
    notary.offer(tree(2))
    assert shelf.asked.acquire(timeout=WAIT_S)
    assert not notary.close()
    assert (None, True) == (notary.latest, notary.failing)
    assert ["a checkpoint could not be kept: No space left on device"] == caplog.messages
