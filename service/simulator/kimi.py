"""Kimi: how its chat answers and errors look on the wire. Pure: values in, an Answer out.

Shapes follow recorded traffic; error types follow platform.kimi.ai/docs/api/errors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus

import msgspec

from service.simulator.accounts import Standing
from service.simulator.asked import Asked
from service.simulator.faults import Error
from service.simulator.shapes import Answer, Headers, Ids, Refused, Stamp, Usage, http_date
from service.simulator.signature import Seal
from service.simulator.text import Template, Work

NAME = "kimi"
TEMPLATE = Template(prompt=80, completion=3)
OUTPUT_TOKENS_DEFAULT = 131_072
MESSAGE_BYTES_MAX = 4_194_304
CHAT_PATH = "/v1/chat/completions"

_PINNED = frozenset({"kimi-k3", "kimi-k2.6"})
_ALWAYS_THINKING = frozenset({"kimi-k2.7-code", "kimi-k2.7-code-highspeed"})
_MAY_NOT_THINK = frozenset({"kimi-k2.6"})
_LONG_CONTEXT, _CONTEXT = 1_048_576, 262_144
_WHO = "org-0123456789abcdef0123456789abcdef<ak-0123456789abcdefghij>"  # as real messages carry account ids

_ERRORS: Mapping[str, tuple[int, str]] = {
    "content_filter": (400, "The request was rejected because it was considered high risk"),
    "invalid_request_error": (400, "Invalid request: the request is malformed"),
    "invalid_authentication_error": (401, "Invalid Authentication"),
    "incorrect_api_key_error": (401, "Incorrect API key provided"),
    "permission_denied_error": (403, "You do not have permission to access this resource"),
    "resource_not_found_error": (404, "Not found the model or Permission denied"),
    "exceeded_current_quota_error": (
        429,
        (
            f"Your account {_WHO} is suspended due to insufficient balance, "
            "please recharge your account or check your plan and billing details"
        ),
    ),
    "rate_limit_reached_error": (
        429,
        f"Your account {_WHO} request reached organization max RPM: 3, please try again after 1 seconds",
    ),
    "engine_overloaded_error": (429, "The engine is currently overloaded, please try again later"),
    "server_error": (500, "Internal server error"),
    "unexpected_output": (500, "The model produced unexpected output"),
    "server_unavailable": (503, "The server is temporarily unavailable"),
    "client_closed_request": (499, "The client closed the request"),
}
_BY_STATUS = {
    400: "invalid_request_error",
    401: "invalid_authentication_error",
    403: "permission_denied_error",
    404: "resource_not_found_error",
    429: "rate_limit_reached_error",
    503: "server_unavailable",
}


def refused(name: str, message: str | None = None) -> Refused:
    """Name one of the provider's own errors, with its own sentence unless another is given."""
    status, own = _ERRORS[name]
    return Refused(status, name, message or own, 1 if name == "rate_limit_reached_error" else None)


def unauthorized(standing: Standing) -> Refused:
    """Refuse a key that is absent, unknown or revoked."""
    return refused("incorrect_api_key_error" if standing == "absent" else "invalid_authentication_error")


def no_balance() -> Refused:
    """Refuse a wallet with nothing left: a 429, told apart by its type alone."""
    return refused("exceeded_current_quota_error")


def bad_request(sentence: str) -> Refused:
    """Refuse a request that cannot be read."""
    return refused("invalid_request_error", f"Invalid request: {sentence}")


def unknown_model(model: str) -> Refused:
    """Refuse a model that is not offered to this account."""
    return refused("resource_not_found_error", f"Not found the model {model} or Permission denied")


def not_in_plan(model: str) -> Refused:
    """Refuse a model outside a plan; there is no plan here, so it is unknown."""
    return unknown_model(model)


def context_tokens(model: str) -> int:
    """Give the most tokens a conversation with this model may have."""
    return _LONG_CONTEXT if model.startswith("kimi-k3") else _CONTEXT


def check(asked: Asked, prompt_tokens: int, body_bytes: int) -> Refused | None:
    """Find what the provider does not accept in a readable request for a known model."""
    if body_bytes > MESSAGE_BYTES_MAX:
        return bad_request(f"total message size {body_bytes} exceeds limit {MESSAGE_BYTES_MAX}")
    if prompt_tokens > context_tokens(asked.model):
        return bad_request(f"Your request exceeded model token limit : {context_tokens(asked.model)}")
    if asked.model in _PINNED and asked.temperature not in (None, 1):
        return refused("invalid_request_error", "invalid temperature: only 1 is allowed for this model")
    if asked.model in _ALWAYS_THINKING and asked.thinking_off():
        return refused("invalid_request_error", "invalid thinking: only type=enabled is allowed for this model")
    return None


def claims(_asked: Asked) -> str | None:
    """Give the client's own request id: this provider takes none."""
    return None


def duplicate(client_id: str) -> Refused:
    """Refuse a repeated request id; never happens here, because none is taken."""
    return bad_request(f"duplicate request {client_id}")


def thinks(asked: Asked) -> bool:
    """Tell whether the model thinks first."""
    return not (asked.model in _MAY_NOT_THINK and asked.thinking_off())


