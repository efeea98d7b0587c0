"""The judge of spans: what OpenTelemetry's own SDK and encoder write of the same call."""

import hashlib

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from otel import attributes
from otel.source import Source
from otel.spans import chains
from service.core.record import Attempt, ToolCall
from service.core.times import NS_PER_US, utc_ns


def judged(call: ToolCall, source: Source) -> ExportTraceServiceRequest:
    """Build a closed call's spans as the SDK's own, and encode them with its encoder."""
    return encode_spans(_Judge(call, source).spans())


def in_order(request: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    """Sort the attributes of each span by name: they are a set, and their order says nothing."""
    ordered = ExportTraceServiceRequest()
    ordered.CopyFrom(request)
    for resource in ordered.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                span.attributes.sort(key=lambda attribute: attribute.key)
    return ordered


class _Judge:
    """Spans of one call as a tracer's."""

    def __init__(self, call: ToolCall, source: Source) -> None:
        self._call = call
        self._source = source

    def spans(self) -> list[ReadableSpan]:
        """Give all spans, parents first."""
        call, answer = self._call, self._call.answer
        assert answer is not None
        server = self._context(call.tool_call_id)
        begun_ns = utc_ns(call.opened.at)
        times = (begun_ns, _ended_ns(begun_ns, answer.duration_us, answer.at))
        stated = attributes.of_tool_call(call, answer)
        name = f"tools/call {call.opened.tool}"
        made = [self._span(name, SpanKind.SERVER, server, self._client(), stated, times)]
        for chain in chains(call.attempts):
            chat = self._context("chat:" + chain[0].intent.attempt_id)
            all_times = [_times_ns(attempt) for attempt in chain]
            times = (all_times[0][0], max(ended_ns for _, ended_ns in all_times))
            name, stated = f"chat {chain[-1].intent.model}", attributes.of_completion(chain)
            made.append(self._span(name, SpanKind.CLIENT, chat, server, stated, times))
            for resends, attempt in enumerate(chain):
                context = self._context(attempt.intent.attempt_id)
                stated = attributes.of_attempt(attempt, resends)
                events = [
                    Event(name, {}, at_ns) for name, at_ns in attributes.milestones(attempt, _times_ns(attempt)[0])
                ]
                times = _times_ns(attempt)
                made.append(self._span("POST", SpanKind.CLIENT, context, chat, stated, times, events))
        return made

    def _context(self, our_id: str) -> SpanContext:
        span_id = int(hashlib.sha256(our_id.encode()).hexdigest()[:16], 16)
        trace_id = int(self._call.opened.trace_id, 16)
        return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    def _client(self) -> SpanContext | None:
        opened = self._call.opened
        if opened.parent_span_id is None:
            return None
        flags = TraceFlags(TraceFlags.SAMPLED if opened.parent_sampled else TraceFlags.DEFAULT)
        ids = int(opened.trace_id, 16), int(opened.parent_span_id, 16)
        return SpanContext(*ids, is_remote=True, trace_flags=flags)

    def _span(
        self,
        name: str,
        kind: SpanKind,
        context: SpanContext,
        parent: SpanContext | None,
        stated: attributes.Attributes,
        times_ns: tuple[int, int],
        events: list[Event] | None = None,
    ) -> ReadableSpan:
        return ReadableSpan(
            name=name,
            context=context,
            parent=parent,
            kind=kind,
            attributes=stated,
            events=events or (),
            status=Status(StatusCode.ERROR if "error.type" in stated else StatusCode.UNSET),
            start_time=times_ns[0],
            end_time=times_ns[1],
            resource=self._source.resource,
            instrumentation_scope=self._source.scope,
        )


def _times_ns(attempt: Attempt) -> tuple[int, int]:
    begun_ns, end = utc_ns(attempt.intent.at), attempt.end
    assert end is not None
    return begun_ns, _ended_ns(begun_ns, end.timing.ended_us if end.timing else None, end.at)


def _ended_ns(begun_ns: int, duration_us: int | None, written_at: str) -> int:
    ended_ns = utc_ns(written_at) if duration_us is None else begun_ns + duration_us * NS_PER_US
    return max(begun_ns, ended_ns)
