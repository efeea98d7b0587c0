"""Tests of portions: enough to be seen, never more than the cap."""

import pytest

from service.core.bounds import input_tokens_max
from service.core.usage import Usage
from service.proving.portion import OUTPUT_TOKENS, WORDS_MAX, portion, target

FRESH = "f" * 32
STEP = 10_000_000  # 0.00001 of a unit


def shown(usage: Usage) -> int:
    """Price a token at 0.95 per million."""
    return 950_000 * (usage.input_tokens + usage.output_tokens)


def unknown(usage: Usage) -> None:
    """Know nothing."""


def test_target() -> None:
    """What is uncertain must be a twentieth at most: the counter's steps and what others straddle."""
    assert 50 * STEP == target(STEP, 1, 0)
    assert 50 * STEP + 20 * 7 == target(STEP, 1, 7)


def test_the_smallest_that_suffices() -> None:
    """It moves the counter by what is needed and an eighth more; a word less would not."""
    need = target(STEP, 1, 0)
    found = portion(FRESH, need, 10**12, shown=shown, cost=shown)
    assert found is not None
    assert need * 9 // 8 <= found.shown < need * 9 // 8 + 2 * 950_000
    assert found.text.startswith(f"{FRESH} ")
    ask = found.ask(provider="kimi", wallet="w", model="kimi-k2.6", thinking=False)
    assert ("kimi", "w", "kimi-k2.6", OUTPUT_TOKENS, False) == (
        ask.provider,
        ask.wallet,
        ask.model,
        ask.max_output_tokens,
        ask.thinking,
    )


@pytest.mark.parametrize("words", [1, 10, 1000])
def test_the_bound_holds(words: int) -> None:
    """What it is said to cost at most is at least what the bound of its own text allows."""
    found = portion(FRESH, 950_000 * words, 10**15, shown=shown, cost=shown)
    assert found is not None
    assert found.cost >= 950_000 * (input_tokens_max([found.text]) + OUTPUT_TOKENS)


def test_the_largest_that_the_cap_allows() -> None:
    """Where the cap is too small for what is needed, the call takes what the cap allows and no more."""
    whole = portion(FRESH, 10**12, 10**15, shown=shown, cost=shown)
    capped = portion(FRESH, 10**12, 10**10, shown=shown, cost=shown)
    assert whole is not None
    assert capped is not None
    assert capped.cost <= 10**10 < whole.cost
    assert capped.shown < whole.shown


def test_nothing_fits() -> None:
    """Under a cap that no call fits in, or without a known measure, there is none."""
    assert portion(FRESH, 1, 1, shown=shown, cost=shown) is None
    assert portion(FRESH, 1, 10**15, shown=unknown, cost=shown) is None
    assert portion(FRESH, 1, 10**15, shown=shown, cost=unknown) is None


def test_a_prompt_has_an_end() -> None:
    """However much is needed, one call holds WORDS_MAX words at most."""
    found = portion(FRESH, 10**30, 10**30, shown=shown, cost=shown)
    assert found is not None
    assert found.shown == 950_000 * (WORDS_MAX + 1)
