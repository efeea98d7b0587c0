"""The tool prove: the provider's own counter read, moved by the smallest sufficient calls, and read again."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from service.core.proving import Proof, ProofAsked, ours
from service.core.shapes import Books, Desk, Prover, Tool, ToolResult
from service.tools._told import object_schema, told, verdict_text

NAME_CHARS_MAX = 200
MODEL_CHARS_MAX = 100
WAIT_S_MAX = 3600

_INPUT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "wallet": {
            "type": "string",
            "minLength": 1,
            "maxLength": NAME_CHARS_MAX,
            "description": "Whose counter is read, and who pays; left out, the first that can be proved.",
        },
        "model": {
            "type": "string",
            "maxLength": MODEL_CHARS_MAX,
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._:/-]*$",
            "description": "The model to ask; left out, the default one of the wallet's provider.",
        },
        "max_cost": {
            "type": "string",
            "pattern": r"^[0-9]{1,9}(\.[0-9]{1,12})?$",
            "description": "The most that the calls may cost, in the wallet's currency or credits of its plan, as"
            " 0.05. Left out: 0.05 USD, 0.40 CNY or 400 credits. A proof takes a small part of it.",
        },
        "wait_s": {
            "type": "number",
            "minimum": 0,
            "maximum": WAIT_S_MAX,
            "description": "How long to wait for the provider's books; left out, as long as they usually take and"
            " five minutes more: 15 minutes for Kimi, 20 for GLM.",
        },
    },
    "additionalProperties": False,
}


class Prove:
    """The tool `prove`: what both sides say, and the verdict on it."""

    name = "prove"
    title = "Is credit really used?"
    description = (
        "Proves that calls really spend the provider's credit: reads the provider's own counter, makes a few small"
        " paid calls, waits until the provider's books show them (minutes), reads again, and judges. The answer"
        " begins with the verdict: PROVEN, UNVERIFIED, MISMATCH or NO CREDIT USED."
    )
    input_schema = _INPUT_SCHEMA
    output_schema: Mapping[str, Any] | None = object_schema(Proof)
    annotations: Mapping[str, bool] = {
        "readOnlyHint": False,
        "destructiveHint": False,
        "idempotentHint": False,
        "openWorldHint": True,
    }
    needs_model = False

    async def run(
        self,
        arguments: Mapping[str, Any],
        desk: Desk,
        books: Books,  # noqa: ARG002 - the shape of a tool
        prover: Prover,
        *,
        on_text: Callable[[str], None] | None,
    ) -> ToolResult:
        """Prove, and say first what came of it.

        Raises:
            CallError: it could not be tried.
        """
        wait_s = arguments.get("wait_s")
        asked = ProofAsked(
            wallet=arguments.get("wallet"),
            model=arguments.get("model"),
            max_cost=arguments.get("max_cost"),
            wait_s=None if wait_s is None else float(wait_s),
        )
        proof = await prover.prove(asked, desk, on_text=on_text)
        return ToolResult(text=_text(proof), structured=told(proof))


def _text(proof: Proof) -> str:
    said = verdict_text(proof.word, proof.code, proof.sentence, simulated=proof.simulated)
    calls = "1 call" if proof.calls == 1 else f"{proof.calls} calls"
    lines = [said, f"Wallet {proof.wallet}, model {proof.model}: {calls}; by our own account {ours(proof)}."]
    for name, reading in (("before", proof.opening), ("after", proof.closing)):
        if reading is not None:
            figures = ", ".join(f"{one.name} {one.amount} {one.unit}" for one in reading.figures)
            lines.append(f"The counter {reading.counter} {name}, at {reading.at}: {figures or 'read'}.")
    if proof.tool_call_id is not None:
        lines.append(f"The receipt of this call, {proof.tool_call_id}, holds every attempt.")
    return "\n".join(lines)


TOOL: Tool = Prove()

if TYPE_CHECKING:
    _: type[Tool] = Prove
