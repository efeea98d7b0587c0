"""What an attempt's own record says of it: a code and a sentence, before anything else is looked at.

The best word for a charged attempt is UNVERIFIED: nothing contradicts it, nothing outside it confirms the charge.
"""

from urllib.parse import urlsplit

from service.core.entries import DoubtEntry, RefusalEntry, ResolutionEntry, SettlementEntry, UnsentEntry
from service.core.money import pico
from service.core.plausible import plausible
from service.core.record import Attempt
from service.core.timely import untimely
from service.core.words import CheckState, CostStatus, DoubtCause, ResolutionSource, UnsentReason

STILL_OPEN = "U9"
UNDECIDED = "U1"
"""An attempt's own code that the verdict on a window replaces; it replaces no other."""

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
_METERED = "The provider answered and metered this call."
_METERED_NOTHING = "The provider answered and says that it metered no tokens at all."
_NO_WINDOW = "No window between two readings decides it, so"
_NOT_CONFIRMED = "the charge itself is not confirmed."
_NOTHING_NOT_CONFIRMED = "it is not confirmed that nothing was charged."


def own(attempt: Attempt) -> tuple[str, str]:
    """Judge an attempt by its own record alone: a reason's code, and a sentence."""
    if attempt.resolution is not None:
        return _judge_resolution(attempt.resolution)
    match attempt.end:
        case SettlementEntry() as settlement:
            return _judge_settlement(attempt, settlement)
        case RefusalEntry() as refusal:
            why = f"HTTP {refusal.status}, {refusal.reason.replace('_', ' ')}"
            return "N3", f"This call cost nothing. The provider refused it ({why}); no usage was returned."
        case UnsentEntry() as unsent:
            return "N6", f"This call cost nothing. {_UNSENT[unsent.reason]}; the request never left."
        case DoubtEntry() as doubt:
            code = "U5" if doubt.cause in TIMED_OUT else "U6"
            held = "The provider may have billed it; it is held at its worst case, not counted as spend."
            return code, f"{_DOUBT[doubt.cause]}. {held}"
        case _:
            return STILL_OPEN, "An attempt is still under way."


def _judge_resolution(said: ResolutionEntry) -> tuple[str, str]:
    if said.amount is None:
        return (
            "U11",
            "No usage was received. The attempt was written off: whether it was billed was not found out.",
        )
    cost = f"{said.amount} {said.currency}" if pico(said.amount) else "nothing"
    if said.source is ResolutionSource.OPERATOR:
        return "U10", f"No usage was received. That it cost {cost} was stated by hand; nothing here confirms it."
    if pico(said.amount):
        within = "" if said.tolerance is None else f", give or take {said.tolerance} {said.currency}"
        return (
            "U16",
            f"No usage was received. The provider's counter leaves one possibility: it cost about {cost}{within}.",
        )
    return (
        "N14",
        "This call cost nothing. No usage was received, and the provider's counter shows no charge for it.",
    )


def _judge_settlement(attempt: Attempt, settlement: SettlementEntry) -> tuple[str, str]:
    wrong = _contradicted(attempt, settlement)
    if wrong is not None:
        return wrong
    if settlement.cost.status is CostStatus.FREE:
        free = f"This call cost nothing: {attempt.intent.model} is priced at zero."
        return "N4", f"{free} The provider metered it all the same."
    if not attempt.simulated and attempt.intent.own_host is not True:
        return "U14", _from_elsewhere(attempt)
    if settlement.cost.status is CostStatus.UNKNOWN_PRICE:
        return "U7", f"No price is known for model {attempt.intent.model} at the time of the request."
    nameless = _nameless(attempt, settlement)
    if nameless is not None:
        return "U17", nameless
    what = _NOT_CONFIRMED if _counted(settlement) else _NOTHING_NOT_CONFIRMED
    return UNDECIDED, f"{metered(attempt)} {_NO_WINDOW} {what}"


def _contradicted(attempt: Attempt, settlement: SettlementEntry) -> tuple[str, str] | None:
    """Say what of the answer contradicts the request, or itself; None if nothing does."""
    late = untimely(attempt)
    if late is not None:
        return "M8", late
    answered = settlement.model_reported
    if answered is not None and not settlement.model_known:
        return "M3", f"The answer names model {answered}; we asked for {attempt.intent.model}."
    looked = plausible(attempt)
    return ("M1", looked.evidence) if looked.state is CheckState.FAIL else None


def _from_elsewhere(attempt: Attempt) -> str:
    host = urlsplit(attempt.intent.endpoint).hostname
    which = "is not" if attempt.intent.own_host is False else "is not known to be"
    return (
        f"The answer metered this call, but it came from {host}, which {which} {attempt.intent.provider}'s own"
        " host; whether the provider charged for it cannot be told."
    )


def _nameless(attempt: Attempt, settlement: SettlementEntry) -> str | None:
    """Say what every answer of a provider bears and this one lacks; None if it has both."""
    if settlement.model_reported is None:
        lacks = f"names no model; we asked for {attempt.intent.model}"
    elif set(attempt.provider_ids.values()) <= {attempt.intent.client_request_id}:
        lacks = "bears no id of the provider's"
    else:
        return None
    return f"The answer metered this call, but it {lacks}. So it cannot be told whose answer it is."


def metered(attempt: Attempt) -> str:
    """Say what the provider's answer said that it metered."""
    end = attempt.end
    return _METERED if isinstance(end, SettlementEntry) and _counted(end) else _METERED_NOTHING


def _counted(settlement: SettlementEntry) -> int:
    return settlement.usage.input_tokens + settlement.usage.output_tokens
