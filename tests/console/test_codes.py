"""Codes: what readers are told of every reason, and what they can do about it."""

import pytest

from console.codes import CODES, DECIDED_WITHIN_S, TOO_OLD, next_step
from service.core import verdict


def test_every_reason_is_explained() -> None:
    """Those of the rule, and no others."""
    assert set(verdict.CODES) == set(CODES)


@pytest.mark.parametrize("simulated", [True, False])
def test_what_is_too_old_is_promised_nothing(simulated: bool) -> None:  # noqa: FBT001 - parametrized
    """After two days no reading decides a call any more; until then the next one may."""
    young, old = (next_step("U1", simulated=simulated, age_s=DECIDED_WITHIN_S + second) or "" for second in (0, 1))
    assert (False, True) == (TOO_OLD in young, TOO_OLD in old)
    assert ("ids below" in old) is not simulated
    assert next_step("U12", simulated=simulated) == next_step("U12", simulated=simulated, age_s=10**6)


def test_no_payment_is_asserted() -> None:
    """A payment that nobody saw is only possible."""
    assert "only possible" in CODES["U13"].means
