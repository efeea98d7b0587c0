"""Wording: the closed lists as a reader who knows nothing of them should see them."""

from service.core.entries import (
    AcceptedEntry,
    AnswerEntry,
    DoubtEntry,
    IntentEntry,
    OfCall,
    RefusalEntry,
    ResolutionEntry,
    SettlementEntry,
    ToolCallEntry,
    UnsentEntry,
)
from service.core.record import ToolCall
from service.core.words import AttemptOutcome, ToolOutcome, VerdictWord, ZeroReason
from service.ledger.choosing import OPEN

OUTCOMES: dict[str, str] = {
    ToolOutcome.OK: "answered",
    ToolOutcome.TOOL_ERROR: "ended with an error of the tool",
    ToolOutcome.REFUSED: "refused",
    ToolOutcome.BUDGET: "stopped by a budget",
    ToolOutcome.CANCELLED: "cancelled by the client",
    ToolOutcome.FAILED: "failed",
    OPEN: "still open",
}

ATTEMPTS: dict[str, str] = {
    AttemptOutcome.OPEN: "under way",
    AttemptOutcome.SETTLED: "settled",
    AttemptOutcome.REFUSED: "refused by the provider",
    AttemptOutcome.UNSENT: "never left this machine",
    AttemptOutcome.IN_DOUBT: "in doubt",
    AttemptOutcome.RECONCILED: "in doubt once, resolved",
    AttemptOutcome.WRITTEN_OFF: "in doubt once, written off",
}

ZEROS: dict[str, str] = {
    ZeroReason.CACHED: "answered from the cache",
    ZeroReason.NO_MODEL_STEP: "this tool asks no model",
    ZeroReason.MODEL_STEP_DECLINED: "the caller declined the model step",
    ZeroReason.BUDGET_STOP: "a budget stopped it before sending",
    ZeroReason.NO_WALLET: "no wallet serves the request",
    ZeroReason.INVALID_ARGUMENTS: "the arguments were refused",
    ZeroReason.CANCELLED: "cancelled before sending",
    ZeroReason.IDEMPOTENT_REPLAY: "a stored answer was repeated",
    ZeroReason.UNAVAILABLE: "the service could not carry it out",
}

BADGES: dict[str, tuple[str, str]] = {
    VerdictWord.PROVEN: ("✓", "proven"),
    VerdictWord.UNVERIFIED: ("?", "unverified"),
    VerdictWord.MISMATCH: ("≠", "mismatch"),
    VerdictWord.NO_CREDIT_USED: ("∅", "none"),
}

CLASSES: dict[str, str] = {
    "uncached_input": "input, not cached",
    "cached_input": "input, cached",
    "cache_write": "written to the cache",
    "output": "output",
}

# Why calls cost nothing, by the code of the reason, after a number of calls.
WHY_ZERO: dict[str, str] = {
    "N1": "answered from the cache",
    "N2": "stopped by a budget before sending",
    "N3": "refused by the provider, which metered nothing",
    "N4": "of a model that is priced at zero",
    "N6": "that never left this machine",
    "N7": "of a tool that asks no model",
    "N8": "whose model step the caller declined",
    "N9": "that no wallet serves",
    "N10": "whose arguments were refused",
    "N11": "cancelled before sending",
    "N12": "answered with a stored answer",
    "N13": "that the service could not carry out",
}

# A list's room is short: why a verdict is not better, by the code of its reason.
REASONS: dict[str, str] = {
    "U4": "charge not confirmed yet",
    "U5": "timed out, may be billed",
    "U6": "answer lost, may be billed",
    "U7": "no price known",
    "U9": "not finished",
    "U10": "cost stated by hand",
    "U11": "written off",
    "M3": "another model answered",
}

_TO_SETTLE = (
    "To settle it, look for the ids or the time below in the provider's console; then `exai ledger resolve`."
)

# What a reader can do about a verdict, by the code of its reason.
NEXT_STEPS: dict[str, str] = {
    "U4": "To check it yourself, look the ids below up in the provider's console.",
    "U5": _TO_SETTLE,
    "U6": _TO_SETTLE,
    "U7": "A dated price row for this model makes the next call's cost known; this one's tokens are below.",
    "U9": "Load this page again in a moment.",
    "U10": "Who stated it, and why, stands below; the ids let you check it in the provider's console.",
    "U11": "Who wrote it off, and why, stands below.",
    "M3": "Ask the provider, naming the ids below, why another model answered.",
}

_KINDS: dict[type[OfCall], str] = {
    ToolCallEntry: "the client's call was admitted",
    IntentEntry: "a request is about to be sent; its worst case is held",
    AcceptedEntry: "the provider's response headers arrived",
    SettlementEntry: "the provider metered it; the cost is fixed",
    RefusalEntry: "the provider refused it without metering",
    UnsentEntry: "not one byte of the request left",
    DoubtEntry: "it left, or may have, and no usage came back",
    AnswerEntry: "the call was closed",
    ResolutionEntry: "what became of the attempt in doubt was stated",
}


def plain(word: str) -> str:
    """Say a word of a closed list without its underscores."""
    return word.replace("_", " ")


def meaning(entry: OfCall) -> str:
    """Say what an entry means, in one line."""
    return _KINDS[type(entry)]


def entries_of(call: ToolCall) -> list[OfCall]:
    """List a record's entries in the log's order."""
    found: list[OfCall] = [call.opened]
    for attempt in call.attempts:
        parts = (attempt.intent, attempt.accepted, attempt.end, attempt.resolution)
        found += [entry for entry in parts if entry is not None]
    if call.answer is not None:
        found.append(call.answer)
    return sorted(found, key=lambda entry: entry.index)
