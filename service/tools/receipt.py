"""The tool receipt: all that is known of an earlier call by now, its verdict above all."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from service.core.receipt import schema
from service.core.shapes import Books, Desk, Prover, Tool, ToolResult
from service.core.words import AttemptOutcome, CostStatus
from service.tools._told import verdict_text

_INPUT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "tool_call_id": {
            "type": "string",
            "pattern": "^[0-9a-f]{32}$",
            "description": "The id that stands in the receipt of the call's answer.",
        },
    },
    "required": ["tool_call_id"],
    "additionalProperties": False,
}
_UNPAID = {AttemptOutcome.REFUSED, AttemptOutcome.UNSENT}


class ReceiptTool:
    """The tool `receipt`: the receipt of a call as it stands now."""

    name = "receipt"
    title = "Was it really charged?"
    description = (
        "Gives the receipt of one of your earlier tool calls as it stands now: each attempt with the provider's"
        " own ids, usage and cost, and the verdict, which may be better than when the call was answered. It"
        " reads this server's ledger, asks no provider and costs nothing."
    )
    input_schema = _INPUT_SCHEMA
    output_schema: Mapping[str, Any] | None = schema()
    annotations: Mapping[str, bool] = {
        "readOnlyHint": True,
        "destructiveHint": False,
        "idempotentHint": True,
        "openWorldHint": False,
    }
    needs_model = False

    async def run(
        self,
        arguments: Mapping[str, Any],
        desk: Desk,  # noqa: ARG002 - no model is asked
        books: Books,  # noqa: ARG002 - one call, no sums
        prover: Prover,
        *,
        on_text: Callable[[str], None] | None,  # noqa: ARG002 - there is no text that could arrive in pieces
    ) -> ToolResult:
        """Give it.

        Raises:
            InvalidArgumentsError: there is no such call for this caller.
        """
        found = await prover.receipt(arguments["tool_call_id"])
        return ToolResult(text=_text(found), structured=found)


def _text(receipt: Mapping[str, Any]) -> str:
    verdict = receipt["verdict"]
    said = verdict_text(verdict["word"], verdict["code"], verdict["sentence"], simulated=receipt["simulated"])
    return "\n".join([said, *map(_attempt, receipt["attempts"]), f"See {receipt['url']}"])


def _attempt(attempt: Mapping[str, Any]) -> str:
    ids = ", ".join(attempt["provider_request_ids"].values()) or "no id of the provider's"
    told = ", ".join([str(attempt["outcome"]).replace("_", " "), _cost(attempt), ids])
    return f"{attempt['model']} with {attempt['wallet']} at {attempt['started_at']}: {told}"


def _cost(attempt: Mapping[str, Any]) -> str:
    cost = attempt["cost"]
    if cost["amount"] is not None:
        return f"{cost['amount']} {cost['currency']}"
    if cost["status"] == CostStatus.PLAN:
        return "paid by a plan"
    return "nothing to pay" if attempt["outcome"] in _UNPAID else "cost unknown"


TOOL: Tool = ReceiptTool()

if TYPE_CHECKING:
    _: type[Tool] = ReceiptTool
