"""Settling keeps what is there out of the collector's way, and it still collects."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from service.cli._memory import settle


class Knot:
    """An object that holds itself."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def undone() -> Iterator[None]:
    """Put the process's setting back."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_is_there_is_frozen_and_what_follows_is_collected() -> None:
    """Objects of the start are passed over; a knot made later is found all the same."""
    settle()
    assert gc.get_freeze_count() > 0
    knot = Knot()
    seen = weakref.ref(knot)
    del knot
    gc.collect()
    assert seen() is None
