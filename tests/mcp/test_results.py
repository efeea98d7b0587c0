"""One end of a tool call, as each protocol writes it."""

import json
from typing import Any

import pytest

from service.mcp import legacy_results, results
from service.mcp.events import ProtocolFault, ToolFault, ToolReply

FAULT = ToolFault(code="over_capacity", message="Too many calls.", retryable=True, remedy="Wait a second.")
FAULT_JSON = {"code": "over_capacity", "message": "Too many calls.", "retryable": True, "remedy": "Wait a second."}
RECEIPT = {"tool_call_id": "c1", "attempts": [], "verdict": {"word": "UNVERIFIED"}}
FAULT_TEXT = [{"type": "text", "text": "Too many calls. Wait a second."}]

MCP_CASES: list[tuple[ToolReply, dict[str, Any]]] = [
    (
        ToolReply(content=("a", "b"), structured={"x": 1}, receipt=RECEIPT),
        {
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            "isError": False,
            "structuredContent": {"x": 1},
            "_meta": {"exai/receipt": RECEIPT},
        },
    ),
    (
        ToolReply(content=("a",), receipt=RECEIPT, replay={"tool_call_id": "c0"}),
        {
            "content": [{"type": "text", "text": "a"}],
            "isError": False,
            "_meta": {"exai/receipt": RECEIPT, "exai/idempotent_replay": {"tool_call_id": "c0"}},
        },
    ),
    (ToolReply(), {"content": [], "isError": False}),
    (
        ToolReply(error=FAULT, receipt=RECEIPT),
        {
            "content": FAULT_TEXT,
            "isError": True,
            "structuredContent": {"error": FAULT_JSON},
            "_meta": {"exai/receipt": RECEIPT},
        },
    ),
    (
        ToolReply(content=("half",), structured={"x": 1}, error=FAULT),
        {
            "content": [{"type": "text", "text": "half"}],
            "isError": True,
            "structuredContent": {"x": 1, "error": FAULT_JSON},
        },
    ),
    (ToolReply(content=("no",), is_error=True), {"content": [{"type": "text", "text": "no"}], "isError": True}),
]


@pytest.mark.parametrize(("reply", "expected"), MCP_CASES)
def test_mcp_writes_a_result(reply: ToolReply, expected: dict[str, Any]) -> None:
    """Texts, structure, failure and receipt each have their place in the result."""
    frame = json.loads(results.render_reply("i", reply))
    assert frame == {"jsonrpc": "2.0", "id": "i", "result": expected}


@pytest.mark.parametrize(
    ("receipt", "data", "expected"),
    [
        (None, None, {}),
        (RECEIPT, None, {"data": {"receipt": RECEIPT}}),
        (RECEIPT, {"remedy": "r"}, {"data": {"remedy": "r", "receipt": RECEIPT}}),
    ],
)
def test_mcp_writes_a_protocol_error(
    receipt: dict[str, Any] | None, data: dict[str, Any] | None, expected: dict[str, Any]
) -> None:
    """A protocol error carries the receipt in its data, if there is one."""
    reply = ToolReply(protocol_error=ProtocolFault(code=-32603, message="Broken.", data=data), receipt=receipt)
    frame = json.loads(results.render_reply(1, reply))
    assert frame == {"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "Broken.", **expected}}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            ToolReply(content=("a", "b"), receipt=RECEIPT),
            {
                "outputs": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
                "text": "a\nb",
                "receipt": RECEIPT,
            },
        ),
        (
            ToolReply(error=FAULT, receipt=RECEIPT),
            {
                "error": {
                    "code": "OVER_CAPACITY",
                    "message": "Too many calls.",
                    "metadata": {"code": "over_capacity", "retryable": True, "remedy": "Wait a second."},
                },
                "receipt": RECEIPT,
            },
        ),
        (
            ToolReply(content=("no",), is_error=True),
            {"error": {"code": "EXEC_ERROR", "message": "no", "metadata": {}}},
        ),
        (
            ToolReply(protocol_error=ProtocolFault(code=-32603, message="Broken.", data={"remedy": "r"})),
            {"error": {"code": "EXEC_ERROR", "message": "Broken.", "metadata": {"code": -32603, "remedy": "r"}}},
        ),
    ],
)
def test_the_predecessor_writes_one_frame(reply: ToolReply, expected: dict[str, Any]) -> None:
    """The predecessor's client finds outputs or an error, and the receipt beside it."""
    frame = json.loads(legacy_results.render_result(3, reply))
    assert frame == {"op": "call_tool_res", "request_id": 3, **expected}


@pytest.mark.parametrize(
    ("code", "theirs"),
    [("unknown_tool", "TOOL_NOT_FOUND"), ("over_capacity", "OVER_CAPACITY"), ("provider_refused", "EXEC_ERROR")],
)
def test_the_predecessors_codes_are_few(code: str, theirs: str) -> None:
    """A code the predecessor does not know is an EXEC_ERROR, and ours is kept beside it."""
    fault = ToolFault(code=code, message="m", retryable=False, remedy="r")
    error = json.loads(legacy_results.error_result("i", fault))["error"]
    assert (error["code"], error["metadata"]["code"]) == (theirs, code)
