"""The first sentence: every state, and never more than the verdicts show."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.standing import WORD_OF, Standing, State, standings
from console.wallets import Books, Failure
from service.core.books import VerdictEntry
from service.core.verdict import CODES, word_of
from service.core.words import VerdictWord
from service.ledger.verdicts import VerdictCount, VerdictSum
from tests.console.conftest import Theirs

WHEN = "in the last 7 days"
UNIT = 10**12
verdict = Theirs.verdict


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


def books(**changed: object) -> Books:
    """Say where a wallet stands: read at noon, and judged."""
    standing = Books(
        wallet="kimi-main",
        provider="kimi",
        simulated=False,
        figures=(),
        failures=(),
        read_at="2026-11-22T11:58:00.000000Z",
        verdict=None,
    )
    return msgspec.structs.replace(standing, **changed)


def only(
    counts: list[VerdictCount],
    *sums: VerdictSum,
    of: Sequence[Books] = (),
    blind: Sequence[str] = (),
    short: Sequence[VerdictEntry] = (),
) -> Standing:
    """Say the one sentence of counts that need one."""
    as_of = "2026-11-22T12:00:00.000000Z"
    (found,) = standings(counts, list(sums), when=WHEN, books=of, blind=blind, short=short, as_of=as_of)
    return found


def test_a_everything_is_proven() -> None:
    """Only where every charged call is PROVEN are the charges called confirmed, and with the time of the check."""
    found = only([count("P1", 214), count("N1", 9, asked=False)], money("P1", 7), of=[books()])
    assert (State.CONFIRMED, VerdictWord.PROVEN) == (found.state, found.word)
    assert (
        "All 214 charged calls in the last 7 days are confirmed by the providers' own books. You spent 7 USD."
        == found.lead
    )
    assert "The providers' own books were last read at 2026-11-22 11:58:00.000 UTC." == found.checked
    assert ("9 calls used no credit: 9 answered from the cache.",) == found.more


def test_currencies_and_quota_are_never_added() -> None:
    """Each currency has an amount of its own; calls that a plan paid for add none."""
    found = only([count("P1", 2), count("P2", 3)], money("P1", 7), money("P1", 1, currency="CNY"))
    assert "All 5 charged calls" in found.lead
    assert found.lead.endswith("You spent 1 CNY and 7 USD.")


def test_b_some_are_proven() -> None:
    """A single call that waits takes the word PROVEN from the sentence, which says how much of what is proven."""
    due = verdict("U2", due_at="2026-11-22T12:05:00.000000Z")
    found = only(
        [count("P1", 5), count("U1", 1)], money("P1", 7), money("U1", 2), of=[books(verdict=due)], short=[due]
    )
    assert (State.SETTLING, VerdictWord.UNVERIFIED) == (found.state, found.word)
    assert (
        "Nothing looks wrong in the last 7 days: 6 calls. 7 of 9 USD is proven, 5 of 6 calls proven." == found.lead
    )
    # No verdict decides it, so no verdict says when it is looked at.
    assert ("1 call that no reading has decided so far (2 USD).",) == found.more


@pytest.mark.parametrize(
    ("due", "final", "said"),
    [
        ([], "", ""),
        (["22T11:05"], "", ""),
        (
            [None, "28T07:00"],
            ", final at 2026-11-28 07:00:00.000 UTC",
            " It is due at 2026-11-28 07:00:00.000 UTC.",
        ),
        (
            ["29T07:00", "28T07:00", "22T11:05"],
            ", final between 2026-11-28 07:00:00.000 UTC and 2026-11-29 07:00:00.000 UTC",
            " It is due between 2026-11-28 07:00:00.000 UTC and 2026-11-29 07:00:00.000 UTC.",
        ),
    ],
    ids=["unknown", "passed", "one", "several"],
)
def test_a_final_bill_has_its_times(due: list[str | None], final: str, said: str) -> None:
    """The earliest and the latest of all verdicts that came short are named, and no time that has passed."""
    short = [verdict("U2", due_at=None if at is None else f"2026-11-{at}:00.000000Z") for at in due]
    found = only([count("U2", 2)], short=short)
    assert found.lead.startswith(f"Of 2 calls {WHEN} 2 are in windows that came short so far{final}. ")
    assert (f"2 calls waiting for the provider's final bill.{said}",) == found.more


def test_somebody_else_spends() -> None:
    """Where more moved than our calls explain it is not said that nothing looks wrong."""
    found = only([count("U3", 2), count("U14"), count("P1")], money("U3", 1))
    assert "Nothing looks wrong" not in found.lead + only([count("U3")]).lead
    assert (
        "2 are in windows where more moved than our calls explain; 1 is sent to a host that is not" in found.lead
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("U2", "1 is in windows that came short so far."),
        ("U3", "1 is in windows where more moved than our calls explain."),
        ("U5", "1 is in doubt."),
        ("U6", "1 is in doubt."),
        ("U4", "1 is recorded but not confirmed for want of a reading."),
        ("U11", "1 is written off, whether billed or not."),
    ],
)
def test_an_open_question_is_not_well(code: str, said: str) -> None:
    """Whether it is the only call or one of many, what it is stands in the sentence."""
    alone = only([count(code)], of=[books()])
    assert alone.lead == f"Of 1 call in the last 7 days {said} The providers' own books confirm no charge yet."
    beside = only([count(code), count("P1", 8)], money("P1", 7), of=[books()])
    assert beside.lead.startswith(f"Of 9 calls in the last 7 days {said} ")
    assert "Nothing looks wrong" not in alone.lead + beside.lead


def test_doubts_are_added_up() -> None:
    """However they came about, they are one open question beside the others."""
    found = only([count("U5"), count("U6", 2), count("U2", 4)])
    assert found.lead.startswith(
        "Of 7 calls in the last 7 days 3 are in doubt; 4 are in windows that came short so far."
    )


def test_every_wallet_was_read_by_then() -> None:
    """The time is that of the wallet that was read first."""
    found = only([count("P1")], of=[books(), books(wallet="other", read_at="2026-11-22T09:00:00.000000Z")])
    assert "The providers' own books were last read at 2026-11-22 09:00:00.000 UTC." == found.checked


def test_c_something_disagrees() -> None:
    """One mismatch speaks first, however many calls are well."""
    found = only(
        [count("M3", 2), count("P1", 200), count("U1", 12)], money("M3", 1), money("U1", 3), money("P1", 5)
    )
    assert (State.MISMATCH, VerdictWord.MISMATCH) == (found.state, found.word)
    assert (
        "2 of 214 calls in the last 7 days disagree with the provider (1 USD)."
        " The other 8 USD is proven or waiting." == found.lead
    )
    assert ("12 calls that no reading has decided so far (3 USD).",) == found.more


def test_d_nothing_was_charged() -> None:
    """Where nothing cost anything, every reason is named with its number, and no check is spoken of."""
    found = only([count("N1", 9, asked=False), count("N3", 3), count("N4", 1)], of=[books()])
    assert (State.UNCHARGED, VerdictWord.NO_CREDIT_USED) == (found.state, found.word)
    assert (
        "13 calls in the last 7 days, none was charged: 9 answered from the cache,"
        " 3 refused by the provider, which metered nothing, 1 of a model that is priced at zero." == found.lead
    )
    assert "" == found.checked
    assert (
        "1 call in the last 7 days, it was not charged: 1 that never left this machine."
        == only([count("N6")]).lead
    )


def test_f_a_wallet_cannot_be_read() -> None:
    """A wallet of which no counter can be read is named, with why, since when, and what helps."""
    failure = Failure(
        counter="balance",
        said="refused (HTTP 401): Invalid Authentication",
        since="2026-11-22T09:10:00.000000Z",
        remedy="Check the key.",
        index=7,
    )
    blind = books(failures=(failure,), read_at=None)
    found = only([count("U4", 8), count("P1")], money("U4", 1), money("P1", 2), of=[blind], blind=["kimi-main"])
    assert (State.BLIND, VerdictWord.UNVERIFIED) == (found.state, found.word)
    assert (
        "We cannot read kimi-main. Of 9 calls in the last 7 days 8 are recorded but not confirmed for want of a"
        " reading. 2 of 3 USD is proven, 1 of 9 calls proven." == found.lead
    )
    assert (
        "kimi-main, balance: refused (HTTP 401): Invalid Authentication, since 2026-11-22 09:10:00.000 UTC."
        " Check the key." == found.more[0]
    )
    assert "8 calls whose wallet cannot be read (1 USD). The charge is not confirmed." == found.more[1]
    assert "No provider's balance or quota has been read yet." == found.checked
    assert "but for kimi-main." in only([count("U1")], of=[blind, books(wallet="other")]).checked


def test_nothing_confirms() -> None:
    """Metered and unconfirmed is no more than unverified; doubt, unknown prices and open calls stand apart."""
    found = only(
        [count("U1", 8), count("U5"), count("U6"), count("U7", 2), count("U9"), count("U12")],
        money("U1", 1),
        money("U1", 2, currency="CNY"),
        money("U5", held=3, in_doubt=1),
        money("U6", in_doubt=1, currency=None),
    )
    assert (State.UNCONFIRMED, VerdictWord.UNVERIFIED) == (found.state, found.word)
    assert (
        "8 calls that no reading has decided so far (2 CNY and 1 USD).",
        (
            "2 calls in doubt: sent, and no usage came back (≤ 3 USD and an unknown amount)."
            " Held at the worst case, not counted as spend."
        ),
        "2 calls metered, without a known price. Unknown is not zero.",
        "1 call still open.",
        "1 call in windows too small to tell.",
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
        [count("U1", 3), count("U1", 5, simulated=True), count("N7", asked=False)],
        [money("U1", 1), money("U1", 40, simulated=True)],
        when=WHEN,
    )
    assert (False, True) == (real.simulated, simulated.simulated)
    assert "4 calls" in real.lead
    assert "SIMULATED: Nothing looks wrong in the last 7 days: 5 calls." in simulated.lead
    assert "(1 USD)" in real.more[0]
    assert "(40 USD)" in simulated.more[0]


def test_proven_by_a_simulator_says_so() -> None:
    """PROVEN is never said of simulated calls without SIMULATED; calls without a provider join them."""
    found = only([count("P1", simulated=True), count("N1", asked=False)], money("P1", 1, simulated=True))
    assert VerdictWord.PROVEN is found.word
    assert found.simulated
    assert found.lead.startswith(
        "SIMULATED: The one charged call in the last 7 days is confirmed by the simulators'"
    )


def test_a_simulators_books_are_no_providers() -> None:
    """Neither what confirms nor what was read is said to be a provider's own."""
    counted = [count("U1", simulated=True)]
    found = only(counted, money("U1", 1, simulated=True), of=[books(simulated=True)])
    assert found.lead.endswith("The simulators' books confirm no charge yet.")
    assert "The simulators' books were last read at 2026-11-22 11:58:00.000 UTC." == found.checked


