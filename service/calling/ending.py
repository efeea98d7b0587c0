"""How an attempt ended: settled, refused, unsent or in doubt. Pure: what was seen goes in, an entry comes out.

never connected                                → unsent
usage came with the end of an answer           → settled, whatever happened to the connection after it
a whole error that the provider's table knows  → refused
anything else                                  → in doubt: it may have been billed
"""

from http import HTTPStatus

import msgspec

from service.calling.connection import LostError
from service.calling.routing import Route
from service.calling.wire import UnsentError
from service.core import pricing
from service.core.bounds import ESTIMATE_METHOD, estimated_tokens
from service.core.entries import (
    DoubtEntry,
    End,
    Estimate,
    IntentEntry,
    RefusalEntry,
    SettlementEntry,
    UnsentEntry,
)
from service.core.evidence import Commitment, Signature, Timing
from service.core.redact import MASK, redacted
from service.core.shapes import Answer, Refusal
from service.core.usage import Usage, UsageFlag
from service.core.words import DoubtCause

_WORD_CHARS_MAX = 128
_USAGE_CHARS_MAX = 4096
_SIGNATURE_CHARS_MAX = 4096


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All that was seen of one attempt.

    Attributes:
        prompt_bytes: size of the request's body.
        headers: the response's, lower-case names.
        error_body: the body where the status was not 200, cut to its limit.
        answer: the body where the status was 200, as far as it could be read.
        failure: what ended the exchange early; None if the body came to its end.
    """

    route: Route
    intent: IntentEntry
    prompt_bytes: int
    status: int | None
    headers: dict[str, str]
    error_body: bytes
    answer: Answer
    response: Commitment | None
    failure: UnsentError | LostError | None
    timing: Timing


def ending(seen: Outcome) -> End:
    """Say how an attempt ended."""
    if isinstance(seen.failure, UnsentError):
        return UnsentEntry(
            tool_call_id=seen.intent.tool_call_id,
            attempt_id=seen.intent.attempt_id,
            reason=seen.failure.reason,
            message=_clean(seen, seen.failure.message),
            timing=seen.timing,
        )
    if seen.status == HTTPStatus.OK and seen.response is not None:
        answer = seen.answer
        if answer.usage is not None and (answer.complete or answer.finish_reason is not None):
            return _settled(seen, answer.usage, seen.response)
        # An error after text began is no refusal: what was written until then may be billed.
        if answer.refusal is not None and not (answer.text or answer.reasoning):
            return _refused(seen, answer.refusal, HTTPStatus.OK)
        return _in_doubt(seen)
    if seen.status is not None and seen.failure is None:
        refusal = seen.route.provider.refusal(seen.status, seen.headers, seen.error_body)
        if refusal is not None:
            return _refused(seen, refusal, seen.status)
    return _in_doubt(seen)


def _settled(seen: Outcome, usage: Usage, response: Commitment) -> SettlementEntry:
    answer, provider, row = seen.answer, seen.route.provider, seen.route.row
    flags = answer.usage_flags
    stated = provider.cached_tokens(seen.headers)
    if stated is not None and stated != usage.cached_input_tokens:
        flags = (*flags, UsageFlag.HEADER_DIFFERS)
    reported = _word(seen, answer.model_reported)
    names = row.names if row else frozenset({seen.intent.model})
    return SettlementEntry(
        tool_call_id=seen.intent.tool_call_id,
        attempt_id=seen.intent.attempt_id,
        status=HTTPStatus.OK.value,
        usage=usage,
        usage_raw=(answer.usage_raw or "").replace(_key(seen), MASK)[:_USAGE_CHARS_MAX],
        usage_flags=flags,
        cost=pricing.cost(usage, row, seen.intent.price_version, plan=seen.intent.plan),
        model_reported=reported,
        model_known=reported is None or reported in names,
        finish_reason=_word(seen, answer.finish_reason),
        provider_ids=_ids(seen),
        response=response,
        signature=_signature(seen),
        timing=seen.timing,
        text_bytes=len(answer.text.encode()),
        reasoning_bytes=len(answer.reasoning.encode()),
    )


def _refused(seen: Outcome, refusal: Refusal, status: int) -> RefusalEntry:
    return RefusalEntry(
        tool_call_id=seen.intent.tool_call_id,
        attempt_id=seen.intent.attempt_id,
        status=int(status),
        reason=refusal.reason,
        retryable=refusal.retryable,
        retry_after_ms=refusal.retry_after_ms,
        provider_type=_word(seen, refusal.provider_type),
        provider_code=_word(seen, refusal.provider_code),
        message=_clean(seen, refusal.message),
        provider_ids=_ids(seen),
        timing=seen.timing,
    )


def _in_doubt(seen: Outcome) -> DoubtEntry:
    cause, message = _doubt(seen)
    return DoubtEntry(
        tool_call_id=seen.intent.tool_call_id,
        attempt_id=seen.intent.attempt_id,
        cause=cause,
        message=_clean(seen, message),
        status=seen.status,
        model_reported=_word(seen, seen.answer.model_reported),
        finish_reason=_word(seen, seen.answer.finish_reason),
        provider_ids=_ids(seen),
        response=seen.response,
        estimate=_estimate(seen),
        timing=seen.timing,
    )


def _doubt(seen: Outcome) -> tuple[DoubtCause, str]:
    answer = seen.answer
    if seen.failure is not None and isinstance(seen.failure, LostError):
        return seen.failure.cause, seen.failure.message
    if seen.status != HTTPStatus.OK or not answer.readable:
        return DoubtCause.UNREADABLE_ANSWER, f"HTTP {seen.status} with a body that is not the provider's own"
    if answer.refusal is not None:
        return DoubtCause.STREAM_CUT, f"the provider broke off with an error: {answer.refusal.message}"
    if not answer.complete:
        return DoubtCause.STREAM_CUT, "the body ended before the answer did"
    return DoubtCause.NO_USAGE, "the answer is complete but carries no usage"


def _estimate(seen: Outcome) -> Estimate:
    """Guess what an attempt in doubt consumed: its request's bytes, and the text that came.

    Where the worst case has no amount the guess has none: beside an unknown bound it would pass for one.
    """
    written = len((seen.answer.text + seen.answer.reasoning).encode())
    usage = Usage(
        uncached_input_tokens=estimated_tokens(seen.prompt_bytes),
        cached_input_tokens=0,
        cache_write_tokens=0,
        output_tokens=estimated_tokens(written),
        reasoning_tokens=0,
    )
    row = seen.route.row if seen.intent.worst_case.amount is not None else None
    cost = pricing.cost(usage, row, seen.intent.price_version, plan=seen.intent.plan)
    return Estimate(
        method=ESTIMATE_METHOD,
        input_tokens=usage.uncached_input_tokens,
        output_tokens=usage.output_tokens,
        currency=cost.currency,
        amount=cost.amount,
    )


def _signature(seen: Outcome) -> Signature | None:
    signed = seen.route.provider.signature(seen.headers)
    if signed is None or seen.intent.nonce is None:
        return None
    # Kept as it came, to the last character: a signature with a part masked verifies nothing.
    timestamp, signature = (part[:_SIGNATURE_CHARS_MAX] for part in signed)
    return Signature(nonce=seen.intent.nonce, timestamp=timestamp, signature=signature, model=seen.intent.model)


def _ids(seen: Outcome) -> dict[str, str]:
    stated = seen.route.provider.ids(seen.headers) if seen.headers else {}
    found = seen.answer.provider_ids | stated
    return {name: redacted(value, (_key(seen),), chars_max=_WORD_CHARS_MAX) for name, value in found.items()}


def _word(seen: Outcome, text: str | None) -> str | None:
    return None if text is None else redacted(text, (_key(seen),), chars_max=_WORD_CHARS_MAX)


def _clean(seen: Outcome, text: str) -> str:
    return redacted(text, (_key(seen),))


def _key(seen: Outcome) -> str:
    return seen.route.wallet.key.reveal()
