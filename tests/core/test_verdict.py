"""A verdict never says more than the entries know: a call's own, and those that decide its attempts."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service.core import verdict as verdicts
from service.core.books import VerdictEntry
from service.core.entries import OfCall
from service.core.evidence import Signature
from service.core.judged import Judged
from service.core.record import ToolCall
from service.core.verdict import (
    CODES,
    GRAVITY,
    ZERO,
    Verdict,
    attempt_verdict,
    own_code,
    verdict,
    word_of,
)
from service.core.words import (
    CostStatus,
    DoubtCause,
    RefusalReason,
    ToolOutcome,
    UnsentReason,
    VerdictWord,
    ZeroReason,
)

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
    assert (found.word, found.code) == (VerdictWord.UNVERIFIED, "U1")
    assert (
        "The provider answered and metered this call."
        " No window between two readings decides it, so the charge itself is not confirmed."
    ) == found.sentence


def test_an_answer_that_metered_nothing_is_unverified_too(made: "Made") -> None:
    """An answer without a token is no free answer: the sentence says whose word it is."""
    usage = made.usage(uncached_input_tokens=0, cached_input_tokens=0, output_tokens=0, reasoning_tokens=0)
    found = ended(made, "settlement", usage=usage, cost=made.cost(amount="0"))
    assert (found.word, found.code) == (VerdictWord.UNVERIFIED, "U1")
    assert (
        "The provider answered and says that it metered no tokens at all."
        " No window between two readings decides it, so it is not confirmed that nothing was charged."
    ) == found.sentence


def test_an_answer_by_another_model_is_a_mismatch(made: "Made") -> None:
    """Two sources disagree: both names are said. No name contradicts nothing, and proves nothing."""
    found = ended(made, "settlement", model_reported="other", model_known=False)
    assert (found.word, found.code) == (VerdictWord.MISMATCH, "M3")
    assert found.sentence == "The answer names model other; we asked for kimi-k3."
    assert ended(made, "settlement", model_reported=None, model_known=False).code == "U17"


@pytest.mark.parametrize(
    ("status", "word", "code"),
    [
        (CostStatus.PRICED, VerdictWord.UNVERIFIED, "U1"),
        (CostStatus.PLAN, VerdictWord.UNVERIFIED, "U1"),
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
    """No two causes share a sentence, and none claims that nothing was billed."""
    others = {ended(made, "doubt", cause=other).sentence for other in DoubtCause if other is not cause}
    found = ended(made, "doubt", cause=cause)
    assert (VerdictWord.UNVERIFIED, "U5" if cause in TIMED_OUT else "U6") == (found.word, found.code)
    assert found.sentence.endswith("held at its worst case, not counted as spend.")
    assert found.sentence not in others


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
        (("refusal", "settlement"), "U1"),
        (("unsent", "refusal"), "N3"),
        (("doubt", "settlement"), "U6"),
        (("settlement", "doubt"), "U6"),
        (("settlement", "open"), "U9"),
        (("unsent", "unsent", "refusal", "settlement"), "U1"),
    ],
)
def test_of_several_attempts_the_gravest_speaks(made: "Made", ends: tuple[str, ...], code: str) -> None:
    """A retry that succeeded does not hide a doubt, and a refusal does not hide a charge."""
    entries = [entry for number, end in enumerate(ends, start=1) for entry in attempt(made, end, number)]
    assert code == judged(made.call(*entries)).code


@pytest.mark.parametrize(
    ("graver", "lighter"),
    [
        ("M8", "M4"),
        ("M3", "M1"),
        ("M2", "M1"),
        ("M7", "M1"),
        ("M1", "U6"),
        ("U6", "U5"),
        ("U5", "U7"),
        ("U9", "U10"),
        ("U1", "U3"),
        ("U3", "U2"),
        ("U2", "U15"),
        ("U13", "U8"),
        ("U8", "U12"),
        ("U12", "U16"),
        ("U16", "P1"),
        ("P3", "N4"),
    ],
)
def test_of_two_findings_the_graver_speaks(
    made: "Made", found: Callable[..., VerdictEntry], graver: str, lighter: str
) -> None:
    """Of what is not confirmed, that of which least is known: what was lost before what came late."""
    entries = [entry for number in (1, 2) for entry in attempt(made, "settlement", number)]
    for codes in ((graver, lighter), (lighter, graver)):
        judged = {made.attempt_id(n): Judged(own=found(code)) for n, code in enumerate(codes, start=1)}
        assert graver == verdict(made.call(*entries), as_of=AS_OF, judged=judged).code


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


OWN_HOST: dict[str, Any] = {"own_host": True, "endpoint": "https://api.moonshot.ai/v1/chat/completions"}


def signed(timestamp: str) -> Signature:
    """Sign at a time."""
    return Signature(nonce="n", timestamp=timestamp, signature="s", model="kimi-k3")


RELAY: dict[str, Any] = {"own_host": False, "endpoint": "https://relay.example/v1/chat/completions"}
LIES_IN = " This call lies in that window."


def decided(made: "Made", judged: Judged, *entries: OfCall) -> Verdict:
    """Judge a call whose first attempt was decided."""
    return verdict(made.call(*entries), as_of=AS_OF, judged={made.attempt_id(): judged})


@pytest.mark.parametrize("code", ["P1", "P2", "P3", "U2", "U3", "U8", "U12", "U13", "U15", "M2", "M7", "M9"])
def test_a_window_decides_what_the_record_leaves_open(
    made: "Made", found: Callable[..., VerdictEntry], code: str
) -> None:
    """The sentence is the window's, between what is known of the call and that it is only one of the window."""
    window = found(code)
    said = decided(made, Judged(window=window), made.intent(**OWN_HOST), made.settlement())
    assert (word_of(code), code) == (said.word, said.code)
    assert f"The provider answered and metered this call. {window.sentence}{LIES_IN}" == said.sentence


