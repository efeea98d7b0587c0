"""Naming: named tokens as the ledger tells of them, for tests of whoever lets people in."""

from collections.abc import Sequence

import msgspec

from service.core.entries import AnyEntry, ClientEntry
from service.core.record import Step
from service.core.times import utc_ns
from service.core.token import RANDOM_BYTES, digest, token_text
from service.core.words import ClientEvent
from service.secret import Secret
from service.serving.auth import Tokens

AT = "2026-11-22T16:21:00.000000Z"
NOW_NS = utc_ns(AT)


def text_of(number: int) -> str:
    """Write a token, the same one for the same number."""
    return token_text(bytes([number]) * RANDOM_BYTES)


def created(
    number: int, name: str, *scopes: str, expires_at: str | None = None, at: str = "2026-11-22T10:00:00.000000Z"
) -> ClientEntry:
    """Make the token of a number in the log."""
    return ClientEntry(
        event=ClientEvent.CREATED,
        name=name,
        scopes=scopes,
        token_sha256=digest(text_of(number)),
        expires_at=expires_at,
        by="a test",
        at=at,
    )


def revoked(number: int, name: str) -> ClientEntry:
    """Revoke it."""
    return msgspec.structs.replace(created(number, name, at=AT), event=ClientEvent.REVOKED)


def steps(*entries: AnyEntry) -> Sequence[Step]:
    """Commit entries that belong to no call."""
    return [Step(entry, None) for entry in entries]


class Day:
    """A time of day that a test moves."""

    def __init__(self) -> None:
        self.now_ns = NOW_NS

    def __call__(self) -> int:
        """Say it."""
        return self.now_ns


def tokens(*entries: AnyEntry, token: str | None = None, day: Day | None = None) -> Tokens:
    """Make tokens that were filled from a log."""
    return Tokens(None if token is None else Secret(token), entries=entries, now_ns=day or Day())