def injected(fault: Error) -> Refused:
    """Turn an error switch into the provider's error."""
    name = fault.type or _BY_STATUS.get(fault.status or 500, "server_error")
    status, message = _ERRORS.get(name, (500, "The simulator was told to refuse"))
    retry_after_s = fault.retry_after_s or (1 if name == "rate_limit_reached_error" else None)
    return Refused(fault.status or status, name, fault.message or message, retry_after_s)


def stamp(ids: Ids, at_ns: int) -> Stamp:
    """Draw the ids of one answer."""
    return Stamp(at_ns, ids.uuid1(at_ns), f"chatcmpl-{ids.hex(24)}", ids.hex(32), f"{ids.hex(16)}-PRG")


def proof(seal: Seal, nonces: Sequence[str], stamped: Stamp, model: str) -> Headers:
    """Sign the request when it carries exactly one non-empty nonce; else say nothing, as the provider does."""
    if len(nonces) != 1 or not nonces[0]:
        return ()
    timestamp_ms = stamped.at_ns // 10**6
    return (
        ("Msh-Request-Timestamp", str(timestamp_ms)),
        ("Msh-Request-Signature", seal.sign(nonces[0], timestamp_ms, model)),
    )


def headers(stamped: Stamp, kind: str, length: int | None, *, cached: int = 0, edge: bool = True) -> Headers:
    """Give the header set in its recorded order; `edge` adds what the CDN puts on successes."""
    return (
        ("Date", http_date(stamped.at_s)),
        ("Content-Type", kind),
        *((("Content-Length", str(length)),) if length is not None else ()),
        ("Server-Timing", 'cfCacheStatus;desc="DYNAMIC"'),
        *((("Msh-Context-Cache-Token-Saved", str(cached)),) if cached else ()),
        ("Msh-Request-Id", stamped.request_id),
        ("Msh-Trace-Mode", "on"),
        ("Vary", "Origin"),
        ("X-Msh-Trace-Id", stamped.trace_id),
        *(_edge(stamped) if edge else ()),
    )


def _edge(stamped: Stamp) -> Headers:
    return (
        ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
        ("cf-cache-status", "DYNAMIC"),
        ("Server", "cloudflare"),
        ("CF-RAY", stamped.ray),
    )


def plain(stamped: Stamp, status: int, body: object, *, cached: int = 0) -> Answer:
    """Give a JSON answer."""
    encoded = msgspec.json.encode(body)
    kind = "application/json; charset=utf-8"
    return Answer(
        status, headers(stamped, kind, len(encoded), cached=cached, edge=status == HTTPStatus.OK), encoded
    )


def refuse(refusal: Refused, stamped: Stamp, *, stream: bool = False, client_id: str | None = None) -> Answer:
    """Give an error answer: message and type, no code. A 200 in a stream is told inside the stream."""
    del client_id
    body = {"error": {"message": refusal.message, "type": refusal.name}}
    if stream and refusal.status == HTTPStatus.OK:
        return _stream(stamped, [body], 0)
    answer = plain(stamped, refusal.status, body)
    if refusal.retry_after_s is None:
        return answer
    wait = str(refusal.retry_after_s)
    names = ("Retry-After", "X-Retry-After", "Msh-Cooldown-Seconds")
    return replace(answer, headers=(*answer.headers, *((name, wait) for name in names)))


def report(usage: Usage) -> dict[str, object]:
    """Write usage as the provider does: the keys of the cache are absent on a miss, never 0."""
    told: dict[str, object] = {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total,
    }
    if usage.cached:
        told["cached_tokens"] = usage.cached
    if usage.reasoning:
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    if usage.cached:
        told["prompt_tokens_details"] = {"cached_tokens": usage.cached}
    return told


def complete(asked: Asked, work: Work, told: Usage | None, stamped: Stamp, model: str) -> Answer:
    """Give the answer, streamed or whole; `told` is the usage to report and `model` the name to report."""
    usage = {} if told is None else {"usage": report(told)}
    cached = work.usage.cached  # the header tells the truth even when a fault bends the body
    if asked.stream:
        return _stream(stamped, _chunks(asked, work, usage, stamped, model), cached)
    message = {"role": "assistant", "content": "".join(work.content)}
    if work.reasoning:
        message["reasoning_content"] = "".join(work.reasoning)
    choice = {"index": 0, "message": message, "finish_reason": work.finish}
    return plain(
        stamped, 200, {**_head(stamped, model, "chat.completion"), "choices": [choice], **usage}, cached=cached
    )


def _head(stamped: Stamp, model: str, kind: str) -> dict[str, object]:
    return {"id": stamped.answer_id, "object": kind, "created": stamped.at_s, "model": model}


def _chunks(
    asked: Asked, work: Work, usage: Mapping[str, object], stamped: Stamp, model: str
) -> list[dict[str, object]]:
    head = _head(stamped, model, "chat.completion.chunk")
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in work.reasoning]
    deltas += [{"content": piece} for piece in work.content]
    chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": work.finish, **usage}]})
    if usage and asked.wants_usage():
        chunks.append({**head, "choices": [], **usage})
    return chunks


def _stream(stamped: Stamp, chunks: Sequence[object], cached: int) -> Answer:
    lines = [b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks]
    return Answer(
        200,
        headers(stamped, "text/event-stream; charset=utf-8", None, cached=cached),
        chunks=(*lines, b"data: [DONE]\n\n"),
    )
