"""Weighing: sums of both sides, and what their bounds say."""

import pytest

from service.core.books import TokenClass
from service.core.money import pico
from service.core.movement import Counted, Movement
from service.core.placing import Aside, Piece, Placed, put_aside
from service.core.weighing import AT_EDGES, NOT_FINAL, Weighed, beside, compare, in_tokens, weigh
from tests.core.two_ends import doubt, piece

OUT = {"output_tokens": 50, "reasoning_tokens": 20}


def movement(least: str, most: str | None = "", *, payable: bool = False, resolution: str = "0.001") -> Movement:
    """Make a movement; exact unless another upper bound is given."""
    return Movement(
        counter="balance",
        figure="available",
        unit="USD",
        least=pico(least),
        most=pico(least) if most == "" else None if most is None else pico(most),
        resolution=pico(resolution),
        opening="5",
        closing="4",
        payable=payable,
    )


def weighed(moved: Movement, *inside: Piece, edge: tuple[Piece, ...] = ()) -> Weighed:
    """Weigh attempts beside a movement."""
    return weigh(moved, Placed(inside=inside, edge=edge))


def test_both_sides_are_added_up() -> None:
    """Each kind of attempt goes into its own sum; what was stated by hand bounds from above only."""
    stated = doubt("s", "0.3", least=pico("0.3"))
    found = weighed(
        movement("1"),
        piece("a", "0.1"),
        piece("b", "0.2"),
        piece("free", "0"),
        doubt("c", "0.4"),
        stated,
        edge=(piece("d", "0.5"), doubt("e", "0.6"), piece("f", "0", ended=None, most=pico("0.7"), settled=False)),
    )
    sums = found.sums
    assert ("0.3", "0.5", "2") == (sums.surely, sums.straddling, sums.in_doubt)
    assert (2, "0.0055", "1", None) == (sums.attempts, sums.tolerance, sums.moved, sums.added)
    assert not found.unbounded


def test_a_metered_attempt_may_cost_between_two_amounts() -> None:
    """As a plan's call does that began at one rate and ended at another."""
    first, second = (piece(name, least=pico("0.1"), most=pico("0.3")) for name in "ab")
    sums = weighed(movement("1"), first, edge=(second,)).sums
    assert ("0.1", "0.5", "0", 1) == (sums.surely, sums.straddling, sums.in_doubt, sums.attempts)


def test_what_is_put_aside_weighs_what_it_may() -> None:
    """Metered calls are never in doubt: those not final yet stand with the edges, disputed ones apart."""
    late, other = put_aside(piece("l", "0.4"), Aside.NOT_FINAL), put_aside(piece("o", "0.7"), Aside.DISPUTED)
    found = weighed(movement("1"), piece("a", "0.9"), late, other, edge=(piece("e", "0.2"),))
    sums = found.sums
    assert ("0.9", "0.6", "0", "0.7", 1) == (
        sums.surely,
        sums.straddling,
        sums.in_doubt,
        sums.disputed,
        sums.attempts,
    )
    assert (AT_EDGES, NOT_FINAL) == found.straddles
    assert not found.unbounded


def test_nothing_is_sharp_around_a_dispute() -> None:
    """However small; and without a bound nothing is over."""
    small = put_aside(piece("o", "0.0001"), Aside.DISPUTED)
    assert not weighed(movement("1"), piece("a", "1"), small).sharp
    assert weighed(movement("3"), piece("a", "1"), small).over
    wild = put_aside(small, Aside.DISPUTED, bounded=False)
    found = weighed(movement("3", payable=True), piece("a", "1"), wild)
    assert (False, None, True) == (found.over, found.sums.disputed, found.may_hide)


def test_an_attempt_that_was_not_billed_weighs_nothing() -> None:
    """Its sum and its share of the tolerance go."""
    placed = Placed(inside=(piece("a"), doubt("b"), doubt("c")), edge=())
    found = weigh(movement("1"), placed, frozenset({"b"}))
    assert (pico("1"), pico("0.003")) == (found.in_doubt, found.tolerance)


def test_half_a_step_is_rounded_up_to_whole_pico_units() -> None:
    """A tolerance is never too small."""
    found = weighed(movement("1", resolution="0.000000000001"), piece("a"))
    assert 3 == found.tolerance


def test_without_a_bound_nothing_is_over_or_sharp() -> None:
    """Too little can still be seen."""
    found = weighed(movement("0.1"), piece("a", "0.2"), doubt("b", None), piece("c", "0", most=None))
    assert (True, False, False, True) == (found.unbounded, found.over, found.sharp, found.short)
    assert weighed(movement("9"), edge=(doubt("b", None),)).unbounded


@pytest.mark.parametrize(
    ("moved", "over", "short"),
    [("0.1965", False, True), ("0.1975", False, False), ("0.2025", False, False), ("0.2035", True, False)],
)
def test_bounds_are_widened_by_the_tolerance(moved: str, *, over: bool, short: bool) -> None:
    """Two steps and half a step an attempt, no more."""
    found = weighed(movement(moved), piece("a", "0.2"))
    assert (over, short) == (found.over, found.short)


