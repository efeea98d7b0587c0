"""Placing: where attempts lie, and when the books on them are final."""

import msgspec
import pytest

from service.core.money import pico
from service.core.placing import Aside, Settling, decided, final_ns, place, put_aside
from service.core.times import utc_ns, utc_text
from tests.core.two_ends import CLOSED_INDEX, OPENED_INDEX, SETTLING, doubt, edges, piece

PLACES = [
    ("began and shown between the readings", piece("a"), "inside"),
    ("shown just when the closing reading is asked for", piece("a", ended=990), "inside"),
    ("perhaps not yet shown", piece("a", ended=990.001), "edge"),
    ("shown just when the opening reading is asked for", piece("a", began=-20, ended=-10), "outside"),
    ("perhaps shown after the opening reading", piece("a", began=-20, ended=-9.999), "edge"),
    ("begun before the opening reading by the log's order", piece("a", intent_index=OPENED_INDEX), "edge"),
    ("begun after the closing reading by the log's order", piece("a", intent_index=CLOSED_INDEX + 1), "outside"),
    ("begun after the closing answer by a clock alone", piece("a", began=1001, intent_index=500), "edge"),
    ("begun before the opening one by a clock alone", piece("a", began=-40, ended=-30, intent_index=500), "edge"),
    ("begun while the closing reading was asked for", piece("a", began=1000.5, intent_index=500), "inside"),
    ("still open", piece("a", ended=None), "edge"),
]


@pytest.mark.parametrize(("said", "one", "where"), PLACES, ids=[each[0] for each in PLACES])
def test_an_attempt_is_inside_outside_or_at_an_edge(said: str, one: object, where: str) -> None:
    """Inside is only what surely began and was surely shown between the readings."""
    assert said
    placed = place([one], edges(), SETTLING)  # type: ignore[list-item] # a table of mixed columns
    found = "inside" if placed.inside else "edge" if placed.edge else "outside"
    assert where == found


def test_only_an_ended_attempt_of_unknown_cost_is_in_doubt() -> None:
    """One that was metered, or whose amount was stated since, is not."""
    stated = doubt("d", "0.5", least=pico("0.5"))
    inside = (piece("a"), doubt("b"), doubt("c", most=None), stated, piece("e", most=None))
    placed = place(inside, edges(), SETTLING)
    assert ["b", "c"] == [each.attempt_id for each in placed.doubts]
    assert [True, False, False, False, False] == [each.certain for each in inside]


def test_what_cannot_have_cost_anything_is_not_billable() -> None:
    """What has no bound can have."""
    assert [False, True, True] == [each.billable for each in (piece("a", "0"), piece("b"), doubt("c", None))]


@pytest.mark.parametrize(
    ("ended", "final"),
    [
        ("2026-11-22T11:00:00Z", "2026-11-23T07:00:00.000000Z"),
        ("2026-11-22T15:59:59Z", "2026-11-23T07:00:00.000000Z"),
        ("2026-11-22T16:00:00Z", "2026-11-23T23:00:00.000000Z"),
        ("2026-11-22T23:59:59Z", "2026-11-23T23:00:00.000000Z"),
        ("2026-11-23T00:00:00Z", "2026-11-24T07:00:00.000000Z"),
    ],
)
def test_a_daily_bill_is_final_at_seven_in_the_later_zone(ended: str, final: str) -> None:
    """The zone is not stated: at 16:00 UTC the provider's own next day has begun."""
    assert final == utc_text(Settling(usual_s=600).final_ns(utc_ns(ended)))


def test_books_are_final_some_time_after_the_last_end() -> None:
    """Open attempts have no end to wait from."""
    last = utc_ns("2026-11-22T11:02:10Z")
    assert last == final_ns([piece("a"), piece("b", began=20, ended=30), piece("c", ended=None)], SETTLING)
    assert None is final_ns([piece("c", ended=None)], SETTLING)


