"""A watcher that hears attempts one after the other, as the feed would tell them."""

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from service.checks.watching import Watching
from service.core.entries import OfCall
from service.core.merkle import leaf_hash
from service.core.record import Step, ToolCall, after

if TYPE_CHECKING:
    from tests.conftest import Made

AT = "2026-11-22T16:21:00.000000Z"


class Hearing:
    """Attempts of one wallet each, in calls of their own."""

    def __init__(self, made: "Made") -> None:
        self.watching = Watching()
        self._made = made
        self._index = 0

    def hear(self, *entries: OfCall, epoch: int = 1, at: str = AT, **intent: Any) -> None:  # noqa: ANN401 - any field
        """Hear a call with one attempt, its intent changed as told, and what came of it."""
        call: ToolCall | None = None
        steps = []
        for entry in (self._made.tool_call(), self._made.intent(**intent), *entries):
            placed = msgspec.structs.replace(entry, origin="o", epoch=epoch, index=self._index, at=at)
            self._index += 1
            call = after(call, placed, leaf_hash(b""))
            steps.append(Step(placed, call))
        self.watching.take(steps)


@pytest.fixture
def hearing(made: "Made") -> Hearing:
    """Begin to hear."""
    return Hearing(made)
