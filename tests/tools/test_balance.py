"""Tests of the tool balance."""

import jsonschema_rs
import msgspec

from service.core.proving import Balance
from service.core.words import ReadingOutcome
from service.tools.balance import TOOL
from tests.tools.test_chat import FixedDesk, NoBooks
from tests.tools.told import AT, READ, FixedProver

LIMITS = msgspec.structs.replace(READ, counter="account", figures=(), tells={"tier": "enterprise-tier-1"})
REFUSED = msgspec.structs.replace(
    READ, outcome=ReadingOutcome.REFUSED, status=401, figures=(), message="Invalid Authentication"
)
BALANCE = Balance(
    wallet="w",
    provider="kimi",
    host="api.moonshot.ai",
    plan=None,
    currency="USD",
    simulated=False,
    readings=(READ, LIMITS),
    as_of=AT,
)
PLAN = msgspec.structs.replace(BALANCE, wallet="p", plan="coding", simulated=True, readings=(REFUSED,))
NEVER = msgspec.structs.replace(BALANCE, wallet="n", readings=())


async def told(*balances: Balance, **arguments: object) -> tuple[str, FixedProver]:
    """Run the tool; what it gives must fit its schema."""
    jsonschema_rs.validate(dict(TOOL.input_schema), arguments)
    prover = FixedProver(balances=balances)
    result = await TOOL.run(arguments, FixedDesk(), NoBooks(), prover, on_text=None)
    jsonschema_rs.validate(dict(TOOL.output_schema or {}), result.structured)
    return result.text, prover


async def test_what_is_asked() -> None:
    """All wallets as they were last read, unless one is named or they are to be asked now."""
    _, prover = await told(BALANCE)
    assert [(None, False)] == prover.asked
    _, prover = await told(BALANCE, wallet="w", fresh=True)
    assert [("w", True)] == prover.asked


async def test_each_number_has_its_time() -> None:
    """Figures with unit and cap, what else was told, why a counter says nothing; SIMULATED stands first."""
    text, _ = await told(BALANCE, PLAN, NEVER)
    assert text.splitlines() == [
        "w at api.moonshot.ai:",
        f"  balance, {AT}: available 49.58894 USD of 50",
        f"  account, {AT}: tier enterprise-tier-1",
        "SIMULATED: p at api.moonshot.ai, plan coding:",
        f"  balance, {AT}: refused, HTTP 401: Invalid Authentication",
        "n at api.moonshot.ai: its counters were never asked. Ask with fresh.",
    ]


def test_what_clients_are_told() -> None:
    """It only reads, at the provider's too."""
    assert TOOL.annotations["readOnlyHint"]
    assert TOOL.annotations["openWorldHint"]
    assert not TOOL.needs_model
