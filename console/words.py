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
from service.core.words import AttemptOutcome, CheckState, ToolOutcome, VerdictWord, ZeroReason
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
    ZeroReason.NO_MODEL_STEP: "no model was asked",
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

# The state of a check: a sign, a word and a class of the style sheet.
CHECKS: dict[str, tuple[str, str, str]] = {
    CheckState.PASS: ("✓", "pass", "proven"),
    CheckState.FAIL: ("≠", "fail", "mismatch"),
    CheckState.NOT_YET: ("…", "not yet", "unverified"),
    CheckState.NOT_AVAILABLE: ("–", "not available", "none"),
    CheckState.NOT_NEEDED: ("∅", "not needed", "none"),
}

CLASSES: dict[str, str] = {
    "uncached_input": "input, not cached",
    "cached_input": "input, cached",
    "cache_write": "written to the cache",
    "output": "output",
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
