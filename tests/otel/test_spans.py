"""A closed tool call is one tree of spans, at the right times."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from otel.source import Source
from otel.spans import OpenCallError, chains, span_id, spans
from service.core.entries import OfCall
from service.core.record import ToolCall
from service.core.times import NS_PER_S, utc_ns
from service.core.words import DoubtCause, ToolOutcome, ZeroReason

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.otel.conftest import Log

BEGUN_NS = utc_ns("2026-11-22T16:21:00Z")
TRACE_ID = 0x4BF92F3577B34DA6A3CE929D0E0E4736
PARENT = "00f067aa0ba902b7"


@pytest.fixture
def closed(made: "Made", log: "Log") -> Callable[..., ToolCall]:
    """Make the record of a call from what happened between its opening and its answer."""

    def build(*between: OfCall, answer: OfCall | None = None, **opened: Any) -> ToolCall:  # noqa: ANN401
        steps = log.add(made.tool_call(**opened), *between, answer or made.answer())
        assert steps[-1].call is not None
        return steps[-1].call

    return build


def tree(made_spans: tuple[ReadableSpan, ...]) -> list[tuple[str, SpanKind, str | None]]:
    """Write spans as (name, kind, name of the parent); a parent outside is shown as its hex id."""
    names = {span.context.span_id: span.name for span in made_spans}
    return [
        (span.name, span.kind, names.get(span.parent.span_id, f"{span.parent.span_id:x}") if span.parent else None)
        for span in made_spans
    ]


def test_a_settled_call_is_three_spans(made: "Made", closed: Callable[..., ToolCall], of_tests: Source) -> None:
    """Tool call, completion and attempt stand in each other, in one trace."""
    found = spans(closed(made.intent(), made.accepted(), made.settlement()), of_tests)
    assert tree(found) == [
        ("tools/call chat", SpanKind.SERVER, None),
        ("chat kimi-k3", SpanKind.CLIENT, "tools/call chat"),
        ("POST", SpanKind.CLIENT, "chat kimi-k3"),
    ]
    assert {TRACE_ID} == {span.context.trace_id for span in found}
    assert {StatusCode.UNSET} == {span.status.status_code for span in found}
    assert {of_tests.resource} == {span.resource for span in found}


def test_a_call_without_attempts_is_one_span(
    made: "Made", closed: Callable[..., ToolCall], of_tests: Source
) -> None:
    """Where no provider was asked there is no client span."""
    call = closed(
        answer=made.answer(outcome=ToolOutcome.REFUSED, zero_reason=ZeroReason.NO_WALLET, error_code="no_wallet")
    )
    found = spans(call, of_tests)
    assert tree(found) == [("tools/call chat", SpanKind.SERVER, None)]
    assert StatusCode.ERROR is found[0].status.status_code


def test_an_open_call_has_no_spans(made: "Made", of_tests: Source) -> None:
    """Spans are made of what ended."""
    with pytest.raises(OpenCallError):
        spans(made.call(made.intent()), of_tests)


@pytest.mark.parametrize("sampled", [True, False])
def test_the_client_is_the_parent(
    sampled: bool,  # noqa: FBT001 - a row of a table
    made: "Made",
    closed: Callable[..., ToolCall],
    of_tests: Source,
) -> None:
    """The client's span is the parent, and its not recording does not stop ours."""
    call = closed(made.intent(), made.settlement(), parent_span_id=PARENT, parent_sampled=sampled)
    server, *others = spans(call, of_tests)
    assert server.parent is not None
    assert (int(PARENT, 16), TRACE_ID, True, sampled) == (
        server.parent.span_id,
        server.parent.trace_id,
        server.parent.is_remote,
        server.parent.trace_flags.sampled,
    )
    assert [span.context.trace_flags.sampled for span in (server, *others)] == [True, True, True]


def test_retries_share_a_completion(made: "Made", closed: Callable[..., ToolCall], of_tests: Source) -> None:
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
        of_tests,
    )
    assert tree(found) == [
        ("tools/call chat", SpanKind.SERVER, None),
        ("chat kimi-k2.6", SpanKind.CLIENT, "tools/call chat"),
        *[("POST", SpanKind.CLIENT, "chat kimi-k2.6")] * 3,
    ]
    assert [(span.attributes or {}).get("http.request.resend_count") for span in found[2:]] == [None, 1, 2]
    assert [span.status.status_code for span in found[2:]] == [
        StatusCode.ERROR,
        StatusCode.ERROR,
        StatusCode.UNSET,
    ]
    assert StatusCode.UNSET is found[1].status.status_code


