"""A closed tool call as spans: one tree, made from its record alone.

    tools/call <tool>           SERVER   the tool call; its parent is the client's span, when it named one
      chat <model>              CLIENT   one completion: the attempts that retry one another
        POST                    CLIENT   one attempt

Span ids follow from our own ids, so a receipt leads to its spans.
"""

import hashlib
from collections.abc import Iterable, Sequence

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from otel import attributes, semconv
from otel.source import Source
from service.core.entries import AnswerEntry
from service.core.record import Attempt, ToolCall
from service.core.times import NS_PER_US, utc_ns

_SPAN_ID_BYTES = 8


class OpenCallError(ValueError):
    """The call is not closed yet, so its spans have not ended."""


def span_id(our_id: str) -> int:
    """Derive a span's id: the first 8 bytes of the SHA-256 of a tool call's or an attempt's id, never zero.

    A completion has no id of its own: its span is that of `chat:` and its first attempt's id.
    """
    return int.from_bytes(hashlib.sha256(our_id.encode()).digest()[:_SPAN_ID_BYTES]) or 1


def spans(call: ToolCall, source: Source) -> tuple[ReadableSpan, ...]:
    """Make the finished spans of a closed call, parents first.

    Raises:
        OpenCallError: the call has no answer yet.
    """
    if call.answer is None:
        raise OpenCallError(f"tool call {call.tool_call_id} is still open")
    server = _context(call, call.tool_call_id)
    made = [_tool_call_span(call, call.answer, server, source)]
    for chain in chains(call.attempts):
        chat = _context(call, f"chat:{chain[0].intent.attempt_id}")
        made.append(_completion_span(chain, chat, server, source))
        for resends, attempt in enumerate(chain):
            made.append(_attempt_span(attempt, resends, _context(call, attempt.intent.attempt_id), chat, source))
    return tuple(made)


def chains(attempts: Iterable[Attempt]) -> tuple[tuple[Attempt, ...], ...]:
    """Group attempts into completions: a retry belongs to what it retries; the record's order is kept."""
    chain_of: dict[str, list[Attempt]] = {}
    found: list[list[Attempt]] = []
    for attempt in attempts:
        chain = chain_of.get(attempt.intent.retry_of or "")
        if chain is None:
            chain = []
            found.append(chain)
        chain.append(attempt)
        chain_of[attempt.intent.attempt_id] = chain
    return tuple(map(tuple, found))


def _tool_call_span(call: ToolCall, answer: AnswerEntry, context: SpanContext, source: Source) -> ReadableSpan:
    begun_ns = utc_ns(call.opened.at)
    return _span(
        f"{semconv.TOOLS_CALL} {call.opened.tool}",
        SpanKind.SERVER,
        context,
        _client_context(call),
        source,
        stated=attributes.of_tool_call(call, answer),
        times_ns=(begun_ns, _ended_ns(begun_ns, answer.duration_us, answer.at)),
    )


def _completion_span(
    chain: tuple[Attempt, ...], context: SpanContext, parent: SpanContext, source: Source
) -> ReadableSpan:
    times_ns = [_times_ns(attempt) for attempt in chain]
    return _span(
        f"{semconv.CHAT} {chain[-1].intent.model}",
        SpanKind.CLIENT,
        context,
        parent,
        source,
        stated=attributes.of_completion(chain),
        times_ns=(times_ns[0][0], max(ended_ns for _, ended_ns in times_ns)),
    )


def _attempt_span(
    attempt: Attempt, resends: int, context: SpanContext, parent: SpanContext, source: Source
) -> ReadableSpan:
    return _span(
        "POST",
        SpanKind.CLIENT,
        context,
        parent,
        source,
        stated=attributes.of_attempt(attempt, resends),
        times_ns=_times_ns(attempt),
        events=attributes.events(attempt),
    )


def _span(
    name: str,
    kind: SpanKind,
    context: SpanContext,
    parent: SpanContext | None,
    source: Source,
    *,
    stated: attributes.Attributes,
    times_ns: tuple[int, int],
    events: Sequence[Event] = (),
) -> ReadableSpan:
    code = StatusCode.ERROR if semconv.ERROR_TYPE in stated else StatusCode.UNSET
    return ReadableSpan(
        name=name,
        context=context,
        parent=parent,
        kind=kind,
        attributes=stated,
        events=events,
        status=Status(code),
        start_time=times_ns[0],
        end_time=times_ns[1],
        resource=source.resource,
        instrumentation_scope=source.scope,
    )


def _times_ns(attempt: Attempt) -> tuple[int, int]:
    begun_ns, end = utc_ns(attempt.intent.at), attempt.end
    if end is None:
        return begun_ns, begun_ns
    return begun_ns, _ended_ns(begun_ns, end.timing.ended_us if end.timing else None, end.at)


def _ended_ns(begun_ns: int, duration_us: int | None, written_at: str) -> int:
    """Choose an end: by the measured duration, else by its entry; a clock set back never makes it negative."""
    ended_ns = utc_ns(written_at) if duration_us is None else begun_ns + duration_us * NS_PER_US
    return max(begun_ns, ended_ns)


def _context(call: ToolCall, our_id: str) -> SpanContext:
    trace_id = int(call.opened.trace_id, 16)
    return SpanContext(trace_id, span_id(our_id), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _client_context(call: ToolCall) -> SpanContext | None:
    """Name the client's span. Whether the client records it does not change what we record."""
    opened = call.opened
    if opened.parent_span_id is None:
        return None
    flags = TraceFlags(TraceFlags.SAMPLED if opened.parent_sampled else TraceFlags.DEFAULT)
    return SpanContext(int(opened.trace_id, 16), int(opened.parent_span_id, 16), is_remote=True, trace_flags=flags)
