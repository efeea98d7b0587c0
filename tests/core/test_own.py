"""What an attempt's own record says: every end, whose host, whose answer, and what became of a doubt."""

from typing import TYPE_CHECKING, Any

import pytest

from service.core.entries import OfCall
from service.core.evidence import Signature
from service.core.own import metered, own
from service.core.record import ToolCall
from service.core.verdict import Verdict, verdict, word_of
from service.core.words import CostStatus, DoubtCause, ResolutionSource, VerdictWord

if TYPE_CHECKING:
    from tests.conftest import Made

RELAY: dict[str, Any] = {"own_host": False, "endpoint": "https://relay.example/v1/chat/completions"}


def judged(call: ToolCall) -> Verdict:
    """Judge a call by its record."""
    return verdict(call, as_of="2026-11-22T16:22:00.000000Z")


def settled(made: "Made", **changed: Any) -> Verdict:  # noqa: ANN401 - any field
    """Judge a call of one attempt that was settled."""
    return judged(made.call(made.intent(), made.settlement(**changed)))


def test_an_answer_through_a_relay_names_the_host(made: "Made") -> None:
    """Its prices and whose balance it shows are not known; a simulator is no relay: it says SIMULATED."""
    real = judged(made.call(made.intent(**RELAY), made.settlement(cost=made.cost(status="unknown_price"))))
    assert (
        "The answer metered this call, but it came from relay.example, which is not kimi's own host;"
        " whether the provider charged for it cannot be told."
    ) == real.sentence
    assert "U1" == judged(made.call(made.intent(**RELAY, simulated=True), made.settlement())).code


def test_a_host_that_nobody_knows_is_told_as_such(made: "Made") -> None:
    """An entry of version 2 does not say whose host it was; a simulator's is a simulator's."""
    said = judged(made.call(made.intent(own_host=None), made.settlement()))
    assert "it came from api.moonshot.ai, which is not known to be kimi's own host" in said.sentence
    assert "U1" == judged(made.call(made.intent(own_host=None, simulated=True), made.settlement())).code


def test_an_answer_that_does_not_say_whose_it_is(made: "Made") -> None:
    """What it lacks is said; what cost nothing need not be confirmed."""
    unnamed = settled(made, model_reported=None, model_known=False)
    assert "it names no model; we asked for kimi-k3." in unnamed.sentence
    assert "it bears no id of the provider's." in settled(made, provider_ids={}).sentence
    asked = made.intent(client_request_id="ours")
    ours = judged(made.call(asked, made.settlement(provider_ids={"request_id": "ours"})))
    assert "U17" == ours.code
    free = made.cost(status=CostStatus.FREE)
    assert "N4" == settled(made, model_reported=None, model_known=False, cost=free).code


def test_what_readings_leave_is_said_with_its_tolerance(made: "Made") -> None:
    """A counter that moves in steps tells no amount to the digit."""
    by_books = made.resolution(source=ResolutionSource.READINGS, tolerance="0.00003")
    said = judged(made.call(made.intent(), made.doubt(), by_books))
    assert ("U16", True) == (said.code, said.sentence.endswith("it cost about 0.5 USD, give or take 0.00003 USD."))


@pytest.mark.parametrize(
    ("amount", "code", "sentence"),
    [
        (
            "0.5",
            "U16",
            "No usage was received. The provider's counter leaves one possibility: it cost about 0.5 USD.",
        ),
        (
            "0",
            "N14",
            "This call cost nothing. No usage was received, and the provider's counter shows no charge for it.",
        ),
    ],
)
def test_what_readings_leave_is_said(made: "Made", amount: str, code: str, sentence: str) -> None:
    """An amount that alone fits is not confirmed by a meter; no charge is no credit used."""
    said = made.resolution(amount=amount, source=ResolutionSource.READINGS)
    found = judged(made.call(made.intent(), made.doubt(), said))
    assert (word_of(code), code, sentence) == (found.word, found.code, found.sentence)


@pytest.mark.parametrize(
    ("amount", "cost"), [("0.5", "it cost 0.5 USD was stated by hand"), ("0", "it cost nothing was stated")]
)
def test_a_statement_by_hand_is_no_proof(made: "Made", amount: str, cost: str) -> None:
    """Whatever was stated for an attempt in doubt, nothing here confirms it."""
    found = judged(made.call(made.intent(), made.doubt(), made.resolution(amount=amount)))
    assert (VerdictWord.UNVERIFIED, "U10") == (found.word, found.code)
    assert cost in found.sentence


def test_what_is_written_off_stays_unverified(made: "Made") -> None:
    """Nobody found out whether it was billed, and the sentence says so."""
    found = judged(made.call(made.intent(), made.doubt(), made.written_off()))
    assert (VerdictWord.UNVERIFIED, "U11") == (found.word, found.code)
    assert "not found out" in found.sentence


def test_every_end_has_its_code(made: "Made") -> None:
    """Each with a sentence; while nothing ended it is open."""
    ends: dict[str, tuple[OfCall, ...]] = {
        "U9": (),
        "U6": (made.doubt(),),
        "U5": (made.doubt(cause=DoubtCause.TOTAL_TIMEOUT),),
        "N3": (made.refusal(),),
        "N6": (made.unsent(),),
        "M3": (made.settlement(model_reported="other", model_known=False),),
        "M1": (made.settlement(text_bytes=1, usage=made.usage(output_tokens=900)),),
        "M8": (made.settlement(signature=Signature(nonce="n", timestamp="1", signature="s", model="m")),),
        "U7": (made.settlement(cost=made.cost(status=CostStatus.UNKNOWN_PRICE)),),
        "U1": (made.settlement(),),
    }
    found = {code: own(made.call(made.intent(), *end).attempts[0]) for code, end in ends.items()}
    assert list(ends) == [code for code, _ in found.values()]
    assert all(sentence.endswith(".") for _, sentence in found.values())


def test_an_answer_that_metered_nothing_says_so(made: "Made") -> None:
    """It is no free answer: the sentence says whose word it is."""
    usage = made.usage(uncached_input_tokens=0, cached_input_tokens=0, output_tokens=0, reasoning_tokens=0)
    one = made.call(made.intent(), made.settlement(usage=usage)).attempts[0]
    assert "metered no tokens at all" in metered(one)
    assert "it is not confirmed that nothing was charged." in own(one)[1]
