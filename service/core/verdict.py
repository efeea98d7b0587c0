"""The verdict on one tool call: its record, and the committed verdict entries that decide its attempts (rule 2).

From the record alone the best word for a charged call is UNVERIFIED: nothing contradicts it, nothing outside it
confirms the charge. The verdict on a window of readings replaces only that, never what the record itself shows.
"""

from collections.abc import Mapping

import msgspec

from service.core.books import VerdictEntry
from service.core.judged import NOTHING, UNJUDGED, Judged
from service.core.own import STILL_OPEN, UNDECIDED, metered, own
from service.core.record import Attempt, ToolCall
from service.core.words import ToolOutcome, VerdictWord, ZeroReason

__all__ = [
    "CODES",
    "GRAVITY",
    "PHANTOM",
    "REPEATS",
    "RULE",
    "STILL_OPEN",
    "UNDECIDED",
    "ZERO",
    "Verdict",
    "attempt_verdict",
    "own_code",
    "verdict",
    "word_of",
]

RULE = 2
"""The version of this rule: 1 knew no readings."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A word, the code of its reason, one sentence, and the time up to which evidence was weighed."""

    word: VerdictWord
    code: str
    sentence: str
    as_of: str


ZERO: dict[ZeroReason, tuple[str, str]] = {
    ZeroReason.CACHED: ("N1", "Answered from the local cache; nothing was sent."),
    ZeroReason.BUDGET_STOP: ("N2", "Stopped by a budget before sending."),
    ZeroReason.NO_MODEL_STEP: ("N7", "The tool asked no model, so no provider was asked."),
    ZeroReason.MODEL_STEP_DECLINED: ("N8", "The caller declined the model step; no provider was asked."),
    ZeroReason.NO_WALLET: ("N9", "No configured wallet serves this request; no provider was asked."),
    ZeroReason.INVALID_ARGUMENTS: ("N10", "The tool's arguments were refused before any provider was asked."),
    ZeroReason.CANCELLED: ("N11", "The client cancelled the call before anything was sent."),
    ZeroReason.IDEMPOTENT_REPLAY: (
        "N12",
        "The stored answer of an earlier, identical request was returned; nothing was sent.",
    ),
    ZeroReason.UNAVAILABLE: ("N13", "The service could not carry the call out; nothing was sent."),
}

_SIMULATED = "SIMULATED: "
_PLAYED = "SIMULATED, says the answer itself; but it was asked for with a real key and counts as real."

# Of several attempts the gravest speaks: what contradicts; what is not confirmed, that of which least is known
# first; what is proven; of those that cost nothing, the one that was answered.
GRAVITY = (
    *("M8", "M4", "M3", "M2", "M9", "M7", "M1"),
    *("U6", "U5", "U7", "U9", "U11", "U10", "U14", "U17", "U4", "U1"),
    *("U3", "U2", "U15", "U13", "U8", "U12", "U16"),
    *("P1", "P2", "P3"),
    *("N4", "N14", "N3", "N6"),
)
PHANTOM = "M5"
"""A good answer of a tool that needs a model, and no attempt: an answer without a request."""
REPEATS = frozenset({ZeroReason.CACHED, ZeroReason.IDEMPOTENT_REPLAY})
"""Why a tool that needs a model may answer well without an attempt: the answer had been paid for before."""
_WORD_BY_LETTER = {
    "P": VerdictWord.PROVEN,
    "U": VerdictWord.UNVERIFIED,
    "M": VerdictWord.MISMATCH,
    "N": VerdictWord.NO_CREDIT_USED,
}
CODES = frozenset({*GRAVITY, PHANTOM, *(code for code, _ in ZERO.values())})


def word_of(code: str) -> VerdictWord:
    """Name the verdict that a reason's code belongs to.

    Raises:
        KeyError: it is no such code.
    """
    return _WORD_BY_LETTER[code[0]]


def own_code(attempt: Attempt) -> str:
    """Judge an attempt by its own record alone: the code that stands until a verdict entry decides it."""
    return own(attempt)[0]


def attempt_verdict(attempt: Attempt, *, as_of: str, judged: Judged = NOTHING) -> Verdict:
    """Judge an attempt, in words.

    Args:
        attempt: its record so far.
        as_of: UTC text of the moment of judging.
        judged: the verdict entries that speak of it.
    """
    code, sentence = _found(attempt, judged)
    return _said(code, sentence, (attempt,), as_of)


def verdict(call: ToolCall, *, as_of: str, judged: Mapping[str, Judged] = UNJUDGED) -> Verdict:
    """Judge a call: its gravest attempt speaks; without attempts, its zero reason.

    Args:
        call: the record so far.
        as_of: UTC text of the moment of judging.
        judged: by attempt id, the verdict entries that speak of the call's attempts.
    """
    code, sentence = _judge(call, judged)
    return _said(code, sentence, call.attempts, as_of)


def _said(code: str, sentence: str, attempts: tuple[Attempt, ...], as_of: str) -> Verdict:
    if any(attempt.simulated for attempt in attempts):
        sentence = f"{_SIMULATED}a simulator stands in for the provider. {sentence}"
    elif any(attempt.played for attempt in attempts):
        sentence = f"{_PLAYED} {sentence}"
    return Verdict(word=word_of(code), code=code, sentence=sentence, as_of=as_of)


def _judge(call: ToolCall, judged: Mapping[str, Judged]) -> tuple[str, str]:
    if not call.attempts:
        return _no_attempt(call)
    found = [_found(attempt, judged.get(attempt.intent.attempt_id, NOTHING)) for attempt in call.attempts]
    return min(found, key=lambda one: GRAVITY.index(one[0]))


def _no_attempt(call: ToolCall) -> tuple[str, str]:
    answer = call.answer
    if answer is None or answer.zero_reason is None:
        return STILL_OPEN, "The call is still open; nothing has been sent yet."
    if call.opened.needs_model and answer.outcome is ToolOutcome.OK and answer.zero_reason not in REPEATS:
        return PHANTOM, (
            f"A result of the tool {call.opened.tool}, which has none without a model, was returned,"
            " and no request left this machine."
        )
    code, sentence = ZERO[answer.zero_reason]
    return code, f"This call cost nothing. {sentence}"


def _found(attempt: Attempt, judged: Judged) -> tuple[str, str]:
    """Let the verdict on this very attempt speak; else the record; else, where that leaves it open, the window."""
    if judged.own is not None:
        return judged.own.code, judged.own.sentence.removeprefix(_SIMULATED)
    code, sentence = own(attempt)
    if code == UNDECIDED and judged.window is not None:
        return judged.window.code, f"{metered(attempt)} {_of_window(judged.window)}"
    return code, sentence


def _of_window(entry: VerdictEntry) -> str:
    """Say what was found of a window, and that it is one of the window's calls: a counter proves no single one."""
    sentence = entry.sentence.removeprefix(_SIMULATED)
    return sentence if entry.opened is None else f"{sentence} This call lies in that window."
