"""Retrying: a table of what was seen and how long to wait."""

from typing import TYPE_CHECKING

import pytest

from service.calling.retry import RetryPolicy
from service.core.words import DoubtCause, UnsentReason

if TYPE_CHECKING:
    from tests.conftest import Made

POLICY = RetryPolicy()


@pytest.mark.parametrize(("attempts", "pause_s"), [(1, 1.0), (2, 2.0), (3, None), (4, None)])
def test_pauses_double(made: "Made", attempts: int, pause_s: float | None) -> None:
    """The pause doubles; after the last attempt there is none."""
    end = made.refusal(retry_after_ms=None)
    assert pause_s == POLICY.pause_s(end, attempts, text_sent=False, chance=0)


@pytest.mark.parametrize(("wanted_ms", "pause_s"), [(0, 0.0), (1500, 1.5), (30_000, 30.0), (30_001, None)])
def test_provider_names_the_pause(made: "Made", wanted_ms: int, pause_s: float | None) -> None:
    """The provider's own wish holds, up to a limit of patience."""
    end = made.refusal(retry_after_ms=wanted_ms)
    assert pause_s == POLICY.pause_s(end, 1, text_sent=False, chance=0)


def test_jitter(made: "Made") -> None:
    """Chance adds up to three hundredths of the pause, never takes any away."""
    pauses = [POLICY.pause_s(made.unsent(), 1, text_sent=False, chance=chance) for chance in (0.0, 0.5, 0.999)]
    assert [1.0, 1.015] == pauses[:2]
    assert 1.0299 < (pauses[2] or 0) < 1.03


def test_never_once_text_was_sent(made: "Made") -> None:
    """Text that reached the client forbids another attempt."""
    assert POLICY.pause_s(made.refusal(), 1, text_sent=True, chance=0) is None


@pytest.mark.parametrize("cause", DoubtCause)
def test_never_after_doubt(made: "Made", cause: DoubtCause) -> None:
    """What may have been billed is never repeated, whatever the cause."""
    assert POLICY.pause_s(made.doubt(cause=cause), 1, text_sent=False, chance=0) is None


def test_never_after_settlement_or_final_refusal(made: "Made") -> None:
    """A settled attempt and a refusal that the table calls final are not repeated."""
    for end in (made.settlement(), made.refusal(retryable=False)):
        assert POLICY.pause_s(end, 1, text_sent=False, chance=0) is None


@pytest.mark.parametrize("reason", UnsentReason)
def test_unsent(made: "Made", reason: UnsentReason) -> None:
    """What was never sent is tried again, unless it was stopped or we failed."""
    pause_s = POLICY.pause_s(made.unsent(reason=reason), 1, text_sent=False, chance=0)
    given_up = reason in {UnsentReason.CANCELLED, UnsentReason.STOPPING, UnsentReason.SERVICE_FAILED}
    assert (None if given_up else 1.0) == pause_s
