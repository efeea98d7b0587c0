"""Spans: verdicts on one part of the log find each other, however far apart they were written."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.books import VerdictEntry
from service.core.words import CostStatus
from service.ledger import spans
from service.ledger.choosing import CallFilter
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore
from service.ledger.writer import Append, Writer
from tests.ledger import shelf
from tests.ledger.shelf import AT, WALLET

if TYPE_CHECKING:
    from service.core.entries import AnyEntry
    from tests.conftest import Made

CODES = ("P1", "U2", "U3", "M2")


class Desk:
    """A ledger that is written to, and its reader."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore(folder, new_origin="exai/test")
        self.writer = Writer(self.store)
        self.reading = Reading(folder)

    def write(self, *entries: "AnyEntry") -> int:
        """Write entries together; give the last one's index."""
        (outcome,) = self.writer.write([Append(entries, AT)])
        assert isinstance(outcome, tuple), outcome
        return outcome[-1].entry.index

    def window(self, *placed: int, code: str = "P1", **changed: object) -> VerdictEntry:
        """Judge a window from an index to another, and give the verdict."""
        after, until = placed
        found = self.reading.verdict(self.write(shelf.window(after, until, code, **changed)))
        assert found is not None
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An empty one."""
    found = Desk(tmp_path)
    yield found
    found.reading.close()
    found.store.close()


def test_verdicts_on_the_same_time_touch(desk: Desk, made: "Made") -> None:
    """On the same span or part of it, before or after, of one wallet and kind; not on attempts, not beside it."""
    for _ in range(20):
        desk.write(shelf.reading())
    early = desk.window(2, 8)
    one = desk.window(5, 10)
    for other in (
        shelf.window(10, 12),
        shelf.window(0, 5),
        shelf.window(5, 10, wallet="other"),
        shelf.window(5, 10, simulated=True),
        shelf.window(5, 10, "M4", attempts=(made.attempt_id(),)),
    ):
        desk.write(other)
    for _ in range(spans.TOUCHING_MAX - 3):
        desk.write(shelf.window(10, 12))
    late = [desk.window(9, 11).index, desk.window(0, 30).index]
    assert [*late[::-1], early.index] == [found.index for found in desk.reading.touching(one)]


def test_touching_verdicts_are_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are given, of those that stand near enough behind the span's begin."""
    written = [desk.window(-1, 0) for _ in range(spans.TOUCHING_MAX + 5)]
    newest = [one.index for one in written[: -spans.TOUCHING_MAX - 1 : -1]]
    assert newest == [one.index for one in desk.reading.touching(written[0])]
    monkeypatch.setattr(spans, "LATER_ROWS_MAX", 3)
    assert [2, 1] == [one.index for one in desk.reading.touching(written[0])]
    monkeypatch.setattr(spans, "LATER_ROWS_MAX", 1)
    assert {} == desk.reading.replaced(written[:1])


@given(
    st.lists(
        st.builds(
            lambda after, length, code, wallet, simulated: shelf.window(
                after, after + length, code, wallet=wallet, simulated=simulated
            ),
            st.integers(0, 5),
            st.integers(0, 5),
            st.sampled_from(CODES),
            st.sampled_from([WALLET, "other"]),
            st.sampled_from([False, False, True]),
        ),
        min_size=1,
        max_size=14,
    ),
    st.integers(0, 3),
)
def test_what_takes_a_place_covers_all_of_it(windows: list[VerdictEntry], left_out: int) -> None:
    """Looked at pair by pair: a later one of the wallet and kind, on the whole span, that may take its place."""
    placed = [msgspec.structs.replace(one, index=index) for index, one in enumerate(windows)]
    rows = [(one.index, one.wallet, int(one.simulated), one.after, one.until, one.code) for one in placed]

    def select(_query: str, values: tuple[int, ...]) -> list[tuple[object, ...]]:
        return [row for row in rows if row[0] >= values[0]]

    asked = placed[left_out:]
    found = spans.replaced(select, asked)
    covering = {one.index: [other.index for other in placed if _takes(other, one)] for one in asked}
    assert {index for index, others in covering.items() if others} == set(found)
    assert all(later in covering[index] for index, later in found.items())


