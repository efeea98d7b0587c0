"""The parts of a chat request that both providers share."""

from typing import Any

import msgspec

from service.core.shapes import Ask
from service.errors import InvalidArgumentsError

_encode = msgspec.json.Encoder(order="deterministic").encode


def common(ask: Ask, model: str) -> dict[str, Any]:
    """Begin the request: model and messages, and for a stream the demand that usage comes with it."""
    request: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in ask.messages],
        "stream": ask.on_text is not None,
    }
    if ask.on_text is not None:
        request["stream_options"] = {"include_usage": True}
    return request


def encoded(request: dict[str, Any]) -> bytes:
    """Write the exact bytes of the request; the same request gives the same bytes.

    Raises:
        InvalidArgumentsError: a text holds half a surrogate pair, which has no UTF-8.
    """
    try:
        return _encode(request)
    except UnicodeEncodeError as error:
        raise InvalidArgumentsError(
            "the text holds half of a character (a lone surrogate)",
            remedy="Send whole Unicode characters.",
        ) from error


def headers(ask: Ask, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Name the request's headers, without credentials."""
    accepted = "application/json" if ask.on_text is None else "text/event-stream"
    return (("Content-Type", "application/json"), ("Accept", accepted), *more)
