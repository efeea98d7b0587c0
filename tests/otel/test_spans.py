"""A closed tool call is one tree of spans, at the right times."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags, Status

from otel.spans import OpenCallError, Shape, chains, counted, shape, span_id, spans
from service.core.entries import OfCall
from service.core.record import ToolCall
from service.core.times import NS_PER_S, utc_ns
from service.core.words import DoubtCause, ToolOutcome, ZeroReason

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.otel.conftest import Log

BEGUN_NS = utc_ns("2026-11-22T16:21:00Z")
TRACE_ID = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")
PARENT = "00f067aa0ba902b7"
SERVER, CLIENT = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT
UNSET, ERROR = Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR


@pytest.fixture
def closed(made: "Made", log: "Log") -> Callable[..., ToolCall]:
    """Make the record of a call from what happened between its opening and its answer."""

    def build(*between: OfCall, answer: OfCall | None = None, **opened: Any) -> ToolCall:  # noqa: ANN401
        steps = log.add(made.tool_call(**opened), *between, answer or made.answer())
        assert steps[-1].call is not None
        return steps[-1].call

    return build


def tree(made_spans: tuple[Span, ...]) -> list[tuple[str, int, str | None]]:
    """Write spans as (name, kind, name of the parent); a parent outside is shown as its hex id."""
    names = {span.span_id: span.name for span in made_spans}
    return [
        (
            span.name,
            span.kind,
            names.get(span.parent_span_id, span.parent_span_id.hex()) if span.parent_span_id else None,
        )
        for span in made_spans
    ]


def stated(span: Span) -> dict[str, KeyValue]:
    """Find a span's attributes by name."""
    return {attribute.key: attribute for attribute in span.attributes}


def test_a_settled_call_is_three_spans(made: "Made", closed: Callable[..., ToolCall]) -> None:
    """Tool call, completion and attempt stand in each other, in one trace."""
    found = spans(closed(made.intent(), made.accepted(), made.settlement()))
    assert tree(found) == [
        ("tools/call chat", SERVER, None),
        ("chat kimi-k3", CLIENT, "tools/call chat"),
        ("POST", CLIENT, "chat kimi-k3"),
    ]
    assert {TRACE_ID} == {span.trace_id for span in found}
    assert {UNSET} == {span.status.code for span in found}


def test_a_call_without_attempts_is_one_span(made: "Made", closed: Callable[..., ToolCall]) -> None:
    """Where no provider was asked there is no client span."""
    call = closed(
        answer=made.answer(outcome=ToolOutcome.REFUSED, zero_reason=ZeroReason.NO_WALLET, error_code="no_wallet")
    )
    found = spans(call)
    assert tree(found) == [("tools/call chat", SERVER, None)]
    assert ERROR == found[0].status.code


def test_an_open_call_has_no_spans(made: "Made") -> None:
    """Spans are made of what ended."""
    with pytest.raises(OpenCallError):
        spans(made.call(made.intent()))


@pytest.mark.parametrize("sampled", [True, False])
def test_the_client_is_the_parent(
    sampled: bool,  # noqa: FBT001 - a row of a table
    made: "Made",
    closed: Callable[..., ToolCall],
) -> None:
    """The client's span is the parent, and its not recording does not stop ours."""
    call = closed(made.intent(), made.settlement(), parent_span_id=PARENT, parent_sampled=sampled)
    server, *others = spans(call)
    assert (PARENT, TRACE_ID) == (server.parent_span_id.hex(), server.trace_id)
    known, remote = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK, SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
    assert [known | remote, known, known] == [span.flags for span in (server, *others)]


def test_retries_share_a_completion(made: "Made", closed: Callable[..., ToolCall]) -> None:
    """Attempts that retry one another stand in one completion, named by the last one's model."""
    found = spans(
        closed(
            made.intent(1),
            made.refusal(1),
            made.intent(2, retry_of=made.attempt_id(1)),
            made.unsent(2),
            made.intent(3, retry_of=made.attempt_id(2), model="kimi-k2.6"),
            made.settlement(3),
        ),
    )
    assert tree(found) == [
        ("tools/call chat", SERVER, None),
        ("chat kimi-k2.6", CLIENT, "tools/call chat"),
        *[("POST", CLIENT, "chat kimi-k2.6")] * 3,
    ]
    resends = [stated(span).get("http.request.resend_count", KeyValue()) for span in found[2:]]
    assert [0, 1, 2] == [said.value.int_value for said in resends]
    assert [UNSET, ERROR, ERROR, UNSET] == [span.status.code for span in found[1:]]


def test_attempts_of_their_own_are_completions_of_their_own(made: "Made", closed: Callable[..., ToolCall]) -> None:
    """Two requests that do not retry one another are two completions."""
    found = spans(
        closed(made.intent(1), made.settlement(1), made.intent(2, provider="glm", model="glm-5.3"), made.doubt(2)),
    )
    assert tree(found) == [
        ("tools/call chat", SERVER, None),
        ("chat kimi-k3", CLIENT, "tools/call chat"),
        ("POST", CLIENT, "chat kimi-k3"),
        ("chat glm-5.3", CLIENT, "tools/call chat"),
        ("POST", CLIENT, "chat glm-5.3"),
    ]


