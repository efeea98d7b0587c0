"""What was found of an attempt is nothing until something was."""

import pytest

from service.core.judged import NOTHING, UNJUDGED


def test_nothing_was_found_until_it_was() -> None:
    """No verdict, no window, no history, no verification."""
    assert (None, None, (), None) == (NOTHING.own, NOTHING.window, NOTHING.history, NOTHING.verification)


def test_nobody_can_judge_for_all() -> None:
    """What stands for `nothing found` cannot be written to."""
    assert not UNJUDGED
    with pytest.raises(TypeError):
        UNJUDGED["1" * 32] = NOTHING  # type: ignore[index] # wrong on purpose