def test_attempts_of_their_own_are_completions_of_their_own(
    made: "Made", closed: Callable[..., ToolCall], of_tests: Source
) -> None:
    """Two requests that do not retry one another are two completions."""
    found = spans(
        closed(made.intent(1), made.settlement(1), made.intent(2, provider="glm", model="glm-5.3"), made.doubt(2)),
        of_tests,
    )
    assert tree(found) == [
        ("tools/call chat", SpanKind.SERVER, None),
        ("chat kimi-k3", SpanKind.CLIENT, "tools/call chat"),
        ("POST", SpanKind.CLIENT, "chat kimi-k3"),
        ("chat glm-5.3", SpanKind.CLIENT, "tools/call chat"),
        ("POST", SpanKind.CLIENT, "chat glm-5.3"),
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


def test_a_span_id_follows_from_our_id(made: "Made", closed: Callable[..., ToolCall], of_tests: Source) -> None:
    """Whoever holds a receipt can compute the span ids, and no two spans share one."""
    call = closed(made.intent(), made.settlement())
    found = spans(call, of_tests)
    expected = [call.tool_call_id, f"chat:{made.attempt_id()}", made.attempt_id()]
    assert [int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) for text in expected] == [
        span.context.span_id for span in found
    ]
    assert all(0 < span_id(str(number)) < 2**64 for number in range(100))


def test_times_come_from_the_record(made: "Made", closed: Callable[..., ToolCall], of_tests: Source) -> None:
    """Spans begin with their entries and end by the measured durations."""
    server, chat, post = spans(closed(made.intent(), made.accepted(), made.settlement()), of_tests)
    assert (server.start_time, server.end_time) == (BEGUN_NS, BEGUN_NS + 21_000_000)
    intended_ns = BEGUN_NS + NS_PER_S
    assert (intended_ns, intended_ns + 20_250_000) == (post.start_time, post.end_time)
    assert (post.start_time, post.end_time) == (chat.start_time, chat.end_time)


def test_a_completion_lasts_from_its_first_to_its_last_attempt(
    made: "Made", closed: Callable[..., ToolCall], of_tests: Source
) -> None:
    """The pause between two attempts belongs to the completion."""
    between = (made.intent(1), made.refusal(1), made.intent(2, retry_of=made.attempt_id(1)), made.settlement(2))
    _, chat, first, second = spans(closed(*between), of_tests)
    assert (first.start_time, second.end_time) == (chat.start_time, chat.end_time)
    assert first.end_time < second.start_time  # type: ignore[operator] # both are set, as the tests above say


def test_a_swept_call_ends_when_it_was_swept(made: "Made", log: "Log", of_tests: Source) -> None:
    """A call that a later start closed has its end from that start's entries, and says so."""
    log.add(made.tool_call(), made.intent(), made.accepted())
    log.epoch = 2
    doubt = made.doubt(cause=DoubtCause.CRASH, status=None, provider_ids={}, response=None, timing=None)
    log.add(doubt, made.answer(outcome=ToolOutcome.FAILED, error_code="internal", duration_us=None))
    server, _, post = spans(log.calls[doubt.tool_call_id], of_tests)
    assert (server.start_time, server.end_time) == (BEGUN_NS, BEGUN_NS + 4 * NS_PER_S)
    assert (post.start_time, post.end_time) == (BEGUN_NS + NS_PER_S, BEGUN_NS + 3 * NS_PER_S)
    assert server.attributes is not None
    assert server.attributes["exai.swept"]


def test_a_clock_that_was_set_back_makes_no_negative_span(made: "Made", of_tests: Source) -> None:
    """A span never ends before it began."""
    call = made.call(made.intent(), made.settlement(), made.answer(duration_us=None))
    assert call.answer is not None
    earlier = msgspec.structs.replace(call.answer, at="2026-11-22T16:20:00.000000Z")
    server = spans(msgspec.structs.replace(call, answer=earlier), of_tests)[0]
    assert server.start_time == server.end_time
