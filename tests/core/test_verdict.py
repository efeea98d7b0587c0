"""A verdict from the record alone never says more than the record knows."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service.core import verdict as verdicts
from service.core.entries import OfCall
from service.core.record import ToolCall
from service.core.verdict import CODES, ZERO, Verdict, verdict, word_of
from service.core.words import CostStatus, DoubtCause, RefusalReason, UnsentReason, VerdictWord, ZeroReason

if TYPE_CHECKING:
    from tests.conftest import Made

AS_OF = "2026-11-22T16:22:00.000000Z"
TIMED_OUT = {DoubtCause.FIRST_BYTE_TIMEOUT, DoubtCause.IDLE_TIMEOUT, DoubtCause.TOTAL_TIMEOUT}


def judged(call: ToolCall) -> Verdict:
    """Judge a call, and hold the verdict to what must hold of all."""
    found = verdict(call, as_of=AS_OF)
    assert found.as_of == AS_OF
    assert found.sentence.endswith(".")
    assert found.word is not VerdictWord.PROVEN
    return found


def attempt(made: "Made", end: str, number: int, **changed: Any) -> tuple[OfCall, ...]:  # noqa: ANN401 - any field
    """Make one attempt with an end of a kind, or open."""
    if end == "open":
        return (made.intent(number),)
    return (made.intent(number), getattr(made, end)(number, **changed))


def ended(made: "Made", end: str, **changed: Any) -> Verdict:  # noqa: ANN401 - any field
    """Judge a call of one attempt."""
    return judged(made.call(*attempt(made, end, 1, **changed)))


def test_a_metered_and_priced_call_is_unverified(made: "Made") -> None:
    """The provider's word alone does not confirm its charge."""
    found = ended(made, "settlement")
    assert (found.word, found.code) == (VerdictWord.UNVERIFIED, "U4")
    assert "The provider answered and metered this call." in found.sentence


def test_an_answer_that_metered_nothing_is_unverified_too(made: "Made") -> None:
    """An answer without a token is no free answer: the sentence says whose word it is."""
    usage = made.usage(uncached_input_tokens=0, cached_input_tokens=0, output_tokens=0, reasoning_tokens=0)
    found = ended(made, "settlement", usage=usage, cost=made.cost(amount="0"))
    assert (found.word, found.code) == (VerdictWord.UNVERIFIED, "U4")
    assert "says that it metered no tokens at all" in found.sentence


def test_an_answer_by_another_model_is_a_mismatch(made: "Made") -> None:
    """Two sources disagree: both names are said. An answer that names no model contradicts nothing."""
    found = ended(made, "settlement", model_reported="other", model_known=False)
    assert (found.word, found.code) == (VerdictWord.MISMATCH, "M3")
    assert found.sentence == "The answer names model other; we asked for kimi-k3."
    assert ended(made, "settlement", model_reported=None, model_known=False).code == "U4"


@pytest.mark.parametrize(
    ("status", "word", "code"),
    [
        (CostStatus.PRICED, VerdictWord.UNVERIFIED, "U4"),
        (CostStatus.PLAN, VerdictWord.UNVERIFIED, "U4"),
        (CostStatus.UNKNOWN_PRICE, VerdictWord.UNVERIFIED, "U7"),
        (CostStatus.FREE, VerdictWord.NO_CREDIT_USED, "N4"),
    ],
)
def test_a_settlement_is_judged_by_its_cost(
    made: "Made", status: CostStatus, word: VerdictWord, code: str
) -> None:
    """Free is no credit used; an unknown price is unverified, never nothing."""
    found = ended(made, "settlement", cost=made.cost(status=status))
    assert (word, code) == (found.word, found.code)


@pytest.mark.parametrize("reason", RefusalReason)
def test_a_refusal_used_no_credit(made: "Made", reason: RefusalReason) -> None:
    """The sentence says the status and the reason in words."""
    found = ended(made, "refusal", reason=reason)
    assert (found.word, found.code) == (VerdictWord.NO_CREDIT_USED, "N3")
    assert f"(HTTP 429, {reason.value.replace('_', ' ')})" in found.sentence


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        (UnsentReason.NAME_NOT_RESOLVED, "host name could not be resolved"),
        (UnsentReason.CONNECTION_REFUSED, "could not be reached;"),
        (UnsentReason.CONNECT_TIMEOUT, "could not be reached in time"),
        (UnsentReason.TLS_FAILED, "No trustworthy TLS"),
        (UnsentReason.CANCELLED, "The client cancelled"),
        (UnsentReason.STOPPING, "The service stopped"),
        (UnsentReason.SERVICE_FAILED, "The service failed"),
    ],
)
def test_what_was_not_sent_used_no_credit(made: "Made", reason: UnsentReason, why: str) -> None:
    """The request never left, and the sentence says why: a cancel is no failed connection."""
    found = ended(made, "unsent", reason=reason)
    assert (found.word, found.code) == (VerdictWord.NO_CREDIT_USED, "N6")
    assert why in found.sentence
    assert found.sentence.endswith("the request never left.")


