"""Provider refusals: every error that the providers' pages list, and some that none does, costs nothing."""

import asyncio
from collections.abc import Mapping

import pytest

from service.simulator import glm, kimi
from tests.accounts import agree
from tests.processes import Judge, Serving
from tests.stories import Lived, live, same_story
from tests.troubles import REFUSALS, Case, Told, cases, named, refused

CASES = [case for provider, told in REFUSALS.items() for case in cases(told, provider)]
ACCOUNT = ("org-0123456789abcdef0123456789abcdef", "ak-0123456789abcdefghij")  # as Kimi's errors name one


@pytest.fixture(scope="module")
def lived(serving_long: Serving, simulated: Judge) -> Lived:
    """Let every refusal happen once, on one service that never tries again."""
    return asyncio.run(live(serving_long(EXAI_ATTEMPTS_MAX="1"), simulated, CASES))


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_refusal_is_told_the_same_everywhere(lived: Lived, case: Case) -> None:
    """Error, remedy, receipt and page name the reason; the receipt and the page say that nothing was charged."""
    story = lived.stories[named(case)]
    same_story(story, case.provider, case.told)
    assert "NO CREDIT USED" == story.shown["verdict"]["word"]
    assert "This call cost nothing. The provider refused it" in story.shown["verdict"]["sentence"]
    assert [] == story.shown["totals"]


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_refusal_moves_no_token_and_no_money(lived: Lived, case: Case) -> None:
    """The counters move by one refused attempt, and the books have one request that was billed nothing."""
    assert lived.expected(case) == lived.stories[named(case)].moved
    assert ["0"] == [request["billed"]["amount"] for request in lived.requests(case)]


def test_no_account_of_the_provider_is_passed_on(lived: Lived) -> None:
    """What a provider's sentence says of the account behind the key reaches no client, page or entry."""
    said = repr([(story.result, story.shown, story.page) for story in lived.stories.values()])
    said += repr(lived.export.entries)
    assert "please try again after 1 seconds" in said
    assert [] == [name for name in ACCOUNT if name in said]


def test_all_refusals_cost_nothing(lived: Lived) -> None:
    """The ledger has no settlement, the wallets paid nothing, and the service's own equations hold."""
    agree(lived.export, lived.books["requests"])
    assert {"refused": len(CASES)} == lived.export.outcomes()
    assert {"0"} == {wallet["spent"] for wallet in lived.books["wallets"]}
    assert "Entries, counters and spans agree." == lived.conserved


@pytest.mark.parametrize(("provider", "known"), [("kimi", kimi._ERRORS), ("glm", glm._ERRORS)])
def test_every_error_of_the_simulators_has_a_journey(provider: str, known: Mapping[str, object]) -> None:
    """An error that is added to a simulator is met here, or this fails."""
    assert set() == set(known) - set(REFUSALS[provider])


@pytest.mark.parametrize(
    ("key", "why"), [("sim-revoked-key", "authentication"), ("sim-empty-wallet", "no_balance")]
)
async def test_a_key_that_buys_nothing_is_named(serving: Serving, judge: Judge, key: str, why: str) -> None:
    """A revoked key and an empty balance are refused once, cost nothing, and say what to do."""
    status = {"authentication": 401, "no_balance": 429}[why]
    told: Told = refused({}, status, why)._replace(fault={"kind": "latency", "seconds": 0}, ways=("plain",))
    found = cases({why: told})
    lived = await live(serving(KIMI_API_KEY=key, GLM_API_KEY=key), judge, found)
    for case in found:
        same_story(lived.stories[named(case)], case.provider, told)
        assert ["0"] == [request["billed"]["amount"] for request in lived.requests(case)]
    agree(lived.export, lived.books["requests"])
