"""Kimi, by Moonshot: its chat completions, its errors, and the request signature it gives.

Sources: platform.kimi.ai/docs/api (chat, errors, request signature) and recorded answers of 2026.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from service.core.shapes import AnswerReader, Ask, Counters, Prepared, Provider, Refusal
from service.core.words import RefusalReason
from service.errors import InvalidArgumentsError
from service.providers import _asking
from service.providers._chat import ChatReader, Dialect, first_object
from service.providers._json import Fields, fields, string
from service.providers._kimi_counters import KimiCounters
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

USD_HOST = "api.moonshot.ai"
CNY_HOST = "api.moonshot.cn"
PLAN_HOST = "api.kimi.com"
PAID_PATH = "/v1"
PLAN_PATH = "/coding/v1"
_CURRENCIES = {USD_HOST: "USD", CNY_HOST: "CNY"}
_PLAYED = {"sim": USD_HOST, "sim-cny": CNY_HOST}

_ALWAYS_THINKS = "kimi-k3"  # the whole family takes no `thinking` field
_HEADER_DIGITS_MAX = 15
_SIGNATURE_CHARS_MAX = 4096
_SERVER_ERROR = 500

# By `error.type`. Not repeated though the provider calls them passing: after `unexpected_output` the model has
# run and may be billed, and after `client_closed_request` nobody waits any more.
_TYPES: Mapping[str, Named] = {
    "content_filter": (RefusalReason.CONTENT_FILTERED, False),
    "invalid_request_error": INVALID,
    "invalid_authentication_error": AUTHENTICATION,
    "incorrect_api_key_error": AUTHENTICATION,
    "permission_denied_error": PERMISSION,
    "resource_not_found_error": (RefusalReason.UNKNOWN_MODEL, False),
    "exceeded_current_quota_error": (RefusalReason.NO_BALANCE, False),
    "rate_limit_reached_error": (RefusalReason.RATE_LIMITED, True),
    "engine_overloaded_error": (RefusalReason.OVERLOADED, True),
    "server_error": (RefusalReason.PROVIDER_ERROR, True),
    "server_unavailable": (RefusalReason.OVERLOADED, True),
    "unexpected_output": UNLISTED,
    "client_closed_request": UNLISTED,
}
# One type names both a wrong field and a long prompt; some bodies have no type at all.
_SENTENCES: Mapping[str, Named] = {
    "input token length too long": (RefusalReason.CONTEXT_TOO_LONG, False),
    "exceeded model token limit": (RefusalReason.CONTEXT_TOO_LONG, False),
    "total message size": (RefusalReason.CONTEXT_TOO_LONG, False),
    "not found the model": (RefusalReason.UNKNOWN_MODEL, False),
}


class Kimi:
    """The provider Kimi (Moonshot)."""

    name = "kimi"
    title = "Kimi"
    key_variables: tuple[str, ...] = ("KIMI_API_KEY", "MOONSHOT_API_KEY")
    base_url_variable = "KIMI_BASE_URL"
    base_url = f"https://{USD_HOST}{PAID_PATH}"
    # The cheapest current model that is not for code alone. It is paid: a free one would move no credit.
    default_model = "kimi-k2.6"
    hosts = frozenset({USD_HOST, CNY_HOST, PLAN_HOST})
    kept_headers = frozenset(
        {
            "cf-cache-status",
            "cf-ray",
            "content-encoding",
            "content-length",
            "content-type",
            "date",
            "msh-cache",
            "msh-context-cache-token-saved",
            "msh-cooldown-seconds",
            "msh-request-id",
            "msh-request-signature",
            "msh-request-timestamp",
            "msh-trace-mode",
            "retry-after",
            "server",
            "server-timing",
            "x-msh-trace-id",
            "x-retry-after",
        }
    )

    def __init__(self) -> None:
        self.counters: Counters = KimiCounters(self.refusal)

    def plan(self, path: str) -> str | None:
        """Name the plan of a base URL's path: the subscription for coding has one of its own."""
        return "coding" if f"{path}/".startswith("/coding/") else None

    def paths(self, host: str) -> tuple[str, ...]:
        """Give the path that takes requests: the subscription has a host of its own."""
        return (PLAN_PATH if host == PLAN_HOST else PAID_PATH,)

    def model_for(self, plan: str | None) -> str:  # noqa: ARG002 - what the subscription rates is not known
        """Name the model to ask when nobody names one."""
        return self.default_model

    def price_host(self, host: str, key_hint: str) -> str | None:
        """Name the host whose prices hold: the played one for a simulator, a known one for a real key."""
        return _PLAYED.get(key_hint) or (host if host in _CURRENCIES else None)

    def currency(self, price_host: str | None) -> str | None:
        """Name the currency a host bills in."""
        return None if price_host is None else _CURRENCIES.get(price_host)

    def prepare(self, ask: Ask, *, model: str, max_output_tokens: int, unique: str) -> Prepared:
        """Write the request; `unique` becomes the nonce that the provider signs.

        Most models pin the temperature and refuse any other with status 400. It is sent all the same: that
        answer names the fault, and to drop what was asked for would not.

        Raises:
            InvalidArgumentsError: thinking is to be off on a model that has no way to say so.
        """
        request = _asking.common(ask, model)
        request["max_completion_tokens"] = max_output_tokens
        if ask.temperature is not None:
            request["temperature"] = ask.temperature
        request.update(_thinking(ask.thinking, model))
        return Prepared(
            path="/chat/completions",
            headers=_asking.headers(ask, ("X-Msh-Request-Nonce", unique)),
            body=_asking.encoded(request),
            nonce=unique,
        )

    def reader(self, *, stream: bool) -> AnswerReader:  # noqa: ARG002 - the body itself tells what it is
        """Begin to read an answer's body, stream or whole."""
        return ChatReader(_DIALECT)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Refusal | None:
        """Name the error in a complete body."""
        found = first_object(body)
        return None if found is None else _refusal(status, headers, found)

    def ids(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Collect the request ids; they come with errors too."""
        return header_ids(headers, ("msh-request-id", "x-msh-trace-id", "cf-ray"))

    def cached_tokens(self, headers: Mapping[str, str]) -> int | None:
        """Read the cached tokens beside the body's; the header comes on a cache hit only."""
        return _digits(headers.get("msh-context-cache-token-saved"))

    def signature(self, headers: Mapping[str, str]) -> tuple[str, str] | None:
        """Read timestamp (Unix milliseconds) and signature over nonce and model."""
        timestamp = _digits(headers.get("msh-request-timestamp"))
        signed = headers.get("msh-request-signature", "").strip(" \t")
        fits = signed.isascii() and signed.isprintable() and 0 < len(signed) <= _SIGNATURE_CHARS_MAX
        return (str(timestamp), signed) if timestamp is not None and fits else None


def _thinking(wanted: bool | None, model: str) -> dict[str, Any]:  # noqa: FBT001 - three-valued: None is the model's own way
    if wanted is None:
        return {}
    if not model.startswith(_ALWAYS_THINKS):
        return {"thinking": {"type": "enabled" if wanted else "disabled"}}
    if not wanted:
        raise InvalidArgumentsError(
            f"{model} always thinks; thinking cannot be switched off",
            remedy=f"Leave `thinking` out, or ask another model, for example {Kimi.default_model}.",
        )
    return {}


def _refusal(status: int, headers: Mapping[str, str], found: Fields) -> Refusal | None:
    source = found.get("error")
    if source is None:
        return None
    error = fields(source)
    if error is None:
        # An unknown route answers with a bare word: {"error": "url.not_found"}.
        bare = word(string(source))
        if bare is None or status >= _SERVER_ERROR:
            return None
        return refusal(BY_STATUS.get(status, UNLISTED), bare, type_=bare, headers=headers)
    type_, message = word(error.get("type")), string(error.get("message"))
    if type_ is None and (message is None or status >= _SERVER_ERROR):
        return None  # a gateway's, not the provider's
    named = _named(status, type_, message or "")
    return refusal(named, message or "", type_=type_, code=word(error.get("code")), headers=headers)


def _named(status: int, type_: str | None, message: str) -> Named:
    if type_ in {None, "invalid_request_error"}:
        lower = message.lower()
        for sentence, named in _SENTENCES.items():
            if sentence in lower:
                return named
    listed = _TYPES.get(type_) if type_ else None
    return listed or BY_STATUS.get(status, UNLISTED)


def _digits(value: str | None) -> int | None:
    text = (value or "").strip(" \t")
    fits = text.isascii() and text.isdigit() and len(text) <= _HEADER_DIGITS_MAX
    return int(text) if fits else None


_DIALECT = Dialect(id_names=("id",), refusal_in=lambda found: _refusal(200, {}, found))

PROVIDER: Provider = Kimi()

if TYPE_CHECKING:
    _: type[Provider] = Kimi
