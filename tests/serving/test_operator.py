"""Tests of the operator: proofs are tool calls like any other."""

import asyncio
import json
import secrets
from typing import Any

import pytest

from service.core.proving import Proof, ProofAsked
from service.core.shapes import Desk, ToolResult
from service.errors import ActionError, InvalidArgumentsError, ProviderUnreachableError
from service.serving.auth import LOCAL, Caller
from service.serving.calls import ToolCalls
from service.serving.limits import Gate
from service.serving.operator import OPERATOR, Operator
from service.tools.prove import TOOL as PROVE
from tests.rig import WAIT_S, FixedDay, Rig
from tests.serving.running import CONSOLE, NoBooks, Scripted
from tests.unproved import UNPROVED


class FixedProver:
    """A prover that gives one proof, after `may` is set, or fails."""

    def __init__(self) -> None:
        self.opened: list[tuple[Caller, str]] = []
        self.asked: list[ProofAsked] = []
        self.error: Exception | None = None
        self.begun = asyncio.Event()
        self.may = asyncio.Event()
        self.may.set()

    def __call__(self, caller: Caller, tool_call_id: str) -> Any:  # noqa: ANN401 - a prover, as far as it is used
        """Open it for a caller."""
        self.opened.append((caller, tool_call_id))
        return self

    async def prove(self, plan: ProofAsked, desk: Desk, *, on_text: object) -> Proof:  # noqa: ARG002 - the shape of a prover
        """Give the proof."""
        self.asked.append(plan)
        self.begun.set()
        await self.may.wait()
        if self.error is not None:
            raise self.error
        return UNPROVED

    async def receipt(self, tool_call_id: str) -> dict[str, Any]:
        """Give a receipt that says nothing but whose it is."""
        return {"tool_call_id": tool_call_id}


def operator(lab: Rig, prover: FixedProver, tool: Any = PROVE) -> tuple[Operator, ToolCalls]:  # noqa: ANN401 - a tool
    """Put an operator before calls of one tool."""
    calls = ToolCalls(
        {"prove": tool},
        ledger=lab.ledger,
        counter=lab.counter,
        gate=Gate(),
        clock=FixedDay(),
        entropy=secrets.token_bytes,
        books=NoBooks,
        console_url=CONSOLE,
        prover=prover,
    )
    return Operator(calls, prover), calls


async def test_a_proof_is_a_tool_call(lab: Rig) -> None:
    """It stands in the ledger as the operator's; the proof comes back with the receipt as it stands afterwards."""
    prover = FixedProver()
    proving, _ = operator(lab, prover)
    proved = await asyncio.wait_for(proving.prove(ProofAsked(wallet="w", max_cost="0.01"), "me"), WAIT_S)
    (opened,) = lab.written("tool_call")
    assert ("prove", "local operator", "control", "me") == (
        opened["tool"],
        opened["client"],
        opened["transport"],
        opened["request_id"],
    )
    assert opened["tool_call_id"] == proved.tool_call_id == proved.receipt["tool_call_id"]
    assert [ProofAsked(wallet="w", max_cost="0.01")] == prover.asked
    assert {(OPERATOR, proved.tool_call_id)} == set(prover.opened)
    assert UNPROVED == proved.proof


async def test_one_may_begin_and_not_wait(lab: Rig) -> None:
    """Its id is known at once; it runs on by itself."""
    prover = FixedProver()
    prover.may.clear()
    proving, calls = operator(lab, prover)
    call_id = await proving.begin(LOCAL, "w", None)
    assert 1 == calls.open
    prover.may.set()
    assert await calls.settled(WAIT_S)
    assert [call_id] == [entry["tool_call_id"] for entry in lab.written("answer")]


@pytest.mark.parametrize(
    ("caller", "client"),
    [
        (LOCAL, "local operator"),
        (Caller("alice", frozenset(("call", "read", "admin")), sees_all=True, token_sha256="a" * 64), "alice"),
        (Caller("bob", frozenset(("read", "admin")), sees_all=True, token_sha256="b" * 64), "bob"),
    ],
)
async def test_a_proof_is_its_asker_s(lab: Rig, caller: Caller, client: str) -> None:
    """It is recorded for the token's name, which need not have the scope call; without one, for the operator."""
    prover = FixedProver()
    proving, calls = operator(lab, prover)
    await proving.begin(caller, "w", None)
    assert await calls.settled(WAIT_S)
    assert [client] == [entry["client"] for entry in lab.written("tool_call")]
    assert [client] == [opened.name for opened, _ in prover.opened]


async def test_an_error_keeps_its_remedy(lab: Rig) -> None:
    """What the tool could not do is said as the action's error."""
    prover = FixedProver()
    prover.error = ProviderUnreachableError("nobody answers", remedy="Check the network.")
    proving, _ = operator(lab, prover)
    with pytest.raises(ActionError) as caught:
        await proving.prove(ProofAsked(), "me")
    assert ("nobody answers", "Check the network.", True) == (
        str(caught.value),
        caught.value.remedy,
        caught.value.retryable,
    )


async def test_arguments_are_judged_as_a_client_s(lab: Rig) -> None:
    """By the tool's own schema, before anything is written."""
    proving, _ = operator(lab, FixedProver())
    with pytest.raises(InvalidArgumentsError):
        await proving.begin(LOCAL, None, "much")
    assert [] == lab.written("tool_call")


async def test_who_stops_waiting_stops_the_proof(lab: Rig) -> None:
    """The call is closed as cancelled; nothing more is spent."""
    prover = FixedProver()
    prover.may.clear()
    proving, calls = operator(lab, prover)
    waiting = asyncio.create_task(proving.prove(ProofAsked(), "me"))
    await asyncio.wait_for(prover.begun.wait(), WAIT_S)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await calls.settled(WAIT_S)
    assert ["cancelled"] == [json.loads(json.dumps(entry))["outcome"] for entry in lab.written("answer")]


async def test_a_tool_that_gives_nothing_structured(lab: Rig) -> None:
    """Its words are the error."""

    class Silent(Scripted):
        async def run(self, *_arguments: Any, **_more: Any) -> ToolResult:  # noqa: ANN401 - whatever a tool is handed
            return ToolResult(text="no proof")

    proving, _ = operator(lab, FixedProver(), Silent())
    with pytest.raises(ActionError, match="no proof"):
        await proving.prove(ProofAsked(), "me")
