"""What was done to the ledger: entries of no call, and resolutions, each as a sentence."""

import msgspec

from console.limits import sentence
from service.core.entries import (
    ActionEntry,
    AnyEntry,
    BudgetEntry,
    ClientEntry,
    ResolutionEntry,
    SystemEntry,
    kind,
)
from service.core.words import BudgetEvent, ClientEvent, ResolutionOutcome

_FINGERPRINT_CHARS = 8
_STARTS: dict[str, str] = {"start": "The service started.", "stop": "The service stopped."}
_SETS = {BudgetEvent.SET: "was set", BudgetEvent.REMOVED: "was removed", BudgetEvent.WARNED: "warned"}
_TOKENS = {ClientEvent.CREATED: "was made", ClientEvent.REVOKED: "was revoked"}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One entry in words.

    Attributes:
        by: who did it; None for the service's own doings.
        why: in the words of who did it.
        tool_call_id: of the call that it is about.
        details: names and values, as the entry holds them.
    """

    index: int
    at: str
    kind: str
    said: str
    by: str | None = None
    why: str | None = None
    tool_call_id: str | None = None
    details: tuple[tuple[str, str], ...] = ()


def told(entry: AnyEntry) -> Told:
    """Say what an entry tells."""
    bare = Told(index=entry.index, at=entry.at, kind=kind(entry), said=f"An entry of kind {kind(entry)}.")
    change = msgspec.structs.replace
    match entry:
        case SystemEntry():
            said = _STARTS.get(entry.event, f"The service noted: {entry.event}.")
            return change(bare, said=said, details=tuple(entry.detail.items()))
        case ActionEntry():
            details = tuple(entry.detail.items())
            return change(bare, said=f"Done to the ledger: {entry.action}.", by=entry.by, details=details)
        case BudgetEntry():
            return change(bare, said=_of_budget(entry), by=entry.by)
        case ClientEntry():
            return change(bare, said=_of_token(entry), by=entry.by)
        case ResolutionEntry():
            return change(bare, said=resolved(entry), by=entry.by, why=entry.why, tool_call_id=entry.tool_call_id)
        case _:
            return bare


def resolved(entry: ResolutionEntry) -> str:
    """Say what was stated of an attempt in doubt."""
    if entry.outcome is ResolutionOutcome.WRITTEN_OFF:
        return "An attempt in doubt was written off: nothing is held for it any more, and it counts as no spend."
    tokens = f", {entry.tokens} tokens" if entry.tokens is not None else ""
    return f"An attempt in doubt was stated to have cost {entry.amount} {entry.currency}{tokens}."


def _of_budget(entry: BudgetEntry) -> str:
    name, warned = f"Budget {entry.name}", entry.warning
    if warned is not None:
        whose = f" ({', '.join(warned.group)})" if warned.group else ""
        marked = ", SIMULATED" if warned.simulated else ""
        used = f"{warned.used} of {warned.limit} {warned.unit}"
        return f"{name}{whose}: {warned.percent} % are used up, {used}{marked}."
    terms = f": {sentence(entry.terms)}" if entry.terms is not None else "."
    return f"{name} {_SETS[entry.event]}{terms}"


def _of_token(entry: ClientEntry) -> str:
    said = f"Token {entry.name} ({entry.token_sha256[:_FINGERPRINT_CHARS]}…) {_TOKENS[entry.event]}"
    if entry.event is ClientEvent.REVOKED:
        return f"{said}."
    until = f"; it expires at {entry.expires_at[:19]}Z" if entry.expires_at is not None else "; it never expires"
    return f"{said}, for {', '.join(entry.scopes)}{until}."
