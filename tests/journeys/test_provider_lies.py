"""Provider lies: usage that is not what is billed. The ledger keeps what was metered and vouches for no charge.

No call can show such a lie: its own record holds nothing that contradicts it. Readings of the provider's counter
can, so every verdict here is UNVERIFIED and says what is missing.
"""

import asyncio
from collections import defaultdict
from fractions import Fraction

import pytest

from tests.counting import told_tokens
from tests.processes import Judge, Serving
from tests.stories import Lived, live, same_story
from tests.troubles import LIES, Case, cases, named

CASES = cases(LIES)
OPENING = 1_000_000  # of an account whose key begins with `sim-rich`


@pytest.fixture(scope="module")
def lived(serving_long: Serving, simulated: Judge) -> Lived:
    """Let every lie be told by each provider, plain and streamed, on one service."""
    return asyncio.run(live(serving_long(), simulated, CASES))


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_lie_is_settled_as_it_was_told(lived: Lived, case: Case) -> None:
    """The receipt's tokens are those the answer told, its cost is theirs; the bill may be another."""
    story, (request,) = lived.stories[named(case)], lived.requests(case)
    same_story(story, case.provider, case.told)
    (attempt,), told = story.shown["attempts"], told_tokens(request)
    usage = attempt["usage"]
    for kind in ("uncached_input", "cached_input", "output", "reasoning"):
        assert told[kind] == usage[f"{kind}_tokens"]
    bill = Fraction(request["billed"]["amount"])
    assert Fraction(attempt["cost"]["amount"]) == bill * case.told.told_per_billed
    assert bill > 0


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_lie_is_never_vouched_for(lived: Lived, case: Case) -> None:
    """The verdict is UNVERIFIED, and its sentence says what is not confirmed without a window, nothing too."""
    verdict = lived.stories[named(case)].shown["verdict"]
    assert "UNVERIFIED" == verdict["word"]
    assert "No window between two readings decides it, so" in verdict["sentence"]
    charge = (
        "that nothing was charged." if case.told.told_per_billed == 0 else "the charge itself is not confirmed."
    )
    assert verdict["sentence"].endswith(charge)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_lie_moves_the_counters_by_what_was_told(lived: Lived, case: Case) -> None:
    """The counters follow the ledger, not the bill that nobody told us of."""
    assert lived.expected(case) == pytest.approx(lived.stories[named(case)].moved, rel=1e-9, abs=1e-15)


def test_only_the_wallets_own_counter_shows_what_was_hidden(lived: Lived) -> None:
    """What a wallet lost is not what was settled, by exactly what the lies hid: that is what a reading is for."""
    hidden: dict[str, Fraction] = defaultdict(Fraction)
    for case in CASES:
        (request,) = lived.requests(case)
        hidden[request["wallet"]] += Fraction(request["billed"]["amount"]) * (1 - case.told.told_per_billed)
        hidden[request["wallet"]] += Fraction(case.told.fault.get("amount", 0))
    settled = {wallet: Fraction(amount) for (wallet, _), amount in lived.export.settled().items()}
    for wallet in lived.books["wallets"]:
        gone = OPENING - Fraction(wallet["balance"])
        assert gone - settled[wallet["wallet"]] == hidden[wallet["wallet"]] > 0
    assert "Entries, counters and spans agree." == lived.conserved


def test_numbers_that_contradict_each_other_are_kept_and_flagged(lived: Lived) -> None:
    """Reasoning above its whole is settled as it came, and the page warns of it."""
    for case in CASES:
        flagged = "reasoning above its whole" == case.name
        page = lived.stories[named(case)].page
        assert flagged == ("contradict each other: reasoning above output, total differs" in page)
