"""Tests of the provider GLM."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from service.core.shapes import Ask
from service.core.words import RefusalReason as Reason
from service.providers.glm import PROVIDER as GLM

Reads = Callable[..., Any]  # the fixture `reading`

UNIQUE = "5f0c7c9e-6a52-4a7e-9f62-3a1f6f2b7c11"


def _body(ask: Ask) -> dict[str, Any]:
    prepared = GLM.prepare(ask, model="glm-4.7", max_output_tokens=64, unique=UNIQUE)
    body: dict[str, Any] = json.loads(prepared.body)
    return body


def test_a_request_is_prepared(question: Ask) -> None:
    """The maximum output is explicit and our own request id goes in the body."""
    prepared = GLM.prepare(question, model="glm-4.7", max_output_tokens=64, unique=UNIQUE)
    assert (prepared.path, prepared.nonce, prepared.client_request_id) == ("/chat/completions", None, UNIQUE)
    assert json.loads(prepared.body) == {
        "model": "glm-4.7",
        "messages": [{"role": "user", "content": "2 + 2?"}],
        "stream": False,
        "max_tokens": 64,
        "request_id": UNIQUE,
    }


def test_a_stream_asks_for_usage(question: Ask) -> None:
    """Whoever wants text as it arrives gets a stream that must state its usage."""
    body = _body(msgspec.structs.replace(question, on_text=lambda _: None))
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


def test_thinking_and_temperature_are_said(question: Ask) -> None:
    """Thinking has two values; a temperature of 0 is greedy decoding, as the provider's SDK writes it."""
    warm = _body(msgspec.structs.replace(question, temperature=0.5, thinking=True))
    cold = _body(msgspec.structs.replace(question, temperature=0.0, thinking=False))
    assert (warm["temperature"], warm["thinking"]) == (0.5, {"type": "enabled"})
    assert (cold["do_sample"], cold["thinking"]) == (False, {"type": "disabled"})
    assert "temperature" not in cold


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (500, "500", (Reason.PROVIDER_ERROR, True)),
        (401, "1002", (Reason.AUTHENTICATION, False)),
        (429, "1112", (Reason.PERMISSION, False)),
        (429, "1113", (Reason.NO_BALANCE, False)),
        (400, "1210", (Reason.INVALID_REQUEST, False)),
        (400, "1211", (Reason.UNKNOWN_MODEL, False)),
        (400, "1231", (Reason.DUPLICATE_REQUEST, False)),
        (500, "1234", (Reason.PROVIDER_ERROR, True)),
        (400, "1261", (Reason.CONTEXT_TOO_LONG, False)),
        (400, "1301", (Reason.CONTENT_FILTERED, False)),
        (429, "1302", (Reason.RATE_LIMITED, True)),
        (429, "1303", (Reason.RATE_LIMITED, True)),
        (429, "1304", (Reason.QUOTA_EXHAUSTED, False)),
        (429, "1305", (Reason.OVERLOADED, True)),
        (429, "1308", (Reason.QUOTA_EXHAUSTED, False)),
        (429, "1311", (Reason.PERMISSION, False)),
        (429, "1312", (Reason.OVERLOADED, True)),
        (429, "1313", (Reason.RATE_LIMITED, False)),
        (429, "1321", (Reason.QUOTA_EXHAUSTED, False)),
        (429, "1999", (Reason.RATE_LIMITED, False)),
        (500, "1999", (Reason.PROVIDER_ERROR, False)),
    ],
)
def test_errors_are_named_by_their_code(status: int, code: str, expected: tuple[Reason, bool]) -> None:
    """The code decides, not the status: an empty account and a rate limit are both 429."""
    body = json.dumps({"error": {"code": code, "message": "because"}, "request_id": "r"}).encode()
    refusal = GLM.refusal(status, {"retry-after": "2"}, body)
    assert refusal is not None
    assert (*expected, code, "because", 2000) == (
        refusal.reason,
        refusal.retryable,
        refusal.provider_code,
        refusal.message,
        refusal.retry_after_ms,
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"code":1001,"msg":"no header","success":false}', Reason.AUTHENTICATION),
        (b'{"code":401,"msg":"token expired or incorrect","success":false}', Reason.AUTHENTICATION),
        (b'{"error":{"code":1113,"message":"Insufficient balance"}}', Reason.NO_BALANCE),
    ],
)
def test_an_error_with_status_200_is_an_error(reading: Reads, body: bytes, reason: Reason) -> None:
    """The body decides: in a whole answer, in place of a stream, and as an event of one."""
    for chunks in ((body,), (b"data: " + body + b"\n\n",)):
        answer = reading(GLM, *chunks).answer
        assert (reason, True, None) == (answer.refusal.reason, answer.complete, answer.usage)
    refusal = GLM.refusal(200, {}, body)
    assert refusal is not None
    assert reason == refusal.reason


