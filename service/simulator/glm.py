"""GLM: how its chat answers and errors look on the wire. Pure: values in, an Answer out.

Shapes follow recorded traffic; error codes follow docs.z.ai/api-reference/api-code and
docs.bigmodel.cn/cn/api/api-code.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import msgspec

from service.simulator.accounts import Standing
from service.simulator.asked import Asked
from service.simulator.faults import Error
from service.simulator.shapes import Answer, Headers, Ids, Refused, Stamp, Usage, http_date
from service.simulator.signature import Seal
from service.simulator.text import Template, Work

NAME = "glm"
TEMPLATE = Template(prompt=10, completion=2)
OUTPUT_TOKENS_DEFAULT = 65_536
CHAT_PATH = "/api/paas/v4/chat/completions"
PLAN_CHAT_PATH = "/api/coding/paas/v4/chat/completions"

_ALWAYS_THINKING = frozenset({"glm-5.3"})
_NEVER_THINKING = frozenset({"glm-4-32b-0414-128k", "glm-4-plus", "glm-4-flash-250414"})
_CONTEXT = 204_800
_BEIJING = timedelta(hours=8)

_ERRORS: Mapping[str, tuple[int, str]] = {
    "500": (500, "Internal network failure, please contact customer service"),
    "1000": (401, "Authentication Failed"),
    "1001": (401, "Authentication parameter not received in Header, unable to authenticate"),
    "1002": (401, "Authentication Token is invalid"),
    "1003": (401, "Authentication Token has expired"),
    "1113": (429, "Insufficient balance or no resource package. Please recharge."),
    "1210": (400, "Invalid API parameter, please check the documentation."),
    "1211": (400, "Unknown Model, please check the model code."),
    "1214": (400, "Invalid field"),
    "1220": (434, "You do not have permission to access this API"),
    "1231": (400, "You already have a request with this request_id"),
    "1234": (500, "Network error, please contact customer service"),
    "1261": (400, "Prompt exceeds max length"),
    "1301": (400, "The system detected potentially unsafe or sensitive content in input or generation."),
    "1302": (429, "Rate limit reached for requests"),
    "1303": (429, "Request frequency is too high"),
    "1304": (429, "The daily call limit is reached"),
    "1305": (429, "The service may be temporarily overloaded, please try again later"),
    "1308": (429, "Usage limit reached for 5 hour. Your limit will reset at 2026-12-01 18:00:00"),
    "1309": (429, "Your plan has expired"),
    "1310": (429, "Weekly/Monthly Limit Exhausted. Your limit will reset at 2026-12-01 18:00:00"),
    "1311": (429, "Your current plan does not include this model"),
    "1312": (429, "This model is currently experiencing high traffic, please try again later"),
    "1313": (429, "Your usage does not comply with the fair use policy"),
}
_BY_STATUS = {400: "1210", 401: "1002", 403: "1220", 404: "1211", 429: "1302", 434: "1220", 503: "1305"}


def refused(name: str, message: str | None = None) -> Refused:
    """Name one of the provider's own errors, with its own sentence unless another is given."""
    status, own = _ERRORS[name]
    return Refused(status, name, message or own)


def unauthorized(standing: Standing) -> Refused:
    """Refuse a key that is absent, unknown or revoked."""
    return refused({"absent": "1001", "revoked": "1000"}.get(standing, "1002"))


def no_balance() -> Refused:
    """Refuse a wallet with nothing left."""
    return refused("1113")


def bad_request(sentence: str) -> Refused:
    """Refuse a request that cannot be read."""
    return refused("1210", f"Invalid API parameter, please check the documentation. {sentence}")


def unknown_model(model: str) -> Refused:
    """Refuse a model that is not offered to this account."""
    del model
    return refused("1211")


def not_in_plan(model: str) -> Refused:
    """Refuse a model the coding plan does not hold."""
    return refused("1311", f"Your current plan does not include {model}")


def check(asked: Asked, prompt_tokens: int, body_bytes: int) -> Refused | None:
    """Find what the provider does not accept in a readable request for a known model."""
    del body_bytes
    if prompt_tokens > _CONTEXT:
        return refused("1261")
    if asked.model in _ALWAYS_THINKING and asked.thinking_off():
        return refused("1210", "thinking cannot be disabled for this model")
    return None


def claims(asked: Asked) -> str | None:
    """Give the client's own request id, which must be new."""
    return asked.request_id


def duplicate(client_id: str) -> Refused:
    """Refuse a request id that was used before."""
    return refused("1231", f"You already have a request: {client_id}")


