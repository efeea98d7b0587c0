"""A chat request as it arrived: the fields that change the answer, everything else ignored as the providers do."""

from typing import Literal

import msgspec


class Part(msgspec.Struct):
    """One part of a message's content: text, or something that is not text."""

    type: str
    text: str = ""
    image_url: msgspec.Raw = msgspec.Raw(b"")


class Message(msgspec.Struct):
    """One message of the conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    reasoning_content: str | None = None
    tool_calls: msgspec.Raw = msgspec.Raw(b"")
    tool_call_id: str | None = None

    def text(self) -> str:
        """Join the text of the content."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""

    def content_bytes(self) -> int:
        """Count the UTF-8 bytes of the content; an image weighs what its reference weighs."""
        images = sum(len(part.image_url) for part in self.content) if isinstance(self.content, list) else 0
        return len(self.text().encode()) + images


class Switch(msgspec.Struct):
    """An object of which only `type` matters."""

    type: str | None = None


class StreamOptions(msgspec.Struct):
    """What a streaming client asks for besides the text."""

    include_usage: bool = False


class Asked(msgspec.Struct):
    """A chat request."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    thinking: Switch | None = None
    response_format: Switch | None = None
    request_id: str | None = None

    def limit(self, default: int) -> int:
        """Give the most output tokens the client allows."""
        asked = self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens
        return default if asked is None else asked

    def thinking_off(self) -> bool:
        """Tell whether the client asked for no thinking."""
        return self.thinking is not None and self.thinking.type == "disabled"

    def wants_json(self) -> bool:
        """Tell whether the answer must be a JSON object."""
        return self.response_format is not None and self.response_format.type in {"json_object", "json_schema"}

    def wants_usage(self) -> bool:
        """Tell whether the client asked for usage in the stream."""
        return self.stream_options is not None and self.stream_options.include_usage

    def last_user_text(self) -> str:
        """Give the text of the last user message, or nothing."""
        return next((m.text() for m in reversed(self.messages) if m.role == "user"), "")


_decoder = msgspec.json.Decoder(Asked)


def read_asked(body: bytes) -> Asked:
    """Decode a request; raises ValueError with a sentence when it is no chat request."""
    try:
        asked = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
    if not asked.messages:
        raise ValueError("messages must not be empty")
    if asked.limit(1) < 1:
        raise ValueError("max_tokens must be at least 1")
    return asked
