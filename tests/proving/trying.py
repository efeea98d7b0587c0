"""Trying proofs in a lab: only pauses move the clock."""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any

import msgspec

from service.calling.desk import CallDesk
from service.calling.journal import Journal
from service.core.evidence import SALT_BYTES
from service.core.proving import Proof, ProofAsked
from service.core.words import VerdictWord, ZeroReason
from service.proving.means import Means
from service.proving.prove import prove
from service.proving.prover import CallProver
from tests.proving.conftest import Lab, answer, opened
from tests.rig import PRICES, PROVIDERS, WAIT_S


def means(lab: Lab, **changed: Any) -> Means:  # noqa: ANN401 - any of its parts
    """Take a lab's parts; its clock goes on while a proof pauses, and a little with each."""

    async def pause(seconds: float) -> None:
        lab.clock.pass_s(seconds + 0.01)
        await asyncio.sleep(0)

    proving = lab.proving
    parts: dict[str, Any] = {
        "wallets": lab.wallets,
        "providers": PROVIDERS,
        "prices": PRICES,
        "readers": proving.readers,
        "reconciler": proving.reconciler,
        "reading": lab.reading,
        "measures": proving.measures,
        "settlings": proving.settlings,
        "clock": lab.clock,
        "entropy": secrets.token_bytes,
        "console_url": "http://127.0.0.1:8079",
        "checkpoint": lambda: None,
        "pause": pause,
    }
    return Means(**parts | changed)


@dataclass
class Tried:
    """A proof, and the lines that it said."""

    proof: Proof
    lines: list[str] = field(default_factory=list)


async def limited(lab: Lab) -> tuple[Proof, list[str]]:
    """Make a proof as a client that may see its own calls alone."""
    journal = Journal(lab.ledger, opened(), salt=secrets.token_bytes(SALT_BYTES))
    call_id, lines = journal.opened.tool_call_id, list[str]()
    prover = CallProver(means(lab), owner="owner", tool_call_id=call_id)
    proof = await prover.prove(ProofAsked(), CallDesk(lab.counter, journal), on_text=lines.append)
    await asyncio.wait_for(journal.close(answer(call_id, ok=True)), WAIT_S)
    return proof, lines


async def tried(lab: Lab, *, by: Means | None = None, **asked: Any) -> Tried:  # noqa: ANN401 - what is asked
    """Make a proof as a tool call of its own."""
    journal = Journal(lab.ledger, opened(), salt=secrets.token_bytes(SALT_BYTES))
    call_id, lines = journal.opened.tool_call_id, list[str]()
    proof = await prove(
        by or means(lab),
        ProofAsked(**asked),
        CallDesk(lab.counter, journal),
        tool_call_id=call_id,
        say=lines.append,
    )
    end = answer(call_id, ok=True)
    if not journal.intents:
        end = msgspec.structs.replace(end, zero_reason=ZeroReason.NO_MODEL_STEP)
    await asyncio.wait_for(journal.close(end), WAIT_S)
    assert call_id == proof.tool_call_id
    return Tried(proof, lines)


def said(proof: Proof) -> tuple[VerdictWord, str, int]:
    """Give word, code and how many calls."""
    return proof.word, proof.code, proof.calls
