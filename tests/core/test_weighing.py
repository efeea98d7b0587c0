"""Weighing: sums of both sides, and what their bounds say."""

import msgspec
import pytest

from service.core.books import TokenClass
from service.core.money import pico
from service.core.movement import Counted, Movement
from service.core.placing import Aside, Piece, Placed, put_aside
from service.core.weighing import (
    AT_EDGES,
    NOT_FINAL,
    Weighed,
    beside,
    bounds_of,
    compare,
    compare_fewer,
    hidden_max,
    in_tokens,
    weigh,
)
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
    """Those of attempts before the window; anything may where one of them has no bound."""
    for late, hides in (((piece("b", "0.8"),), True), ((piece("b", "0.7"),), False), ((doubt("c", None),), True)):
        placed = Placed(inside=(piece("a", "0.92"),), edge=(), late=late)
        assert hides == weigh(movement("0.72", payable=True), placed).may_hide


@pytest.mark.parametrize(
    ("moved", "late", "explained"),
    [
        ("1.103", (piece("b", "0.1"),), True),
        ("1.1031", (piece("b", "0.1"),), False),
        ("1.2035", (piece("b", "0.1"), piece("c", "0.1"), piece("free", "0")), True),
        ("9", (doubt("c", None),), True),
    ],
)
def test_bills_that_came_late_may_explain_what_is_over(
    moved: str, late: tuple[Piece, ...], *, explained: bool
) -> None:
    """With half a step of each that the counter may have rounded; one without a bound may explain anything."""
    found = weigh(movement(moved), Placed(inside=(piece("a", "1"),), edge=(), late=late))
    assert (True, explained) == (found.over, found.late_explains)


def test_a_payment_may_hide_wherever_there_is_no_bound() -> None:
    """Then anything fits."""
    assert weighed(movement("0.5", payable=True), doubt("a", None)).may_hide


def test_an_inexact_movement_can_be_over_but_never_short_without_an_upper_bound() -> None:
    """What was surely drawn counts."""
    found = weighed(movement("1", None), piece("a", "0.5"))
    assert (True, False, False, None) == (found.over, found.short, found.exact, found.sums.moved)
    assert not weighed(movement("0", None), piece("a", "0.5")).short


def test_what_a_counters_steps_may_hide() -> None:
    """Two of them, and half a one for each attempt, rounded up."""
    assert [20, 25, 30] == [hidden_max(10, attempts) for attempts in (0, 1, 2)]
    assert 3 == hidden_max(1, 1)


def test_tokens_of_both_sides_stand_beside_each_other() -> None:
    """By class; reasoning is a part of output, and free attempts are left out."""
    placed = Placed(
        inside=(piece("a", classes=OUT), piece("b", "0", classes=OUT), piece("c", classes=OUT)), edge=()
    )
    assert (TokenClass(name="output", ours=100, theirs=None),) == beside(placed, None)
    theirs = Counted(counter="u", classes={"cached_input": 4, "output": 99})
    expected = (TokenClass(name="cached_input", ours=0, theirs=4), TokenClass(name="output", ours=100, theirs=99))
    assert expected == beside(placed, theirs)


@pytest.mark.parametrize(
    ("output", "same", "contradicted"), [(50, True, False), (49, False, True), (70, False, False)]
)
def test_fewer_tokens_contradict(output: int, *, same: bool, contradicted: bool) -> None:
    """More tokens may be somebody else's."""
    placed = Placed(inside=(piece("a", classes=OUT | {"cache_write": 3}),), edge=())
    theirs = Counted(counter="u", classes={"output": output})
    found = compare(weigh(movement("1"), placed), placed, theirs)
    assert (same, contradicted) == (found.same_tokens, found.contradicted)
    assert 2 == len(found.classes)


@pytest.mark.parametrize(("output", "fewer"), [(50, False), (49, True), (70, False)])
def test_where_others_may_be_counted_only_fewer_tokens_tell(output: int, *, fewer: bool) -> None:
    """It is kept in the sums as a contradiction is; a class that the provider does not count tells nothing."""
    placed = Placed(inside=(piece("a", classes=OUT | {"cache_write": 3}),), edge=(piece("b"),))
    theirs = Counted(counter="u", classes={"output": output})
    found = compare_fewer(weigh(movement("1"), placed), placed, theirs)
    assert (fewer, fewer) == (found.fewer, found.sums.contradicted)
    assert (False, None) == (found.contradicted, found.same_tokens)
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


@pytest.mark.parametrize("disputed", ["0", "0.1", None])
@pytest.mark.parametrize("unbounded", [False, True])
def test_the_bounds_of_a_verdict_are_those_it_was_judged_by(disputed: str | None, *, unbounded: bool) -> None:
    """What moved just within what its sums allow is neither over nor short; one pico-unit beyond is."""
    sides = weighed(movement("0.25"), piece("a", "0.25"), edge=(piece("b", "0.2"),))
    sides = msgspec.structs.replace(
        sides, disputed=None if disputed is None else pico(disputed), in_doubt=pico("0.4"), unbounded=unbounded
    )
    least, most = bounds_of(sides.sums)
    assert (most is None) == (unbounded or disputed is None)
    beyond = least - 1, (most or pico("1000")) + 1
    for moved in (*beyond, least, most or least):
        found = msgspec.structs.replace(
            sides, movement=msgspec.structs.replace(sides.movement, least=moved, most=moved)
        )
        assert (moved == beyond[0], moved == beyond[1] and most is not None) == (found.short, found.over)
