"""Entries of the provider's own books say what was stated, and leave open what was not."""

from collections.abc import Callable

from service.core.books import Figure, TokenClass, VerdictEntry
from service.core.entries import decode, encode


def test_a_figure_is_kept_as_it_was_stated() -> None:
    """Without a period, an end or a reset these are unknown, never zero."""
    figure = Figure(name="available", amount="-0.5", unit="USD", resolution="0.00001")
    assert ("-0.5", None, None, None) == (figure.amount, figure.since, figure.cap, figure.resets_at)


def test_what_the_provider_does_not_count_is_not_zero() -> None:
    """A class that only we counted has no number of theirs."""
    assert TokenClass(name="output_tokens", ours=5, theirs=None).theirs is None


def test_a_verdict_on_attempts_has_no_window(found: Callable[..., VerdictEntry]) -> None:
    """It names them, and no readings; its bytes give it back."""
    single = VerdictEntry(
        rule=1,
        provider="kimi",
        wallet="kimi-main",
        simulated=False,
        word=found("M4").word,
        code="M4",
        sentence="One id stands on two attempts.",
        attempts=("1" * 32, "2" * 32),
    )
    assert (-1, -1, None, None, None) == (single.after, single.until, single.opened, single.closed, single.due_at)
    assert single == decode(encode(single))
