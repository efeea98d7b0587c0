"""Tallies and problems: counts by verdict, amounts apart, and what needs a look."""

from console.tallies import problems, tallies
from service.core.words import VerdictWord
from service.ledger.verdicts import VerdictCount, VerdictSum

UNTIL = "2026-11-22T16:45:00.000000Z"


def count(code: str, calls: int, *, simulated: bool = False) -> VerdictCount:
    """Count calls that asked a provider."""
    return VerdictCount(code=code, simulated=simulated, asked=True, calls=calls)


def money(code: str, currency: str | None, cost: int, *, simulated: bool = False, unpriced: int = 0) -> VerdictSum:
    """Sum what was spent, in whole units."""
    return VerdictSum(
        code=code,
        simulated=simulated,
        currency=currency,
        cost_pico=cost * 10**12,
        held_pico=0,
        in_doubt=0,
        unpriced=unpriced,
    )


def test_every_verdict_is_counted_once() -> None:
    """All four verdicts have a tally, in the closed list's order; none is left out for being zero."""
    found = tallies([count("U4", 3), count("U6", 1), count("N3", 2, simulated=True)], [])
    assert list(VerdictWord) == [one.word for one in found]
    assert [0, 4, 0, 2] == [one.calls for one in found]
    assert [0, 0, 0, 2] == [one.simulated_calls for one in found]


def test_amounts_are_never_mixed() -> None:
    """Each currency has its own figure, unknown is no amount, and simulated money is a list of its own."""
    found = tallies(
        [count("U4", 3)],
        [
            money("U4", "USD", 1),
            money("U7", "USD", 2),
            money("U4", "CNY", 5),
            money("U7", None, 0, unpriced=2),
            money("U4", "USD", 9, simulated=True),
        ],
    )
    assert ("5 CNY", "3 USD", "unknown for 2 attempts") == found[1].real
    assert ("9 USD",) == found[1].simulated


def test_problems_name_their_calls() -> None:
    """What disagrees, is in doubt, has no price or stays open is listed, the gravest first."""
    found = problems(
        [count("U4", 7), count("U5", 1), count("U6", 2, simulated=True), count("M3", 1), count("U7", 4)],
        stuck=1,
        open_until=UNTIL,
    )
    assert [
        ("1 call where two sources disagree", ("MISMATCH",), None),
        ("3 calls in doubt: sent, and no usage came back (2 SIMULATED)", ("U5", "U6"), None),
        ("4 calls without a known price", ("U7",), None),
        ("1 call open for longer than an attempt should take", (), UNTIL),
    ] == [(one.said, one.verdicts, one.open_until) for one in found]


def test_no_problem_is_no_list() -> None:
    """Calls that are merely unconfirmed are no problem."""
    assert () == problems([count("U4", 7), count("N3", 1), count("U9", 1)], stuck=0, open_until=UNTIL)