def test_chains_that_cross_are_told_apart(made: "Made") -> None:
    """Retries of two completions may alternate."""
    call = made.call(
        made.intent(1),
        made.intent(2),
        made.refusal(1),
        made.intent(3, retry_of=made.attempt_id(1)),
        made.refusal(2),
        made.intent(4, retry_of=made.attempt_id(2)),
    )
    assert [[attempt.intent.number for attempt in chain] for chain in chains(call.attempts)] == [[1, 3], [2, 4]]


def test_a_span_id_follows_from_our_id(made: "Made", closed: Callable[..., ToolCall]) -> None:
    """Whoever holds a receipt can compute the span ids, and no two spans share one."""
    call = closed(made.intent(), made.settlement())
    found = spans(call)
    expected = [call.tool_call_id, f"chat:{made.attempt_id()}", made.attempt_id()]
    assert [hashlib.sha256(text.encode()).hexdigest()[:16] for text in expected] == [
        span.span_id.hex() for span in found
    ]


def test_a_span_id_is_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry calls an id of zeros invalid."""
    monkeypatch.setattr(hashlib, "sha256", lambda _: type("Zeros", (), {"digest": lambda _: bytes(32)})())
    assert bytes(7) + b"\x01" == span_id("whatever")


def test_times_come_from_the_record(made: "Made", closed: Callable[..., ToolCall]) -> None:
    """Spans begin with their entries and end by the measured durations."""
    server, chat, post = spans(closed(made.intent(), made.accepted(), made.settlement()))
    assert (server.start_time_unix_nano, server.end_time_unix_nano) == (BEGUN_NS, BEGUN_NS + 21_000_000)
    intended_ns = BEGUN_NS + NS_PER_S
    assert (intended_ns, intended_ns + 20_250_000) == (post.start_time_unix_nano, post.end_time_unix_nano)
    assert (post.start_time_unix_nano, post.end_time_unix_nano) == (
        chat.start_time_unix_nano,
        chat.end_time_unix_nano,
    )


def test_a_completion_lasts_from_its_first_to_its_last_attempt(
    made: "Made", closed: Callable[..., ToolCall]
) -> None:
    """The pause between two attempts belongs to the completion."""
    between = (made.intent(1), made.refusal(1), made.intent(2, retry_of=made.attempt_id(1)), made.settlement(2))
    _, chat, first, second = spans(closed(*between))
    assert (first.start_time_unix_nano, second.end_time_unix_nano) == (
        chat.start_time_unix_nano,
        chat.end_time_unix_nano,
    )
    assert first.end_time_unix_nano < second.start_time_unix_nano


def test_a_swept_call_ends_when_it_was_swept(made: "Made", log: "Log") -> None:
    """A call that a later start closed has its end from that start's entries, and says so."""
    log.add(made.tool_call(), made.intent(), made.accepted())
    log.epoch = 2
    doubt = made.doubt(cause=DoubtCause.CRASH, status=None, provider_ids={}, response=None, timing=None)
    log.add(doubt, made.answer(outcome=ToolOutcome.FAILED, error_code="internal", duration_us=None))
    server, _, post = spans(log.calls[doubt.tool_call_id])
    assert (server.start_time_unix_nano, server.end_time_unix_nano) == (BEGUN_NS, BEGUN_NS + 4 * NS_PER_S)
    assert (post.start_time_unix_nano, post.end_time_unix_nano) == (BEGUN_NS + NS_PER_S, BEGUN_NS + 3 * NS_PER_S)
    assert stated(server)["exai.swept"].value.bool_value


def test_a_clock_that_was_set_back_makes_no_negative_span(made: "Made") -> None:
    """A span never ends before it began."""
    call = made.call(made.intent(), made.settlement(), made.answer(duration_us=None))
    assert call.answer is not None
    earlier = msgspec.structs.replace(call.answer, at="2026-11-22T16:20:00.000000Z")
    server = spans(msgspec.structs.replace(call, answer=earlier))[0]
    assert server.start_time_unix_nano == server.end_time_unix_nano


def test_a_call_has_the_shape_of_its_spans(made: "Made") -> None:
    """What is counted while nothing is built is what would have been built."""
    retry = made.intent(2, retry_of=made.attempt_id(1))
    calls = {
        Shape(1, 0, 0): made.call(made.answer(zero_reason=ZeroReason.CACHED)),
        Shape(1, 1, 2): made.call(made.intent(1), made.unsent(1), retry, made.settlement(2), made.answer()),
        Shape(1, 2, 2): made.call(made.intent(), made.doubt(), made.intent(2), made.refusal(2), made.answer()),
    }
    assert list(calls) == [shape(call) for call in calls.values()]
    assert list(calls) == [counted(spans(call)) for call in calls.values()]
    assert [sum(each) for each in calls] == [len(spans(call)) for call in calls.values()]
    with pytest.raises(OpenCallError):
        shape(made.call(made.intent()))
