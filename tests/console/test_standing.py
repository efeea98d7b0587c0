"""The first sentence: every state, and never more than the verdicts show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.standing import WORD_OF, Standing, State, standings
from service.core.verdict import CODES, word_of
from service.core.words import VerdictWord
from service.ledger.verdicts import VerdictCount, VerdictSum

WHEN = "in the last 7 days"
UNIT = 10**12


def count(code: str, calls: int = 1, *, simulated: bool = False, asked: bool = True) -> VerdictCount:
    """Count calls."""
    return VerdictCount(code=code, simulated=simulated, asked=asked, calls=calls)


def money(
    code: str,
    cost: int = 0,
    *,
    held: int = 0,
    in_doubt: int = 0,
    currency: str | None = "USD",
    simulated: bool = False,
) -> VerdictSum:
    """Sum attempts; amounts are whole units."""
    return VerdictSum(
        code=code,
        simulated=simulated,
        currency=currency,
        cost_pico=cost * UNIT,
        held_pico=held * UNIT,
        in_doubt=in_doubt,
        unpriced=0,
    )


def only(counts: list[VerdictCount], *sums: VerdictSum) -> Standing:
    """Say the one sentence of counts that need one."""
    (found,) = standings(counts, list(sums), when=WHEN)
    return found


def test_a_everything_is_proven() -> None:
    """Only where every charged call is PROVEN are the charges called confirmed."""
    found = only([count("P1", 214), count("N1", 9, asked=False)], money("P1", 7))
    assert (State.CONFIRMED, VerdictWord.PROVEN) == (found.state, found.word)
    assert (
        "The providers' own books confirm every charge in the last 7 days: 214 charged calls (7 USD)."
        == found.lead
    )
    assert ("9 calls used no credit: 9 answered from the cache.",) == found.more


def test_b_some_are_proven() -> None:
    """A single call that waits takes the word PROVEN from the sentence."""
    found = only([count("P1", 5), count("U1", 1)], money("P1", 7), money("U1", 2))
    assert (State.SETTLING, VerdictWord.UNVERIFIED) == (found.state, found.word)
    assert ("5 calls proven (7 USD).", "1 call waiting for confirmation (2 USD).") == found.more


def test_c_something_disagrees() -> None:
    """One mismatch speaks first, however many calls are well."""
    found = only(
        [count("M3", 2), count("P1", 200), count("U4", 12)], money("M3", 1), money("U4", 3), money("P1", 5)
    )
    assert (State.MISMATCH, VerdictWord.MISMATCH) == (found.state, found.word)
    assert "2 of 214 calls in the last 7 days disagree with what the provider said (1 USD)." == found.lead
    assert "200 calls proven (5 USD)." == found.more[0]
    assert found.more[1].startswith("12 calls answered and metered (3 USD). No balance was read")


def test_d_nothing_was_charged() -> None:
    """Where nothing cost anything, every reason is named with its number."""
    found = only([count("N1", 9, asked=False), count("N3", 3), count("N4", 1)])
    assert (State.UNCHARGED, VerdictWord.NO_CREDIT_USED) == (found.state, found.word)
    assert "13 calls in the last 7 days, and none cost anything." == found.lead
    assert (
        "9 answered from the cache",
        "3 refused by the provider, which metered nothing",
        "1 of a model that is priced at zero",
    ) == found.more
    assert "1 call in the last 7 days, and it cost nothing." == only([count("N6")]).lead


def test_f_nothing_confirms() -> None:
    """Metered and unconfirmed is no more than unverified; doubt, unknown prices and open calls stand apart."""
    found = only(
        [count("U4", 8), count("U5"), count("U6"), count("U7", 2), count("U9")],
        money("U4", 1),
        money("U4", 2, currency="CNY"),
        money("U5", held=3, in_doubt=1),
        money("U6", in_doubt=1, currency=None),
    )
    assert (State.UNCONFIRMED, VerdictWord.UNVERIFIED) == (found.state, found.word)
    assert (
        "8 calls answered and metered (2 CNY and 1 USD). No balance was read, so the charge is not confirmed.",
        (
            "2 calls in doubt: sent, and no usage came back (≤ 3 USD and an unknown amount)."
            " Held at the worst case, not counted as spend."
        ),
        "2 calls metered, without a known price. Unknown is not zero.",
        "1 call still open.",
    ) == found.more


def test_no_call_is_no_verdict() -> None:
    """A range without calls has a sentence and no badge."""
    found = only([])
    assert (State.QUIET, None, "This ledger holds no call in the last 7 days.") == (
        found.state,
        found.word,
        found.lead,
    )


def test_simulated_calls_have_a_sentence_of_their_own() -> None:
    """Real and simulated amounts never meet in one sentence, and a simulated one begins with the word."""
    real, simulated = standings(
        [count("U4", 3), count("U4", 5, simulated=True), count("N7", asked=False)],
        [money("U4", 1), money("U4", 40, simulated=True)],
        when=WHEN,
    )
    assert (False, True) == (real.simulated, simulated.simulated)
    assert "the 4 calls" in real.lead
    assert "SIMULATED: Nothing contradicts the 5 calls" in simulated.lead
    assert "(1 USD)" in real.more[0]
    assert "(40 USD)" in simulated.more[0]


def test_proven_by_a_simulator_says_so() -> None:
    """PROVEN is never said of simulated calls without SIMULATED; calls without a provider join them."""
    found = only([count("P1", simulated=True), count("N1", asked=False)], money("P1", 1, simulated=True))
    assert VerdictWord.PROVEN is found.word
    assert found.simulated
    assert found.lead.startswith("SIMULATED: The providers' own books confirm every charge")


@given(
    st.lists(
        st.builds(
            count,
            st.sampled_from([*sorted(CODES), "P1", "U1", "M2"]),
            st.integers(1, 3),
            simulated=st.booleans(),
            asked=st.booleans(),
        ),
        max_size=6,
    )
)
def test_no_state_without_its_verdict(counts: list[VerdictCount]) -> None:
    """Whatever the counts, a sentence stands under the gravest verdict that its own calls have."""
    order = (VerdictWord.MISMATCH, VerdictWord.UNVERIFIED, VerdictWord.PROVEN, VerdictWord.NO_CREDIT_USED)
    found = standings(counts, [], when=WHEN)
    words = {word_of(one.code) for one in counts}
    assert {one.word for one in found} - {None} <= words
    gravest = next((word for word in order if word in words), None)
    assert gravest in {one.word for one in found}
    for one in found:
        assert ("SIMULATED" in one.lead) == one.simulated
        assert ("confirm every" in one.lead) == (one.word is VerdictWord.PROVEN)


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_its_word(state: State) -> None:
    """The states and their words are one closed table."""
    assert state in WORD_OF
