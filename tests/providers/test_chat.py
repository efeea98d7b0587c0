"""Tests of the reader that both providers share."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.shapes import Answer, Provider
from service.core.words import RefusalReason
from service.providers._chat import ChatReader, Dialect
from service.providers.glm import PROVIDER as GLM
from service.providers.kimi import PROVIDER as KIMI

Reads = Callable[..., Any]  # the fixture `reading`

USAGE = '{"prompt_tokens":12,"completion_tokens":5,"total_tokens":17}'
EVENTS = (
    '{"id":"a-1","model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}',
    '{"id":"a-1","model":"m-1","choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}',
    '{"id":"a-1","model":"m-1","choices":[{"index":0,"delta":{"content":"fo"}}]}',
    '{"id":"a-1","model":"m-1","choices":[{"delta":{"content":"ur \\ud83d"}}]}',
    f'{{"id":"a-1","model":"m-1","choices":[{{"index":0,"delta":{{}},"finish_reason":"stop","usage":{USAGE}}}]}}',
    f'{{"id":"a-1","model":"m-1","choices":[],"usage":{USAGE}}}',
)
STREAM = "".join(f"data: {event}\r\n\r\n" for event in (*EVENTS, "[DONE]")).encode()
WHOLE = json.dumps(
    {
        "id": "a-1",
        "model": "m-1",
        "choices": [{"message": {"content": "four", "reasoning_content": "hm"}, "finish_reason": "stop"}],
        "usage": json.loads(USAGE),
    }
).encode()


def test_a_stream_is_read(provider: Provider, reading: Reads) -> None:
    """Text comes in pieces; the answer holds all of it, the ids, and the usage as exact text."""
    read = reading(provider, STREAM)
    assert read.pieces == ["fo", "ur \ufffd"]
    answer = read.answer
    assert (answer.text, answer.reasoning, answer.complete, answer.readable) == ("four \ufffd", "hm", True, True)
    assert (answer.model_reported, answer.finish_reason, answer.provider_ids) == ("m-1", "stop", {"id": "a-1"})
    assert (answer.usage_raw, answer.usage_flags) == (USAGE, ())
    assert (answer.usage.uncached_input_tokens, answer.usage.output_tokens) == (12, 5)


def test_a_whole_body_is_read(provider: Provider, reading: Reads) -> None:
    """Whole JSON gives no pieces; blanks before it are passed over."""
    read = reading(provider, b" " * 5000, b"\n" + WHOLE, stream=False)
    answer = read.answer
    assert (read.pieces, answer.text, answer.reasoning, answer.finish_reason) == ([], "four", "hm", "stop")
    assert (answer.complete, answer.readable, json.loads(answer.usage_raw)["total_tokens"]) == (True, True, 17)


def test_usage_without_done_is_usage(provider: Provider, reading: Reads) -> None:
    """A stream that is cut after its usage is incomplete, and metered."""
    answer = reading(provider, STREAM[: STREAM.index(b"data: [DONE]")]).answer
    assert (answer.complete, answer.readable, answer.usage.output_tokens) == (False, True, 5)


def test_a_cut_stream_has_no_usage(provider: Provider, reading: Reads) -> None:
    """What came before the cut is kept; what did not come is None."""
    answer = reading(provider, STREAM[: STREAM.index(b"finish_reason")]).answer
    assert (
        answer.text,
        answer.finish_reason,
        answer.usage,
        answer.usage_raw,
    ) == ("four \ufffd", None, None, None)
    assert (answer.complete, answer.readable) == (False, True)


def test_a_last_event_without_its_blank_line_counts(provider: Provider, reading: Reads) -> None:
    """An event that is whole JSON is taken although its end never came: its usage was paid."""
    body = f"data: {EVENTS[-1]}".encode()
    answer = reading(provider, body).answer
    assert (answer.complete, answer.usage.uncached_input_tokens) == (False, 12)


def test_unreadable_usage_never_displaces_a_readable_one(provider: Provider, reading: Reads) -> None:
    """The last readable usage holds; without one the last text is kept beside None."""
    bad = b'data: {"choices":[],"usage":{"prompt_tokens":true}}\n\n'
    assert reading(provider, STREAM + bad).answer.usage_raw == USAGE
    answer = reading(provider, bad).answer
    assert (answer.usage, answer.usage_raw) == (None, '{"prompt_tokens":true}')


def test_null_usage_says_nothing(provider: Provider, reading: Reads) -> None:
    """`"usage": null` in the chunks before the last is passed over."""
    answer = reading(provider, b'data: {"choices":[],"usage":null}\n\n').answer
    assert (answer.usage, answer.usage_raw) == (None, None)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("body", "complete", "readable"),
    [
        (b"", False, True),
        (b" \n", False, True),
        (b": ping\n\n", False, True),
        (b"da", False, True),
        (b'{"choices":[{"mess', False, True),
        (b'{"choices":nonsense}', False, False),
        (b"{}", False, False),
        (b'{"hello":"world"}', False, False),
        (b"[1,2]", False, False),
        (b"<html>no</html>", False, False),
        (b"data: <html>\n\n", False, False),
        (b"data: 7\n\n", False, False),
        (b"data: {}\n\n", False, False),
        (b"data: [DONE]\n\n", True, True),
        (b"\x1f\x8b\x08\x00rubbish", False, False),
    ],
)
def test_the_end_of_a_body_is_named(
    provider: Provider, reading: Reads, *, stream: bool, body: bytes, complete: bool, readable: bool
) -> None:
    """Nothing, a cut, and a stranger's body are told apart, and none of them is usage."""
    answer = reading(provider, body, stream=stream).answer
    assert (complete, readable, None) == (answer.complete, answer.readable, answer.usage)


