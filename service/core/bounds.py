"""Bounds: what a request can consume at most, known before it is sent."""

from collections.abc import Iterable

# Templates add tokens that no byte of the conversation shows: 93 tokens for a seven-word message, 140
# with a response format, were recorded at Kimi. The allowance, per request and message, is above every recording.
TEMPLATE_TOKENS_MAX = 256
TEMPLATE_TOKENS_PER_MESSAGE_MAX = 16


def input_tokens_max(messages: Iterable[str]) -> int:
    """Bound a conversation's input tokens: no tokenizer makes more tokens than UTF-8 bytes.

    Args:
        messages: the text of each message.
    """
    total = TEMPLATE_TOKENS_MAX
    for text in messages:
        total += len(text.encode("utf-8", "surrogatepass")) + TEMPLATE_TOKENS_PER_MESSAGE_MAX
    return total


BYTES_PER_TOKEN = 4  # a rough mean over English text; good for an estimate, never for a bill
ESTIMATE_METHOD = "bytes/4, v1"


def estimated_tokens(text_bytes: int) -> int:
    """Guess the tokens of a text from its size, rounded up."""
    return -(-text_bytes // BYTES_PER_TOKEN)