@pytest.mark.parametrize("cause", DoubtCause)
def test_an_attempt_in_doubt_is_unverified(made: "Made", cause: DoubtCause) -> None:
    """Every cause has a sentence of its own, and none claims that nothing was billed."""
    found = ended(made, "doubt", cause=cause)
    assert (VerdictWord.UNVERIFIED, "U5" if cause in TIMED_OUT else "U6") == (found.word, found.code)
    assert found.sentence.endswith("held at its worst case, not counted as spend.")


def test_every_cause_of_doubt_is_told_apart(made: "Made") -> None:
    """No two causes share a sentence."""
    assert len(DoubtCause) == len({ended(made, "doubt", cause=cause).sentence for cause in DoubtCause})


@pytest.mark.parametrize("reason", ZeroReason)
def test_a_call_without_attempts_used_no_credit(made: "Made", reason: ZeroReason) -> None:
    """Each reason has its own code and sentence."""
    found = judged(made.call(made.answer(zero_reason=reason)))
    code, sentence = ZERO[reason]
    assert (VerdictWord.NO_CREDIT_USED, code) == (found.word, found.code)
    assert found.sentence == f"This call cost nothing. {sentence}"


def test_the_readme_explains_exactly_the_codes() -> None:
    """Every code stands in the README's table once, with the verdict that it belongs to; no other does."""
    readme = Path(str(verdicts.__file__)).with_name("README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z ]+)` \| `([UMNP][0-9]+)` \| [^|]*[a-z][^|]* \|$", readme, re.MULTILINE)
    assert set(CODES) == {code for _, code in rows}
    assert len(CODES) == len(rows)
    assert [] == [(word, code) for word, code in rows if word_of(code) != word]


def test_every_zero_reason_is_told_apart() -> None:
    """No two reasons share a code."""
    assert len(ZeroReason) == len({code for code, _ in ZERO.values()})


def test_an_open_call_is_unverified(made: "Made") -> None:
    """While a call or an attempt is under way nothing is claimed."""
    nothing_sent = judged(made.call())
    under_way = ended(made, "open")
    assert [(found.word, found.code) for found in (nothing_sent, under_way)] == [
        (VerdictWord.UNVERIFIED, "U9")
    ] * 2
    assert nothing_sent.sentence != under_way.sentence


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        (("refusal", "settlement"), "U4"),
        (("unsent", "refusal"), "N3"),
        (("doubt", "settlement"), "U6"),
        (("settlement", "doubt"), "U6"),
        (("settlement", "open"), "U9"),
        (("unsent", "unsent", "refusal", "settlement"), "U4"),
    ],
)
def test_of_several_attempts_the_gravest_speaks(made: "Made", ends: tuple[str, ...], code: str) -> None:
    """A retry that succeeded does not hide a doubt, and a refusal does not hide a charge."""
    entries = [entry for number, end in enumerate(ends, start=1) for entry in attempt(made, end, number)]
    assert code == judged(made.call(*entries)).code


def test_a_free_answer_after_a_refusal_speaks_of_the_answer(made: "Made") -> None:
    """Of what cost nothing, the attempt that was answered is the one to tell of."""
    free = attempt(made, "settlement", 2, cost=made.cost(status=CostStatus.FREE))
    assert judged(made.call(*attempt(made, "refusal", 1), *free)).code == "N4"


@pytest.mark.parametrize("end", ["settlement", "refusal", "doubt", "unsent", "open"])
def test_a_simulated_call_always_says_so(made: "Made", end: str) -> None:
    """The first word a reader sees is SIMULATED; a real call never carries it."""
    rest = attempt(made, end, 1)[1:]
    simulated = judged(made.call(made.intent(simulated=True), *rest))
    real = ended(made, end)
    assert simulated.sentence == f"SIMULATED: a simulator stands in for the provider. {real.sentence}"
    assert (real.word, real.code) == (simulated.word, simulated.code)


def test_a_real_call_that_a_simulator_answered_says_so(made: "Made") -> None:
    """It is not passed off as real without a word; and it stays real."""
    accepted = made.accepted(headers={"exai-simulator": "1"})
    plain, played = (
        verdict(made.call(made.intent(), head, made.settlement(), made.answer()), as_of="")
        for head in (made.accepted(), accepted)
    )
    begun = "SIMULATED, says the answer itself; but it was asked for with a real key and counts as real."
    assert f"{begun} {plain.sentence}" == played.sentence
    assert (plain.word, plain.code) == (played.word, played.code)


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


@pytest.mark.parametrize(
    ("code", "word"), [("U4", "UNVERIFIED"), ("M3", "MISMATCH"), ("N10", "NO CREDIT USED"), ("P1", "PROVEN")]
)
def test_a_code_names_its_verdict(code: str, word: str) -> None:
    """A code's letter is its verdict's, also of those that no rule gives yet."""
    assert word == word_of(code)