def test_a_window_decides_up_to_the_last_end_inside() -> None:
    """Doubts inside reach as far, but are not decided."""
    inside = [piece("a", ended=30), doubt("b", ended=40), piece("c", began=-5, ended=35)]
    assert (OPENED_INDEX + 41, frozenset({"a"})) == decided(place(inside, edges(), SETTLING), edges())


def test_an_attempt_at_the_edge_that_ended_first_cuts_the_window_short() -> None:
    """Indexes alone find a verdict's attempts, so no attempt at the edge may stand among them."""
    late = piece("late", ended=995)
    pieces = [
        piece("a", ended=30),
        msgspec.structs.replace(late, end_index=OPENED_INDEX + 50),
        piece("c", ended=60),
    ]
    assert (OPENED_INDEX + 31, frozenset({"a"})) == decided(place(pieces, edges(), SETTLING), edges())


def test_a_window_with_nothing_but_edges_decides_nothing() -> None:
    """And one where nothing ended reaches to its closing reading."""
    assert (OPENED_INDEX, frozenset()) == decided(place([piece("a", ended=995)], edges(), SETTLING), edges())
    assert (CLOSED_INDEX, frozenset()) == decided(place([], edges(), SETTLING), edges())


def test_an_attempt_before_the_window_may_be_billed_late_until_its_books_are_final() -> None:
    """It is outside all the same: usually it was billed long ago."""
    pieces = [piece("old", began=-200, ended=-100), piece("late", began=-200, ended=-99)]
    placed = place(pieces, edges(), SETTLING)
    assert ((), (), ["late"]) == (placed.inside, placed.edge, [each.attempt_id for each in placed.late])


def test_what_was_proven_before_the_window_is_not_billed_late() -> None:
    """Its bill was seen; one that was proven by a later reading may have been billed inside."""
    before, after = (
        piece(str(index), began=-50, ended=-40, proven_at=index) for index in (OPENED_INDEX, OPENED_INDEX + 1)
    )
    assert (after,) == place([before, after], edges(), SETTLING).late


@pytest.mark.parametrize(("bounded", "most"), [(True, pico("1")), (False, None)])
def test_what_is_put_aside_is_neither_counted_on_nor_in_doubt(bounded: bool, most: int | None) -> None:  # noqa: FBT001 - parametrized
    """It was metered; how much of that was billed is what is not known."""
    aside = put_aside(piece("a", "1"), Aside.DISPUTED, bounded=bounded)
    assert (0, most, False, {}) == (aside.least, aside.most, aside.settled, aside.classes)
    assert (False, False, True) == (aside.certain, aside.in_doubt, aside.billable)
    placed = place([aside], edges(), SETTLING)
    assert (True, ()) == (placed.disputed, placed.doubts)
    assert frozenset() == decided(placed, edges())[1]
    late = put_aside(piece("a", "1", ended=995), Aside.NOT_FINAL)
    assert not place([late], edges(), SETTLING).disputed
    assert place([msgspec.structs.replace(late, aside=Aside.DISPUTED)], edges(), SETTLING).disputed


@pytest.mark.parametrize(
    ("date", "agree"),
    [
        (None, True),
        ("yesterday", True),
        ("Sun, 22 Nov 2026 10:55:01 GMT", True),
        ("Sun, 22 Nov 2026 10:54:59 GMT", False),
        ("Sun, 22 Nov 2026 11:05:00 GMT", True),
        ("Sun, 22 Nov 2026 11:05:01 GMT", False),
    ],
)
def test_clocks_agree_within_five_minutes(date: str | None, *, agree: bool) -> None:
    """An answer without a date, or with one that is none, says nothing against it."""
    between = edges()
    opening = msgspec.structs.replace(between.opening, date=date)
    assert agree is msgspec.structs.replace(between, opening=opening).clocks_agree
    closing = msgspec.structs.replace(opening, index=CLOSED_INDEX)
    assert agree is msgspec.structs.replace(between, closing=closing).clocks_agree