def thinks(asked: Asked) -> bool:
    """Tell whether the model thinks first."""
    return asked.model not in _NEVER_THINKING and not asked.thinking_off()


def injected(fault: Error) -> Refused:
    """Turn an error switch into the provider's error."""
    name = fault.code or _BY_STATUS.get(fault.status or 500, "500")
    status, message = _ERRORS.get(name, (500, "The simulator was told to refuse"))
    return Refused(fault.status or status, name, fault.message or message, fault.retry_after_s)


def stamp(ids: Ids, at_ns: int) -> Stamp:
    """Draw the ids of one answer: the time in UTC+8, then 16 hex digits."""
    local = datetime.fromtimestamp(at_ns // 10**9, UTC) + _BEIJING
    log_id = f"{local:%Y%m%d%H%M%S}{ids.hex(16)}"
    return Stamp(at_ns, log_id, log_id, ids.hex(32), "")


def proof(seal: Seal, nonces: Sequence[str], stamped: Stamp, model: str) -> Headers:
    """Sign nothing: this provider knows no request signature."""
    del seal, nonces, stamped, model
    return ()


def headers(stamped: Stamp, kind: str, length: int | None) -> Headers:
    """Give the header set in its recorded order."""
    return (
        ("Date", http_date(stamped.at_s)),
        ("Content-Type", kind),
        *((("Content-Length", str(length)),) if length is not None else ()),
        ("Alt-Svc", 'h3=":443"; ma=3600'),
        ("ga-traceid", stamped.trace_id),
        ("Vary", "Accept-Encoding"),
        ("X-LOG-ID", stamped.request_id),
        ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
    )


def plain(stamped: Stamp, status: int, body: object) -> Answer:
    """Give a JSON answer, its keys in the order they have."""
    encoded = msgspec.json.encode(body)
    return Answer(status, headers(stamped, "application/json; charset=UTF-8", len(encoded)), encoded)


def refuse(refusal: Refused, stamped: Stamp, *, stream: bool = False, client_id: str | None = None) -> Answer:
    """Give an error answer: code (a string) and message. A 200 in a stream is told inside the stream."""
    error = {"code": refusal.name, "message": refusal.message}
    body = {"error": error, "request_id": client_id or stamped.request_id}
    if stream and refusal.status == HTTPStatus.OK:
        return _stream(stamped, [body])
    answer = plain(stamped, refusal.status, body)
    if refusal.retry_after_s is None:
        return answer
    wait = ("Retry-After", str(refusal.retry_after_s))
    return Answer(answer.status, (*answer.headers, wait), answer.body)


def report(usage: Usage) -> dict[str, object]:
    """Write usage as the provider does: every key always, 0 when nothing was cached or thought."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def complete(asked: Asked, work: Work, told: Usage | None, stamped: Stamp, model: str) -> Answer:
    """Give the answer, streamed or whole; `told` is the usage to report and `model` the name to report."""
    usage = {} if told is None else {"usage": report(told)}
    if asked.stream:
        return _stream(stamped, _chunks(work, usage, stamped, model))
    message = {"role": "assistant", "content": "".join(work.content)}
    if work.reasoning:
        message["reasoning_content"] = "".join(work.reasoning)
    body = {
        "id": stamped.answer_id,
        "request_id": asked.request_id or stamped.request_id,
        "created": stamped.at_s,
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "finish_reason": work.finish, "message": message}],
        **usage,
    }
    return plain(stamped, 200, msgspec.Raw(msgspec.json.encode(body, order="sorted")))


def _chunks(work: Work, usage: Mapping[str, object], stamped: Stamp, model: str) -> list[dict[str, object]]:
    head = {
        "id": stamped.answer_id,
        "created": stamped.at_s,
        "object": "chat.completion.chunk",
        "model": model,
    }
    deltas = [{"role": "assistant", "reasoning_content": piece} for piece in work.reasoning]
    deltas += [{"role": "assistant", "content": piece} for piece in work.content]
    chunks: list[dict[str, object]] = [{**head, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    last = {"index": 0, "finish_reason": work.finish, "delta": {"role": "assistant", "content": ""}}
    chunks.append({**head, "choices": [last], **usage})
    return chunks


def _stream(stamped: Stamp, chunks: Sequence[object]) -> Answer:
    lines = [b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks]
    kind = "text/event-stream;charset=UTF-8"
    return Answer(200, headers(stamped, kind, None), chunks=(*lines, b"data: [DONE]\n\n"))
