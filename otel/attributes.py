"""What is said of a tool call, a completion and an attempt: span attributes and events, from the record alone.

What is not known is not stated: an absent amount is never zero. No text of a prompt, an answer or a
provider's error is among them, and what others chose (ids, reported names) is cut to a bound.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

from opentelemetry.util.types import AttributeValue

from otel import semconv
from service.core.entries import AnswerEntry, DoubtEntry, End, RefusalEntry, SettlementEntry, UnsentEntry
from service.core.money import PICO_PER_UNIT, pico
from service.core.record import Attempt, ToolCall
from service.core.times import NS_PER_US, utc_ns
from service.core.words import ToolOutcome

TEXT_CHARS_MAX = 200
_US_PER_S = 1_000_000
_MCP_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}")
_PORTS = {"http": 80, "https": 443}
_ENDPOINTS_MAX = 64  # more than one service has wallets

Attributes = dict[str, AttributeValue]
_Perhaps = Mapping[str, AttributeValue | None]


class Milestone(NamedTuple):
    """What an attempt reached, and when, nanoseconds since 1970."""

    name: str
    at_ns: int


class _Endpoint(NamedTuple):
    """An endpoint as spans show it: without user, password, query and fragment."""

    url: str
    server: _Perhaps


def of_tool_call(call: ToolCall, answer: AnswerEntry) -> Attributes:
    """Describe a closed tool call; `exai.swept` marks one that a later start of the service closed."""
    opened = call.opened
    transport, carrier = semconv.network(opened.transport)
    return _stated(
        {
            semconv.GEN_AI_OPERATION_NAME: semconv.EXECUTE_TOOL,
            semconv.MCP_METHOD_NAME: semconv.TOOLS_CALL,
            semconv.GEN_AI_TOOL_NAME: opened.tool,
            **_protocol(opened.protocol, opened.request_id),
            semconv.NETWORK_TRANSPORT: transport,
            semconv.NETWORK_PROTOCOL_NAME: carrier,
            semconv.ERROR_TYPE: tool_error(answer),
            semconv.EXAI_TOOL_CALL_ID: call.tool_call_id,
            semconv.EXAI_OUTCOME: answer.outcome.value,
            semconv.EXAI_ZERO_REASON: answer.zero_reason.value if answer.zero_reason else None,
            semconv.EXAI_ERROR_CODE: answer.error_code,
            semconv.EXAI_LEDGER_INDEX: answer.index,
            semconv.EXAI_SIMULATED: any(attempt.simulated for attempt in call.attempts),
            semconv.EXAI_SWEPT: True if answer.epoch != opened.epoch else None,
        }
    )


def of_completion(chain: tuple[Attempt, ...]) -> Attributes:
    """Describe a completion by its last attempt: no earlier one was metered, or it would not have been retried."""
    last = chain[-1]
    intent = last.intent
    return _stated(
        {
            semconv.GEN_AI_OPERATION_NAME: semconv.CHAT,
            semconv.GEN_AI_PROVIDER_NAME: semconv.provider_name(intent.provider),
            semconv.GEN_AI_REQUEST_MODEL: intent.model,
            semconv.GEN_AI_REQUEST_MAX_TOKENS: intent.max_output_tokens,
            semconv.GEN_AI_REQUEST_STREAM: True if intent.stream else None,
            **_endpoint(intent.endpoint).server,
            **_answered(last),
            **_consumed(last),
            semconv.ERROR_TYPE: attempt_error(last.end),
            semconv.EXAI_WALLET: intent.wallet,
            semconv.EXAI_SIMULATED: any(attempt.simulated for attempt in chain),
        }
    )


def of_attempt(attempt: Attempt, resends: int) -> Attributes:
    """Describe an attempt; `resends` is how many attempts of the same completion came before it."""
    intent, end = attempt.intent, attempt.end
    endpoint = _endpoint(intent.endpoint)
    return _stated(
        {
            semconv.HTTP_REQUEST_METHOD: "POST",
            semconv.URL_FULL: endpoint.url,
            **endpoint.server,
            semconv.HTTP_RESPONSE_STATUS_CODE: attempt.http_status,
            semconv.HTTP_REQUEST_RESEND_COUNT: resends or None,
            semconv.ERROR_TYPE: attempt_error(end),
            semconv.EXAI_ATTEMPT_ID: intent.attempt_id,
            semconv.EXAI_ATTEMPT_NUMBER: intent.number,
            semconv.EXAI_ATTEMPT_OUTCOME: attempt.outcome.value,
            semconv.EXAI_WALLET: intent.wallet,
            semconv.EXAI_LEDGER_INDEX: (end or intent).index,
            semconv.EXAI_SIMULATED: attempt.simulated,
            **{semconv.EXAI_PROVIDER_ID_PREFIX + name: _cut(text) for name, text in attempt.provider_ids.items()},
        }
    )


def milestones(attempt: Attempt, begun_ns: int) -> tuple[Milestone, ...]:
    """List an attempt's milestones; where no timing was kept, only its acceptance can be known.

    Args:
        attempt: whose they are.
        begun_ns: when its intent was written.
    """
    timing = attempt.end.timing if attempt.end else None
    if timing is None:
        accepted = attempt.accepted
        return (Milestone(semconv.EVENT_ACCEPTED, utc_ns(accepted.at)),) if accepted else ()
    passed = (
        (semconv.EVENT_CONNECTED, timing.connected_us),
        (semconv.EVENT_SENT, timing.sent_us),
        (semconv.EVENT_ACCEPTED, timing.headers_us),
        (semconv.EVENT_FIRST_BYTE, timing.first_byte_us),
    )
    return tuple(Milestone(name, begun_ns + at_us * NS_PER_US) for name, at_us in passed if at_us is not None)


def tool_error(answer: AnswerEntry) -> str | None:
    """Name the error of a tool call, by a closed list; None when there is none."""
    match answer.outcome:
        case ToolOutcome.OK:
            return None
        case ToolOutcome.TOOL_ERROR:
            return semconv.TOOL_ERROR
        case outcome:
            return answer.error_code or outcome.value


def attempt_error(end: End | None) -> str | None:
    """Name the error of an attempt, by the closed lists; a settled one has none."""
    match end:
        case RefusalEntry(reason=reason) | UnsentEntry(reason=reason):
            return reason.value
        case DoubtEntry(cause=cause):
            return cause.value
        case _:
            return None


def _protocol(protocol: str, request_id: str) -> _Perhaps:
    """Name the protocol; only one that is dated is MCP, and only its ids are JSON-RPC's."""
    if _MCP_VERSION.fullmatch(protocol):
        return {semconv.JSONRPC_REQUEST_ID: _cut(request_id), semconv.MCP_PROTOCOL_VERSION: protocol}
    return {semconv.EXAI_REQUEST_ID: _cut(request_id), semconv.EXAI_PROTOCOL: protocol}


