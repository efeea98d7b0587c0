"""Provider faults: whatever a provider does, answer, receipt, page, counters and books tell one story."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from service.simulator.faults import KINDS, WrongUsage
from tests.accounts import agree
from tests.processes import Judge, Serving
from tests.stories import Lived, live, same_story
from tests.troubles import BODY_BYTES_MAX, DEADLINE_S, FAULTS, LIES, REFUSALS, Case, cases, named

CASES = cases(FAULTS)


@pytest.fixture(scope="module")
def lived(serving_long: Serving, simulated: Judge) -> Lived:
    """Let every fault happen at each provider, plain and streamed, on one service with short deadlines."""
    served = serving_long(
        EXAI_FIRST_BYTE_TIMEOUT_S=str(DEADLINE_S),
        EXAI_IDLE_TIMEOUT_S=str(DEADLINE_S),
        EXAI_BODY_BYTES_MAX=str(BODY_BYTES_MAX),
        EXAI_ATTEMPTS_MAX="2",
        EXAI_SESSION_CALLS_IN_FLIGHT_MAX="64",
        EXAI_CLIENT_CALLS_IN_FLIGHT_MAX="64",
    )
    return asyncio.run(live(served, simulated, CASES))


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_fault_is_told_the_same_everywhere(lived: Lived, case: Case) -> None:
    """Error, attempts, verdict, receipt and page fit what the provider did, and one another."""
    same_story(lived.stories[named(case)], case.provider, case.told)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_fault_moves_the_counters_by_what_it_consumed(lived: Lived, case: Case) -> None:
    """Calls, attempts, doubts, tokens and money move by what the books say was told and billed, no more."""
    assert lived.expected(case) == pytest.approx(lived.stories[named(case)].moved, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_fault_is_judged_by_the_books(lived: Lived, case: Case) -> None:
    """A settlement is its bill, to the last digit; a refusal was not billed; a doubt holds its bill or more."""
    attempts, requests = lived.stories[named(case)].shown["attempts"], lived.requests(case)
    for attempt, request in zip(attempts, requests, strict=True):
        billed = Decimal(request["billed"]["amount"])
        match attempt["outcome"]:
            case "settled":
                assert Decimal(attempt["cost"]["amount"]) == billed > 0
            case "refused":
                assert 0 == billed
            case _:
                (sums,) = lived.stories[named(case)].shown["totals"]
                assert case.told.fault.get("billed", "redirect" != case.told.fault["kind"]) == (billed > 0)
                assert Decimal(sums["in_doubt_held"]) >= billed
                assert "0" == sums["amount"]


def test_every_wallets_settlements_are_its_bills(lived: Lived) -> None:
    """Over all faults the ledger and the books are equal, wallet by wallet, and the service says so itself."""
    agree(lived.export, lived.books["requests"])
    assert "Entries, counters and spans agree." == lived.conserved


def test_every_switch_of_the_simulators_has_a_journey() -> None:
    """A fault that is added to the simulators is met here, in every variant, or this fails."""
    told = [*FAULTS.values(), *LIES.values(), *(one for of in REFUSALS.values() for one in of.values())]
    assert set(KINDS) == {one.fault["kind"] for one in told} | _planted()
    variants = {one.fault.get("variant", "factor") for one in told if one.fault["kind"] == "wrong_usage"}
    assert set(WrongUsage.__annotations__["variant"].__args__) == variants


def _planted() -> set[str]:
    """Name the switches that the table of planted cases turns, as its files write them."""
    written = "".join(Path("tests", name).read_text() for name in ("plants.py", "journeys/test_planted_cases.py"))
    return {kind for kind in KINDS if f'"{kind}"' in written}
