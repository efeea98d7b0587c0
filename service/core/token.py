"""Named tokens: how one is written, what it may be called and do, and which of those in the log still count.

The text is `exai_`, 30 random characters and 6 of a checksum: a scanner for leaks finds it with few false
alarms. The ledger holds its SHA-256 alone, so nobody who reads the ledger can use it.
"""

import hashlib
import re
import zlib
from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from service.core.entries import AnyEntry, ClientEntry
from service.core.times import NS_PER_S, utc_ns, utc_text
from service.core.words import ClientEvent

PREFIX = "exai_"
RANDOM_BYTES = 32
FINGERPRINT_CHARS = 8
CALL = "call"
READ = "read"
ADMIN = "admin"
SCOPES = (CALL, READ, ADMIN)
NAMES_TAKEN = frozenset(("default", "local"))
"""Clients that no named token may pass for: whoever has EXAI_WS_TOKEN, and everyone where there is none."""
LIFE_DAYS_MAX = 3650

_RANDOM_CHARS = 30
_CHECK_CHARS = 6
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(f"{PREFIX}[0-9A-Za-z]{{{_RANDOM_CHARS + _CHECK_CHARS}}}")
_NAME = re.compile("[a-z0-9][a-z0-9_.-]{0,39}")
_LIFE = re.compile("([1-9][0-9]{0,5})([mhd])")
_UNITS_S = {"m": 60, "h": 3600, "d": 86_400}
_DAY_NS = 86_400 * NS_PER_S


class TokenState(StrEnum):
    """What a named token is worth at a time."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class NamedToken(msgspec.Struct, frozen=True, kw_only=True):
    """One named token, as the ledger tells it.

    Attributes:
        token_sha256: hex; what tells it from others of the same name.
        expires_at, revoked_at: UTC texts; None for never and not yet.
        by: who made it.
    """

    name: str
    scopes: tuple[str, ...]
    token_sha256: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None = None
    by: str = ""

    @property
    def fingerprint(self) -> str:
        """What is shown of it, and finds nothing."""
        return self.token_sha256[:FINGERPRINT_CHARS]

    def state(self, now_ns: int) -> TokenState:
        """Say what it is worth."""
        if self.revoked_at is not None:
            return TokenState.REVOKED
        if self.expires_at is not None and utc_ns(self.expires_at) <= now_ns:
            return TokenState.EXPIRED
        return TokenState.ACTIVE


def token_text(random: bytes) -> str:
    """Write a token.

    Args:
        random: RANDOM_BYTES unpredictable bytes; 178 bits of them are used.

    Raises:
        ValueError: they are too few.
    """
    if len(random) < RANDOM_BYTES:
        message = f"a token takes {RANDOM_BYTES} random bytes, not {len(random)}"
        raise ValueError(message)
    body = PREFIX + _base62(int.from_bytes(random), _RANDOM_CHARS)
    return body + _checksum(body)


def is_token(text: str) -> bool:
    """Say whether a text is written as a token, checksum included; not whether anybody made it."""
    return _FORM.fullmatch(text) is not None and _checksum(text[:-_CHECK_CHARS]) == text[-_CHECK_CHARS:]


def digest(text: str) -> str:
    """Give what the ledger keeps of a token: its SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def checked_name(name: str) -> str:
    """Let a name pass that a token may have.

    Raises:
        ValueError: it may not; the message is a sentence for whoever chose it.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            f"{name[:60]!r} is no name for a token: up to 40 of a-z 0-9 _ . -, and a letter or digit at first"
        )
    if name in NAMES_TAKEN:
        raise ValueError(f"the name {name!r} is taken by callers without a named token")
    return name


def checked_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Put scopes in their order, each once.

    Raises:
        ValueError: one is not known, or there is none.
    """
    asked = set(scopes)
    unknown = sorted(asked - set(SCOPES))
    if unknown or not asked:
        what = f"{unknown[0][:60]!r} is no scope" if unknown else "a token needs a scope"
        raise ValueError(f"{what}; the scopes are {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in asked)


def expiry(text: str, now_ns: int) -> str:
    """Read when a token is to expire, as UTC text: `45m`, `12h` or `30d` from now, or a time with its zone.

    Raises:
        ValueError: it is neither, is past, or is more than LIFE_DAYS_MAX days ahead.
    """
    life = _LIFE.fullmatch(text)
    try:
        at_ns = now_ns + int(life[1]) * _UNITS_S[life[2]] * NS_PER_S if life else utc_ns(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:60]!r} is no time: write 30d, 12h, 45m or 2027-01-01T00:00:00Z") from error
    if at_ns <= now_ns:
        raise ValueError(f"{utc_text(at_ns)} is past")
    if at_ns > now_ns + LIFE_DAYS_MAX * _DAY_NS:
        raise ValueError(f"a token expires within {LIFE_DAYS_MAX} days, or never")
    return utc_text(at_ns)


def tokens_after(
    entries: Iterable[AnyEntry], before: Mapping[str, NamedToken] | None = None
) -> dict[str, NamedToken]:
    """Fold entries into the tokens that were ever made, by digest, in the order of their making.

    What was folded already changes nothing when it comes again.
    """
    tokens = dict(before or {})
    for entry in entries:
        if not isinstance(entry, ClientEntry):
            continue
        known = tokens.get(entry.token_sha256)
        match entry.event:
            case ClientEvent.CREATED if known is None:
                tokens[entry.token_sha256] = NamedToken(
                    name=entry.name,
                    scopes=entry.scopes,
                    token_sha256=entry.token_sha256,
                    created_at=entry.at,
                    expires_at=entry.expires_at,
                    by=entry.by,
                )
            case ClientEvent.REVOKED if known is not None and known.revoked_at is None:
                tokens[entry.token_sha256] = msgspec.structs.replace(known, revoked_at=entry.at)
    return tokens


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _CHECK_CHARS)


def _base62(number: int, chars: int) -> str:
    """Write the last so many digits of a number."""
    digits = []
    for _ in range(chars):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
