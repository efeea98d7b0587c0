"""How spans are written: statements as OTLP's messages, and the envelope of an export around spans.

A serialised message is the row of its fields, and rows that follow one another read as one message. So what
repeats from call to call is serialised once and kept, and a batch is enclosed without copying its spans.
Source: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span
from opentelemetry.util.types import AnyValue, AttributeValue

from otel import semconv
from otel.source import Source

# About thirty names times what an operator configures. Where others choose the text, the oldest is forgotten.
_KEPT_MAX = 2048
# What many spans state alike. A name that is missing here costs time, never truth.
_REPEATING = frozenset(
    {
        semconv.ERROR_TYPE,
        semconv.EXAI_ATTEMPT_NUMBER,
        semconv.EXAI_ATTEMPT_OUTCOME,
        semconv.EXAI_COST_STATUS,
        semconv.EXAI_ERROR_CODE,
        semconv.EXAI_HELD_CURRENCY,
        semconv.EXAI_OUTCOME,
        semconv.EXAI_PROTOCOL,
        semconv.EXAI_SIMULATED,
        semconv.EXAI_SWEPT,
        semconv.EXAI_WALLET,
        semconv.EXAI_ZERO_REASON,
        semconv.GEN_AI_OPERATION_NAME,
        semconv.GEN_AI_PROVIDER_NAME,
        semconv.GEN_AI_REQUEST_MAX_TOKENS,
        semconv.GEN_AI_REQUEST_MODEL,
        semconv.GEN_AI_REQUEST_STREAM,
        semconv.GEN_AI_RESPONSE_FINISH_REASONS,
        semconv.GEN_AI_RESPONSE_MODEL,
        semconv.GEN_AI_TOOL_NAME,
        semconv.GEN_AI_USAGE_COST_CURRENCY,
        semconv.GEN_AI_USAGE_COST_SOURCE,
        semconv.HTTP_REQUEST_METHOD,
        semconv.HTTP_REQUEST_RESEND_COUNT,
        semconv.HTTP_RESPONSE_STATUS_CODE,
        semconv.MCP_METHOD_NAME,
        semconv.MCP_PROTOCOL_VERSION,
        semconv.NETWORK_PROTOCOL_NAME,
        semconv.NETWORK_TRANSPORT,
        semconv.SERVER_ADDRESS,
        semconv.SERVER_PORT,
        semconv.URL_FULL,
    }
)
_FIELD_OF: dict[type, str] = {
    bool: "bool_value",
    str: "string_value",
    bytes: "bytes_value",
    int: "int_value",
    float: "double_value",
}
_WITH_LENGTH = 2  # the wire type of messages
_SEVEN_BITS = 0x7F
_MORE = 0x80

# A message as protobuf's constructors take it, by the names of its fields; the stubs know messages alone.
Written = dict[str, Any]


def written(stated: Mapping[str, AttributeValue]) -> tuple[list[Written], bytes]:
    """Write a span's attributes: (those of this span alone, the others as fields of a serialised `Span`).

    Raises:
        KeyError: a value has a type that no attribute has.
    """
    own = [{"key": name, "value": any_value(value)} for name, value in stated.items() if name not in _REPEATING]
    return own, b"".join([_kept(name, value) for name, value in stated.items() if name in _REPEATING])


def any_value(value: AnyValue) -> Written:
    """Write one value: a truth, a text, bytes, a number, a sequence or a mapping of such; None has no value.

    Raises:
        KeyError: it is none of these.
    """
    if (field := _FIELD_OF.get(type(value))) is not None:
        return {field: value}
    if isinstance(value, tuple | list):
        return {"array_value": {"values": [any_value(each) for each in value]}}
    if isinstance(value, Mapping):
        return {"kvlist_value": {"values": key_values(value)}}
    return {} if value is None else {_FIELD_OF[type(value)]: value}


def key_values(stated: Mapping[str, AnyValue]) -> list[Written]:
    """Write statements, each as a `KeyValue`."""
    return [{"key": name, "value": any_value(value)} for name, value in stated.items()]


class Envelope:
    """What is around the spans of every export: who speaks, written once."""

    def __init__(self, source: Source) -> None:
        scope, resource = source.scope, source.resource
        of_scope: Written = {
            "scope": {"name": scope.name, "version": scope.version},
            "schema_url": scope.schema_url,
        }
        of_resource: Written = {
            "resource": {"attributes": key_values(resource.attributes)},
            "schema_url": resource.schema_url,
        }
        self._scope = ScopeSpans(**of_scope).SerializeToString()
        self._resource = ResourceSpans(**of_resource).SerializeToString()

    def around(self, spans: Sequence[Span]) -> bytes:
        """Write the request of an export, an `ExportTraceServiceRequest`."""
        said = [_field(ScopeSpans.SPANS_FIELD_NUMBER, span.SerializeToString()) for span in spans]
        of_scope = _field(ResourceSpans.SCOPE_SPANS_FIELD_NUMBER, b"".join((self._scope, *said)))
        return _field(ExportTraceServiceRequest.RESOURCE_SPANS_FIELD_NUMBER, self._resource + of_scope)


@lru_cache(maxsize=_KEPT_MAX, typed=True)
def _kept(name: str, value: AttributeValue) -> bytes:
    of_span: Written = {"attributes": key_values({name: value})}
    return bytes(Span(**of_span).SerializeToString())


def _field(number: int, message: bytes) -> bytes:
    return b"".join((_varint(number << 3 | _WITH_LENGTH), _varint(len(message)), message))


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > _SEVEN_BITS:
        digits.append(number & _SEVEN_BITS | _MORE)
        number >>= 7
    digits.append(number)
    return bytes(digits)
