"""Plausibility: can these token counts belong to this request and this text? Bounds, never a count of our own.

Our tokenizer is not the provider's, so only what no tokenizer could make of the text contradicts the provider's
count. What cannot be told is not available, and contradicts nothing.
"""

import msgspec

from service.core.entries import IntentEntry, SettlementEntry
from service.core.record import Attempt
from service.core.usage import UsageFlag
from service.core.words import CheckState

INTERVAL = "bytes, v1"
"""Names the interval below; another one gets another name, so that a finding can be told by its rule."""
TOKENS_PER_BYTE_MAX = 1
"""A tokenizer of bytes makes no more tokens than bytes."""
BYTES_PER_TOKEN_MAX = 128
"""Runs of blanks or dashes are the longest tokens known; whole texts were recorded at 3 to 5 bytes a token."""
HIDDEN_TOKENS_MAX = 64
"""Marks that no text shows: up to 15 beyond text and reasoning were recorded."""
MISCOUNT_TOKENS_MAX = 16
"""By how much a count may pass the maximum that was asked for, or fall below the text; off by one was recorded."""
TOOL_CALLS = "tool_calls"
WHOLE = frozenset({"stop", "length"})
"""How an answer ends whose text all came. A provider that filters an answer, or fails in its middle, may count
text that it keeps: our judgement."""
_CACHED = {
    UsageFlag.HEADER_DIFFERS: (
        "The answer's body counts {cached} cached tokens; its header states another number."
        " The two differ in price."
    ),
    UsageFlag.CACHED_COUNTS_DIFFER: (
        "The answer states two numbers of cached tokens, {cached} and another. The two differ in price."
    ),
}


class Plausibility(msgspec.Struct, frozen=True):
    """What the comparison found, and one sentence with both numbers."""

    state: CheckState
    evidence: str


def plausible(attempt: Attempt) -> Plausibility:
    """Compare an attempt's token counts with the request's bounds and with the size of the text."""
    settled = attempt.end
    if settled is None:
        return Plausibility(CheckState.NOT_YET, "The attempt is still under way.")
    if not isinstance(settled, SettlementEntry):
        return Plausibility(CheckState.NOT_NEEDED, "No token count came, so there is none to compare.")
    wrong = _contradiction(settled) or _beyond_request(attempt.intent, settled) or _beyond_text(settled)
    if wrong is not None:
        return Plausibility(CheckState.FAIL, wrong)
    why_not = _why_not(settled)
    if why_not is not None:
        return Plausibility(CheckState.NOT_AVAILABLE, why_not)
    tokens, size = _written(settled)
    return Plausibility(
        CheckState.PASS,
        f"The provider counted {tokens:,} output tokens for {size:,} bytes of text; a text of that size can hold"
        f" {_least(size):,} to {_most(size):,} ({INTERVAL}).",
    )


def _contradiction(settled: SettlementEntry) -> str | None:
    """Name numbers of one answer that contradict each other and cost differently; off by one costs nothing."""
    for flag, sentence in _CACHED.items():
        if flag in settled.usage_flags:
            return sentence.format(cached=f"{settled.usage.cached_input_tokens:,}")
    return None


def _beyond_request(intent: IntentEntry, settled: SettlementEntry) -> str | None:
    counted, bound = settled.usage.input_tokens, intent.worst_case.input_tokens
    if counted > bound:
        return f"The provider counted {counted:,} input tokens; the request can hold at most {bound:,}."
    counted, bound = settled.usage.output_tokens, intent.max_output_tokens
    if counted > bound + MISCOUNT_TOKENS_MAX:
        return f"The provider counted {counted:,} output tokens; the request allowed at most {bound:,}."
    return None


def _beyond_text(settled: SettlementEntry) -> str | None:
    if not _is_comparable(settled):
        return None
    tokens, size = _written(settled)
    if tokens > _most(size) and settled.finish_reason in WHOLE:
        bound = f"at most {_most(size):,}"
    elif tokens < _least(size):
        bound = f"at least {_least(size):,}"
    else:
        return None
    return (
        f"The provider counted {tokens:,} output tokens beside its reasoning; the {size:,} bytes of text"
        f" that came are worth {bound}."
    )


def _is_comparable(settled: SettlementEntry) -> bool:
    """Whether all that was counted as output is text whose size is known; arguments of tools are none."""
    return bool(settled.text_bytes) and settled.finish_reason != TOOL_CALLS


def _why_not(settled: SettlementEntry) -> str | None:
    if settled.finish_reason == TOOL_CALLS:
        return "The answer calls tools; what that takes stands in no text."
    if settled.text_bytes is None:
        return "The size of the text was not kept when this was recorded."
    if not settled.text_bytes:
        return "No text came, so its size says nothing of the tokens."
    if settled.finish_reason not in WHOLE:
        return "The provider may have withheld part of the text: the answer does not say that it came to its end."
    return None


def _written(settled: SettlementEntry) -> tuple[int, int]:
    """Give the output's tokens and bytes: without reasoning where the provider counts it, else all of it."""
    usage, text = settled.usage, settled.text_bytes or 0
    if usage.reasoning_tokens:
        return max(0, usage.output_tokens - usage.reasoning_tokens), text
    return usage.output_tokens, text + (settled.reasoning_bytes or 0)


def _most(size: int) -> int:
    return size * TOKENS_PER_BYTE_MAX + HIDDEN_TOKENS_MAX


def _least(size: int) -> int:
    return max(0, size // BYTES_PER_TOKEN_MAX - MISCOUNT_TOKENS_MAX)
