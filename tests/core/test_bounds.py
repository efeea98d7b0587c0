"""A bound is above everything that was ever metered, and an estimate is rounded up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.bounds import estimated_tokens, input_tokens_max


@pytest.mark.parametrize(
    ("messages", "bound"),
    [
        ([], 256),
        ([""], 272),
        (["hello"], 277),
        (["hello", "é€😀"], 302),
        (["\ud800"], 275),
    ],
)
def test_a_bound_counts_bytes_and_templates(messages: list[str], bound: int) -> None:
    """Every UTF-8 byte may be a token, every message and every request may add some of the template's."""
    assert bound == input_tokens_max(messages)


@pytest.mark.parametrize(
    ("message", "metered"), [("Say hello in exactly seven words, please.", 93), ("Answer as a JSON object.", 140)]
)
def test_recorded_counts_are_within_the_bound(message: str, metered: int) -> None:
    """Templates that were recorded to add a hundred tokens to a short message stay within the allowance."""
    assert metered <= input_tokens_max([message])


@given(st.lists(st.text(max_size=30), max_size=5), st.text(max_size=30))
def test_a_longer_conversation_has_a_larger_bound(messages: list[str], more: str) -> None:
    """A bound never shrinks when a message is added, and it is never below the bytes."""
    conversation = [*messages, more]
    assert input_tokens_max(messages) < input_tokens_max(conversation)
    assert len("".join(messages).encode(errors="replace")) < input_tokens_max(messages)


@pytest.mark.parametrize(("text_bytes", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (4000, 1000)])
def test_an_estimate_is_rounded_up(text_bytes: int, tokens: int) -> None:
    """A token begun is a token."""
    assert tokens == estimated_tokens(text_bytes)
