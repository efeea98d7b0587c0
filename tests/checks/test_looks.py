"""All looks together: one that cannot be made does not silence the others."""

import logging

import pytest

from service.checks.looks import every
from service.web.health import Check, State

GOOD = Check(name="good", state=State.OK, sentence="It is well.")


def test_looks_are_taken_anew_in_their_order() -> None:
    """Whoever asks twice gets two looks."""
    taken: list[int] = []

    def look() -> tuple[Check, ...]:
        taken.append(1)
        return (GOOD, GOOD)

    both = every(first=look, second=lambda: ())
    assert ((GOOD, GOOD), (GOOD, GOOD), [1, 1]) == (both(), both(), taken)


def test_a_look_that_fails_is_a_degraded_check(caplog: pytest.LogCaptureFixture) -> None:
    """Its name and its kind of error are told, its words are not: they may hold anything."""

    def broken() -> tuple[Check, ...]:
        raise RuntimeError("secret text")

    with caplog.at_level(logging.CRITICAL):
        failed, good = every(broken=broken, good=lambda: (GOOD,))()
    assert (GOOD, "broken", State.DEGRADED) == (good, failed.name, failed.state)
    assert "RuntimeError" in failed.sentence
    assert "secret" not in failed.sentence
