"""Tests of the provider Kimi."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from service.core.shapes import Ask, Message
from service.core.usage import UsageFlag
from service.core.words import RefusalReason as Reason
from service.errors import InvalidArgumentsError
from service.providers.kimi import PROVIDER as KIMI

Reads = Callable[..., Any]  # the fixture `reading`

UNIQUE = "5f0c7c9e-6a52-4a7e-9f62-3a1f6f2b7c11"


def _body(ask: Ask, model: str = "kimi-k2.6") -> dict[str, Any]:
    prepared = KIMI.prepare(ask, model=model, max_output_tokens=64, unique=UNIQUE)
    body: dict[str, Any] = json.loads(prepared.body)
    return body


def test_a_request_is_prepared(question: Ask) -> None:
    """The maximum output is explicit and the nonce goes in a header; nothing is sent that was not asked for."""
    prepared = KIMI.prepare(question, model="kimi-k2.6", max_output_tokens=64, unique=UNIQUE)
    assert (prepared.path, prepared.nonce, prepared.client_request_id) == ("/chat/completions", UNIQUE, None)
    assert ("X-Msh-Request-Nonce", UNIQUE) in prepared.headers
    assert json.loads(prepared.body) == {
        "model": "kimi-k2.6",
        "messages": [{"role": "user", "content": "2 + 2?"}],
        "stream": False,
        "max_completion_tokens": 64,
    }


def test_a_stream_asks_for_usage(question: Ask) -> None:
    """Whoever wants text as it arrives gets a stream that must state its usage."""
    body = _body(msgspec.structs.replace(question, on_text=lambda _: None, temperature=0.3))
    assert (body["stream"], body["stream_options"], body["temperature"]) == (True, {"include_usage": True}, 0.3)


@pytest.mark.parametrize(
    ("model", "wanted", "sent"),
    [
        ("kimi-k2.6", True, {"type": "enabled"}),
        ("kimi-k2.6", False, {"type": "disabled"}),
        ("kimi-k2.7-code", False, {"type": "disabled"}),
        ("kimi-k2.6", None, None),
        ("kimi-k3", True, None),
        ("kimi-k3.1-pro", None, None),
    ],
)
def test_thinking_is_said_as_the_model_takes_it(
    question: Ask,
    *,
    model: str,
    wanted: bool | None,
    sent: dict[str, str] | None,
) -> None:
    """K3 always thinks and takes no field; what other models refuse is sent, so that they can say so."""
    assert sent == _body(msgspec.structs.replace(question, thinking=wanted), model).get("thinking")


def test_thinking_cannot_be_off_on_k3(question: Ask) -> None:
    """What cannot be expressed is refused before anything is sent, with a remedy."""
    with pytest.raises(InvalidArgumentsError) as caught:
        _body(msgspec.structs.replace(question, thinking=False), "kimi-k3")
    assert KIMI.default_model in caught.value.remedy


def test_half_a_character_is_refused() -> None:
    """A text that has no UTF-8 never becomes a request."""
    with pytest.raises(InvalidArgumentsError):
        _body(Ask(messages=(Message("user", "\ud800"),)))


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, {"type": "content_filter", "message": "high risk"}, (Reason.CONTENT_FILTERED, False)),
        (
            400,
            {"type": "invalid_request_error", "message": "invalid temperature"},
            (Reason.INVALID_REQUEST, False),
        ),
        (
            400,
            {"type": "invalid_request_error", "message": "Invalid request: Input token length too long"},
            (Reason.CONTEXT_TOO_LONG, False),
        ),
        (
            400,
            {"type": "invalid_request_error", "message": "Your request exceeded model token limit : 262144"},
            (Reason.CONTEXT_TOO_LONG, False),
        ),
        (
            401,
            {"type": "invalid_authentication_error", "message": "Invalid Authentication"},
            (Reason.AUTHENTICATION, False),
        ),
        (401, {"type": "incorrect_api_key_error", "message": "no"}, (Reason.AUTHENTICATION, False)),
        (403, {"type": "permission_denied_error", "message": "no"}, (Reason.PERMISSION, False)),
        (403, {"type": "exceeded_current_quota_error", "message": "not active"}, (Reason.NO_BALANCE, False)),
        (
            404,
            {"type": "resource_not_found_error", "message": "Not found the model"},
            (Reason.UNKNOWN_MODEL, False),
        ),
        (404, {"message": "Not found the model x or Permission denied"}, (Reason.UNKNOWN_MODEL, False)),
        (429, {"type": "exceeded_current_quota_error", "message": "suspended"}, (Reason.NO_BALANCE, False)),
        (429, {"type": "rate_limit_reached_error", "message": "max RPM: 3"}, (Reason.RATE_LIMITED, True)),
        (429, {"type": "engine_overloaded_error", "message": "try again"}, (Reason.OVERLOADED, True)),
        (429, {"type": "brand_new_error", "message": "?"}, (Reason.RATE_LIMITED, False)),
        (500, {"type": "server_error", "message": "x"}, (Reason.PROVIDER_ERROR, True)),
        (500, {"type": "unexpected_output", "message": "x"}, (Reason.PROVIDER_ERROR, False)),
        (503, {"type": "server_unavailable", "message": "x"}, (Reason.OVERLOADED, True)),
    ],
)
def test_errors_are_named_by_their_type(status: int, error: dict[str, str], expected: tuple[Reason, bool]) -> None:
    """The type decides, not the status: an empty account and a rate limit are both 429."""
    refusal = KIMI.refusal(status, {}, json.dumps({"error": error}).encode())
    assert refusal is not None
    assert expected == (refusal.reason, refusal.retryable)
    assert (error.get("type"), error["message"]) == (refusal.provider_type, refusal.message)


def test_an_unknown_route_is_a_bare_word() -> None:
    """On an unknown route `error` is a string."""
    refusal = KIMI.refusal(404, {}, b'{"error":"url.not_found"}')
    assert refusal is not None
    assert (refusal.reason, refusal.provider_type) == (Reason.INVALID_REQUEST, "url.not_found")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, b"<html>Bad gateway</html>"),
        (502, b'{"error":"bad_gateway"}'),
        (502, b'{"error":{"message":"no upstream"}}'),
        (404, b'{"error":"This page does not exist"}'),
        (400, b'{"error":{}}'),
        (400, b'{"error":null}'),
        (500, b""),
        (200, b'{"choices":[]}'),
    ],
)
def test_a_strangers_error_is_not_the_providers(status: int, body: bytes) -> None:
    """What a gateway says proves nothing of what the provider did."""
    assert KIMI.refusal(status, {}, body) is None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "1", "x-retry-after": "2"}, 1000),
        ({"msh-cooldown-seconds": "0.25"}, 250),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "x-retry-after": "3"}, 3000),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "999999999"}, 86_400_000),
        ({}, None),
    ],
)
def test_the_wait_is_bounded(headers: dict[str, str], expected: int | None) -> None:
    """Seconds are read from three headers; dates and garbage are passed over; a day is the most."""
    refusal = KIMI.refusal(429, headers, b'{"error":{"type":"rate_limit_reached_error","message":"x"}}')
    assert refusal is not None
    assert expected == refusal.retry_after_ms


def test_usage_is_found_inside_the_choice(reading: Reads) -> None:
    """A stream may state its usage in the choice of its last chunk and nowhere else."""
    usage = '{"prompt_tokens":12,"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":1}}'
    event = f'{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop","usage":{usage}}}]}}'
    body = f"data: {event}\n\ndata: [DONE]\n\n"
    answer = reading(KIMI, body.encode()).answer
    assert (usage, 1, "stop") == (answer.usage_raw, answer.usage.reasoning_tokens, answer.finish_reason)


def test_more_cached_than_input_is_flagged(reading: Reads) -> None:
    """Contradictory counts are kept and flagged."""
    body = b'{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"cached_tokens":9}}'
    answer = reading(KIMI, body).answer
    assert (answer.usage_flags, answer.usage.cached_input_tokens) == ((UsageFlag.CACHED_ABOVE_INPUT,), 9)


def test_headers_are_read() -> None:
    """Ids, the cached count and the signature stand in headers, and each is checked for its form."""
    headers = {
        "msh-request-id": "37631078-a660-11f1-88e1-eaf9ba74c120",
        "x-msh-trace-id": "2529788996f1a18706f8327d194fb071",
        "msh-context-cache-token-saved": "93",
        "msh-request-timestamp": "1788306762123",
        "msh-request-signature": "reqsigv1_abc-DEF",
    }
    assert {"msh-request-id", "x-msh-trace-id"} == set(KIMI.ids(headers))
    assert KIMI.cached_tokens(headers) == 93
    assert KIMI.signature(headers) == ("1788306762123", "reqsigv1_abc-DEF")
    assert set(headers) <= KIMI.kept_headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"msh-request-timestamp": "1"},
        {"msh-request-signature": "x"},
        {"msh-request-timestamp": "soon", "msh-request-signature": "x"},
        {"msh-request-timestamp": "1", "msh-request-signature": "x" * 5000},
    ],
)
def test_half_a_signature_is_none(headers: dict[str, str]) -> None:
    """A signature without a readable timestamp, or the other way round, cannot be verified."""
    assert KIMI.signature(headers) is None
    assert KIMI.cached_tokens({"msh-context-cache-token-saved": "-1"}) is None


@pytest.mark.parametrize(
    ("host", "hint", "priced", "currency"),
    [
        ("api.moonshot.ai", "real", "api.moonshot.ai", "USD"),
        ("api.moonshot.cn", "real", "api.moonshot.cn", "CNY"),
        ("proxy.example.org", "real", None, None),
        ("127.0.0.1", "sim", "api.moonshot.ai", "USD"),
        ("127.0.0.1", "sim-cny", "api.moonshot.cn", "CNY"),
    ],
)
def test_the_host_decides_the_currency(host: str, hint: str, priced: str | None, currency: str | None) -> None:
    """A simulator bills as the host it plays; an unknown host has no price and no currency."""
    assert (priced, currency) == (KIMI.price_host(host, hint), KIMI.currency(KIMI.price_host(host, hint)))


@pytest.mark.parametrize(
    ("path", "plan"), [("/v1", None), ("", None), ("/coding/v1", "coding"), ("/v1/coding", None)]
)
def test_the_subscription_has_a_path_of_its_own(path: str, plan: str | None) -> None:
    """Its host is the provider's own."""
    assert plan == KIMI.plan(path)
    assert {"api.moonshot.ai", "api.moonshot.cn", "api.kimi.com"} == KIMI.hosts
