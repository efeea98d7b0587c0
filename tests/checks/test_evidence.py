"""Evidence and limits: each check can fail, and says what to do."""

from typing import Any

import msgspec
import pytest

from service.checks.evidence import budgets, evidence
from service.core.budget import BudgetState, window
from service.core.entries import BudgetTerms
from service.core.times import utc_ns
from service.core.words import BudgetPeriod
from service.ledger.assurance import Assurance
from service.ledger.auditing import Audited
from service.ledger.findings import Problem
from service.web.health import State

AT = "2026-11-22T16:21:00.000000Z"
NOW_NS = utc_ns("2026-11-22T16:21:07Z")
WELL = Assurance(
    origin="exai/test",
    public_key="exai/test+01234567+AbCd",
    entries=10,
    signed=8,
    signed_at=AT,
    note="",
    failing=False,
    failures=0,
    witnessed=False,
    audited=Audited(verified=9, rounds=1, at=AT),
)


def changed(**fields: Any) -> Assurance:  # noqa: ANN401 - any field
    """Say something else than that all is well."""
    return msgspec.structs.replace(WELL, **fields)


def test_what_is_signed_and_verified_is_said() -> None:
    """Size and age of the newest checkpoint, what is not signed yet, and how far the audit came."""
    found = evidence(WELL, now_ns=NOW_NS)
    assert State.OK is found.state
    assert "8 of 10 entries are signed, 7 s ago; 2 are not signed yet. The first 9 are verified." == found.sentence
    assert {
        "public_key": "exai/test+01234567+AbCd",
        "entries": 10,
        "checkpoint_size": 8,
        "checkpoint_age_s": 7,
        "unsigned_entries": 2,
        "checkpoint_failures": 0,
        "witness_file": False,
        "verified_entries": 9,
        "problems": 0,
        "first_problem": None,
    } == found.detail


def test_what_is_not_known_yet_is_not_said() -> None:
    """Before the first round nothing is verified, and a checkpoint whose time is not known has no age."""
    found = evidence(changed(signed_at=None, signed=10, witnessed=True, audited=Audited(walked=4)), now_ns=NOW_NS)
    assert (
        "10 of 10 entries are signed, and written to a witness file."
        " How far they are verified is not known yet: the first round is at entry 4."
    ) == found.sentence
    assert (State.OK, None, None) == (
        found.state,
        found.detail["checkpoint_age_s"],
        found.detail["verified_entries"],
    )


@pytest.mark.parametrize(
    ("fields", "begin", "remedy"),
    [
        (
            {"audited": Audited(verified=9, problems=2, first=Problem(3, "its leaf hash differs"))},
            "The audit found that the record was changed: entry 3: its leaf hash differs (2 findings in all). Run",
            "exai ledger verify",
        ),
        (
            {"failing": True, "failures": 3},
            "Checkpoints cannot be kept: 3 failures since the start. Check",
            "EXAI_CHECKPOINTS_DIR",
        ),
        (
            {"audited": Audited(failure="the ledger cannot be read")},
            "The audit cannot look: the ledger cannot be read.",
            "It tries again every minute",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_remedy(fields: dict[str, Any], begin: str, remedy: str) -> None:
    """A changed record, checkpoints that are lost and an audit that cannot look are degraded."""
    found = evidence(changed(**fields), now_ns=NOW_NS)
    assert State.DEGRADED is found.state
    assert found.sentence.startswith(begin)
    assert remedy in found.sentence


def limit(spent: int, reserved: int = 0, *, name: str = "daily", simulated: bool = False) -> BudgetState:
    """Use some of 100 tokens a day."""
    terms = BudgetTerms(name=name, period=BudgetPeriod.DAY, limits={"tokens": "100"})
    return BudgetState(
        terms=terms,
        window=window(terms, AT),
        group=(),
        simulated=simulated,
        unit="tokens",
        limit=100,
        spent=spent,
        reserved=reserved,
    )


def test_without_budgets_the_check_is_off() -> None:
    """Nobody asked for a limit; the sentence says how to."""
    found = budgets(())
    assert (State.OFF, True) == (found.state, "exai budget set" in found.sentence)


def test_a_limit_that_stops_calls_is_well_and_said() -> None:
    """A stop is what the operator wished; which limits stop, and which soon will, is said."""
    states = [limit(94), limit(90, 5, name="near"), limit(0, 100, name="full", simulated=True)]
    found = budgets(states)
    assert (State.OK, {"limits": 3, "used_up": 1, "nearly_used_up": 1}) == (found.state, found.detail)
    assert (
        "Limits in use: 3. Used up, so that calls are stopped as was wished: full (100 tokens, SIMULATED)."
        " Used to 95 % or more: near (100 tokens)."
    ) in found.sentence
    assert "Limits in use: 1." == budgets([limit(94)]).sentence


def test_many_limits_are_not_all_named() -> None:
    """The sentence stays short."""
    assert "n4 (100 tokens) and 3 more." in budgets([limit(100, name=f"n{one}") for one in range(8)]).sentence
