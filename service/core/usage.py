"""Usage: tokens as a provider metered them, in classes that do not overlap."""

from enum import StrEnum

import msgspec

TOKENS_MAX = 10**8  # a hundredfold of any context: above it is a broken answer, not a large one


class UsageFlag(StrEnum):
    """An invariant that a provider's own numbers broke; noted beside them, never a reason to drop them."""

    CACHED_ABOVE_INPUT = "cached_above_input"
    REASONING_ABOVE_OUTPUT = "reasoning_above_output"
    TOTAL_DIFFERS = "total_differs"
    CACHED_COUNTS_DIFFER = "cached_counts_differ"
    HEADER_DIFFERS = "header_differs"


class UnreadableUsageError(ValueError):
    """The provider's usage is absent or no set of token counts."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt consumed. The four classes are disjoint; reasoning is a part of output."""

    uncached_input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            count = getattr(self, name)
            if not 0 <= count <= TOKENS_MAX:
                message = f"{name} = {count} is outside 0..{TOKENS_MAX}"
                raise UnreadableUsageError(message)

    @property
    def input_tokens(self) -> int:
        """All input, cached or not."""
        return self.uncached_input_tokens + self.cached_input_tokens + self.cache_write_tokens


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of a chat completion as OpenAI-like bodies name them: overlapping, perhaps contradictory."""

    prompt: int
    completion: int
    total: int | None = None
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0


def disjoint(reported: Reported) -> tuple[Usage, tuple[UsageFlag, ...]]:
    """Split overlapping counts into disjoint classes.

    Cached and cache-write tokens are part of the prompt; reasoning is part of the completion. Numbers
    that break this are kept as far as they can be and flagged: the charge of the larger class wins.

    Raises:
        UnreadableUsageError: a count is negative or beyond any model.
    """
    if reported.prompt < 0:
        raise UnreadableUsageError(f"prompt = {reported.prompt} is negative")
    flags = []
    uncached = reported.prompt - reported.cached - reported.cache_write
    if uncached < 0:
        flags.append(UsageFlag.CACHED_ABOVE_INPUT)
        uncached = 0
    if reported.reasoning > reported.completion:
        flags.append(UsageFlag.REASONING_ABOVE_OUTPUT)
    if reported.total is not None and reported.total != reported.prompt + reported.completion:
        flags.append(UsageFlag.TOTAL_DIFFERS)
    usage = Usage(
        uncached_input_tokens=uncached,
        cached_input_tokens=reported.cached,
        cache_write_tokens=reported.cache_write,
        output_tokens=reported.completion,
        reasoning_tokens=reported.reasoning,
    )
    return usage, tuple(flags)
