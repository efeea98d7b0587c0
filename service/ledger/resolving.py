"""Resolving: what a person found out about an attempt in doubt, judged against what is recorded, as an entry."""

import msgspec

from service.core.canonical import INTEGER_MAX
from service.core.entries import ResolutionEntry, WorstCase
from service.core.money import Money, pico
from service.core.record import Attempt
from service.core.words import AttemptOutcome, ResolutionOutcome, ResolutionSource
from service.errors import ActionError
from service.ledger.reading import Reading
from service.ledger.rows import AMOUNT_PICO_MAX

WHY_CHARS_MAX = 500
_WORD_CHARS_MAX = 64  # of what was asked, in an error


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a person found out.

    Attributes:
        outcome: reconciled with an amount, or written off without one.
        amount: exact decimal; "0" was not billed.
        currency: ISO 4217; None means the one that the attempt is billed in.
        tokens: consumed in all; None if not known.
        why: how it was found out.
        above_bound: whether more is meant than the attempt can have cost or consumed.
    """

    outcome: ResolutionOutcome
    amount: str | None
    currency: str | None
    tokens: int | None
    why: str
    above_bound: bool


def reason(text: str) -> str:
    """Give a person's reason as it is written down.

    Raises:
        ActionError: it is empty, too long or no line.
    """
    stripped = text.strip()
    if not stripped or len(stripped) > WHY_CHARS_MAX or not stripped.isprintable():
        raise ActionError(
            f"the reason must be one line of 1 to {WHY_CHARS_MAX} characters",
            remedy="Say why, and by what you know it: --why TEXT",
        )
    return stripped


def attempt_in_doubt(reading: Reading, word: str) -> Attempt:
    """Find the attempt in doubt that is meant by its own id, or by that of a call that has no other.

    Raises:
        ActionError: there is none, or more than one; the message says what became of it.
    """
    with reading.snapshot():
        call = reading.call(word) or reading.call(reading.call_of_attempt(word) or "")
    if call is None:
        raise ActionError(
            f"there is no attempt and no tool call {word[:_WORD_CHARS_MAX]!r}",
            remedy="Receipts and the ledger page show ids: 32 hex digits.",
        )
    meant = [one for one in call.attempts if word in (one.intent.attempt_id, call.tool_call_id)]
    doubtful = [one for one in meant if one.outcome is AttemptOutcome.IN_DOUBT]
    if len(doubtful) > 1:
        ids = ", ".join(one.intent.attempt_id for one in doubtful)
        raise ActionError(f"tool call {word} has {len(doubtful)} attempts in doubt", remedy=f"Name one: {ids}")
    if not doubtful:
        raise _not_in_doubt(word, meant)
    return doubtful[0]


def resolution(attempt: Attempt, found: Finding, *, by: str) -> ResolutionEntry:
    """Write what was found out as an entry.

    Raises:
        ActionError: it cannot be so, or needs a further word; the remedy says which.
    """
    why = reason(found.why)
    cost = _cost(attempt.intent.worst_case, found)
    _refuse_tokens(attempt.intent.worst_case, found)
    return ResolutionEntry(
        tool_call_id=attempt.intent.tool_call_id,
        attempt_id=attempt.intent.attempt_id,
        outcome=found.outcome,
        currency=cost.currency if cost else None,
        amount=cost.amount if cost else None,
        tokens=found.tokens,
        source=ResolutionSource.OPERATOR,
        by=by,
        why=why,
    )


def _not_in_doubt(word: str, meant: list[Attempt]) -> ActionError:
    remedy = f"Only an attempt in doubt is resolved. To look at it: exai ledger show {word}"
    if not meant:
        return ActionError(f"tool call {word} made no attempt: there is nothing to resolve", remedy=remedy)
    if len(meant) > 1:
        return ActionError(f"none of the {len(meant)} attempts of tool call {word} is in doubt", remedy=remedy)
    said = meant[0].resolution
    if said is not None:
        became = f"is resolved already: {meant[0].outcome.replace('_', ' ')} at {said.at} by {said.by}"
    elif meant[0].outcome is AttemptOutcome.OPEN:
        became = "is open: it may still end by itself"
    else:
        became = f"is not in doubt: it was {meant[0].outcome}"
    return ActionError(f"attempt {meant[0].intent.attempt_id} {became}", remedy=remedy)


def _cost(worst: WorstCase, found: Finding) -> Money | None:
    """Read what it cost, in the currency of its bill and within what it can have cost; None if written off.

    Raises:
        ActionError: that is not so.
    """
    if found.outcome is ResolutionOutcome.WRITTEN_OFF:
        if (found.amount, found.currency, found.tokens) != (None, None, None):
            raise ActionError(
                "what is written off has no amount and no tokens", remedy="Leave them out, or say --cost."
            )
        return None
    currency = found.currency or worst.currency
    if currency is None or found.amount is None:
        raise ActionError(
            "no price was known for this attempt, so neither is its currency",
            remedy="Name it, for nothing as well: --cost 0 USD",
        )
    try:
        cost = Money(currency, pico(found.amount))
    except ValueError as error:
        raise ActionError(str(error), remedy="Write it as 0.0125 USD: plain digits, an ISO 4217 code.") from error
    if worst.currency not in (None, currency):
        raise ActionError(
            f"the attempt is billed in {worst.currency}, not in {currency}",
            remedy=f"Say what it cost in {worst.currency}; currencies are never converted here.",
        )
    if not 0 <= cost.pico <= AMOUNT_PICO_MAX:
        raise ActionError(
            f"{cost.amount} {currency} is no cost of one attempt", remedy="Look at the amount again."
        )
    if worst.amount is not None and cost.pico > pico(worst.amount) and not found.above_bound:
        raise ActionError(
            f"{cost.amount} {currency} is more than this attempt can have cost, {worst.amount} {currency}",
            remedy="Look at the provider's bill again; if it says so of this one request, add --above-bound.",
        )
    return cost


def _refuse_tokens(worst: WorstCase, found: Finding) -> None:
    if found.tokens is None:
        return
    most = worst.input_tokens + worst.output_tokens
    if not 0 <= found.tokens <= INTEGER_MAX:
        raise ActionError(f"{found.tokens} is no count of tokens", remedy="Look at the count again.")
    if found.tokens > most and not found.above_bound:
        raise ActionError(
            f"{found.tokens} tokens are more than this attempt can have consumed, {most}",
            remedy="Look at the provider's bill again; if it says so of this one request, add --above-bound.",
        )
