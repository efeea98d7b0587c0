"""What is written is what OpenTelemetry's own encoder writes."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.util.types import AnyValue

from otel import encoding
from otel.encoding import Envelope, written
from otel.source import Source, source
from otel.spans import counted, shape, spans
from service.core.entries import AnswerEntry, OfCall
from service.core.evidence import Timing
from service.core.record import ToolCall
from service.core.words import CostStatus, DoubtCause, ToolOutcome, ZeroReason
from tests.conftest import Made
from tests.otel.judging import in_order, judged

MADE = Made()
LATER = "2026-11-22T17:00:00.500000Z"
TEXTS = st.sampled_from(("", "id-1", "ü" * 300, "a\u0000b"))
TIMINGS = st.none() | st.builds(
    Timing,
    connected_us=st.none() | st.integers(0, 10**6),
    sent_us=st.none() | st.integers(0, 10**6),
    headers_us=st.none() | st.integers(0, 10**6),
    first_byte_us=st.none() | st.integers(0, 10**6),
    ended_us=st.integers(0, 10**9),
)
COSTS = st.sampled_from(
    (
        MADE.cost(),
        MADE.cost(amount="0.000000000001", currency="CNY"),
        MADE.cost(status=CostStatus.FREE, amount="0"),
        MADE.cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None),
    )
)
ENDPOINTS = st.sampled_from(
    ("https://api.moonshot.ai/v1/chat/completions", "http://u:p@127.0.0.1:9100/v1?key=k#f", "https://[::1]:444/x")
)


@st.composite
def attempts(draw: Any, number: int, previous: OfCall | None) -> list[OfCall]:  # noqa: ANN401 - hypothesis gives no type
    """Write an attempt from its intent to its end; one that may, retries the one before it, or does not."""
    repeatable = previous is not None and getattr(previous, "reason", None) is not None
    intent = MADE.intent(
        number,
        retry_of=MADE.attempt_id(number - 1) if repeatable and draw(st.booleans()) else None,
        stream=draw(st.booleans()),
        endpoint=draw(ENDPOINTS),
        provider=draw(st.sampled_from(("kimi", "glm", "third"))),
        simulated=draw(st.booleans()),
    )
    timing, ids = draw(TIMINGS), draw(st.dictionaries(st.sampled_from(("id", "request_id")), TEXTS))
    told = {"finish_reason": draw(st.none() | TEXTS), "model_reported": draw(st.none() | TEXTS)}
    accepted = MADE.accepted(number, headers={"exai-simulator": "1"} if draw(st.booleans()) else {})
    end: OfCall
    match draw(st.sampled_from(("settled", "refused", "unsent", "doubt", "crash"))):
        case "settled":
            end = MADE.settlement(number, timing=timing, provider_ids=ids, cost=draw(COSTS), **told)
        case "refused":
            end = MADE.refusal(number, timing=timing, provider_ids=ids)
        case "unsent":
            return [intent, MADE.unsent(number, timing=timing)]
        case "doubt":
            end = MADE.doubt(number, timing=timing, provider_ids=ids, **told)
        case _:
            lost: dict[str, Any] = {"status": None, "provider_ids": {}, "response": None, "timing": None}
            end = MADE.doubt(number, cause=DoubtCause.CRASH, **lost)
    return [intent, *((accepted,) if draw(st.booleans()) else ()), end]


@st.composite
def calls(draw: Any) -> ToolCall:  # noqa: ANN401 - hypothesis gives no type
    """Make the record of a closed call, perhaps of one that a later start closed."""
    entries: list[OfCall] = []
    for number in range(1, draw(st.integers(0, 4)) + 1):
        entries += draw(attempts(number, entries[-1] if entries else None))
    outcome = draw(st.sampled_from(ToolOutcome))
    answer: AnswerEntry = MADE.answer(
        outcome=outcome,
        zero_reason=None if entries else draw(st.sampled_from(ZeroReason)),
        error_code=None if outcome is ToolOutcome.OK else "internal",
    )
    call = MADE.call(*entries, answer)
    opened = msgspec.structs.replace(
        call.opened,
        protocol=draw(st.sampled_from(("2025-11-25", "exai-1"))),
        transport=draw(st.sampled_from(("websocket", "stdio", "pigeon"))),
        request_id=draw(TEXTS),
        parent_span_id=draw(st.sampled_from((None, "00f067aa0ba902b7"))),
        parent_sampled=draw(st.sampled_from((None, True, False))),
    )
    assert call.answer is not None
    swept = msgspec.structs.replace(call.answer, epoch=2, at=LATER, duration_us=None)
    return msgspec.structs.replace(call, opened=opened, answer=swept if draw(st.booleans()) else call.answer)


@given(call=calls())
def test_the_messages_are_those_of_the_sdk(call: ToolCall) -> None:
    """Whatever became of a call, its export is that of finished SDK spans, to the last field."""
    of_tests = source(version="1.2.3", instance_id="instance-1")
    made = spans(call)
    sent = ExportTraceServiceRequest.FromString(Envelope(of_tests).around(made))
    assert in_order(judged(call, of_tests)) == in_order(sent)
    assert counted(made) == shape(call)


def test_many_spans_share_one_envelope(made: "Made", of_tests: Source) -> None:
    """Resource and scope stand once for all; lengths of several bytes are read back."""
    call = made.call(made.intent(), made.settlement(), made.answer())
    many = spans(call) * 100
    (resource,) = ExportTraceServiceRequest.FromString(Envelope(of_tests).around(many)).resource_spans
    (scope,) = resource.scope_spans
    assert list(many) == list(scope.spans)
    assert ("exai.otel", "1.2.3") == (scope.scope.name, scope.scope.version)


def test_who_speaks_may_say_more_than_texts(made: "Made") -> None:
    """A resource that a detector filled, and schemas, are written as the SDK writes them."""
    stated: dict[str, AnyValue] = {
        "text": "ü",
        "truth": False,
        "whole": -3,
        "double": 0.5,
        "bytes": b"\x00",
        "texts": ("a", "b"),
        "wholes": (1, 2),
        "nothing": (None,),
        "mapping": {"a": {"b": 1}},
    }
    other = Source(Resource(stated, "https://schema/1"), InstrumentationScope("s", None, "https://schema/2"))
    call = made.call(made.answer(zero_reason=ZeroReason.CACHED))
    sent = ExportTraceServiceRequest.FromString(Envelope(other).around(spans(call)))
    assert in_order(judged(call, other)) == in_order(sent)


def test_a_truth_and_a_number_are_kept_apart() -> None:
    """What repeats is kept by value and type: 1 and True are equal, and no attribute may turn into the other."""
    said = []
    for value in (True, 1, 1.0):
        own, repeated = written({"exai.simulated": value})
        assert [] == own
        said.append(Span.FromString(repeated).attributes[0].value.WhichOneof("value"))
    assert ["bool_value", "int_value", "double_value"] == said


def test_what_is_kept_has_a_bound() -> None:
    """Texts that others choose push each other out; memory does not grow with them."""
    for number in range(3000):
        written({"gen_ai.response.model": f"model-{number}"})
    assert 2048 == encoding._kept.cache_info().currsize


def test_a_value_of_no_type_is_refused() -> None:
    """A fault of ours is told, not sent."""
    with pytest.raises(KeyError):
        encoding.any_value(object())  # type: ignore[arg-type] # that is the point
