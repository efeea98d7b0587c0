"""Troubles: every way in which a simulated provider can be told to fail, and how a call must end then.

The refusals are transcribed from the providers' own error pages, not from the files that read them.
Sources: platform.kimi.ai/docs/api/errors, docs.z.ai/api-reference/api-code, docs.bigmodel.cn/cn/api/api-code.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

Said = dict[str, Any]

DEADLINE_S = 2  # of the services that meet these troubles
BODY_BYTES_MAX = 100_000
LONG = "Tell me a long story. sim:words=40"
SHORT = "Count to five. sim:words=5 sim:reasoning=0"  # then every chunk of the stream is known
KEYS = {"kimi": "KIMI_API_KEY", "glm": "GLM_API_KEY"}
TITLES = {"kimi": "Kimi", "glm": "GLM"}
MODELS = {"kimi": "kimi-k2.6", "glm": "glm-5.3-flash"}
MAYBE_BILLED = "may have been billed"

REMEDIES = {
    "authentication": "Check {key}",
    "permission": "may not use",
    "no_balance": "Top up the account at {title}",
    "quota_exhausted": "wait for its reset",
    "rate_limited": "Try again a little later; {title} limits",
    "overloaded": "Try again a little later; {title} is overloaded",
    "invalid_request": "names in its message",
    "unknown_model": "Name a model that {title} offers",
    "context_too_long": "Send a shorter prompt",
    "content_filtered": "rephrase it",
    "duplicate_request": "Send the request again",
    "provider_error": "the fault is at {title}",
}
LASTING = {
    "rate_limited": "it limits this account",
    "provider_error": "does not say that trying again helps",
}  # where the provider does not call it passing


class Told(NamedTuple):
    """How a call that meets a trouble must end.

    Attributes:
        fault: the simulator's switch.
        outcomes: of the call's attempts.
        verdict: code of the verdict.
        code: of the error; None when the call is answered all the same.
        remedy: words of the error's remedy.
        retryable: what the error says.
        why: the reason of a refusal or the cause of a doubt, a word of the closed lists.
        status: HTTP status of the last attempt; None when no head arrived.
        providers: who can do it.
        ways: plain, streamed, or both.
        prompt: what is asked.
        told_per_billed: what the provider says that it metered, over what it bills.
        slow: it takes a deadline or a pause, so it runs beside others.
    """

    fault: Said
    outcomes: tuple[str, ...]
    verdict: str
    code: str | None = None
    remedy: str = ""
    retryable: bool = False
    why: str = ""
    status: int | None = 200
    providers: tuple[str, ...] = ("kimi", "glm")
    ways: tuple[str, ...] = ("plain", "streamed")
    prompt: str = LONG
    told_per_billed: Fraction = Fraction(1)
    slow: bool = False


class Case(NamedTuple):
    """One call: to whom, how, and how it must end."""

    name: str
    provider: str
    way: str
    told: Told


def settled(fault: Said, verdict: str = "U1", **changed: Any) -> Told:  # noqa: ANN401 - any field
    """Tell of a call that is answered and metered."""
    return Told(fault, ("settled",), verdict)._replace(**changed)


def doubted(fault: Said, why: str, **changed: Any) -> Told:  # noqa: ANN401 - any field
    """Tell of a call that may have been billed and is not tried again."""
    verdict = "U5" if why.endswith("timeout") else "U6"
    told = Told(fault, ("in_doubt",), verdict, "attempt_in_doubt", MAYBE_BILLED, why=why, slow=verdict == "U5")
    return told._replace(**changed)


def refused(fault: Said, status: int, why: str, *, retryable: bool = False) -> Told:
    """Tell of a call that is refused at once; its service never tries twice."""
    remedy = REMEDIES[why] if retryable else {**REMEDIES, **LASTING}[why]
    told = Told({"kind": "error", **fault}, ("refused",), "N3", "provider_refused", remedy, retryable=retryable)
    ways = ("plain", "streamed") if fault.get("status") == 200 else ("plain",)  # else the body is the same
    return told._replace(why=why, status=status, ways=ways, prompt=SHORT)


# What goes wrong on the way. Whatever is not settled or refused is in doubt, and is not tried again.
FAULTS: Mapping[str, Told] = {
    "late": settled({"kind": "latency", "seconds": 0.2}),
    "too late": doubted({"kind": "latency", "seconds": 60}, "first_byte_timeout", status=None),
    "hang": doubted({"kind": "hang"}, "first_byte_timeout", status=None),
    "hang, not billed": doubted({"kind": "hang", "billed": False}, "first_byte_timeout", status=None),
    "silence": doubted({"kind": "half_open"}, "idle_timeout"),
    "silence, not billed": doubted({"kind": "half_open", "billed": False}, "idle_timeout"),
    "cut body": doubted({"kind": "cut_stream"}, "stream_cut", ways=("plain",)),
    "cut body, not billed": doubted(
        {"kind": "cut_stream", "billed": False}, "stream_cut", ways=("plain",), prompt=SHORT
    ),
    "cut at once": doubted({"kind": "cut_stream", "chunks": 0}, "stream_cut", ways=("streamed",)),
    "cut in the middle": doubted({"kind": "cut_stream", "chunks": 20}, "stream_cut", ways=("streamed",)),
    "cut before usage": doubted(
        {"kind": "cut_stream", "chunks": 5}, "stream_cut", ways=("streamed",), prompt=SHORT
    ),
    "cut after usage": settled(
        {"kind": "cut_stream", "chunks": 7}, ways=("streamed",), prompt=SHORT, providers=("kimi",)
    ),
    "cut before the end mark": settled(
        {"kind": "cut_stream", "chunks": 6}, ways=("streamed",), prompt=SHORT, providers=("glm",)
    ),
    "garbage": doubted({"kind": "garbage"}, "unreadable_answer", ways=("plain",)),
    "garbage in a stream": doubted({"kind": "garbage"}, "stream_cut", ways=("streamed",)),
    "no usage": doubted({"kind": "wrong_usage", "variant": "missing"}, "no_usage"),
    "negative usage": doubted({"kind": "wrong_usage", "variant": "negative"}, "no_usage"),
    "absurd usage": doubted({"kind": "wrong_usage", "variant": "absurd"}, "no_usage"),
    "elsewhere": doubted({"kind": "redirect"}, "unreadable_answer", status=307),
    "endless": doubted({"kind": "huge_body", "padding_bytes": 4 * BODY_BYTES_MAX}, "body_too_large"),
    "padded": settled({"kind": "huge_body", "padding_bytes": BODY_BYTES_MAX // 4}),
    "slow": settled({"kind": "drip", "slice_bytes": 256, "pause_seconds": 0.002}, prompt=SHORT),
    "compressed": settled({"kind": "gzip"}),
    "clock ahead": settled({"kind": "clock_skew", "seconds": 90_000}),
    "clock behind": settled({"kind": "clock_skew", "seconds": -90_000}),
    "wrong model": settled({"kind": "wrong_model"}, "M3"),
    "refused, then well": settled(
        {"kind": "error", "type": "rate_limit_reached_error", "code": "1302", "retry_after_s": 1, "next": 1},
        outcomes=("refused", "settled"),
        slow=True,
    ),
    "refused twice": Told(
        {"kind": "error", "type": "engine_overloaded_error", "code": "1305"},
        ("refused", "refused"),
        "N3",
        "provider_refused",
        REMEDIES["overloaded"],
        retryable=True,
        why="overloaded",
        status=429,
        slow=True,
    ),
    "wanted back too late": refused(
        {"type": "rate_limit_reached_error", "code": "1302", "retry_after_s": 3600},
        429,
        "rate_limited",
        retryable=True,
    ),
}

_KIMI_TYPES: Mapping[str, tuple[int, str, bool]] = {
    "content_filter": (400, "content_filtered", False),
    "invalid_request_error": (400, "invalid_request", False),
    "invalid_authentication_error": (401, "authentication", False),
    "incorrect_api_key_error": (401, "authentication", False),
    "permission_denied_error": (403, "permission", False),
    "resource_not_found_error": (404, "unknown_model", False),
    "exceeded_current_quota_error": (429, "no_balance", False),
    "rate_limit_reached_error": (429, "rate_limited", True),
    "engine_overloaded_error": (429, "overloaded", True),
    "server_error": (500, "provider_error", True),
    "unexpected_output": (500, "provider_error", False),  # the model has run: asked again, it runs again
    "server_unavailable": (503, "overloaded", True),
    "client_closed_request": (499, "provider_error", False),
}
_GLM_CODES: Mapping[str, tuple[int, str, bool]] = {
    "500": (500, "provider_error", True),
    **dict.fromkeys(("1000", "1001", "1002", "1003"), (401, "authentication", False)),
    "1113": (429, "no_balance", False),
    "1210": (400, "invalid_request", False),
    "1211": (400, "unknown_model", False),
    "1214": (400, "invalid_request", False),
    "1220": (434, "permission", False),
    "1231": (400, "duplicate_request", False),
    "1234": (500, "provider_error", True),
    "1261": (400, "context_too_long", False),
    "1301": (400, "content_filtered", False),
    "1302": (429, "rate_limited", True),
    "1303": (429, "rate_limited", True),
    "1304": (429, "quota_exhausted", False),
    "1305": (429, "overloaded", True),
    **dict.fromkeys(("1308", "1309", "1310"), (429, "quota_exhausted", False)),
    "1311": (429, "permission", False),
    "1312": (429, "overloaded", True),
    "1313": (429, "rate_limited", False),
}
_SENTENCES: Mapping[str, str] = {
    "Input token length too long": "context_too_long",
    "Your request exceeded model token limit : 262144": "context_too_long",
    "total message size 4194305 exceeds limit 4194304": "context_too_long",
    "invalid temperature: only 1 is allowed for this model": "invalid_request",
}


def _each(names: str, table: Mapping[str, tuple[int, str, bool]]) -> dict[str, Told]:
    return {
        name: refused({names: name}, status, why, retryable=retryable)
        for name, (status, why, retryable) in table.items()
    }


# Complete errors, which metered nothing. What no page lists is not tried again.
REFUSALS: Mapping[str, Mapping[str, Told]] = {
    "kimi": {
        **_each("type", _KIMI_TYPES),
        **{text: refused({"status": 400, "message": text}, 400, why) for text, why in _SENTENCES.items()},
        "no money, told by 403": refused(
            {"type": "exceeded_current_quota_error", "status": 403}, 403, "no_balance"
        ),
        "a type of tomorrow": refused({"type": "out_of_cheese", "status": 500}, 500, "provider_error"),
        "a type of tomorrow, 429": refused({"type": "out_of_cheese", "status": 429}, 429, "rate_limited"),
        "filtered, told by 200": refused({"type": "content_filter", "status": 200}, 200, "content_filtered"),
        "overloaded, told by 200": refused(
            {"type": "engine_overloaded_error", "status": 200}, 200, "overloaded", retryable=True
        ),
        "just 404": refused({"status": 404}, 404, "unknown_model"),
        "just 503": refused({"status": 503}, 503, "overloaded", retryable=True),
    },
    "glm": {
        **_each("code", _GLM_CODES),
        "a code of tomorrow": refused({"code": "9999", "status": 500}, 500, "provider_error"),
        "a code of tomorrow, 429": refused({"code": "9999", "status": 429}, 429, "rate_limited"),
        "filtered, told by 200": refused({"code": "1301", "status": 200}, 200, "content_filtered"),
        "limited, told by 200": refused({"code": "1302", "status": 200}, 200, "rate_limited", retryable=True),
        "just 401": refused({"status": 401}, 401, "authentication"),
        "just 403": refused({"status": 403}, 403, "permission"),
    },
}

# What a provider says is not what it does. No call can show it; only readings of its own counters can.
LIES: Mapping[str, Told] = {
    "twice the usage": settled({"kind": "wrong_usage", "factor": 2}, told_per_billed=Fraction(2)),
    "no usage at all, it says": settled({"kind": "wrong_usage", "factor": 0}, told_per_billed=Fraction(0)),
    "reasoning above its whole": settled({"kind": "wrong_usage", "variant": "reasoning_over"}),
    "billed twice": settled({"kind": "double_bill"}, told_per_billed=Fraction(1, 2)),
    "somebody else spends": settled({"kind": "second_spender", "amount": "0.25"}),
    "the balance lags": settled({"kind": "billing_lag", "seconds": 60}),
}


def cases(told: Mapping[str, Told], *providers: str) -> list[Case]:
    """List the calls that show some troubles, at each provider and in each way."""
    return [
        Case(name, provider, way, one)
        for name, one in told.items()
        for provider in providers or one.providers
        for way in one.ways
    ]


def named(case: Case) -> str:
    """Name a case, for a test's id."""
    return f"{case.name}-{case.provider}-{case.way}"


def switched(case: Case, mark: str) -> Said:
    """Write the switch for the one request that holds a mark; what another provider's errors need is left out."""
    foreign = {"kimi": "code", "glm": "type"}[case.provider]
    fault = {name: value for name, value in case.told.fault.items() if name != foreign}
    if fault["kind"] == "billing_lag":
        return {**fault, "provider": case.provider}  # it hits routes that carry no text
    return {**fault, "provider": case.provider, "holds": mark}
