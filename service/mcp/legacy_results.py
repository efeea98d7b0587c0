"""The end of a tool call, as the predecessor writes it: `call_tool_res` with its receipt."""

from typing import Any

import msgspec

from service.mcp.events import RequestId, ToolFault, ToolReply
from service.mcp.frames import dump
from service.mcp.results import text_blocks

CODES = {
    "unknown_tool": "TOOL_NOT_FOUND",
    "duplicate_id": "DUPLICATE",
    "over_capacity": "OVER_CAPACITY",
}
"""Our codes to the predecessor's; whatever is not here is an EXEC_ERROR. Ours stays in the metadata."""

NO_SUCH_TOOL = ToolFault(
    code="unknown_tool",
    message="There is no tool of this name.",
    retryable=False,
    remedy="Ask list_tools for the tools on offer; names are case-sensitive.",
)
WRONG_TYPES = ToolFault(
    code="invalid_params",
    message="The name is not a string, or the arguments are not an object.",
    retryable=False,
    remedy="Send name as a string and arguments as an object.",
)
SAME_ID = ToolFault(
    code="duplicate_id",
    message="Another request with this request_id is in flight.",
    retryable=False,
    remedy="Use a new request_id for each request. The first request goes on.",
)


def render_result(request_id: RequestId, reply: ToolReply) -> bytes:
    """Write the one frame that ends a call."""
    frame: dict[str, Any] = {"op": "call_tool_res", "request_id": request_id}
    outputs = text_blocks(reply)
    text = "\n".join(block["text"] for block in outputs)
    error = _error(reply, text)
    frame |= {"outputs": outputs, "text": text} if error is None else {"error": error}
    return dump(frame if reply.receipt is None else frame | {"receipt": reply.receipt})


def error_result(request_id: RequestId, fault: ToolFault) -> bytes:
    """Write the frame that ends a request which never became a call."""
    return render_result(request_id, ToolReply(error=fault))


def _error(reply: ToolReply, text: str) -> dict[str, Any] | None:
    if reply.protocol_error is not None:
        fault = reply.protocol_error
        return {
            "code": "EXEC_ERROR",
            "message": fault.message,
            "metadata": {"code": fault.code, **(fault.data or {})},
        }
    if reply.error is not None:
        metadata = msgspec.to_builtins(reply.error)
        message = metadata.pop("message")
        return {"code": CODES.get(reply.error.code, "EXEC_ERROR"), "message": message, "metadata": metadata}
    return {"code": "EXEC_ERROR", "message": text, "metadata": {}} if reply.is_error else None