def _answered(attempt: Attempt) -> _Perhaps:
    end = attempt.end
    if not isinstance(end, SettlementEntry | DoubtEntry):
        return {}
    first_byte_us = end.timing.first_byte_us if end.timing and attempt.intent.stream else None
    finish_reason = _cut(end.finish_reason)
    return {
        semconv.GEN_AI_RESPONSE_ID: _cut(attempt.provider_ids.get("id")),
        semconv.GEN_AI_RESPONSE_MODEL: _cut(end.model_reported),
        semconv.GEN_AI_RESPONSE_FINISH_REASONS: None if finish_reason is None else (finish_reason,),
        semconv.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: None if first_byte_us is None else first_byte_us / _US_PER_S,
    }


def _consumed(attempt: Attempt) -> _Perhaps:
    """Say what the attempt consumed, or what is held for it."""
    match attempt.end:
        case SettlementEntry(usage=usage, cost=cost):
            priced = cost.amount is not None
            return {
                semconv.GEN_AI_USAGE_INPUT: usage.input_tokens,
                semconv.GEN_AI_USAGE_OUTPUT: usage.output_tokens,
                semconv.GEN_AI_USAGE_CACHE_READ: usage.cached_input_tokens,
                semconv.GEN_AI_USAGE_CACHE_WRITE: usage.cache_write_tokens,
                semconv.GEN_AI_USAGE_REASONING: usage.reasoning_tokens,
                semconv.GEN_AI_USAGE_COST_AMOUNT: None
                if cost.amount is None
                else pico(cost.amount) / PICO_PER_UNIT,
                semconv.GEN_AI_USAGE_COST_CURRENCY: cost.currency,
                semconv.GEN_AI_USAGE_COST_SOURCE: semconv.COST_SOURCE_LOCAL if priced else None,
                semconv.EXAI_COST_AMOUNT: cost.amount,
                semconv.EXAI_COST_STATUS: cost.status.value,
            }
        case DoubtEntry():
            worst = attempt.intent.worst_case
            return {semconv.EXAI_HELD_AMOUNT: worst.amount, semconv.EXAI_HELD_CURRENCY: worst.currency}
        case _:
            return {}


@lru_cache(maxsize=_ENDPOINTS_MAX)
def _endpoint(text: str) -> _Endpoint:
    url = urlsplit(text)
    server = {semconv.SERVER_ADDRESS: url.hostname, semconv.SERVER_PORT: url.port or _PORTS.get(url.scheme)}
    bare = url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="")
    return _Endpoint(bare.geturl(), MappingProxyType(server))


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:TEXT_CHARS_MAX]


def _stated(attributes: _Perhaps) -> Attributes:
    return {name: stated for name, stated in attributes.items() if stated is not None}
