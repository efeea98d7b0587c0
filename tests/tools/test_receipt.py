"""Tests of the tool receipt."""

from typing import Any

import jsonschema_rs
import msgspec
import pytest

from service.core.entries import OfCall
from service.core.receipt import receipt
from service.core.words import CostStatus
from service.tools.receipt import TOOL
from tests.conftest import CALL, Made
from tests.tools.test_chat import FixedDesk, NoBooks
from tests.tools.told import AT, FixedProver


def made_receipt() -> dict[str, Any]:
    """Make the receipt of a settled call."""
    made = Made()
    return receipt_with(made.intent(), made.settlement(), made.answer())


def receipt_with(*entries: OfCall) -> dict[str, Any]:
    """Make the receipt of a call that these entries follow."""
    call = Made().call(*entries)
    plain: dict[str, Any] = msgspec.to_builtins(receipt(call, as_of=AT, console_url="http://127.0.0.1:8079"))
    return plain


async def test_the_receipt_is_given_whole() -> None:
    """Structured it is the receipt itself; its text begins with the verdict and names attempts and page."""
    given = made_receipt()
    prover = FixedProver(receipt=given)
    result = await TOOL.run({"tool_call_id": CALL}, FixedDesk(), NoBooks(), prover, on_text=None)
    assert [CALL] == prover.asked
    assert given == result.structured
    jsonschema_rs.validate(dict(TOOL.output_schema or {}), result.structured)
    lines = result.text.splitlines()
    assert lines[0].startswith(f"{given['verdict']['word']} ({given['verdict']['code']}): ")
    assert given["attempts"][0]["model"] in lines[1]
    assert f"See {given['url']}" == lines[-1]


@pytest.mark.parametrize(
    ("simulated", "sentence", "said"),
    [
        (True, "SIMULATED: a simulator stands in.", "SIMULATED: UNVERIFIED (U1): a simulator stands in."),
        (False, "glm-4.7-flash is priced at zero.", "UNVERIFIED (U1): glm-4.7-flash is priced at zero."),
        (True, "SIMULATED: glm-4.7-flash is free.", "SIMULATED: UNVERIFIED (U1): glm-4.7-flash is free."),
    ],
)
async def test_a_verdict_s_sentence_is_told_as_it_is(simulated: bool, sentence: str, said: str) -> None:  # noqa: FBT001 - a parameter of the test
    """The mark stands first and once; not one letter of a model's name is changed."""
    given = made_receipt() | {"simulated": simulated}
    given["verdict"] |= {"word": "UNVERIFIED", "code": "U1", "sentence": sentence}
    prover = FixedProver(receipt=given)
    result = await TOOL.run({"tool_call_id": CALL}, FixedDesk(), NoBooks(), prover, on_text=None)
    assert said == result.text.splitlines()[0]


async def test_what_an_attempt_cost_is_told(made: Made) -> None:
    """Its amount and currency; one without a known price, or still in doubt, costs an unknown amount, not none."""
    unpriced, by_plan = (
        made.cost(status=status, amount=None, currency=None)
        for status in (CostStatus.UNKNOWN_PRICE, CostStatus.PLAN)
    )
    ends: tuple[OfCall, ...] = (
        made.settlement(1),
        made.settlement(2, cost=unpriced),
        made.doubt(3),
        made.settlement(4, cost=by_plan),
        made.refusal(5),
        made.unsent(6),
    )
    pairs: list[tuple[OfCall, ...]] = [(made.intent(number), end) for number, end in enumerate(ends, 1)]
    given = receipt_with(*[entry for pair in pairs for entry in pair])
    result = await TOOL.run(
        {"tool_call_id": CALL}, FixedDesk(), NoBooks(), FixedProver(receipt=given), on_text=None
    )
    found = [line.split(": ", 1)[1].split(", ")[:2] for line in result.text.splitlines()[1:-1]]
    assert [
        ["settled", "0.25 USD"],
        ["settled", "cost unknown"],
        ["in doubt", "cost unknown"],
        ["settled", "paid by a plan"],
        ["refused", "nothing to pay"],
        ["unsent", "nothing to pay"],
    ] == found


@pytest.mark.parametrize(
    "wrong", [{}, {"tool_call_id": "c" * 31}, {"tool_call_id": "C" * 32}, {"tool_call_id": 1}]
)
def test_the_id_is_a_tool_call_s(wrong: dict[str, Any]) -> None:
    """32 hex digits, as receipts have it."""
    assert not jsonschema_rs.is_valid(dict(TOOL.input_schema), wrong)


def test_what_clients_are_told() -> None:
    """It reads this server's ledger alone."""
    assert TOOL.annotations["readOnlyHint"]
    assert not TOOL.annotations["openWorldHint"]
    assert not TOOL.needs_model
