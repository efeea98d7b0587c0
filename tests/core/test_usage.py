"""Usage comes apart into classes that do not overlap, whatever a provider reports."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.usage import TOKENS_MAX, Reported, UnreadableUsageError, Usage, UsageFlag, disjoint

COUNTS = st.integers(0, 10**6)


@pytest.mark.parametrize(
    ("reported", "classes", "flags"),
    [
        (Reported(prompt=20, completion=125, total=145, reasoning=116), (20, 0, 0, 125, 116), ()),
        (Reported(prompt=100, completion=5, cached=64, cache_write=6), (30, 64, 6, 5, 0), ()),
        (Reported(prompt=0, completion=0), (0, 0, 0, 0, 0), ()),
        (Reported(prompt=10, completion=1, cached=12), (0, 12, 0, 1, 0), (UsageFlag.CACHED_ABOVE_INPUT,)),
        (Reported(prompt=9, completion=3, reasoning=4), (9, 0, 0, 3, 4), (UsageFlag.REASONING_ABOVE_OUTPUT,)),
        (Reported(prompt=9, completion=3, total=13), (9, 0, 0, 3, 0), (UsageFlag.TOTAL_DIFFERS,)),
        (
            Reported(prompt=1, completion=1, total=9, cached=2, reasoning=2),
            (0, 2, 0, 1, 2),
            (UsageFlag.CACHED_ABOVE_INPUT, UsageFlag.REASONING_ABOVE_OUTPUT, UsageFlag.TOTAL_DIFFERS),
        ),
    ],
)
def test_counts_are_split(
    reported: Reported, classes: tuple[int, int, int, int, int], flags: tuple[UsageFlag, ...]
) -> None:
    """Cached tokens leave the prompt, reasoning stays in the output, and a contradiction is kept and flagged."""
    uncached, cached, written, output, reasoning = classes
    usage = Usage(
        uncached_input_tokens=uncached,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )
    assert (usage, flags) == disjoint(reported)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_classes_add_up_to_the_report(uncached: int, cached: int, written: int, output: int) -> None:
    """When a report does not contradict itself nothing is counted twice and nothing is lost."""
    prompt = uncached + cached + written
    usage, flags = disjoint(
        Reported(prompt=prompt, completion=output, total=prompt + output, cached=cached, cache_write=written)
    )
    assert flags == ()
    assert uncached == usage.uncached_input_tokens
    assert prompt + output == usage.input_tokens + usage.output_tokens


@given(COUNTS, COUNTS, COUNTS)
def test_a_contradiction_never_lowers_the_input(prompt: int, cached: int, written: int) -> None:
    """Of two contradictory counts of input the larger is kept; the flag is there exactly then."""
    usage, flags = disjoint(Reported(prompt=prompt, completion=0, cached=cached, cache_write=written))
    assert max(prompt, cached + written) == usage.input_tokens
    assert (cached + written > prompt) == (UsageFlag.CACHED_ABOVE_INPUT in flags)


@pytest.mark.parametrize(
    "reported",
    [
        Reported(prompt=-1, completion=0),
        Reported(prompt=0, completion=-1),
        Reported(prompt=0, completion=0, cached=-1),
        Reported(prompt=0, completion=0, cache_write=-1),
        Reported(prompt=0, completion=0, reasoning=-1),
        Reported(prompt=TOKENS_MAX + 1, completion=0),
        Reported(prompt=0, completion=TOKENS_MAX + 1),
    ],
)
def test_a_count_beyond_reason_is_no_usage(reported: Reported) -> None:
    """A negative count, or one above a thousand million, is a broken answer, so nothing is charged for it."""
    with pytest.raises(UnreadableUsageError, match=r"is outside 0|is negative"):
        disjoint(reported)
