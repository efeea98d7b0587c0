"""A closed tool call as spans: one tree of OTLP's messages, made from its record alone.

    tools/call <tool>           SERVER   the tool call; its parent is the client's span, when it named one
      chat <model>              CLIENT   one completion: the attempts that retry one another
        POST                    CLIENT   one attempt

Span ids follow from our own ids, so a receipt leads to its spans.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags, Status

from otel import attributes, encoding, semconv
from service.core.entries import AnswerEntry
from service.core.record import Attempt, ToolCall
from service.core.times import NS_PER_US, utc_ns

_SPAN_ID_BYTES = 8
_NO_ID = bytes(_SPAN_ID_BYTES)
_ATTEMPT = "POST"
_LOCAL_PARENT = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE_PARENT = _LOCAL_PARENT | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK


class OpenCallError(ValueError):
    """The call is not closed yet, so its spans have not ended."""


class Shape(NamedTuple):
    """How many spans a closed call has, by what they stand for."""

    server: int
    completion: int
    attempt: int


class _Place(NamedTuple):
    """Where a span stands."""

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    flags: int = _LOCAL_PARENT


class _Times(NamedTuple):
    """When a span began and ended, nanoseconds since 1970."""

    begun_ns: int
    ended_ns: int


def span_id(our_id: str) -> bytes:
    """Derive a span's id: the first 8 bytes of the SHA-256 of a tool call's or an attempt's id, never zero.

    A completion has no id of its own: its span is that of `chat:` and its first attempt's id.
    """
    derived = hashlib.sha256(our_id.encode()).digest()[:_SPAN_ID_BYTES]
    return derived if derived != _NO_ID else (1).to_bytes(_SPAN_ID_BYTES)


def spans(call: ToolCall) -> tuple[Span, ...]:
    """Make the spans of a closed call, parents first.

    Raises:
        OpenCallError: the call has no answer yet.
    """
    answer = _answer(call)
    trace_id, server_id = bytes.fromhex(call.opened.trace_id), span_id(call.tool_call_id)
    made = [_tool_call_span(call, answer, trace_id, server_id)]
    for chain in chains(call.attempts):
        chat_id = span_id(f"chat:{chain[0].intent.attempt_id}")
        times = [_times(attempt) for attempt in chain]
        made.append(_completion_span(chain, times, _Place(trace_id, chat_id, server_id)))
        for resends, attempt in enumerate(chain):
            place = _Place(trace_id, span_id(attempt.intent.attempt_id), chat_id)
            made.append(_attempt_span(attempt, resends, times[resends], place))
    return tuple(made)


def shape(call: ToolCall) -> Shape:
    """Say what `spans` makes of a closed call, without making it.

    Raises:
        OpenCallError: the call has no answer yet.
    """
    _answer(call)
    return Shape(server=1, completion=len(chains(call.attempts)), attempt=len(call.attempts))


def counted(made: Sequence[Span]) -> Shape:
    """Count spans that were made, by what they are themselves."""
    server = sum(span.kind == Span.SPAN_KIND_SERVER for span in made)
    attempt = sum(span.name == _ATTEMPT for span in made)
    return Shape(server, len(made) - server - attempt, attempt)


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


def _answer(call: ToolCall) -> AnswerEntry:
    if call.answer is None:
        raise OpenCallError(f"tool call {call.tool_call_id} is still open")
    return call.answer


def _tool_call_span(call: ToolCall, answer: AnswerEntry, trace_id: bytes, span_id: bytes) -> Span:
    opened = call.opened
    begun_ns = utc_ns(opened.at)
    # Whether the client records its span does not change what we record.
    parent = None if opened.parent_span_id is None else bytes.fromhex(opened.parent_span_id)
    return _span(
        f"{semconv.TOOLS_CALL} {opened.tool}",
        Span.SPAN_KIND_SERVER,
        _Place(trace_id, span_id, parent or b"", _LOCAL_PARENT if parent is None else _REMOTE_PARENT),
        _Times(begun_ns, _ended_ns(begun_ns, answer.duration_us, answer.at)),
        attributes.of_tool_call(call, answer),
    )


def _completion_span(chain: tuple[Attempt, ...], times: Sequence[_Times], place: _Place) -> Span:
    return _span(
        f"{semconv.CHAT} {chain[-1].intent.model}",
        Span.SPAN_KIND_CLIENT,
        place,
        _Times(times[0].begun_ns, max(each.ended_ns for each in times)),
        attributes.of_completion(chain),
    )


def _attempt_span(attempt: Attempt, resends: int, times: _Times, place: _Place) -> Span:
    return _span(
        _ATTEMPT,
        Span.SPAN_KIND_CLIENT,
        place,
        times,
        attributes.of_attempt(attempt, resends),
        attributes.milestones(attempt, times.begun_ns),
    )


def _span(
    name: str,
    kind: Span.SpanKind.ValueType,
    place: _Place,
    times: _Times,
    stated: attributes.Attributes,
    milestones: Iterable[attributes.Milestone] = (),
) -> Span:
    own, repeated = encoding.written(stated)
    code = Status.STATUS_CODE_ERROR if semconv.ERROR_TYPE in stated else Status.STATUS_CODE_UNSET
    fields: encoding.Written = {
        "trace_id": place.trace_id,
        "span_id": place.span_id,
        "parent_span_id": place.parent_span_id,
        "flags": place.flags,
        "name": name,
        "kind": kind,
        "start_time_unix_nano": times.begun_ns,
        "end_time_unix_nano": times.ended_ns,
        "attributes": own,
        "events": [{"name": reached.name, "time_unix_nano": reached.at_ns} for reached in milestones],
        "status": {"code": code},
    }
    made = Span(**fields)
    made.MergeFromString(repeated)
    return made


def _times(attempt: Attempt) -> _Times:
    begun_ns, end = utc_ns(attempt.intent.at), attempt.end
    if end is None:
        return _Times(begun_ns, begun_ns)
    return _Times(begun_ns, _ended_ns(begun_ns, end.timing.ended_us if end.timing else None, end.at))


def _ended_ns(begun_ns: int, duration_us: int | None, written_at: str) -> int:
    """Choose an end: by the measured duration, else by its entry; a clock set back never makes it negative."""
    ended_ns = utc_ns(written_at) if duration_us is None else begun_ns + duration_us * NS_PER_US
    return max(begun_ns, ended_ns)
