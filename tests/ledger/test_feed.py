"""The feed gives every committed step to every listener, in order, and waits for none of them."""

import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from service.core.entries import SystemEntry
from service.core.record import Step
from service.ledger import feed as feed_room
from service.ledger.feed import Feed

if TYPE_CHECKING:
    from tests.ledger.conftest import Kept

WAIT_S = 20


def steps(first: int, count: int) -> list[Step]:
    """Make steps from an index on."""
    return [Step(SystemEntry(index=first + number, event="note", detail={}), None) for number in range(count)]


class Slow:
    """A listener that stops at its first batch until it is let go."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def take(self, batch: Sequence[Step]) -> None:
        """Wait, then keep the indexes."""
        self.reached.set()
        assert self.go_on.wait(WAIT_S)
        self.seen += [step.entry.index for step in batch]


class Failing:
    """A listener that always raises."""

    def take(self, batch: Sequence[Step]) -> None:
        """Raise."""
        raise RuntimeError(len(batch))


class Log:
    """The log as the feed rereads it; it may fail a number of times first."""

    def __init__(self, failures: int = 0, short: int = 0) -> None:
        self.asked: list[tuple[int, int]] = []
        self.failures = failures
        self.short = short

    def reread(self, first: int, count: int) -> list[Step]:
        """Give steps again."""
        self.asked.append((first, count))
        if len(self.asked) <= self.failures:
            raise OSError
        return steps(first, count - self.short)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Failures are logged in full; here they are wanted."""
    caplog.set_level(logging.CRITICAL)


def test_steps_arrive_in_order(kept: "Kept") -> None:
    """Every listener gets every step, in batches, in order; what was offered before the close is delivered."""
    other = type(kept)()
    feed = Feed([kept, other], reread=Log().reread, next_index=7)
    feed.start()
    for first in range(7, 3007, 3):
        feed.offer(steps(first, 3))
    assert feed.wait(WAIT_S)
    assert feed.lag == 0
    feed.offer(steps(3007, 2))
    assert feed.close(WAIT_S)
    expected = list(range(7, 3009))
    assert expected == [step.entry.index for step in kept.steps]
    assert expected == [step.entry.index for step in other.steps]


def test_offering_never_waits_and_nothing_is_missed() -> None:
    """Past its bound the feed forgets what waits and reads it from the log; each step still comes once."""
    slow, log = Slow(), Log()
    feed = Feed([slow], reread=log.reread, next_index=0, steps_max=100)
    feed.start()
    feed.offer(steps(0, 10))
    assert slow.reached.wait(WAIT_S)
    for first in range(10, 2010, 50):
        feed.offer(steps(first, 50))
    assert feed.lag == 2010
    assert len(feed._waiting) <= 100
    slow.go_on.set()
    assert feed.wait(WAIT_S)
    feed.offer(steps(2010, 5))
    assert feed.close(WAIT_S)
    assert list(range(2015)) == slow.seen
    assert [(110, 500), (610, 500), (1110, 500), (1610, 400)] == log.asked


def test_steps_offered_during_a_reread_follow_it() -> None:
    """What is offered while old steps are read again, or delivered, comes after them, once."""
    slow = Slow()
    offered = iter([steps(600, 7), steps(607, 100), steps(707, 3)])

    def reread(first: int, count: int) -> list[Step]:
        feed.offer(next(offered, []))
        return steps(first, count)

    feed = Feed([slow], reread=reread, next_index=0, steps_max=50)
    feed.offer(steps(0, 600))
    slow.go_on.set()
    feed.start()
    assert feed.wait(WAIT_S)
    assert feed.close(WAIT_S)
    assert list(range(len(slow.seen))) == slow.seen
    assert len(slow.seen) >= 707


def test_a_failing_listener_is_counted_and_harms_no_other(kept: "Kept") -> None:
    """What a listener raises is counted; the listeners after it get their steps."""
    feed = Feed([Failing(), kept], reread=Log().reread, next_index=0)
    feed.start()
    feed.offer(steps(0, 3))
    assert feed.wait(WAIT_S)
    assert feed.close(WAIT_S)
    assert (1, 0, 3) == (feed.failures, feed.missed, len(kept.steps))


def test_a_reread_that_fails_is_tried_again(kept: "Kept") -> None:
    """A log that cannot be read for a moment costs no listener a step."""
    log = Log(failures=2)
    feed = Feed([kept], reread=log.reread, next_index=0, steps_max=1, pause_s=0)
    feed.offer(steps(0, 9))
    feed.start()
    assert feed.wait(WAIT_S)
    assert feed.close(WAIT_S)
    assert (2, 0, 9) == (feed.failures, feed.missed, len(kept.steps))


@pytest.mark.parametrize("log", [Log(failures=99), Log(short=1)], ids=["raises", "short"])
def test_a_log_that_cannot_be_read_is_counted(kept: "Kept", log: Log) -> None:
    """Steps that no try could read are counted as missed, and the feed goes on with the next."""
    feed = Feed([kept], reread=log.reread, next_index=0, steps_max=3, pause_s=0)
    feed.offer(steps(0, 9))
    feed.start()
    assert feed.wait(WAIT_S)
    feed.offer(steps(9, 2))
    assert feed.wait(WAIT_S)
    assert feed.close(WAIT_S)
    assert (feed_room._REREADS_MAX, 9) == (feed.failures, feed.missed)
    assert [9, 10] == [step.entry.index for step in kept.steps]


def test_closing_leaves_a_stuck_listener_behind() -> None:
    """A listener that never returns cannot keep the feed from closing in its time."""
    slow = Slow()
    feed = Feed([slow], reread=Log().reread, next_index=0)
    feed.start()
    feed.offer(steps(0, 1))
    assert slow.reached.wait(WAIT_S)
    assert feed.close(0.01) is False
    assert feed.lag == 1
    slow.go_on.set()
    assert feed.close(WAIT_S)


def test_a_feed_that_never_started_closes() -> None:
    """Closing it says whether anything was left."""
    feed = Feed([], reread=Log().reread, next_index=0)
    assert feed.close(WAIT_S)
    feed.offer(steps(0, 1))
    assert feed.close(WAIT_S) is False
    assert feed.wait(0) is False
