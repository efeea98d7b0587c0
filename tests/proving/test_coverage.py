"""Coverage: what the committed verdicts of windows decide of each attempt, as the ledger's own tables do."""

from typing import TYPE_CHECKING

import msgspec

from service.core.books import VerdictEntry
from service.core.verdict import word_of
from service.core.words import AttemptOutcome
from service.ledger.rows import attempt_row
from service.ledger.store import AttemptRow
from service.proving.coverage import covered, holding, waiting

if TYPE_CHECKING:
    from tests.conftest import Made


def row(made: "Made", number: int, **changed: object) -> AttemptRow:
    """A settled attempt whose intent stands at ten times its number, its end five later."""
    one = attempt_row(made.call(made.intent(), made.settlement()).attempts[0])
    known = {"attempt_id": str(number), "intent_index": number * 10, "end_index": number * 10 + 5, "code": "U1"}
    return msgspec.structs.replace(one, **known | changed)


def said(code: str, after: int, until: int, **changed: object) -> VerdictEntry:
    """A verdict on a window."""
    one = VerdictEntry(
        rule=1,
        provider="kimi",
        wallet="kimi-main",
        simulated=False,
        word=word_of(code),
        code=code,
        sentence="",
        after=after,
        until=until,
    )
    return msgspec.structs.replace(one, **changed)


def test_a_window_decides_what_began_and_ended_in_it(made: "Made") -> None:
    """An intent after its begin, an end no later than its own."""
    rows = [row(made, number) for number in range(1, 6)]
    assert {"2", "3"} == set(covered(rows, [said("U12", 10, 35)]))
    assert {"2"} == set(covered(rows, [said("U12", 10, 34)]))
    assert {"3"} == set(covered(rows, [said("U12", 20, 35)]))


def test_an_attempt_that_overlaps_the_end_is_left_out(made: "Made") -> None:
    """What began inside and ended after the window is not decided by it; nor is what is open."""
    rows = [row(made, 1, end_index=99), row(made, 2), row(made, 3, end_index=None)]
    assert {"2"} == set(covered(rows, [said("U12", -1, 50)]))


def test_the_newest_verdict_holds_but_proven_stays(made: "Made") -> None:
    """A later window says otherwise: that counts, unless the earlier one proved it."""
    rows = [row(made, 1), row(made, 2), row(made, 3)]
    verdicts = [said("U3", 15, 40), said("P1", 15, 26), said("U2", -1, 40)]  # newest first
    assert {"1": "U2", "2": "P1", "3": "U3"} == {name: one.code for name, one in holding(rows, verdicts).items()}


def test_what_waits(made: "Made") -> None:
    """Settled attempts without a last word wait; others, and what stands before a MISMATCH, do not."""
    rows = [
        row(made, 1),
        row(made, 2),
        row(made, 3, outcome=AttemptOutcome.IN_DOUBT),
        row(made, 4, code="U7"),
        row(made, 5),
        row(made, 6),
    ]
    verdicts = [said("P1", 45, 60), said("M2", 15, 26)]
    held = holding(rows, verdicts)
    assert ["6"] == [one.attempt_id for one in waiting(rows, held, verdicts)]
    assert ["1", "2", "5", "6"] == [one.attempt_id for one in waiting(rows, {}, [])]