def test_a_verdict_for_want_of_readings_names_no_window(made: "Made", found: Callable[..., VerdictEntry]) -> None:
    """Where no reading could be had there is no window that the call could lie in."""
    window = found("U4", sentence="The balance could not be read (HTTP 401).", opened=None, closed=None)
    said = decided(made, Judged(window=window), made.intent(), made.settlement())
    assert (VerdictWord.UNVERIFIED, "U4") == (said.word, said.code)
    assert f"The provider answered and metered this call. {window.sentence}" == said.sentence


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        (lambda made: (made.intent(), made.settlement(model_reported="other", model_known=False)), "M3"),
        (lambda made: (made.intent(), made.settlement(text_bytes=1, usage=made.usage(output_tokens=900))), "M1"),
        (lambda made: (made.intent(), made.settlement(cost=made.cost(status=CostStatus.UNKNOWN_PRICE))), "U7"),
        (lambda made: (made.intent(), made.settlement(cost=made.cost(status=CostStatus.FREE))), "N4"),
        (lambda made: (made.intent(**RELAY), made.settlement()), "U14"),
        (lambda made: (made.intent(own_host=None), made.settlement()), "U14"),
        (lambda made: (made.intent(), made.settlement(model_reported=None, model_known=False)), "U17"),
        (lambda made: (made.intent(), made.settlement(provider_ids={})), "U17"),
        (lambda made: (made.intent(), made.settlement(signature=signed("1700000000000"))), "M8"),
        (lambda made: (made.intent(), made.settlement(signature=signed("yesterday"))), "M8"),
        (lambda made: (made.intent(), made.doubt()), "U6"),
        (lambda made: (made.intent(), made.refusal()), "N3"),
        (lambda made: (made.intent(),), "U9"),
    ],
)
@pytest.mark.parametrize("of_window", ["P1", "M2"])
def test_a_window_covers_nothing_that_the_record_shows(
    made: "Made",
    found: Callable[..., VerdictEntry],
    entries: "Callable[[Made], tuple[OfCall, ...]]",
    code: str,
    of_window: str,
) -> None:
    """A sum that fits proves no call by another model, through a relay, or without a known price."""
    (one,) = made.call(*entries(made)).attempts
    judged = Judged(window=found(of_window))
    assert [code] * 2 == [own_code(one), decided(made, judged, *entries(made)).code]


def test_counts_that_cannot_be_are_a_mismatch(made: "Made") -> None:
    """The sentence has both numbers."""
    said = ended(made, "settlement", text_bytes=1, usage=made.usage(output_tokens=900))
    assert (VerdictWord.MISMATCH, "M1") == (said.word, said.code)
    assert said.sentence.startswith("The provider counted 870 output tokens beside its reasoning; the 1 bytes of ")


