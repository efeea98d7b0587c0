"""Resolve an attempt in doubt: say, for good, what became of it. What was held for it is free then."""

import asyncio

import msgspec

from service.actions._action import Action, Stand
from service.core.entries import Estimate, ResolutionEntry, WorstCase
from service.core.record import Attempt
from service.core.words import ResolutionOutcome
from service.errors import ActionError
from service.ledger.resolving import Finding, attempt_in_doubt, resolution


class LedgerResolve(Finding, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which attempt, by its own id or its tool call's, and what was found out about it."""

    id: str


class LedgerResolved(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt as it was, and what is said of it now.

    Attributes:
        doubt: why it was in doubt.
        held: what was held for it until now.
        amount, currency, tokens: what it cost and consumed; None if not known or written off.
        index: the entry's; None if nothing was written.
    """

    tool_call_id: str
    attempt_id: str
    provider: str
    wallet: str
    model: str
    started_at: str
    doubt: str
    held: WorstCase
    estimate: Estimate | None
    outcome: ResolutionOutcome
    amount: str | None
    currency: str | None
    tokens: int | None
    by: str
    why: str
    index: int | None


def told(attempt: Attempt, said: ResolutionEntry, *, index: int | None) -> LedgerResolved:
    """Show an attempt in doubt beside its resolution."""
    intent, doubt = attempt.intent, attempt.end
    return LedgerResolved(
        tool_call_id=intent.tool_call_id,
        attempt_id=intent.attempt_id,
        provider=intent.provider,
        wallet=intent.wallet,
        model=intent.model,
        started_at=intent.at,
        doubt=getattr(doubt, "cause", ""),
        held=intent.worst_case,
        estimate=getattr(doubt, "estimate", None),
        outcome=said.outcome,
        amount=said.amount,
        currency=said.currency,
        tokens=said.tokens,
        by=said.by,
        why=said.why,
        index=index,
    )


async def _run(asked: LedgerResolve, stand: Stand, by: str) -> LedgerResolved:
    attempt = await asyncio.to_thread(attempt_in_doubt, stand.reading, asked.id)
    try:
        (step,) = await stand.ledger.append(resolution(attempt, asked, by=by))
    except ValueError as error:  # somebody else resolved it meanwhile, or the reason holds a secret
        raise ActionError(
            f"it was not written: {error}", remedy=f"Look at it: exai ledger show {asked.id}"
        ) from error
    if not isinstance(step.entry, ResolutionEntry):
        raise ActionError("something else was written", remedy="Look at it: exai ledger show")
    return told(attempt, step.entry, index=step.entry.index)


ACTION = Action(name="ledger-resolve", request=LedgerResolve, reply=LedgerResolved, run=_run)
