"""Tests of the action prove: it hands the wish on to the running service."""

from dataclasses import replace

import msgspec
import pytest

from service.actions.prove import ACTION, Prove
from service.core.proving import ProofAsked
from service.errors import ActionError
from service.serving.operator import Proved
from tests.acting import BY, Acting
from tests.unproved import UNPROVED

PROVED = Proved(proof=UNPROVED, tool_call_id="c" * 32, receipt={"tool_call_id": "c" * 32})


async def test_the_service_proves(lab: Acting) -> None:
    """What is asked, and by whom, reaches it; its answer comes back whole, over the wire too."""
    asked: list[tuple[ProofAsked, str]] = []

    async def prove(wish: ProofAsked, by: str) -> Proved:
        asked.append((wish, by))
        return PROVED

    wish = Prove(wallet="w", max_cost="0.01")
    assert PROVED == await ACTION.run(wish, replace(lab.stand, prove=prove), BY)
    assert [(wish, BY)] == asked
    assert PROVED == msgspec.json.decode(msgspec.json.encode(PROVED), type=ACTION.reply)
    assert ACTION.is_long


async def test_without_a_service(lab: Acting) -> None:
    """A command alone makes no calls."""
    with pytest.raises(ActionError) as caught:
        await ACTION.run(Prove(), lab.stand, BY)
    assert "exai prove" in caught.value.remedy
