"""Assignment: one possibility, or none that is told."""

import pytest

from service.core.assignment import assign
from service.core.money import pico
from service.core.placing import Piece
from tests.core.two_ends import doubt

TOLERANCE = pico("0.001")
A, B, C = doubt("a", "0.5", "0.1"), doubt("b", "3", "1"), doubt("c", "30", "10")
FITTING: list[tuple[str, list[Piece], str, dict[str, str] | None]] = [
    ("nothing is left", [A, B], "0.001", {"a": "0", "b": "0"}),
    ("a little less is left", [A, B], "-0.001", {"a": "0", "b": "0"}),
    ("too much less is left", [A, B], "-0.0011", None),
    ("one fits", [A, B, C], "0.3", {"a": "0.3", "b": "0", "c": "0"}),
    ("one fits at its floor", [A, B], "0.099", {"a": "0.099", "b": "0"}),
    ("between nothing and its floor", [A, B], "0.05", None),
    ("one fits at its bound", [A], "0.501", {"a": "0.501"}),
    ("above its bound", [A], "0.502", None),
    ("one or two fit", [A, B], "1.2", None),
    ("two fit together", [A, B], "3.3", {}),
    ("two of three fit together", [A, B, C], "3.3", {"c": "0"}),
    ("more than all", [A, B], "4", None),
    ("without a bound", [doubt("a", None, "0.1")], "70", {"a": "70"}),
    ("too cheap to be told", [A, doubt("x", "1", "0.001")], "0", None),
    ("too cheap to be told, and less is left", [A, doubt("x", "1", "0.001")], "-0.0005", None),
    ("just dear enough, and less is left", [doubt("x", "1", "0.0011")], "-0.0005", {"x": "0"}),
    ("no doubt", [], "0", None),
    ("many", [A] * 10, "0", {"a": "0"}),
    ("too many", [A] * 11, "0", None),
]


@pytest.mark.parametrize(("said", "doubts", "rest", "amounts"), FITTING, ids=[each[0] for each in FITTING])
def test_only_one_assignment_that_fits_tells(
    said: str, doubts: list[Piece], rest: str, amounts: dict[str, str] | None
) -> None:
    """Several that fit, or none, tell nothing; of several billed ones nobody knows the shares."""
    assert said
    found = assign(doubts, pico(rest), TOLERANCE)
    expected = None if amounts is None else {name: pico(amount) for name, amount in amounts.items()}
    assert expected == (None if found is None else found.amounts)


def test_the_billed_are_named_though_their_amounts_are_not_known() -> None:
    """A set that fits is more than nothing."""
    found = assign([A, B, C], pico("3.3"), TOLERANCE)
    assert found is not None
    assert frozenset({"a", "b"}) == found.billed


def test_a_cheap_attempt_is_told_only_where_the_rest_is_plain() -> None:
    """Between its floor and nothing both fit; below nothing only nothing does."""
    cheap = [doubt("a", "0.5", "0.0011")]
    assert assign(cheap, pico("0.0009"), TOLERANCE) is None
    found = assign(cheap, pico("-0.0001"), TOLERANCE)
    assert found is not None
    assert {"a": 0} == found.amounts