def test_one_bad_event_spoils_nothing_else(provider: Provider, reading: Reads) -> None:
    """Garbage between good events is passed over."""
    answer = reading(provider, b"data: garbage\n\nwhat\n\n" + STREAM).answer
    assert (answer.text, answer.complete, answer.readable) == ("four \ufffd", True, True)


def test_a_body_above_the_limit_is_cut() -> None:
    """The reader keeps no more than its limit, and never calls such a body complete."""
    for body in (WHOLE, STREAM):
        reader = ChatReader(Dialect(id_names=(), refusal_in=lambda _: None), body_bytes_max=len(body) - 20)
        reader.feed(body)
        reader.feed(body)
        answer = reader.finish()
        assert (answer.complete, answer.readable) == (False, True)


def test_names_that_are_sentences_are_not_names(provider: Provider, reading: Reads) -> None:
    """A model, an id or a finish reason with blanks, breaks or endless length is dropped."""
    event = {"id": "a b", "model": "x" * 500, "choices": [{"finish_reason": "stop\n"}]}
    answer = reading(provider, b"data: %s\n\n" % json.dumps(event).encode()).answer
    assert (answer.model_reported, answer.finish_reason, answer.provider_ids) == (None, None, {})


def test_an_error_event_ends_a_stream(reading: Reads) -> None:
    """An error inside a stream is named, beside the text that came before it."""
    kimi = b'data: {"error":{"message":"busy","type":"engine_overloaded_error"}}\n\n'
    glm = b'data: {"error":{"code":"1305","message":"busy"},"request_id":"r"}\n\n'
    for provider, error in ((KIMI, kimi), (GLM, glm)):
        answer: Answer = reading(provider, f"data: {EVENTS[2]}\n\n".encode() + error).answer
        assert answer.refusal is not None
        assert (answer.refusal.reason, answer.text, answer.complete) == (RefusalReason.OVERLOADED, "fo", True)


_BITS = [
    STREAM,
    WHOLE,
    b'{"error":',
    b'"choices":[',
    b"data: ",
    b"\n\n",
    b"\r",
    b"null",
    b"}",
    b"]",
    b'"',
    b"\xff",
]
_RUBBISH = st.one_of(
    st.binary(max_size=300), st.lists(st.one_of(st.sampled_from(_BITS), st.binary(max_size=5))).map(b"".join)
)


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """A good body with bytes changed, cut out or doubled."""
    body = bytearray(draw(st.sampled_from([STREAM, WHOLE])))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 8))] = draw(
            st.one_of(st.binary(max_size=4), st.sampled_from(_BITS[2:]))
        )
    return bytes(body)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(_RUBBISH, _mutated()), st.lists(st.integers(0, 1200), max_size=20))
def test_rubbish_never_raises_and_chunks_make_no_difference(
    provider: Provider, reading: Reads, body: bytes, cuts: list[int]
) -> None:
    """Whatever comes, in whatever pieces, the same answer is read and nothing is raised."""
    bounds = [0, *sorted(min(at, len(body)) for at in cuts), len(body)]
    pieces = [body[begin:end] for begin, end in itertools.pairwise(bounds)]
    once, often = reading(provider, body), reading(provider, *pieces)
    assert once.answer == often.answer
    assert once.pieces == often.pieces
    assert once.answer.text.startswith("".join(once.pieces))
    provider.refusal(500, {}, body)
