"""Proofs that no MCP session asks for: the operator's on this machine, and those of who uses the console.

They take the same way as every client's calls, and stand in the ledger as theirs who asked.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from service.core.proving import Proof, ProofAsked
from service.core.shapes import Prover
from service.errors import ActionError
from service.mcp.events import CallTool, ToolReply
from service.serving.auth import CALL, LOCAL, READ, Caller
from service.serving.calls import ToolCallRun, ToolCalls

OPERATOR = Caller("local operator", frozenset((CALL, READ)), sees_all=True)
"""Whoever commands this service on its machine; no token has such a name."""
TRANSPORT = "control"
PROVE = "prove"


class Proved(msgspec.Struct, frozen=True, kw_only=True):
    """A proof, the call that made it, and that call's receipt with the verdict in it."""

    proof: Proof
    tool_call_id: str
    receipt: dict[str, Any]


class Operator:
    """Makes proofs as calls of the tool `prove`: budgets, ledger, receipts and metrics see them as any call.

    Args:
        calls: begins them.
        prover: opens the provider's own books, for the receipt as it stands afterwards.
    """

    def __init__(self, calls: ToolCalls, prover: Callable[[Caller, str], Prover]) -> None:
        self._calls = calls
        self._prover = prover

    async def begin(self, caller: Caller, wallet: str | None, max_cost: str | None) -> str:
        """Begin a proof for whoever the console lets begin one, and give its tool call's id; it runs on by itself.

        The call is recorded for the caller's name, so its budgets count it; without a token, for the operator's.
        Who may begin one need not have the scope `call`: a proof is an action.

        Raises:
            InvalidArgumentsError: there is no such wallet, or the cost is no amount.
            AdmissionError: it may not begin.
        """
        asker = OPERATOR
        if caller is not LOCAL:
            asker = msgspec.structs.replace(caller, scopes=caller.scopes | {CALL})
        return self._begin(ProofAsked(wallet=wallet, max_cost=max_cost), asker, by="console").tool_call_id

    async def prove(self, asked: ProofAsked, by: str) -> Proved:
        """Make a proof and wait for it.

        Raises:
            ActionError: it did not succeed; the receipt in the ledger says what was sent.
            InvalidArgumentsError: what is asked does not fit.
            AdmissionError: it may not begin.
        """
        run = self._begin(asked, OPERATOR, by=by)
        try:
            reply = await asyncio.shield(run.done)
        except asyncio.CancelledError:
            run.cancel()
            raise
        proof = _proof(reply)
        receipt = await self._prover(OPERATOR, run.tool_call_id).receipt(run.tool_call_id)
        return Proved(proof=proof, tool_call_id=run.tool_call_id, receipt=receipt)

    def _begin(self, asked: ProofAsked, caller: Caller, *, by: str) -> ToolCallRun:
        arguments = {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not None}
        call = CallTool(
            request_id=by,
            name=PROVE,
            arguments=arguments,
            meta={},
            progress_token=None,
            wants_text=False,
        )
        return self._calls.begin(
            call, caller=caller, session=TRANSPORT, transport=TRANSPORT, protocol=TRANSPORT, on_text=None
        )


def _proof(reply: ToolReply) -> Proof:
    if reply.error is None and reply.structured is not None:
        return msgspec.convert(reply.structured, Proof)
    fault = reply.error
    if fault is None:
        raise ActionError("\n".join(reply.content))
    raise ActionError(fault.message, remedy=fault.remedy, retryable=fault.retryable)
