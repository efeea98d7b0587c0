"""Tests of the tool prove."""

from typing import Any

import jsonschema_rs
import msgspec
import pytest

from service.core.books import VerdictEntry
from service.core.proving import Proof, ProofAsked
from service.core.words import VerdictWord
from service.serving.operator import PROVE
from service.tools.prove import TOOL
from tests.tools.test_chat import FixedDesk, NoBooks
from tests.tools.told import READ, FixedProver
from tests.unproved import UNPROVED

VERDICT = VerdictEntry(
    rule=1,
    provider="kimi",
    wallet="w",
    simulated=False,
    word=VerdictWord.PROVEN,
    code="P1",
    sentence="The balance fell by 0.00113 USD.",
    opened=7,
    closed=9,
)
PROOF = Proof(
    wallet="w",
    provider="kimi",
    simulated=False,
    model="kimi-k2.6",
    tool_call_id="c" * 32,
    unit="USD",
    calls=1,
    spent="0.00113",
    opening=READ,
    closing=READ,
    verdict=VERDICT,
    word=VerdictWord.PROVEN,
    code="P1",
    sentence=VERDICT.sentence,
)


async def test_all_arguments_reach_the_prover() -> None:
    """Each has its place in what is asked; a client that listens gets the lines of progress."""
    prover, lines = FixedProver(PROOF), list[str]()
    arguments = {"wallet": "w", "model": "kimi-k2.6", "max_cost": "0.01", "wait_s": 60}
    await TOOL.run(arguments, FixedDesk(), NoBooks(), prover, on_text=lines.append)
    await TOOL.run({}, FixedDesk(), NoBooks(), prover, on_text=None)
    asked = ProofAsked(wallet="w", model="kimi-k2.6", max_cost="0.01", wait_s=60.0)
    assert [asked, ProofAsked()] == prover.asked
    assert ["waited 0 s\n"] == lines


@pytest.mark.parametrize("proof", [PROOF, UNPROVED])
async def test_the_answer_fits_its_schema(proof: Proof) -> None:
    """The schema is an object's, and the structured answer can be read back as the proof it was."""
    jsonschema_rs.Draft202012Validator(dict(TOOL.input_schema))
    result = await TOOL.run({}, FixedDesk(), NoBooks(), FixedProver(proof), on_text=None)
    assert TOOL.output_schema is not None
    assert "object" == TOOL.output_schema["type"]
    jsonschema_rs.validate(dict(TOOL.output_schema), result.structured)
    assert proof == msgspec.convert(result.structured, Proof)


async def test_the_verdict_stands_first() -> None:
    """Word, code and sentence; then both sides in numbers, and where the attempts are."""
    result = await TOOL.run({}, FixedDesk(), NoBooks(), FixedProver(PROOF), on_text=None)
    lines = result.text.splitlines()
    assert "PROVEN (P1): The balance fell by 0.00113 USD." == lines[0]
    assert "Wallet w, model kimi-k2.6: 1 call; by our own account 0.00113 USD." == lines[1]
    assert lines[2].startswith(
        "The counter balance before, at 2026-11-22T16:21:00.000000Z: available 49.58894 USD."
    )
    assert f"The receipt of this call, {'c' * 32}, holds every attempt." == lines[-1]


@pytest.mark.parametrize(
    ("at_most", "said"),
    [("0.02", "an unknown amount: at most 0.02 USD may have been billed."), (None, "an unknown amount.")],
)
async def test_an_unknown_amount_is_not_zero(at_most: str | None, said: str) -> None:
    """It is said with its bound, where it has one."""
    proof = msgspec.structs.replace(PROOF, spent=None, at_most=at_most, closing=None)
    result = await TOOL.run({}, FixedDesk(), NoBooks(), FixedProver(proof), on_text=None)
    assert f"Wallet w, model kimi-k2.6: 1 call; by our own account {said}" == result.text.splitlines()[1]
    assert "after" not in result.text


async def test_simulated_stands_before_the_verdict() -> None:
    """Once, and before everything else."""
    result = await TOOL.run({}, FixedDesk(), NoBooks(), FixedProver(UNPROVED), on_text=None)
    assert result.text.startswith("SIMULATED: UNVERIFIED (U4): No reading can be had.\n")
    assert 1 == result.text.count("SIMULATED")


@pytest.mark.parametrize(
    "wrong", [{"max_cost": 0.05}, {"max_cost": "1e3"}, {"wait_s": -1}, {"wait_s": 1e9}, {"x": 1}]
)
def test_arguments_have_bounds(wrong: dict[str, Any]) -> None:
    """Money is text, never a float; a wait has an end; nothing unknown is dropped in silence."""
    assert not jsonschema_rs.is_valid(dict(TOOL.input_schema), wrong)


def test_what_clients_are_told() -> None:
    """It spends money outside, so it is not read-only; it works without a model's answer being its own."""
    assert PROVE == TOOL.name
    assert {"readOnlyHint": False, "openWorldHint": True} == {
        name: TOOL.annotations[name] for name in ("readOnlyHint", "openWorldHint")
    }
    assert not TOOL.needs_model