def test_an_error_status_may_carry_an_event_stream() -> None:
    """An error body in the form of an event is read like one."""
    refusal = GLM.refusal(429, {}, b'data: {"error":{"code":"1302","message":"x"}}\n\n')
    assert refusal is not None
    assert refusal.retryable


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, b"<html>Bad gateway</html>"),
        (502, b'{"error":{"message":"no upstream"}}'),
        (502, b'{"code":502,"msg":"x"}'),
        (200, b'{"success":false}'),
        (400, b'{"error":"sentence"}'),
        (200, b'{"code":200,"msg":"ok","success":true}'),
        (500, b"null"),
    ],
)
def test_a_strangers_error_is_not_the_providers(status: int, body: bytes) -> None:
    """What a gateway says proves nothing of what the provider did."""
    assert GLM.refusal(status, {}, body) is None


def test_usage_comes_with_the_last_chunk(reading: Reads) -> None:
    """Finish reason and usage stand in one chunk, usage at the top; both ids of the body are kept."""
    body = (
        b'data: {"id":"20260821","choices":[{"index":0,"delta":{"role":"assistant","content":"4"}}]}\n\n'
        b'data: {"id":"20260821","request_id":"mine",'
        b'"choices":[{"index":0,"finish_reason":"stop","delta":{"content":""}}],'
        b'"usage":{"prompt_tokens":20,"completion_tokens":3,"total_tokens":23,'
        b'"prompt_tokens_details":{"cached_tokens":0}}}\n\n'
        b"data: [DONE]\n\n"
    )
    read = reading(GLM, body)
    assert (read.pieces, read.answer.text, read.answer.finish_reason) == (["4"], "4", "stop")
    assert read.answer.provider_ids == {"id": "20260821", "request_id": "mine"}
    assert (
        read.answer.usage.uncached_input_tokens,
        read.answer.usage.cached_input_tokens,
        read.answer.usage.output_tokens,
    ) == (20, 0, 3)


def test_headers_are_read() -> None:
    """The ids stand in headers; there is no cached count and no signature."""
    headers = {"x-log-id": "20260902063847ffbbcf8b2d434a1d", "ga-traceid": "9571be63", "set-cookie": "acw_tc=1"}
    assert {"x-log-id", "ga-traceid"} == set(GLM.ids(headers))
    assert (GLM.cached_tokens(headers), GLM.signature(headers)) == (None, None)
    assert "set-cookie" not in GLM.kept_headers


@pytest.mark.parametrize(
    ("host", "hint", "priced", "currency"),
    [
        ("api.z.ai", "real", "api.z.ai", "USD"),
        ("open.bigmodel.cn", "real", "open.bigmodel.cn", "CNY"),
        ("proxy.example.org", "real", None, None),
        ("127.0.0.1", "sim", "api.z.ai", "USD"),
        ("127.0.0.1", "sim-cny", "open.bigmodel.cn", "CNY"),
    ],
)
def test_the_host_decides_the_currency(host: str, hint: str, priced: str | None, currency: str | None) -> None:
    """A simulator bills as the host it plays; an unknown host has no price and no currency."""
    assert (priced, currency) == (GLM.price_host(host, hint), GLM.currency(GLM.price_host(host, hint)))
