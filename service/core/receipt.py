"""The receipt: all that is known of one tool call, as the world sees it.

It is a pure view of the call's record and of the verdict entries that decide its attempts. The salt of a call's
commitments is not in the ledger; who still holds it passes it in.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from service.core.books import VerificationEntry
from service.core.checks import Check, checks
from service.core.entries import DoubtEntry, End, SettlementEntry
from service.core.evidence import Commitment
from service.core.judged import NOTHING, UNJUDGED, Judged
from service.core.money import decimal_text, pico
from service.core.record import Attempt, ToolCall
from service.core.usage import Usage
from service.core.verdict import Verdict, attempt_verdict, verdict
from service.core.words import (
    AttemptOutcome,
    CostStatus,
    ResolutionOutcome,
    ResolutionSource,
    VerdictWord,
    VerificationOutcome,
    ZeroReason,
)

VERSION = 1
SCHEMA_PATH = "/api/v1/receipt.schema.json"
_US_PER_MS = 1000
_VERIFIED: dict[VerificationOutcome, bool | None] = {
    VerificationOutcome.VALID: True,
    VerificationOutcome.INVALID: False,
    VerificationOutcome.UNAVAILABLE: None,
}


class ReceiptCost(msgspec.Struct, frozen=True, kw_only=True):
    """What the attempt cost: a decimal string and its currency, None while unknown."""

    amount: str | None
    currency: str | None
    status: CostStatus | None
    price_version: str


class ReceiptCommitment(msgspec.Struct, frozen=True, kw_only=True):
    """SHA-256(salt ‖ bytes). The salt is given to the caller once, in the answer's receipt."""

    sha256: str
    bytes: int
    salt: str | None


