"""Shapes: the values that travel between the simulator's files."""

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

Clock = Callable[[], int]  # nanoseconds since 1970, UTC
Headers = tuple[tuple[str, str], ...]

_GREGORIAN_TICKS = 0x01B21DD213814000  # 100 ns ticks from 1582-10-15 to 1970-01-01, where uuid1 starts counting


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one completion; `cached` is part of `prompt`, `reasoning` of `completion`."""

    prompt: int
    cached: int
    completion: int
    reasoning: int
    total: int

    def as_json(self) -> dict[str, int]:
        """Give the books' own neutral form."""
        return {
            "prompt_tokens": self.prompt,
            "cached_tokens": self.cached,
            "completion_tokens": self.completion,
            "reasoning_tokens": self.reasoning,
            "total_tokens": self.total,
        }


@dataclass(frozen=True, slots=True)
class Refused:
    """A provider's own error: HTTP status, its type (Kimi) or code (GLM), and the sentence."""

    status: int
    name: str
    message: str
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Stamp:
    """What marks one answer: its time and its ids."""

    at_ns: int
    request_id: str
    answer_id: str
    trace_id: str
    ray: str

    @property
    def at_s(self) -> int:
        """The time in whole seconds since 1970."""
        return self.at_ns // 10**9


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer; a stream has `chunks` and no `body`. `padding_bytes` of blanks go before it."""

    status: int
    headers: Headers
    body: bytes = b""
    chunks: tuple[bytes, ...] | None = None
    padding_bytes: int = 0


class Ids:
    """An endless row of identifiers, the same for the same seed."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def hex(self, digits: int) -> str:
        """Draw the next identifier: up to 64 hex digits."""
        self._count += 1
        return hashlib.sha256(f"{self._seed}:{self._count}".encode()).hexdigest()[:digits]

    def uuid1(self, at_ns: int) -> str:
        """Draw a version 1 UUID whose time field is `at_ns`."""
        ticks = at_ns // 100 + _GREGORIAN_TICKS
        noise = int(self.hex(16), 16)
        fields = (
            ticks & 0xFFFFFFFF,
            (ticks >> 32) & 0xFFFF,
            (ticks >> 48) & 0x0FFF,
            (noise >> 56) & 0x3F,
            (noise >> 48) & 0xFF,
            noise & 0xFFFFFFFFFFFF,
        )
        return str(uuid.UUID(fields=fields, version=1))


def http_date(at_s: int) -> str:
    """Write a time as the HTTP Date header does."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


def iso_text(at_ns: int) -> str:
    """Write a time as UTC with microseconds."""
    seconds, rest = divmod(at_ns, 10**9)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{rest // 1000:06d}Z"
