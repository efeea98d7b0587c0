"""What is asked and found of a proof is plain values; what is not said is for the rule to choose."""

import msgspec
import pytest

from service.core.proving import Balance, Proof, ProofAsked, ours
from service.core.words import VerdictWord


def test_a_proof_asked_for_without_words_leaves_all_to_us() -> None:
    """Wallet, model, the most it may cost, how long it may wait: nothing is demanded."""
    asked = ProofAsked()
    assert (None,) * 4 == (asked.wallet, asked.model, asked.max_cost, asked.wait_s)


def test_a_proof_without_a_counter_has_a_sentence_and_no_numbers() -> None:
    """Where no reading can be had, no call is made, and what it spent is nothing that is known."""
    proof = Proof(
        wallet="kimi-main",
        provider="kimi",
        simulated=False,
        model="kimi-k3",
        unit=None,
        calls=0,
        spent=None,
        opening=None,
        closing=None,
        verdict=None,
        word=VerdictWord.UNVERIFIED,
        code="U4",
        sentence="No reading can be had.",
    )
    assert (0, None, None) == (proof.calls, proof.spent, proof.verdict)


def test_a_balance_that_was_never_read_has_no_readings() -> None:
    """A wallet is known before its counters are."""
    balance = Balance(
        wallet="glm-main",
        provider="glm",
        host="api.z.ai",
        plan="coding",
        currency=None,
        simulated=False,
        readings=(),
        as_of="2026-11-22T16:22:00.000000Z",
    )
    assert () == balance.readings


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"spent": "0.00113", "unit": "USD"}, "0.00113 USD"),
        ({"spent": "0"}, "0"),
        ({}, "an unknown amount"),
        ({"at_most": "0.02", "unit": "USD"}, "an unknown amount: at most 0.02 USD may have been billed"),
    ],
)
def test_what_is_not_known_is_never_said_as_zero(changed: dict[str, str], said: str) -> None:
    """An unknown amount is said with its bound, where it has one."""
    proof = Proof(
        wallet="kimi-main",
        provider="kimi",
        simulated=False,
        model="kimi-k3",
        unit=None,
        calls=1,
        spent=None,
        opening=None,
        closing=None,
        verdict=None,
        word=VerdictWord.UNVERIFIED,
        code="U1",
        sentence="Said.",
    )
    assert said == ours(msgspec.structs.replace(proof, **changed))
