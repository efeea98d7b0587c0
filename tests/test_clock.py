"""The clock: what time entries may bear, and what is refused before one does."""

import time

import pytest

from service import RELEASED
from service.clock import BACK_S_MAX, YEARS_MAX, SystemClock, refuse_absurd, refuse_step_back
from service.core.times import NS_PER_S, utc_ns, utc_text
from service.errors import ClockError

RELEASED_NS = utc_ns(f"{RELEASED}T00:00:00Z")
YEARS_NS = YEARS_MAX * 31_557_600 * NS_PER_S


@pytest.mark.parametrize("now_ns", [RELEASED_NS, RELEASED_NS + YEARS_NS])
def test_a_time_of_this_versions_life_is_taken(now_ns: int) -> None:
    """From its day on, for many years."""
    refuse_absurd(now_ns)


@pytest.mark.parametrize("now_ns", [0, RELEASED_NS - 1, RELEASED_NS + YEARS_NS + 1])
def test_a_time_at_which_this_version_cannot_run_is_refused(now_ns: int) -> None:
    """The error says both times and what to do."""
    with pytest.raises(ClockError) as caught:
        refuse_absurd(now_ns)
    assert utc_text(now_ns) in caught.value.message
    assert RELEASED in caught.value.message
    assert "Set the clock" in caught.value.remedy


def test_a_small_step_back_is_taken_and_a_large_one_refused() -> None:
    """The limit itself is allowed; a second more is not, and both times are told."""
    last_at = utc_text(RELEASED_NS + 3600 * NS_PER_S)
    limit_ns = utc_ns(last_at) - BACK_S_MAX * NS_PER_S
    refuse_step_back(limit_ns, last_at)
    with pytest.raises(ClockError, match=f"{BACK_S_MAX + 1} s before the ledger's last entry") as caught:
        refuse_step_back(limit_ns - NS_PER_S, last_at)
    assert last_at in caught.value.message
    assert "Set the clock" in caught.value.remedy


def test_the_systems_clocks_are_the_machines() -> None:
    """One is the wall's, the other only goes on."""
    clock = SystemClock()
    assert abs(clock.now_ns() - time.time_ns()) < 60 * NS_PER_S
    assert clock.monotonic_ns() <= clock.monotonic_ns()
