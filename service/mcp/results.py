"""The end of a tool call, as MCP writes it: a result with its receipt, or an error."""

from typing import Any

import msgspec

from service.mcp.events import RequestId, ToolReply
from service.mcp.frames import dump
from service.mcp.jsonrpc import error_frame, result_frame

RECEIPT_KEY = "exai/receipt"
REPLAY_KEY = "exai/idempotent_replay"


def render_reply(request_id: RequestId, reply: ToolReply) -> bytes:
    """Write the reply to tools/call; failures of a tool are results too, so that a model can read them."""
    if reply.protocol_error is not None:
        fault = reply.protocol_error
        facts = dict(fault.data or {}) | ({} if reply.receipt is None else {"receipt": reply.receipt})
        return error_frame(request_id, fault.code, fault.message, facts or None)
    return result_frame(request_id, dump(_result(reply)))


def text_blocks(reply: ToolReply) -> list[dict[str, str]]:
    """List the texts of a reply; a failure without text says its message and remedy."""
    texts = reply.content
    if not texts and reply.error is not None:
        texts = (f"{reply.error.message} {reply.error.remedy}".strip(),)
    return [{"type": "text", "text": text} for text in texts]


def _result(reply: ToolReply) -> dict[str, Any]:
    result: dict[str, Any] = {
        "content": text_blocks(reply),
        "isError": reply.is_error or reply.error is not None,
    }
    if reply.error is not None:
        result["structuredContent"] = {**(reply.structured or {}), "error": msgspec.to_builtins(reply.error)}
    elif reply.structured is not None:
        result["structuredContent"] = reply.structured
    meta = {RECEIPT_KEY: reply.receipt, REPLAY_KEY: reply.replay}
    if known := {name: value for name, value in meta.items() if value is not None}:
        result["_meta"] = known
    return result
