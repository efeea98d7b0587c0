"""The reader of a chat completion: whole JSON or a stream of events, told apart by its first byte.

A request for a stream may be answered with one JSON object (errors are), and every text here is a stranger's:
the reader never raises, keeps what it understood and says how the body ended.
"""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import Raw

from service.core.shapes import Answer, Refusal
from service.core.usage import Usage, UsageFlag
from service.providers._json import Fields, exact, fields, is_null, items, string
from service.providers._naming import word
from service.providers._sse import Events
from service.providers._usage import USAGE_BYTES_MAX, read_usage

BODY_BYTES_MAX = 32 << 20
DONE = b"[DONE]"

_OBJECT = b"{"
_BLANK = b" \t\r\n\xef\xbb\xbf"  # and the three bytes of a byte order mark


@dataclass(frozen=True)
class Dialect:
    """What one provider's bodies have of their own.

    Attributes:
        id_names: fields of the body that are the provider's ids.
        refusal_in: reads an error out of an object that came with status 200; None if it is none.
    """

    id_names: tuple[str, ...]
    refusal_in: Callable[[Fields], Refusal | None]


def first_object(body: bytes) -> Fields | None:
    """Read a complete error body: one JSON object, or the first event of a stream that holds one."""
    found = fields(body)
    if found is not None:
        return found
    events = Events()
    payloads = [*events.feed(body), events.rest()]
    return next((event for event in map(fields, payloads) if event is not None), None)


class ChatReader:
    """One answer's body, as far as it came. It takes at most `body_bytes_max` bytes and drops the rest."""

    def __init__(self, dialect: Dialect, *, body_bytes_max: int = BODY_BYTES_MAX) -> None:
        self._gathered = _Gathered(dialect)
        self._bytes_left = body_bytes_max
        self._first = b""  # the first byte that says what the body is
        self._whole = bytearray()
        self._events = Events()
        self._done = False
        self._strange_events = 0

    def feed(self, chunk: bytes) -> list[str]:
        """Take bytes; return the pieces of answer text that they complete.

        Whole JSON gives none: its text is known at its end, in the answer.
        """
        chunk = chunk[: self._bytes_left]
        self._bytes_left -= len(chunk)
        if not self._first:
            chunk = chunk.lstrip(_BLANK)
            self._first = chunk[:1]
        if self._first == _OBJECT:
            self._whole += chunk
            return []
        pieces = [self._take_event(payload) for payload in self._events.feed(chunk)]
        return [piece for piece in pieces if piece]

    def finish(self) -> Answer:
        """Say what came."""
        if self._first == _OBJECT:
            return self._finish_whole(bytes(self._whole).rstrip(_BLANK))
        return self._finish_events()

    def _take_event(self, payload: bytes) -> str:
        if payload.strip() == DONE:
            self._done = True
            return ""
        event = fields(payload)
        piece = None if event is None else self._gathered.take(event)
        if piece is None:
            self._strange_events += 1
        return piece or ""

    def _finish_events(self) -> Answer:
        strange = self._strange_events
        rest = self._events.rest()
        if rest is not None:
            # A cut event is no sign of a stranger: what cannot be read of it is not held against the body.
            self._take_event(rest)
        readable = self._gathered.understood or self._done or not (strange or self._events.strange_lines)
        ended = self._done or self._gathered.refusal is not None
        return self._gathered.answer(complete=ended, readable=readable)

    def _finish_whole(self, body: bytes) -> Answer:
        found = fields(body)
        if found is not None:
            understood = self._gathered.take(found) is not None
            return self._gathered.answer(complete=understood, readable=understood)
        # An object that was begun and not closed was most likely cut; a closed one is no JSON at all.
        return self._gathered.answer(complete=False, readable=not body.endswith(b"}"))


class _Gathered:
    """What the objects of one body said so far; of a value that is repeated, the last holds."""

    def __init__(self, dialect: Dialect) -> None:
        self.understood = False
        self.refusal: Refusal | None = None
        self._dialect = dialect
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._model: str | None = None
        self._finish_reason: str | None = None
        self._ids: dict[str, str] = {}
        self._usage: Usage | None = None
        self._usage_raw: str | None = None
        self._usage_flags: tuple[UsageFlag, ...] = ()

    def take(self, found: Fields) -> str | None:
        """Take one object; return the answer text it adds, or None when it is nothing a provider sends."""
        refusal = self._dialect.refusal_in(found)
        if refusal is not None:
            self.refusal = self.refusal or refusal
        elif "choices" not in found and is_null(found.get("usage")):
            return None
        self.understood = True
        self._model = word(found.get("model")) or self._model
        for name in self._dialect.id_names:
            value = word(found.get(name))
            if value is not None:
                self._ids[name] = value
        text = self._take_choice(found)
        self._take_usage(found.get("usage"))
        return text

    def answer(self, *, complete: bool, readable: bool) -> Answer:
        """Put together what came."""
        return Answer(
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            complete=complete,
            readable=readable,
            model_reported=self._model,
            finish_reason=self._finish_reason,
            provider_ids=self._ids,
            usage=self._usage,
            usage_raw=self._usage_raw,
            usage_flags=self._usage_flags,
            refusal=self.refusal,
        )

    def _take_choice(self, found: Fields) -> str:
        choices = items(found.get("choices"))
        choice = fields(choices[0]) if choices else None
        if choice is None:
            return ""
        self._finish_reason = word(choice.get("finish_reason")) or self._finish_reason
        self._take_usage(choice.get("usage"))
        message = fields(choice.get("message")) or fields(choice.get("delta")) or {}
        self._reasoning.append(string(message.get("reasoning_content")) or "")
        text = string(message.get("content")) or ""
        self._text.append(text)
        return text

    def _take_usage(self, source: Raw | None) -> None:
        """Take a usage object; a readable one is never displaced by one that is not."""
        if source is None or is_null(source) or len(bytes(source)) > USAGE_BYTES_MAX:
            return
        usage, flags = read_usage(source)
        if usage is not None or self._usage is None:
            self._usage, self._usage_raw, self._usage_flags = usage, exact(source), flags
