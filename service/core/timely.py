"""Timely: is an answer's signature of its own attempt's time? One rule, from the record alone.

The provider keeps no nonces, so a signature that is given again verifies; only its time gives it away (source:
platform.kimi.com, request signature).
"""

from service.core.entries import SettlementEntry
from service.core.evidence import Signature
from service.core.record import Attempt
from service.core.times import NS_PER_S, dated_ns, utc_ns, utc_text

SIGNED_WITHIN_S = 600
"""How far from its attempt a signature's time may lie by our clock."""
DATED_WITHIN_S = 300
"""How far from the answer's own date it may lie, where that date shows that our clock is off."""
_NS_PER_MS = 1_000_000
_TIMESTAMP_DIGITS_MAX = 14  # of milliseconds: the year 5138
_SHOWN_CHARS_MAX = 40


def untimely(attempt: Attempt) -> str | None:
    """Say why a settlement's signature is not of the attempt's time; None if it is, or there is none.

    It must lie within SIGNED_WITHIN_S of the attempt by our clock. Where the answer's `Date` says that our clock
    is off, it may lie within DATED_WITHIN_S of that instead.
    """
    end = attempt.end
    if not isinstance(end, SettlementEntry) or end.signature is None:
        return None
    began, ended, said = attempt.intent.at, end.at, end.signature.timestamp[:_SHOWN_CHARS_MAX]
    signed_ns = signed_at_ns(end.signature)
    if signed_ns is None:
        return f"The signature on this answer bears no time that can be read: its timestamp says {said!r}."
    began_ns, ended_ns = utc_ns(began), utc_ns(ended)
    if _within(signed_ns, began_ns, ended_ns, SIGNED_WITHIN_S):
        return None
    answered_ns = dated_ns(None if attempt.accepted is None else attempt.accepted.headers.get("date"))
    if (
        answered_ns is not None
        and not _within(answered_ns, began_ns, ended_ns, DATED_WITHIN_S)
        and _within(signed_ns, answered_ns - (ended_ns - began_ns), answered_ns, DATED_WITHIN_S)
    ):
        return None
    return (
        f"The signature on this answer is of {utc_text(signed_ns)} (its timestamp says {said}), but the attempt"
        f" ran from {began} to {ended}: an old answer may have been given again."
    )


def signed_at_ns(signature: Signature) -> int | None:
    """Read a signature's time, milliseconds since 1970; None if it is none."""
    text = signature.timestamp
    if not (text.isascii() and text.isdigit() and len(text) <= _TIMESTAMP_DIGITS_MAX):
        return None
    return int(text) * _NS_PER_MS


def _within(at_ns: int, began_ns: int, ended_ns: int, slack_s: int) -> bool:
    return began_ns - slack_s * NS_PER_S <= at_ns <= ended_ns + slack_s * NS_PER_S
