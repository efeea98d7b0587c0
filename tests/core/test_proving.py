"""What is asked and found of a proof is plain values; what is not said is for the rule to choose."""

import msgspec
import pytest

from service.core.proving import ProofAsked, ours
from tests.unproved import UNPROVED


def test_a_proof_asked_for_without_words_leaves_all_to_us() -> None:
    """Wallet, model, the most it may cost, how long it may wait: nothing is demanded."""
    asked = ProofAsked()
    assert (None,) * 4 == (asked.wallet, asked.model, asked.max_cost, asked.wait_s)


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
    assert said == ours(msgspec.structs.replace(UNPROVED, calls=1, **changed))
