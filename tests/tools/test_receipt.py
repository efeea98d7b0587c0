"""Tests of the tool receipt."""

from typing import Any

import jsonschema_rs
import msgspec
import pytest

from service.core.receipt import receipt
from service.tools.receipt import TOOL
from tests.conftest import CALL, Made
from tests.tools.test_chat import FixedDesk, NoBooks
from tests.tools.told import AT, FixedProver


def made_receipt() -> dict[str, Any]:
    """Make the receipt of a settled call."""
    made = Made()
    call = made.call(made.intent(), made.settlement(), made.answer())
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
    assert lines[0].startswith(f"{given['verdict']['word']} ({given['verdict']['code']}). ")
    assert given["attempts"][0]["model"] in lines[1]
    assert f"See {given['url']}" == lines[-1]


async def test_a_simulated_verdict_reads_as_sentences() -> None:
    """The mark stands first and once; what follows a full stop begins with a capital."""
    given = made_receipt() | {"simulated": True}
    given["verdict"] |= {"word": "UNVERIFIED", "code": "U1", "sentence": "SIMULATED: a simulator stands in."}
    prover = FixedProver(receipt=given)
    result = await TOOL.run({"tool_call_id": CALL}, FixedDesk(), NoBooks(), prover, on_text=None)
    assert "SIMULATED: UNVERIFIED (U1). A simulator stands in." == result.text.splitlines()[0]


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