class ReceiptSignature(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's signature over nonce, time and model; `verified` is None until it has said yes or no."""

    nonce: str
    timestamp: str
    signature: str
    model: str
    verified: bool | None


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where the ledger holds the attempt's latest entry."""

    origin: str
    index: int
    leaf_hash: str


class ReceiptResolution(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt in doubt, by whose word and why; the amount then stands in `cost`."""

    outcome: ResolutionOutcome
    source: ResolutionSource
    by: str
    why: str
    at: str


class ReceiptFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule found, at its time, of the attempt or of a window that it lies in.

    Attributes:
        at: UTC text of when it was written down.
        index: of the entry in the ledger.
        rule: the version of the rule.
    """

    at: str
    index: int
    word: VerdictWord
    code: str
    sentence: str
    rule: int


class ReceiptAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request to a provider.

    Attributes:
        checks: the six, in their order.
        verdict: on this attempt; the call's is that of its gravest.
        history: what was found of it since, oldest first; empty until a reading was compared.
    """

    attempt_id: str
    provider: str
    wallet: str
    model: str
    model_reported: str | None
    outcome: AttemptOutcome
    http_status: int | None
    provider_request_ids: dict[str, str]
    usage: Usage | None
    usage_source: str | None
    cost: ReceiptCost
    signature: ReceiptSignature | None
    started_at: str
    duration_ms: float | None
    first_byte_ms: float | None
    request_commitment: ReceiptCommitment
    response_commitment: ReceiptCommitment | None
    ledger: Position
    resolution: ReceiptResolution | None
    checks: tuple[Check, ...]
    verdict: Verdict
    history: tuple[ReceiptFinding, ...]


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """A call's sums in one currency.

    Attributes:
        amount: cost of settled attempts, and what was stated for reconciled ones.
        in_doubt_held: worst case of attempts in doubt; not spend.
        in_doubt_estimate: a guess at the same; not spend. None where one of them has no estimate.
    """

    currency: str
    amount: str
    in_doubt_held: str
    in_doubt_estimate: str | None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one tool call. Amounts are decimal strings; times are UTC.

    `checkpoint` is the newest signed one of the ledger when this was made, as its exact text; it need not cover
    the call's own entries yet. Whoever keeps it can tell later whether the ledger is still the one that was
    signed.
    """

    version: int
    tool_call_id: str
    tool: str
    trace_id: str
    provider_calls: int
    zero_reason: ZeroReason | None
    simulated: bool
    attempts: tuple[ReceiptAttempt, ...]
    totals: tuple[Total, ...]
    verdict: Verdict
    url: str
    checkpoint: str | None


def receipt(
    call: ToolCall,
    *,
    as_of: str,
    console_url: str,
    salt: str | None = None,
    checkpoint: str | None = None,
    judged: Mapping[str, Judged] = UNJUDGED,
) -> Receipt:
    """Build the receipt of a call from its record.

    Args:
        call: the record so far.
        as_of: UTC text of this moment, for the verdict.
        console_url: where the console is reached, without a slash at the end.
        salt: hex, of the call's commitments, while it is still held.
        checkpoint: text of the ledger's newest one, if it is known.
        judged: by attempt id, the verdict entries that speak of the call's attempts.
    """
    return Receipt(
        version=VERSION,
        tool_call_id=call.tool_call_id,
        tool=call.opened.tool,
        trace_id=call.opened.trace_id,
        provider_calls=len(call.attempts),
        zero_reason=call.answer.zero_reason if call.answer else None,
        simulated=any(attempt.simulated for attempt in call.attempts),
        attempts=tuple(
            _attempt(attempt, salt, as_of, judged.get(attempt.intent.attempt_id, NOTHING))
            for attempt in call.attempts
        ),
        totals=totals(call),
        verdict=verdict(call, as_of=as_of, judged=judged),
        url=page_url(console_url, call.tool_call_id),
        checkpoint=checkpoint,
    )


def page_url(console_url: str, tool_call_id: str) -> str:
    """Say where a person finds a call's receipt."""
    return f"{console_url}/console/calls/{tool_call_id}"


def totals(call: ToolCall) -> tuple[Total, ...]:
    """Sum a call's attempts per currency, sorted by currency."""
    sums: dict[str, list[int]] = {}
    unguessed: set[str | None] = set()
    for attempt in call.attempts:
        if attempt.outcome is AttemptOutcome.IN_DOUBT and not _is_guessed(attempt.end):
            unguessed.add(attempt.intent.worst_case.currency)
        for column, (currency, amount) in enumerate(_amounts(attempt)):
            if currency is not None and amount is not None:
                sums.setdefault(currency, [0, 0, 0])[column] += pico(amount)
    return tuple(
        Total(
            currency=currency,
            amount=decimal_text(amount),
            in_doubt_held=decimal_text(held),
            in_doubt_estimate=None if currency in unguessed else decimal_text(estimate),
        )
        for currency, (amount, held, estimate) in sorted(sums.items())
    )


def schema() -> dict[str, Any]:
    """Describe the receipt as JSON Schema 2020-12."""
    described = msgspec.json.schema(Receipt)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_PATH, **described}


def _amounts(attempt: Attempt) -> tuple[tuple[str | None, str | None], ...]:
    """List (currency, amount) as settled, held and estimated."""
    nothing = (None, None)
    if attempt.resolution is not None:
        return (attempt.resolution.currency, attempt.resolution.amount), nothing, nothing
    match attempt.end:
        case SettlementEntry() as settlement:
            return (settlement.cost.currency, settlement.cost.amount), nothing, nothing
        case DoubtEntry() as doubt:
            worst = attempt.intent.worst_case
            guess = (doubt.estimate.currency, doubt.estimate.amount) if doubt.estimate else nothing
            return nothing, (worst.currency, worst.amount), guess
        case _:
            return nothing, nothing, nothing


def _is_guessed(end: End | None) -> bool:
    return isinstance(end, DoubtEntry) and end.estimate is not None and end.estimate.amount is not None


def _attempt(attempt: Attempt, salt: str | None, as_of: str, judged: Judged) -> ReceiptAttempt:
    intent, end = attempt.intent, attempt.end
    settled = end if isinstance(end, SettlementEntry) else None
    timing = end.timing if end else None
    return ReceiptAttempt(
        attempt_id=intent.attempt_id,
        provider=intent.provider,
        wallet=intent.wallet,
        model=intent.model,
        model_reported=end.model_reported if isinstance(end, SettlementEntry | DoubtEntry) else None,
        outcome=attempt.outcome,
        http_status=attempt.http_status,
        provider_request_ids=attempt.provider_ids,
        usage=settled.usage if settled else None,
        usage_source="provider" if settled else None,
        cost=_cost(attempt),
        signature=_signature(settled, judged.verification),
        started_at=intent.at,
        duration_ms=_ms(timing.ended_us) if timing else None,
        first_byte_ms=_ms(timing.first_byte_us) if timing else None,
        request_commitment=_commitment(intent.request, salt),
        response_commitment=_response(end, salt),
        ledger=Position(origin=intent.origin, index=attempt.latest.index, leaf_hash=attempt.leaf.hex()),
        resolution=_resolution(attempt),
        checks=checks(attempt, judged),
        verdict=attempt_verdict(attempt, as_of=as_of, judged=judged),
        history=tuple(
            ReceiptFinding(
                at=found.at,
                index=found.index,
                word=found.word,
                code=found.code,
                sentence=found.sentence,
                rule=found.rule,
            )
            for found in judged.history
        ),
    )


def _resolution(attempt: Attempt) -> ReceiptResolution | None:
    said = attempt.resolution
    if said is None:
        return None
    return ReceiptResolution(outcome=said.outcome, source=said.source, by=said.by, why=said.why, at=said.at)


def _cost(attempt: Attempt) -> ReceiptCost:
    said = attempt.resolution
    if said is not None and said.amount is not None:
        return ReceiptCost(
            amount=said.amount,
            currency=said.currency,
            status=stated_status(said.source),
            price_version=attempt.intent.price_version,
        )
    match attempt.end:
        case SettlementEntry() as settlement:
            cost = settlement.cost
            return ReceiptCost(
                amount=cost.amount,
                currency=cost.currency,
                status=cost.status,
                price_version=cost.price_version,
            )
        case _:
            return ReceiptCost(amount=None, currency=None, status=None, price_version=attempt.intent.price_version)


def stated_status(source: ResolutionSource) -> CostStatus:
    """Say by what an amount is known that resolved an attempt in doubt."""
    return CostStatus.RECONCILED if source is ResolutionSource.READINGS else CostStatus.STATED


def _signature(settled: SettlementEntry | None, verification: VerificationEntry | None) -> ReceiptSignature | None:
    if settled is None or settled.signature is None:
        return None
    signed = settled.signature
    return ReceiptSignature(
        nonce=signed.nonce,
        timestamp=signed.timestamp,
        signature=signed.signature,
        model=signed.model,
        verified=None if verification is None else _VERIFIED[verification.outcome],
    )


def _response(end: End | None, salt: str | None) -> ReceiptCommitment | None:
    if isinstance(end, SettlementEntry | DoubtEntry) and end.response is not None:
        return _commitment(end.response, salt)
    return None


def _commitment(made: Commitment, salt: str | None) -> ReceiptCommitment:
    return ReceiptCommitment(sha256=made.sha256, bytes=made.bytes, salt=salt)


def _ms(us: int | None) -> float | None:
    return None if us is None else us / _US_PER_MS
