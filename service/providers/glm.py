"""GLM, by Z.ai (Zhipu): its chat completions, and errors named by a code in the body, whatever the HTTP status.

Sources: docs.z.ai/api-reference/api-code, docs.bigmodel.cn/cn/api/api-code and recorded answers of 2026.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from service.core.shapes import AnswerReader, Ask, Counters, Prepared, Provider, Refusal
from service.core.words import RefusalReason
from service.providers import _asking
from service.providers._chat import ChatReader, Dialect, first_object
from service.providers._glm_counters import GlmCounters
from service.providers._glm_plan import CODING
from service.providers._json import Fields, fields, string
from service.providers._naming import (
    AUTHENTICATION,
    BY_STATUS,
    INVALID,
    PERMISSION,
    UNLISTED,
    Named,
    header_ids,
    refusal,
    word,
)

USD_HOST = "api.z.ai"
CNY_HOST = "open.bigmodel.cn"
PAID_PATH = "/api/paas/v4"
PLAN_PATH = "/api/coding/paas/v4"  # source: docs.z.ai/devpack
_CURRENCIES = {USD_HOST: "USD", CNY_HOST: "CNY"}
_PLAYED = {"sim": USD_HOST, "sim-cny": CNY_HOST}
_SERVER_ERROR = 500

_FILTERED: Named = (RefusalReason.CONTENT_FILTERED, False)
_EXHAUSTED: Named = (RefusalReason.QUOTA_EXHAUSTED, False)
_RATE_LIMITED: Named = (RefusalReason.RATE_LIMITED, True)
_OVERLOADED: Named = (RefusalReason.OVERLOADED, True)
_PASSING: Named = (RefusalReason.PROVIDER_ERROR, True)

_CODES: Mapping[str, Named] = {
    "401": AUTHENTICATION,
    "500": _PASSING,
    **dict.fromkeys(("1000", "1001", "1002", "1003", "1004"), AUTHENTICATION),
    "1100": UNLISTED,
    **dict.fromkeys(("1110", "1111", "1112", "1120", "1121"), PERMISSION),
    "1113": (RefusalReason.NO_BALANCE, False),
    "1200": UNLISTED,
    **dict.fromkeys(("1210", "1212", "1213", "1214", "1215", "1221", "1222"), INVALID),
    "1211": (RefusalReason.UNKNOWN_MODEL, False),
    "1220": PERMISSION,
    "1230": UNLISTED,
    "1231": (RefusalReason.DUPLICATE_REQUEST, False),
    "1234": _PASSING,
    "1261": (RefusalReason.CONTEXT_TOO_LONG, False),
    **dict.fromkeys(("1300", "1301"), _FILTERED),
    **dict.fromkeys(("1302", "1303"), _RATE_LIMITED),
    "1304": _EXHAUSTED,
    **dict.fromkeys(("1305", "1312"), _OVERLOADED),
    **dict.fromkeys(("1308", "1309", "1310"), _EXHAUSTED),
    "1311": PERMISSION,
    "1313": (RefusalReason.RATE_LIMITED, False),
    **dict.fromkeys(("1314", "1315", "1316", "1317", "1318", "1319", "1320", "1321"), _EXHAUSTED),
}


class Glm:
    """The provider GLM (Z.ai, Zhipu)."""

    name = "glm"
    title = "GLM"
    key_variables: tuple[str, ...] = ("GLM_API_KEY", "ZAI_API_KEY", "ZHIPUAI_API_KEY")
    base_url_variable = "GLM_BASE_URL"
    base_url = f"https://{USD_HOST}{PAID_PATH}"
    # The cheapest model of the current generation. It is paid: a free one would move no credit.
    default_model = "glm-5.3-flash"
    # The plan rates none of the small ones; of those that it rates the newest whose thinking can be switched off.
    plan_model = "glm-5.2"
    hosts = frozenset({USD_HOST, CNY_HOST})
    kept_headers = frozenset(
        {
            "content-encoding",
            "content-length",
            "content-type",
            "date",
            "ga-traceid",
            "retry-after",
            "server",
            "x-log-id",
            "x-request-id",
        }
    )

    def __init__(self) -> None:
        self.counters: Counters = GlmCounters(self.refusal)

    def plan(self, path: str) -> str | None:
        """Name the plan of a base URL's path: the coding plan has one of its own on each host."""
        return CODING if "/api/coding/" in f"{path}/" else None

    def paths(self, host: str) -> tuple[str, ...]:  # noqa: ARG002 - both hosts are alike
        """Give the paths that take requests: paid by the token, and by the plan."""
        return (PAID_PATH, PLAN_PATH)

    def model_for(self, plan: str | None) -> str:
        """Name the model to ask when nobody names one."""
        return self.plan_model if plan == CODING else self.default_model

    def price_host(self, host: str, key_hint: str) -> str | None:
        """Name the host whose prices hold: the played one for a simulator, a known one for a real key."""
        return _PLAYED.get(key_hint) or (host if host in _CURRENCIES else None)

    def currency(self, price_host: str | None) -> str | None:
        """Name the currency a host bills in."""
        return None if price_host is None else _CURRENCIES.get(price_host)

    def prepare(self, ask: Ask, *, model: str, max_output_tokens: int, unique: str) -> Prepared:
        """Write the request; `unique` is its `request_id`, which must never have been used before.

        A temperature of 0 is written as the provider's own SDK writes it: `do_sample: false`.
        """
        request = _asking.common(ask, model)
        request["max_tokens"] = max_output_tokens
        request["request_id"] = unique
        if ask.temperature is not None and ask.temperature <= 0:
            request["do_sample"] = False
        elif ask.temperature is not None:
            request["temperature"] = ask.temperature
        if ask.thinking is not None:
            request["thinking"] = {"type": "enabled" if ask.thinking else "disabled"}
        return Prepared(
            path="/chat/completions",
            headers=_asking.headers(ask, ("Accept-Language", "en-US,en")),
            body=_asking.encoded(request),
            client_request_id=unique,
        )

    def reader(self, *, stream: bool) -> AnswerReader:  # noqa: ARG002 - the body itself tells what it is
        """Begin to read an answer's body, stream or whole."""
        return ChatReader(_DIALECT)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Refusal | None:
        """Name the error in a complete body."""
        found = first_object(body)
        return None if found is None else _refusal(status, headers, found)

    def ids(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Collect the request ids; `x-log-id` is the answer's own id."""
        return header_ids(headers, ("x-log-id", "ga-traceid", "x-request-id"))

    def cached_tokens(self, headers: Mapping[str, str]) -> int | None:  # noqa: ARG002 - the shape of every provider
        """No header counts tokens."""
        return None

    def signature(self, headers: Mapping[str, str]) -> tuple[str, str] | None:  # noqa: ARG002 - as above
        """Nothing is signed."""
        return None


def _refusal(status: int, headers: Mapping[str, str], found: Fields) -> Refusal | None:
    error = fields(found.get("error"))
    if error is not None:
        code, message = word(error.get("code")), string(error.get("message"))
        if code is None and (message is None or status >= _SERVER_ERROR):
            return None  # a gateway's, not the provider's
        type_ = word(error.get("type"))
    elif found.get("success") is not None and bytes(found["success"]) == b"false":
        # The account services' own envelope, which comes with status 200 too: {code, msg, success}.
        code, message, type_ = word(found.get("code")), string(found.get("msg")), None
        if code is None:
            return None
    else:
        return None
    named = _CODES.get(code or "") or BY_STATUS.get(status, UNLISTED)
    return refusal(named, message or "", type_=type_, code=code, headers=headers)


_DIALECT = Dialect(id_names=("id", "request_id"), refusal_in=lambda found: _refusal(200, {}, found))

PROVIDER: Provider = Glm()

if TYPE_CHECKING:
    _: type[Provider] = Glm
