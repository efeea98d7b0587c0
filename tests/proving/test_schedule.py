"""The schedule of readings, moment by moment."""

import pytest

from service.core.times import NS_PER_S
from service.core.words import ReadingCause
from service.proving.schedule import Pace, Standing, next_due

PACE = Pace(interval_s=300, idle_s=3600, usual_s=600)


def due(**standing: object) -> tuple[float, ReadingCause]:
    """Plan with times in whole seconds."""
    known = {name: one * NS_PER_S if name.endswith("_ns") else one for name, one in standing.items()}  # type: ignore[operator] # seconds
    found = next_due(Standing(**known), PACE)  # type: ignore[arg-type] # as above
    return found.at_ns / NS_PER_S, found.cause


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        ({}, (0, ReadingCause.START)),
        ({"read_ns": 1000}, (4600, ReadingCause.SCHEDULE)),
        ({"read_ns": 1000, "seen_ns": 1100}, (1300, ReadingCause.SCHEDULE)),
        ({"read_ns": 1000, "is_open": True}, (1300, ReadingCause.SCHEDULE)),
        ({"read_ns": 1000, "is_blind": True}, (1300, ReadingCause.SCHEDULE)),
        ({"read_ns": 1300, "seen_ns": 1100}, (1701, ReadingCause.ACTIVITY)),
        ({"read_ns": 1701, "seen_ns": 1100}, (5301, ReadingCause.SCHEDULE)),
        ({"read_ns": 1701, "seen_ns": 1100, "due_ns": 3000}, (3001, ReadingCause.ACTIVITY)),
        ({"read_ns": 3001, "seen_ns": 1100, "due_ns": 3000}, (6601, ReadingCause.SCHEDULE)),
        ({"read_ns": 1701, "seen_ns": 1100, "due_ns": 90_000}, (5301, ReadingCause.SCHEDULE)),
    ],
)
def test_when_a_wallet_is_read_next(standing: dict[str, object], expected: tuple[float, ReadingCause]) -> None:
    """At the start, while calls are made, after the last has settled, at a due moment, and seldom when idle."""
    assert expected == due(**standing)