def test_what_is_uncertain_may_be_a_twentieth() -> None:
    """Or less; one movement of nothing is never sharp."""
    assert weighed(movement("0.05"), piece("a", "0.05")).sharp
    assert not weighed(movement("0.049"), piece("a", "0.05")).sharp
    assert weighed(movement("0.049"), piece("a", "0.05")).coarse
    blurred = weighed(movement("0.05"), piece("a", "0.05"), edge=(piece("b", "0.001"),))
    assert (False, True) == (blurred.sharp, blurred.coarse)
    assert not weighed(movement("1"), piece("a", "1"), doubt("b", "0.1")).sharp
    assert not weighed(movement("0", resolution="0")).sharp


@pytest.mark.parametrize(
    ("moved", "cost", "hidden"),
    [
        ("0.5", "5.5", True),
        ("0.5", "5.504", False),
        ("0.5", "5.5025", True),
        ("0.5", "1.4", False),
        ("0.6", "0.6", False),
    ],
)
def test_a_payment_in_whole_cents_may_hide_in_a_balance(moved: str, cost: str, *, hidden: bool) -> None:
    """Of one unit at least; nobody pays in fractions of a cent."""
    assert hidden == weighed(movement(moved, payable=True), piece("a", cost)).may_hide
    assert not weighed(movement(moved), piece("a", cost)).may_hide


def test_a_payment_may_hide_behind_bills_that_came_late() -> None:
    """Those of attempts before the window."""
    placed = Placed(inside=(piece("a", "0.92"),), edge=(), late=(piece("b", "0.8"), doubt("c", None)))
    assert weigh(movement("0.72", payable=True), placed).may_hide


def test_a_payment_may_hide_wherever_there_is_no_bound() -> None:
    """Then anything fits."""
    assert weighed(movement("0.5", payable=True), doubt("a", None)).may_hide


def test_an_inexact_movement_can_be_over_but_never_short_without_an_upper_bound() -> None:
    """What was surely drawn counts."""
    found = weighed(movement("1", None), piece("a", "0.5"))
    assert (True, False, False, None) == (found.over, found.short, found.exact, found.sums.moved)
    assert not weighed(movement("0", None), piece("a", "0.5")).short


def test_tokens_of_both_sides_stand_beside_each_other() -> None:
    """By class; reasoning is a part of output, and free attempts are left out."""
    placed = Placed(
        inside=(piece("a", classes=OUT), piece("b", "0", classes=OUT), piece("c", classes=OUT)), edge=()
    )
    assert (TokenClass(name="output", ours=100, theirs=None),) == beside(placed, None)
    theirs = Counted(counter="u", classes={"cached_input": 4, "output": 99}, requests=None)
    expected = (TokenClass(name="cached_input", ours=0, theirs=4), TokenClass(name="output", ours=100, theirs=99))
    assert expected == beside(placed, theirs)


@pytest.mark.parametrize(
    ("output", "requests", "same", "contradicted"),
    [
        (50, 1, True, False),
        (49, None, False, True),
        (70, 2, False, False),
        (70, 1, False, True),
        (70, None, False, False),
    ],
)
def test_fewer_tokens_or_others_in_as_many_requests_contradict(
    output: int, requests: int | None, *, same: bool, contradicted: bool
) -> None:
    """More tokens in more requests may be somebody else's."""
    placed = Placed(inside=(piece("a", classes=OUT | {"cache_write": 3}),), edge=())
    theirs = Counted(counter="u", classes={"output": output}, requests=requests)
    found = compare(weigh(movement("1"), placed), placed, theirs)
    assert (same, contradicted) == (found.same_tokens, found.contradicted)
    assert 2 == len(found.classes)


def test_an_attempt_is_restated_in_tokens() -> None:
    """One that was not metered has no bound then; a free one stays free."""
    metered = in_tokens(piece("a", classes=OUT | {"cached_input": 5}))
    assert (pico("55"), pico("55")) == (metered.least, metered.most)
    lost = in_tokens(doubt("b"))
    assert (0, None, 0) == (lost.least, lost.most, lost.floor)
    assert piece("c", "0") == in_tokens(piece("c", "0"))


def test_nothing_is_proven_by_what_an_earlier_window_was_short_of() -> None:
    """Its bill may have come here, in the place of one that never came."""
    late, owing = (piece("late", "0.1", began=-50, ended=-40, owing=owes) for owes in (False, True))
    inside = (piece("a", "1"),)
    assert weigh(movement("1"), Placed(inside=inside, edge=(), late=(late,))).sharp
    found = weigh(movement("1"), Placed(inside=inside, edge=(), late=(owing,)))
    assert (pico("0.1"), False) == (found.owed, found.sharp)