@pytest.mark.parametrize("code", ["M4", "M8"])
@pytest.mark.parametrize("end", ["settlement", "doubt", "refusal", "unsent"])
def test_a_finding_on_the_very_attempt_speaks_first(
    made: "Made", found: Callable[..., VerdictEntry], end: str, code: str
) -> None:
    """Neither its record nor a window that fits covers it."""
    own = found(code, sentence="The id x stands on 2 attempts.", attempts=(made.attempt_id(),))
    said = decided(made, Judged(own=own, window=found("P1")), *attempt(made, end, 1))
    assert (VerdictWord.MISMATCH, code, own.sentence) == (said.word, said.code, said.sentence)


def test_simulated_is_said_once(made: "Made", found: Callable[..., VerdictEntry]) -> None:
    """A proof by a simulator's books says so first, and an entry that says so, too, is not said twice."""
    window = found("P1", sentence="SIMULATED: The balance fell by 0.25 USD.", simulated=True)
    entries = (made.intent(simulated=True), made.settlement())
    said = decided(made, Judged(window=window), *entries)
    assert VerdictWord.PROVEN is said.word
    assert (
        "SIMULATED: a simulator stands in for the provider. The provider answered and metered this call."
        f" The balance fell by 0.25 USD.{LIES_IN}"
    ) == said.sentence
    own = found("M8", sentence="SIMULATED: The signature is of another time.", simulated=True)
    assert 1 == decided(made, Judged(own=own), *entries).sentence.count("SIMULATED")


def test_an_attempt_is_judged_like_its_call(made: "Made", found: Callable[..., VerdictEntry]) -> None:
    """Of a call of one attempt both say the same; of several, each attempt has its own."""
    judged_by = Judged(window=found("P1"))
    call = made.call(*attempt(made, "settlement", 1), *attempt(made, "doubt", 2))
    first, second = (
        attempt_verdict(one, as_of=AS_OF, judged=judged)
        for one, judged in zip(call.attempts, (judged_by, Judged()), strict=True)
    )
    assert ("P1", "U6") == (first.code, second.code)
    assert second == verdict(call, as_of=AS_OF, judged={made.attempt_id(): judged_by})
    alone = made.call(*attempt(made, "settlement", 1))
    assert first == verdict(alone, as_of=AS_OF, judged={made.attempt_id(): judged_by})
    assert attempt_verdict(alone.attempts[0], as_of=AS_OF) == verdict(alone, as_of=AS_OF)


@pytest.mark.parametrize(
    ("reason", "code"),
    [(ZeroReason.CACHED, "N1"), (ZeroReason.IDEMPOTENT_REPLAY, "N12")]
    + [(reason, "M5") for reason in ZeroReason if reason not in (ZeroReason.CACHED, ZeroReason.IDEMPOTENT_REPLAY)],
)
def test_an_answer_without_a_request_is_a_mismatch(made: "Made", reason: ZeroReason, code: str) -> None:
    """Only a model can give it and none was asked; unless it had been paid for before."""
    opened = made.tool_call(needs_model=True)
    for outcome in ToolOutcome:
        call = ToolCall(opened=opened, answer=made.answer(zero_reason=reason, outcome=outcome))
        said = verdict(call, as_of=AS_OF)
        assert (code if outcome is ToolOutcome.OK else ZERO[reason][0]) == said.code
    phantom = ToolCall(opened=opened, answer=made.answer(zero_reason=ZeroReason.NO_WALLET))
    assert (
        "A result of the tool chat, which has none without a model, was returned,"
        " and no request left this machine."
    ) == verdict(phantom, as_of=AS_OF).sentence


def test_gravity_holds_every_code_of_an_attempt_once() -> None:
    """What contradicts, then what is not confirmed, then what is proven, then what cost nothing."""
    assert len(GRAVITY) == len(set(GRAVITY))
    words = list(dict.fromkeys(word_of(code) for code in GRAVITY))
    order = [VerdictWord.MISMATCH, VerdictWord.UNVERIFIED, VerdictWord.PROVEN, VerdictWord.NO_CREDIT_USED]
    assert order == words
    assert sorted(CODES - set(GRAVITY)) == sorted(["M5", *(code for code, _ in ZERO.values())])
