"""The prover that a tool is handed: the provider's own books, no further than its caller may see."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from service.core.books import ReadingEntry
from service.core.proving import Balance, Proof, ProofAsked
from service.core.receipt import receipt
from service.core.shapes import Desk, Prover
from service.core.times import utc_text
from service.core.wallet import Wallet
from service.core.words import ReadingCause
from service.errors import InvalidArgumentsError, MayNotSeeError
from service.proving.means import Means
from service.proving.prove import prove

_WORD_CHARS_MAX = 64  # of what was asked, in an error
_NONE_HERE = "the provider's own books are not read here"


class CallProver:
    """What one tool call may know of the provider's own books, and try.

    Args:
        means: what every proof needs.
        owner: the client whose calls alone may be seen; None for all.
        tool_call_id: the call that asks.
    """

    def __init__(self, means: Means, *, owner: str | None, tool_call_id: str) -> None:
        self._means = means
        self._owner = owner
        self._tool_call_id = tool_call_id

    async def balances(self, wallet: str | None, *, fresh: bool) -> tuple[Balance, ...]:
        """Say what the counters of each wallet last said; see the contract of `Prover`."""
        if self._owner is not None:
            raise MayNotSeeError(
                f"a balance is of all clients' calls, and client {self._owner} may see its own alone",
                remedy="Ask with a token that has the scope read: `exai token create --scopes call,read`.",
            )
        meant = self._means.meant(wallet)
        if fresh:
            reading = (self._means.readers.read(one, cause=ReadingCause.DEMAND) for one in meant)
            await asyncio.gather(*reading)
            for one in meant:  # what was asked for is judged too, or a better reading would wait for the next call
                await self._means.reconciler.reconcile(one)
        return tuple([await asyncio.to_thread(self._balance, one) for one in meant])

    async def prove(self, plan: ProofAsked, desk: Desk, *, on_text: Callable[[str], None] | None) -> Proof:
        """Prove that a wallet's counter moves by what we say; see the contract of `Prover`."""
        limited = self._owner is not None
        proof = await prove(self._means, plan, desk, tool_call_id=self._tool_call_id, say=on_text, limited=limited)
        return _of_own_window(proof) if limited else proof

    async def receipt(self, tool_call_id: str) -> dict[str, Any]:
        """Give a receipt as it stands now; see the contract of `Prover`."""
        return await asyncio.to_thread(self._receipt, tool_call_id)

    def _balance(self, wallet: Wallet) -> Balance:
        means = self._means
        return Balance(
            wallet=wallet.name,
            provider=wallet.provider,
            host=wallet.host,
            plan=wallet.plan,
            currency=wallet.currency,
            simulated=wallet.simulated,
            readings=means.in_order(wallet, means.reading.latest_readings(wallet.name)),
            as_of=utc_text(means.clock.now_ns()),
        )

    def _receipt(self, tool_call_id: str) -> dict[str, Any]:
        means = self._means
        with means.reading.snapshot():
            call = means.reading.call(tool_call_id)
            judged = means.reading.judged((tool_call_id,))
        if call is None or (self._owner is not None and call.opened.client != self._owner):
            of = "" if self._owner is None else f" of client {self._owner}"
            raise InvalidArgumentsError(
                f"there is no tool call{of} with the id {tool_call_id[:_WORD_CHARS_MAX]!r}",
                remedy="Its id stands in the receipt of its answer, and on the console's page of calls.",
            )
        shown: dict[str, Any] = msgspec.to_builtins(
            receipt(
                call,
                as_of=utc_text(means.clock.now_ns()),
                console_url=means.console_url,
                checkpoint=means.checkpoint(),
                judged=judged,
            )
        )
        return shown


def _of_own_window(proof: Proof) -> Proof:
    """Leave out what the account holds: what moved between a proof's own readings is all that it is about."""
    verdict = proof.verdict
    if verdict is not None and verdict.sums is not None:
        sums = msgspec.structs.replace(verdict.sums, opening=None, closing=None)
        verdict = msgspec.structs.replace(verdict, sums=sums)
    return msgspec.structs.replace(
        proof, verdict=verdict, opening=_without_figures(proof.opening), closing=_without_figures(proof.closing)
    )


def _without_figures(reading: ReadingEntry | None) -> ReadingEntry | None:
    return None if reading is None else msgspec.structs.replace(reading, figures=(), tells={})


class NoProver:
    """The prover of a service that reads no provider's books."""

    async def balances(self, wallet: str | None, *, fresh: bool) -> tuple[Balance, ...]:  # noqa: ARG002 - the shape of a prover
        """Refuse."""
        raise InvalidArgumentsError(_NONE_HERE)

    async def prove(self, plan: ProofAsked, desk: Desk, *, on_text: Callable[[str], None] | None) -> Proof:  # noqa: ARG002 - as above
        """Refuse."""
        raise InvalidArgumentsError(_NONE_HERE)

    async def receipt(self, tool_call_id: str) -> dict[str, Any]:  # noqa: ARG002 - as above
        """Refuse."""
        raise InvalidArgumentsError(_NONE_HERE)


if TYPE_CHECKING:
    _: type[Prover] = CallProver
    __: type[Prover] = NoProver