def test_real_and_simulated_books_are_not_mixed() -> None:
    """Each sentence has the times and the due bills of its own kind's books alone."""
    of = [books(), books(wallet="sim", simulated=True, read_at="2026-11-22T10:00:00.000000Z")]
    short = [
        verdict("U2", due_at="2026-11-28T07:00:00.000000Z"),
        verdict("U2", due_at="2026-11-22T12:00:30.000000Z", simulated=True),
    ]
    found = standings(
        [count("U2"), count("U2", simulated=True)],
        [],
        when=WHEN,
        books=of,
        short=short,
        as_of="2026-11-22T12:00:00.000000Z",
    )
    for one, read_at, due_at in zip(found, ("11:58", "10:00"), ("28 07:00:00", "22 12:00:30"), strict=True):
        assert one.checked.endswith(f"books were last read at 2026-11-22 {read_at}:00.000 UTC.")
        assert f"final at 2026-11-{due_at}.000 UTC" in one.lead


def test_one_clients_reader_hears_no_time_of_a_reading() -> None:
    """A counter is of a whole account, so when it was read is not said, nor that it was not."""
    for of in ([books()], []):
        (found,) = standings([count("P1")], [], when=WHEN, owner="guest", books=of)
        assert (State.CONFIRMED, "") == (found.state, found.checked)


def test_a_wallet_that_nothing_waits_for_takes_no_word_away() -> None:
    """Where no call wants a reading of it, a wallet that cannot be read is told beside the sentence, not in it."""
    failure = Failure(counter="balance", said="refused", since="2026-11-22T09:10:00.000000Z", remedy="", index=7)
    unread = books(wallet="other", failures=(failure,), read_at=None)
    found = only([count("U12"), count("P1", 3)], money("P1", 2), of=[books(), unread])
    assert State.SETTLING is found.state
    assert "cannot read" not in found.lead
    assert "other, balance: refused" in found.more[0]


@given(
    st.lists(
        st.builds(
            count,
            st.sampled_from(sorted(CODES)),
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
        assert ("confirmed by" in one.lead) == (one.word is VerdictWord.PROVEN)


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_its_word(state: State) -> None:
    """The states and their words are one closed table."""
    assert state in WORD_OF