def _takes(later: VerdictEntry, one: VerdictEntry) -> bool:
    return (
        later.index > one.index
        and (later.wallet, later.simulated) == (one.wallet, one.simulated)
        and later.after <= one.after
        and later.until >= one.until
        and not one.code.startswith("P")
        and not (one.code.startswith("M") and later.code.startswith("U"))
    )


def test_a_place_is_taken_in_the_log_too(desk: Desk, made: "Made") -> None:
    """Of the windows that were asked for alone; a verdict on attempts has no place."""
    short = desk.window(3, 10, code="U2")
    own = desk.reading.verdict(desk.write(shelf.own(made.attempt_id())))
    assert own is not None
    better = desk.window(3, 10)
    assert {short.index: better.index} == desk.reading.replaced([short, own, better])
    assert {} == desk.reading.replaced([own, better]) == desk.reading.replaced([])


def test_calls_rest_on_the_verdicts_that_hold(desk: Desk, made: "Made") -> None:
    """Only on those for whose reason they have their own; of the calls that are meant."""
    free = made.cost(status=CostStatus.FREE, amount="0")
    two = [_two(desk, made, number) for number in range(3)]
    two.append(_two(desk, made, 3, cost=free))
    short = [[desk.window(*place, code="U2").index for place in places] for places in two]
    desk.window(*two[0][0])  # a proof took its place
    desk.write(
        shelf.own("11".rjust(32, "0"), code="U12")
    )  # its window does not decide it, but the other attempt's
    desk.write(shelf.own("21".rjust(32, "0")))  # a graver reason than a bill that is not final
    resting = desk.reading.resting
    assert [short[3][1], short[1][1], short[0][1]] == [one.index for one in resting(CallFilter(), "U2")]
    assert [short[3][1]] == [one.index for one in resting(CallFilter(client=("c3",)), "U2")]
    assert [] == resting(CallFilter(), "U3")


def _two(desk: Desk, made: "Made", number: int, **first: Any) -> list[tuple[int, int]]:  # noqa: ANN401 - any field
    """Write a call of two attempts, and give the span of each."""
    call: dict[str, Any] = {"tool_call_id": f"{number:032x}"}
    desk.write(made.tool_call(**call, client=f"c{number}"))
    spans_of = []
    for attempt in (1, 2):
        told = {**call, "attempt_id": f"{number}{attempt}".rjust(32, "0")}
        settled = made.settlement(**told, **(first if attempt == 1 else {}))
        begun = desk.write(made.intent(attempt, **told))
        spans_of.append((begun - 1, desk.write(settled)))
    desk.write(made.answer(**call))
    return spans_of


def test_attempts_inside_are_found_by_their_ends(desk: Desk, made: "Made") -> None:
    """Both ends of a span count as the log's rule has it, page by page, and no other attempt is looked at."""
    places = []
    for number in range(6):
        name = f"{number:032x}"
        told: dict[str, Any] = {"tool_call_id": name, "attempt_id": name}
        begun = desk.write(made.tool_call(tool_call_id=name), made.intent(**told, simulated=number == 3))
        places.append((begun, desk.write(made.settlement(**told))))
    window = desk.window(places[1][0], places[4][1])
    inside = desk.reading.inside
    wanted = [places[4][1], places[2][1]]
    assert wanted == [row.end_index for row in inside(window)]
    assert wanted[:1] == [row.end_index for row in inside(window, limit=1)]
    assert wanted[1:] == [row.end_index for row in inside(window, before=wanted[0])]
    assert [] == inside(desk.window(places[1][0], places[2][1], wallet="other"))
    plans: list[str] = []

    def explained(query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        plans.extend(str(row[3]) for row in desk.reading.select(f"EXPLAIN QUERY PLAN {query}", values))
        return []

    spans.inside(explained, window, before=None, limit=1)
    assert ["SEARCH attempts USING INDEX attempts_ended (wallet=? AND end_index>? AND end_index<?)"] == plans
