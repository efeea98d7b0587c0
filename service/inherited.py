"""The predecessor's environment: what to use in place of each variable that has no meaning here.

A person who brings an old `.env` is told, once a start, what became of it.
"""

from collections.abc import Mapping

_FIXED = "it is fixed now; remove it"
_GONE = "there is no such thing any more; remove it"
_IN_FLIGHT = "a provider's own limit is not set here; use EXAI_CALLS_IN_FLIGHT_MAX"
_TIMEOUT = "use EXAI_TOTAL_TIMEOUT_S, which holds for one attempt"
_TOKEN = "use EXAI_WS_TOKEN"  # noqa: S105 - a sentence
_MODEL = "name the model in the call; each provider has a default"
_PRICE = "put prices into a file and name it in EXAI_PRICES"
_KEPT = "what must last is kept in EXAI_DATA_DIR"
_WS = "EXAI_WS_"

INSTEAD: Mapping[str, str] = {
    _WS + "MAX_BYTES": "use EXAI_FRAME_BYTES_MAX",
    _WS + "CALL_TIMEOUT": _TIMEOUT,
    _WS + "HELLO_TIMEOUT": _FIXED,
    _WS + "PING_INTERVAL": _FIXED,
    _WS + "PING_TIMEOUT": _FIXED,
    _WS + "CLOSE_TIMEOUT": "use EXAI_GRACE_S",
    _WS + "PROGRESS_INTERVAL_SECS": _FIXED,
    _WS + "COMPAT_TEXT": _GONE,
    _WS + "DISABLE_COALESCE_FOR_TOOLS": _GONE,
    _WS + "AUTOSTART": "start the service with `exai serve`",
    _WS + "SKIP_HEALTH_CHECK": _GONE,
    _WS + "SESSION_MAX_INFLIGHT": "use EXAI_SESSION_CALLS_IN_FLIGHT_MAX",
    _WS + "GLOBAL_MAX_INFLIGHT": "use EXAI_CALLS_IN_FLIGHT_MAX",
    _WS + "KIMI_MAX_INFLIGHT": _IN_FLIGHT,
    _WS + "GLM_MAX_INFLIGHT": _IN_FLIGHT,
    _WS + "RESULT_TTL": _FIXED,
    _WS + "INFLIGHT_TTL_SECS": _TIMEOUT,
    _WS + "RETRY_AFTER_SECS": _FIXED,
    "EXAI_SESSION_ID": "each connection gets a session of its own",
    "EXAI_SHIM_RPC_TIMEOUT": "set it in the client",
    "EXAI_JWT_TOKEN": _TOKEN,
    "JWT_SECRET_KEY": _TOKEN,
    "JWT_ALGORITHM": _TOKEN,
    "JWT_ISSUER": _TOKEN,
    "JWT_AUDIENCE": _TOKEN,
    "JWT_GRACE_PERIOD_DAYS": _TOKEN,
    "SESSION_MAX_CONCURRENT": "use EXAI_CONNECTIONS_MAX",
    "SIMPLE_TOOL_TIMEOUT_SECS": _TIMEOUT,
    "WORKFLOW_TOOL_TIMEOUT_SECS": _TIMEOUT,
    "EXPERT_ANALYSIS_TIMEOUT_SECS": _TIMEOUT,
    "KIMI_API_URL": "use KIMI_BASE_URL",
    "GLM_API_URL": "use GLM_BASE_URL",
    "DEFAULT_MODEL": _MODEL,
    **{
        f"{maker}_{role}_MODEL": _MODEL
        for maker in ("GLM", "KIMI")
        for role in ("DEFAULT", "QUALITY", "SPEED", "THINKING")
    },
    "MODEL_INPUT_PRICE_JSON": _PRICE,
    "MODEL_OUTPUT_PRICE_JSON": _PRICE,
    "MODEL_COSTS_JSON": _PRICE,
    "EX_METRICS_LOG_PATH": "read /metrics",
    "SUPABASE_URL": _KEPT,
    "SUPABASE_KEY": _KEPT,
    "SUPABASE_SERVICE_ROLE_KEY": _KEPT,
    "CONVERSATION_STORAGE_BACKEND": _KEPT,
    "MONITORING_PORT": "use EXAI_CONSOLE_PORT",
    "HEALTH_CHECK_PORT": "use EXAI_HEALTH_PORT",
    "METRICS_PORT": "use EXAI_METRICS_PORT",
    "METRICS_JSON_PORT": "use EXAI_METRICS_PORT",
}
