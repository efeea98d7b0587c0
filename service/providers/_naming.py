"""The parts of a provider's error: its words, its sentence, and how long it asks to wait. All bounded."""

import re
from collections.abc import Mapping
from functools import lru_cache

from msgspec import Raw

from service.core.shapes import Refusal
from service.core.words import RefusalReason
from service.providers._json import count, string

MESSAGE_CHARS_MAX = 4096  # long enough that redaction, which comes later, never meets a cut key in what it keeps
RETRY_AFTER_MS_MAX = 24 * 3600 * 1000
WORD_CHARS_MAX = 128

_RAW_BYTES_MAX = 6 * WORD_CHARS_MAX + 2  # each character may be written as an escape of six
_WORD = re.compile(rf"[A-Za-z0-9_.:/-]{{1,{WORD_CHARS_MAX}}}")
_SECONDS = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?")
_WAITS = ("retry-after", "x-retry-after", "msh-cooldown-seconds")

Named = tuple[RefusalReason, bool]  # our word, and whether the provider's table lets the request be repeated

INVALID: Named = (RefusalReason.INVALID_REQUEST, False)
PERMISSION: Named = (RefusalReason.PERMISSION, False)
AUTHENTICATION: Named = (RefusalReason.AUTHENTICATION, False)

# What an unlisted error is called by its status. None of these is retried: only a listed error may be.
BY_STATUS: Mapping[int, Named] = {
    400: INVALID,
    401: AUTHENTICATION,
    403: PERMISSION,
    404: INVALID,
    413: INVALID,
    422: INVALID,
    429: (RefusalReason.RATE_LIMITED, False),
    434: PERMISSION,
    435: INVALID,
}
UNLISTED: Named = (RefusalReason.PROVIDER_ERROR, False)


def word(source: Raw | str | None) -> str | None:
    """Read an identifier-like word or whole number; None for anything that could be a sentence."""
    if isinstance(source, Raw):
        text = bytes(source)
        return _stated(text) if len(text) <= _RAW_BYTES_MAX else None
    return source if source is not None and _WORD.fullmatch(source) else None


@lru_cache(maxsize=1024)
def _stated(text: bytes) -> str | None:
    """Read a word from its JSON text; each of a stream's events repeats the same few."""
    raw = Raw(text)
    number = count(raw)
    return word(string(raw) if number is None else str(number))


def refusal(
    named: Named, message: str, *, type_: str | None = None, code: str | None = None, headers: Mapping[str, str]
) -> Refusal:
    """Put a refusal together; the message is cut to `MESSAGE_CHARS_MAX` characters."""
    reason, retryable = named
    return Refusal(
        reason=reason,
        retryable=retryable,
        retry_after_ms=retry_after_ms(headers),
        provider_type=type_,
        provider_code=code,
        message=message[:MESSAGE_CHARS_MAX],
    )


def retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """Read how long the provider asks to wait, at most a day; None when no header says it in seconds.

    A `Retry-After` that is a date is passed over: there is no clock here.
    """
    for name in _WAITS:
        found = _SECONDS.fullmatch(headers.get(name, "").strip(" \t"))
        if found:
            fraction_ms = int((found[2] or "0").ljust(3, "0")[:3])
            return min(int(found[1]) * 1000 + fraction_ms, RETRY_AFTER_MS_MAX)
    return None


def header_ids(headers: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """Collect the headers that are request ids, under their own lower-case names."""
    found = {name: word(headers.get(name, "").strip(" \t")) for name in names}
    return {name: value for name, value in found.items() if value is not None}
