"""The verdict on one tool call, from its record alone (rule 1): no reading of a provider's counter enters.

So the best word for a charged call is UNVERIFIED: nothing contradicts it, nothing outside it confirms the charge.
"""

import msgspec

from service.core.entries import DoubtEntry, RefusalEntry, ResolutionEntry, SettlementEntry, UnsentEntry
from service.core.money import pico
from service.core.record import Attempt, ToolCall
from service.core.words import CostStatus, DoubtCause, UnsentReason, VerdictWord, ZeroReason


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A word, the code of its reason, one sentence, and the time up to which evidence was weighed."""

    word: VerdictWord
    code: str
    sentence: str
    as_of: str


ZERO: dict[ZeroReason, tuple[str, str]] = {
    ZeroReason.CACHED: ("N1", "Answered from the local cache; nothing was sent."),
    ZeroReason.BUDGET_STOP: ("N2", "Stopped by a budget before sending."),
    ZeroReason.NO_MODEL_STEP: ("N7", "This tool works without a model; no provider was asked."),
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

TIMED_OUT = frozenset({DoubtCause.FIRST_BYTE_TIMEOUT, DoubtCause.IDLE_TIMEOUT, DoubtCause.TOTAL_TIMEOUT})
_DOUBT: dict[DoubtCause, str] = {
    DoubtCause.STREAM_CUT: "The stream ended early; no usage was received",
    DoubtCause.CONNECTION_LOST: "The connection was lost after sending; no usage was received",
    DoubtCause.FIRST_BYTE_TIMEOUT: "We timed out waiting for the answer to begin; no usage was received",
    DoubtCause.IDLE_TIMEOUT: "The answer stalled until we timed out; no usage was received",
    DoubtCause.TOTAL_TIMEOUT: "We timed out before the answer was complete; no usage was received",
    DoubtCause.UNREADABLE_ANSWER: "The answer could not be read, so its usage is unknown",
    DoubtCause.NO_USAGE: "The answer was complete but carried no usage",
    DoubtCause.BODY_TOO_LARGE: "The answer grew beyond the limit and was cut off; no usage was received",
    DoubtCause.CANCELLED: "The client cancelled after sending; no usage was received",
    DoubtCause.STOPPING: "The service stopped after sending; no usage was received",
    DoubtCause.SERVICE_FAILED: "This service failed after sending; no usage was read",
    DoubtCause.CRASH: "The service died after the request may have been sent; no usage was received",
}

_UNSENT: dict[UnsentReason, str] = {
    UnsentReason.NAME_NOT_RESOLVED: "The provider's host name could not be resolved",
    UnsentReason.CONNECTION_REFUSED: "The provider could not be reached",
    UnsentReason.CONNECT_TIMEOUT: "The provider could not be reached in time",
    UnsentReason.TLS_FAILED: "No trustworthy TLS connection to the provider could be made",
    UnsentReason.CANCELLED: "The client cancelled before anything was sent",
    UnsentReason.STOPPING: "The service stopped before anything was sent",
    UnsentReason.SERVICE_FAILED: "The service failed before anything was sent",
}
_METERED = (
    "The provider answered and metered this call."
    " Its balance has not been read, so the charge itself is not confirmed."
)
_METERED_NOTHING = (
    "The provider answered and says that it metered no tokens at all."
    " Its balance has not been read, so it is not confirmed that nothing was charged."
)
_PLAYED = "SIMULATED, says the answer itself; but it was asked for with a real key and counts as real."

# Of several attempts the gravest speaks: what contradicts, what is unknown, what is unconfirmed; of those
# that cost nothing, the one that was answered.
GRAVITY = ("M3", "U6", "U5", "U7", "U9", "U11", "U10", "U4", "N4", "N3", "N6")
STILL_OPEN = "U9"
_WORD_BY_LETTER = {
    "P": VerdictWord.PROVEN,
    "U": VerdictWord.UNVERIFIED,
    "M": VerdictWord.MISMATCH,
    "N": VerdictWord.NO_CREDIT_USED,
}
CODES = frozenset({*GRAVITY, *(code for code, _ in ZERO.values())})


def word_of(code: str) -> VerdictWord:
    """Name the verdict that a reason's code belongs to.

    Raises:
        KeyError: it is no such code.
    """
    return _WORD_BY_LETTER[code[0]]


def verdict(call: ToolCall, *, as_of: str) -> Verdict:
    """Judge a call by its own record.

    Args:
        call: the record so far.
        as_of: UTC text of the moment of judging.
    """
    word, code, sentence = _judge(call)
    if any(attempt.simulated for attempt in call.attempts):
        sentence = f"SIMULATED: a simulator stands in for the provider. {sentence}"
    elif any(attempt.played for attempt in call.attempts):
        sentence = f"{_PLAYED} {sentence}"
    return Verdict(word=word, code=code, sentence=sentence, as_of=as_of)


def _judge(call: ToolCall) -> tuple[VerdictWord, str, str]:
    if not call.attempts:
        return _no_attempt(call)
    judged = [_judge_attempt(attempt) for attempt in call.attempts]
    return min(judged, key=lambda found: GRAVITY.index(found[1]))


def _no_attempt(call: ToolCall) -> tuple[VerdictWord, str, str]:
    if call.answer is None or call.answer.zero_reason is None:
        return VerdictWord.UNVERIFIED, "U9", "The call is still open; nothing has been sent yet."
    code, sentence = ZERO[call.answer.zero_reason]
    return VerdictWord.NO_CREDIT_USED, code, f"This call cost nothing. {sentence}"


def _judge_attempt(attempt: Attempt) -> tuple[VerdictWord, str, str]:
    if attempt.resolution is not None:
        return _judge_resolution(attempt.resolution)
    match attempt.end:
        case SettlementEntry() as settlement:
            return _judge_settlement(attempt, settlement)
        case RefusalEntry() as refusal:
            why = f"HTTP {refusal.status}, {refusal.reason.replace('_', ' ')}"
            sentence = f"This call cost nothing. The provider refused it ({why}); no usage was returned."
            return VerdictWord.NO_CREDIT_USED, "N3", sentence
        case UnsentEntry() as unsent:
            sentence = f"This call cost nothing. {_UNSENT[unsent.reason]}; the request never left."
            return VerdictWord.NO_CREDIT_USED, "N6", sentence
        case DoubtEntry() as doubt:
            code = "U5" if doubt.cause in TIMED_OUT else "U6"
            held = "The provider may have billed it; it is held at its worst case, not counted as spend."
            return VerdictWord.UNVERIFIED, code, f"{_DOUBT[doubt.cause]}. {held}"
        case _:
            return VerdictWord.UNVERIFIED, "U9", "An attempt is still under way."


def _judge_resolution(said: ResolutionEntry) -> tuple[VerdictWord, str, str]:
    if said.amount is None:
        sentence = "No usage was received. The attempt was written off: whether it was billed was not found out."
        return VerdictWord.UNVERIFIED, "U11", sentence
    cost = f"{said.amount} {said.currency}" if pico(said.amount) else "nothing"
    sentence = f"No usage was received. That it cost {cost} was stated by hand; nothing here confirms it."
    return VerdictWord.UNVERIFIED, "U10", sentence


def _judge_settlement(attempt: Attempt, settlement: SettlementEntry) -> tuple[VerdictWord, str, str]:
    asked, answered = attempt.intent.model, settlement.model_reported
    if answered is not None and not settlement.model_known:
        return VerdictWord.MISMATCH, "M3", f"The answer names model {answered}; we asked for {asked}."
    if settlement.cost.status is CostStatus.UNKNOWN_PRICE:
        return (
            VerdictWord.UNVERIFIED,
            "U7",
            f"No price is known for model {asked} at the time of the request.",
        )
    if settlement.cost.status is CostStatus.FREE:
        return (
            VerdictWord.NO_CREDIT_USED,
            "N4",
            f"This call cost nothing: {asked} is priced at zero. The provider metered it all the same.",
        )
    tokens = settlement.usage.input_tokens + settlement.usage.output_tokens
    return VerdictWord.UNVERIFIED, "U4", _METERED if tokens else _METERED_NOTHING
