"""The tool balance: what the providers' own counters say of each wallet. It costs nothing."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from service.core.books import ReadingEntry
from service.core.proving import Balance
from service.core.shapes import Books, Desk, Prover, Tool, ToolResult
from service.core.words import ReadingOutcome
from service.tools._told import SIMULATED, object_schema, told

NAME_CHARS_MAX = 200

_INPUT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "wallet": {
            "type": "string",
            "minLength": 1,
            "maxLength": NAME_CHARS_MAX,
            "description": "One wallet's name; left out, all of them.",
        },
        "fresh": {
            "type": "boolean",
            "description": "Whether the provider is asked now, which costs nothing; left out, what it last said.",
        },
    },
    "additionalProperties": False,
}


class Balances(msgspec.Struct, frozen=True, kw_only=True):
    """What the tool answers."""

    wallets: tuple[Balance, ...]


class BalanceTool:
    """The tool `balance`: the provider's own numbers, each with its time."""

    name = "balance"
    title = "What is left?"
    description = (
        "Tells what the providers' own counters say of each wallet: balance, plan quota, packages, limits, each"
        " with its time; or why a counter cannot be read. With fresh they are asked now. It spends nothing."
        " These are of all clients' calls: a client that may see its own alone is refused."
    )
    input_schema = _INPUT_SCHEMA
    output_schema: Mapping[str, Any] | None = object_schema(Balances)
    annotations: Mapping[str, bool] = {
        "readOnlyHint": True,
        "destructiveHint": False,
        "idempotentHint": True,
        "openWorldHint": True,
    }
    needs_model = False

    async def run(
        self,
        arguments: Mapping[str, Any],
        desk: Desk,  # noqa: ARG002 - no model is asked
        books: Books,  # noqa: ARG002 - the provider's books, not ours
        prover: Prover,
        *,
        on_text: Callable[[str], None] | None,  # noqa: ARG002 - there is no text that could arrive in pieces
    ) -> ToolResult:
        """Say what the counters say.

        Raises:
            InvalidArgumentsError: there is no such wallet.
            MayNotSeeError: the caller may see its own calls alone.
        """
        found = await prover.balances(arguments.get("wallet"), fresh=arguments.get("fresh", False))
        return ToolResult(text="\n".join(map(_text, found)), structured=told(Balances(wallets=found)))


def _text(balance: Balance) -> str:
    plan = f", plan {balance.plan}" if balance.plan else ""
    head = f"{SIMULATED if balance.simulated else ''}{balance.wallet} at {balance.host}{plan}"
    if not balance.readings:
        return f"{head}: its counters were never asked. Ask with fresh."
    return "\n".join([f"{head}:", *(f"  {_line(reading)}" for reading in balance.readings)])


def _line(reading: ReadingEntry) -> str:
    if reading.outcome is not ReadingOutcome.READ:
        status = "" if reading.status is None else f", HTTP {reading.status}"
        why = f": {reading.message}" if reading.message else ""
        return f"{reading.counter}, {reading.at}: {reading.outcome.replace('_', ' ')}{status}{why}"
    figures = [f"{one.name} {one.amount} {one.unit}{_cap(one.cap)}" for one in reading.figures]
    tells = [f"{name} {value}" for name, value in reading.tells.items()]
    return f"{reading.counter}, {reading.at}: {', '.join([*figures, *tells]) or 'nothing was stated'}"


def _cap(cap: str | None) -> str:
    return "" if cap is None else f" of {cap}"


TOOL: Tool = BalanceTool()

if TYPE_CHECKING:
    _: type[Tool] = BalanceTool
