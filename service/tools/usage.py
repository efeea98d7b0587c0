"""The usage tool: what the calls of a range consumed and cost, asked of the ledger and of no provider."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from service.core.account import SCHEMA, Account, Asked, held_text, span_text, spent_text, told
from service.core.ranges import MOMENT_CHARS_MAX, RANGES
from service.core.shapes import Books, Desk, Prover, Tool, ToolResult
from service.core.spending import BY, Spending
from service.errors import InvalidArgumentsError

ROWS_MAX = 500
_ZONE_CHARS_MAX = 64
_MOMENT = "a day like 2026-11-22, or a time like 2026-11-22T16:00:00Z; one without a zone is in `zone`."

_INPUT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "by": {
            "type": "array",
            "items": {"type": "string", "enum": list(BY)},
            "uniqueItems": True,
            "maxItems": len(BY),
            "description": "What to group by, any of them together; left out, one total per currency.",
        },
        "range": {
            "type": "string",
            "enum": list(RANGES),
            "description": "A range that ends now. Left out, with from and to too: all of the ledger.",
        },
        "from": {"type": "string", "maxLength": MOMENT_CHARS_MAX, "description": f"The first moment: {_MOMENT}"},
        "to": {
            "type": "string",
            "maxLength": MOMENT_CHARS_MAX,
            "description": f"The first moment left out: {_MOMENT}",
        },
        "zone": {
            "type": "string",
            "maxLength": _ZONE_CHARS_MAX,
            "description": "The time zone of days and hours, as Asia/Kolkata; left out, UTC.",
        },
    },
    "dependentSchemas": {"range": {"properties": {"from": False, "to": False}}},
    "additionalProperties": False,
}


class Usage:
    """The tool `usage`: provider calls, tokens and spend per currency, from committed entries."""

    name = "usage"
    title = "What did it cost?"
    description = (
        "Adds up what tool calls consumed and cost: provider calls, tokens, spend per currency, what is in doubt."
        " It reads this server's ledger and asks no provider, so it costs nothing. It covers your own calls, or"
        " everybody's if you may read them; this call itself is not among them."
    )
    input_schema = _INPUT_SCHEMA
    output_schema: Mapping[str, Any] | None = SCHEMA
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
        books: Books,
        prover: Prover,  # noqa: ARG002 - the ledger answers, no provider
        *,
        on_text: Callable[[str], None] | None,  # noqa: ARG002 - there is no text that could arrive in pieces
    ) -> ToolResult:
        """Read the books and say what they say.

        Raises:
            InvalidArgumentsError: an unknown zone, no time, or more than ROWS_MAX rows.
        """
        asked = Asked(
            by=tuple(arguments.get("by", ())),
            range=arguments.get("range"),
            since=arguments.get("from"),
            until=arguments.get("to"),
            zone=arguments.get("zone", "UTC"),
        )
        account = await books.spending(asked)
        if len(account.rows) > ROWS_MAX:
            raise InvalidArgumentsError(
                f"these are {len(account.rows)} rows; at most {ROWS_MAX} are told",
                remedy="Group by fewer words or ask for a shorter range; `exai usage` writes any number.",
            )
        return ToolResult(text=_text(account), structured=told(account))


def _text(account: Account) -> str:
    whose = "" if account.owner is None else f", calls of client {account.owner} alone"
    of = "" if account.owner is None else f" of client {account.owner}"
    lines = [f"Usage, {span_text(account)}{whose}. As of {account.as_of}."]
    if not account.totals:
        lines.append(f"This ledger holds no such call{of}. What was used elsewhere it cannot show.")
    lines += [f"Total: {_row(row)}" for row in account.totals]
    if account.asked.by:
        lines += [f"- {_group(row, account.asked.by)}: {_row(row)}" for row in account.rows]
    return "\n".join(lines)


def _group(row: Spending, by: tuple[str, ...]) -> str:
    return ", ".join(getattr(row, name) or f"no {name}" for name in by)


def _row(row: Spending) -> str:
    if not row.attempts:
        return f"{_counted(row.calls, 'call')} that asked no provider; nothing was spent."
    took = f"tokens {row.input_tokens} in ({row.cached_input_tokens} cached), {row.output_tokens} out"
    parts = [
        f"{_spent(row)}, {_counted(row.calls, 'call')}",
        f"{_counted(row.attempts, 'attempt')} ({row.settled} settled)",
        f"{took} ({row.reasoning_tokens} reasoning)",
    ]
    if row.in_doubt:
        parts.append(f"{row.in_doubt} in doubt, held apart: {held_text(row)}")
    if row.unpriced:
        parts.append(f"{row.unpriced} without a known price")
    if row.open:
        parts.append(f"{row.open} not ended yet")
    if row.calls_without_attempt:
        parts.append(f"{row.calls_without_attempt} of the calls asked no provider")
    told_so = "SIMULATED, no real money: " if row.simulated else ""
    return f"{told_so}{'; '.join(parts)}."


def _spent(row: Spending) -> str:
    return f"{spent_text(row)} spent" if row.currency is not None else f"spent: {spent_text(row)}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


TOOL: Tool = Usage()

if TYPE_CHECKING:
    _: type[Tool] = Usage
