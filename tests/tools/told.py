"""What the tools on the provider's own books are told in tests."""

from collections.abc import Callable
from typing import Any

from service.core.books import Figure, ReadingEntry
from service.core.proving import Balance, Proof, ProofAsked
from service.core.shapes import Desk
from service.core.words import ReadingCause, ReadingOutcome

AT = "2026-11-22T16:21:00.000000Z"
READ = ReadingEntry(
    index=7,
    at=AT,
    provider="kimi",
    wallet="w",
    counter="balance",
    endpoint="https://api.moonshot.ai/v1/users/me/balance",
    cause=ReadingCause.PROOF,
    outcome=ReadingOutcome.READ,
    status=200,
    asked_at=AT,
    figures=(Figure(name="available", amount="49.58894", unit="USD", resolution="0.00001", cap="50"),),
    tells={},
    message="",
    provider_ids={},
    simulated=False,
)


class FixedProver:
    """A prover that answers alike and remembers what it was asked."""

    def __init__(
        self, proof: Proof | None = None, balances: tuple[Balance, ...] = (), receipt: dict[str, Any] | None = None
    ) -> None:
        self.asked: list[Any] = []
        self._proof = proof
        self._balances = balances
        self._receipt = receipt

    async def balances(self, wallet: str | None, *, fresh: bool) -> tuple[Balance, ...]:
        """Answer."""
        self.asked.append((wallet, fresh))
        return self._balances

    async def prove(self, plan: ProofAsked, desk: Desk, *, on_text: Callable[[str], None] | None) -> Proof:  # noqa: ARG002 - the shape of a prover
        """Answer."""
        self.asked.append(plan)
        if on_text is not None:
            on_text("waited 0 s\n")
        assert self._proof is not None
        return self._proof

    async def receipt(self, tool_call_id: str) -> dict[str, Any]:
        """Answer."""
        self.asked.append(tool_call_id)
        assert self._receipt is not None
        return self._receipt
