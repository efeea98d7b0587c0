"""Entries of the provider's own books, for the tests of what follows from them."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from service.core.books import VerdictEntry, VerificationEntry
from service.core.verdict import word_of
from service.core.words import VerificationOutcome

FOUND = VerdictEntry(
    index=40,
    at="2026-11-22T16:30:00.000000Z",
    rule=1,
    provider="kimi",
    wallet="kimi-main",
    simulated=False,
    word=word_of("P1"),
    code="P1",
    sentence="The balance fell by 0.25 USD; 1 call in this window comes to 0.25 USD.",
    after=0,
    until=9,
    opened=0,
    closed=39,
)
ASKED = VerificationEntry(
    index=38,
    at="2026-11-22T16:21:05.000000Z",
    tool_call_id="c" * 32,
    attempt_id=f"{1:032x}",
    provider="kimi",
    wallet="kimi-main",
    outcome=VerificationOutcome.VALID,
    status=200,
    message="",
    asked_at="2026-11-22T16:21:04.000000Z",
    provider_ids={},
    simulated=False,
)


@pytest.fixture(scope="session")
def found() -> Callable[..., VerdictEntry]:
    """A maker of verdicts on a window, P1 unless changed; the word follows from the code."""

    def make(code: str = "P1", **changed: Any) -> VerdictEntry:  # noqa: ANN401 - any field
        return msgspec.structs.replace(FOUND, code=code, word=word_of(code), **changed)

    return make


@pytest.fixture(scope="session")
def asked() -> Callable[..., VerificationEntry]:
    """A maker of verifications, valid unless changed."""

    def make(**changed: Any) -> VerificationEntry:  # noqa: ANN401 - any field
        return msgspec.structs.replace(ASKED, **changed)

    return make
