"""The names that spans carry: our own copy, so that an upgrade elsewhere never renames what we send.

Sources: OpenTelemetry semantic conventions 1.44.0 for HTTP, server, network, URL and error; for GenAI and
MCP the main branch of semantic-conventions-genai, November 2026 (status Development, no release yet). Cost
follows that repository's open proposal 443. Names that begin with `exai.` are ours.
"""

ERROR_TYPE = "error.type"

HTTP_REQUEST_METHOD = "http.request.method"
HTTP_REQUEST_RESEND_COUNT = "http.request.resend_count"
HTTP_RESPONSE_STATUS_CODE = "http.response.status_code"
NETWORK_PROTOCOL_NAME = "network.protocol.name"
NETWORK_TRANSPORT = "network.transport"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
URL_FULL = "url.full"

JSONRPC_REQUEST_ID = "jsonrpc.request.id"
MCP_METHOD_NAME = "mcp.method.name"
MCP_PROTOCOL_VERSION = "mcp.protocol.version"
TOOLS_CALL = "tools/call"
TOOL_ERROR = "tool_error"

GEN_AI_OPERATION_NAME = "gen_ai.operation.name"
GEN_AI_PROVIDER_NAME = "gen_ai.provider.name"
GEN_AI_REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
GEN_AI_REQUEST_MODEL = "gen_ai.request.model"
GEN_AI_REQUEST_STREAM = "gen_ai.request.stream"
GEN_AI_RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
GEN_AI_RESPONSE_ID = "gen_ai.response.id"
GEN_AI_RESPONSE_MODEL = "gen_ai.response.model"
GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
GEN_AI_TOOL_NAME = "gen_ai.tool.name"
GEN_AI_USAGE_CACHE_READ = "gen_ai.usage.cache_read.input_tokens"
GEN_AI_USAGE_CACHE_WRITE = "gen_ai.usage.cache_write.input_tokens"
GEN_AI_USAGE_COST_AMOUNT = "gen_ai.usage.cost.amount"
GEN_AI_USAGE_COST_CURRENCY = "gen_ai.usage.cost.currency"
GEN_AI_USAGE_COST_SOURCE = "gen_ai.usage.cost.source"
GEN_AI_USAGE_INPUT = "gen_ai.usage.input_tokens"
GEN_AI_USAGE_OUTPUT = "gen_ai.usage.output_tokens"
GEN_AI_USAGE_REASONING = "gen_ai.usage.reasoning.output_tokens"
CHAT = "chat"
EXECUTE_TOOL = "execute_tool"
COST_SOURCE_LOCAL = "local"

EXAI_ATTEMPT_ID = "exai.attempt.id"
EXAI_ATTEMPT_NUMBER = "exai.attempt.number"
EXAI_ATTEMPT_OUTCOME = "exai.attempt.outcome"
EXAI_COST_AMOUNT = "exai.cost.amount"
EXAI_COST_STATUS = "exai.cost.status"
EXAI_ERROR_CODE = "exai.error.code"
EXAI_HELD_AMOUNT = "exai.held.amount"
EXAI_HELD_CURRENCY = "exai.held.currency"
EXAI_LEDGER_INDEX = "exai.ledger.index"
EXAI_OUTCOME = "exai.outcome"
EXAI_PROTOCOL = "exai.protocol"
EXAI_PROVIDER_ID_PREFIX = "exai.provider.id."
EXAI_REQUEST_ID = "exai.request.id"
EXAI_SIMULATED = "exai.simulated"
EXAI_SWEPT = "exai.swept"
EXAI_TOOL_CALL_ID = "exai.tool_call.id"
EXAI_WALLET = "exai.wallet"
EXAI_ZERO_REASON = "exai.zero_reason"

EVENT_CONNECTED = "exai.connected"
EVENT_SENT = "exai.sent"
EVENT_ACCEPTED = "exai.accepted"
EVENT_FIRST_BYTE = "exai.first_byte"

# `z_ai` is not registered: it follows the pattern of x_ai, mistral_ai and moonshot_ai.
_PROVIDER_NAMES = {"kimi": "moonshot_ai", "glm": "z_ai"}

# What carries a transport's messages: (network.transport, network.protocol.name).
_NETWORKS: dict[str, tuple[str, str | None]] = {
    "websocket": ("tcp", "websocket"),
    "http": ("tcp", "http"),
    "stdio": ("pipe", None),
}


def provider_name(provider: str) -> str:
    """Name a provider as the GenAI conventions do; one they do not know keeps our name."""
    return _PROVIDER_NAMES.get(provider, provider)


def network(transport: str) -> tuple[str | None, str | None]:
    """Name what carries a transport, as (network.transport, network.protocol.name); None is not known."""
    return _NETWORKS.get(transport, (None, None))
