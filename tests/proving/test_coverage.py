"""Coverage: what the committed verdicts of windows decide of each attempt, as the ledger's own tables do."""

from typing import TYPE_CHECKING

import msgspec
import pytest

from service.core.books import VerdictEntry, WindowSums
from service.core.placing import Aside, Piece, put_aside
from service.core.verdict import word_of
from service.core.window import judge
from service.core.words import AttemptOutcome
from service.ledger.rows import attempt_row
from service.ledger.store import AttemptRow
from service.proving.coverage import covered, disagreed, disputed, first_proven, followed, holding, waiting
from tests.core.two_ends import SETTLING, balance, doubt, ends, piece

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


def test_no_doubt_covers_a_mismatch(made: "Made") -> None:
    """A later window that tells less leaves it; another mismatch, or a proof, takes its place."""
    one = [row(made, 1)]
    for codes, held in (("U3 M2", "M2"), ("M7 M2", "M7"), ("U3 P1 M2", "P1"), ("M2 U2", "M2")):
        verdicts = [said(code, -1, 40) for code in codes.split()]  # newest first
        assert {"1": held} == {name: found.code for name, found in holding(one, verdicts).items()}


def test_what_waits(made: "Made") -> None:
    """Settled attempts without a last word wait, those beside a MISMATCH, too; others do not."""
    rows = [
        row(made, 1, end_index=38),
        row(made, 2),
        row(made, 3, outcome=AttemptOutcome.IN_DOUBT),
        row(made, 4, code="U7"),
        row(made, 5),
        row(made, 6),
    ]
    held = holding(rows, [said("P1", 45, 60), said("M2", -1, 26)])
    assert ["1", "6"] == [one.attempt_id for one in waiting(rows, held)]
    assert ["1", "2", "5", "6"] == [one.attempt_id for one in waiting(rows, {})]


def test_what_was_judged_mismatch_is_put_aside() -> None:
    """One that was short may have been billed up to its cost; of other contradictions nobody knows how much."""
    one = Piece(
        attempt_id="1",
        began_at="t",
        ended_at="t",
        intent_index=1,
        end_index=2,
        least=5,
        most=5,
        settled=True,
        classes={"output_tokens": 3},
    )
    for code, most in (("M2", 5), ("M9", None), ("M7", None)):
        (aside,) = disputed([one], {"1": said(code, -1, 40)})
        assert (0, most, False, Aside.DISPUTED) == (aside.least, aside.most, aside.settled, aside.aside)
    assert (one,) == disputed([one], {"1": said("P1", -1, 40)}) == disputed([one], {})


def weighed(one: AttemptRow) -> Piece:
    """Weigh an attempt."""
    return Piece(
        attempt_id=one.attempt_id,
        began_at="",
        ended_at="",
        intent_index=one.intent_index,
        end_index=one.end_index,
        least=1,
        most=1,
        settled=True,
    )


def test_whose_bill_was_seen_and_whose_may_come_yet(made: "Made") -> None:
    """By the first window that is PROVEN with it; by one that came short, as far as nothing better holds."""
    rows = [row(made, number) for number in range(1, 5)]
    verdicts = [  # newest first
        said("P1", -1, 16, closed=50),
        said("U2", 25, 46),
        said("P1", -1, 26, closed=30),
        said("U2", -1, 16),
    ]
    pieces = [weighed(one) for one in rows]
    found = followed(pieces, first_proven(rows, verdicts), holding(rows, verdicts))
    assert [(30, False), (30, False), (None, True), (None, True)] == [(one.proven_at, one.owing) for one in found]


def test_a_contradiction_is_remembered_whatever_was_said_since(made: "Made") -> None:
    """Of the attempts that were in its window."""
    rows = [row(made, 1), row(made, 2)]
    sums = WindowSums(
        unit="credits",
        opening="0",
        closing="1",
        moved="1",
        added=None,
        surely="1",
        straddling="0",
        in_doubt="0",
        tolerance="0",
        attempts=1,
        contradicted=True,
    )
    verdicts = [said("U4", -1, 26), said("U12", -1, 26), said("U2", -1, 16, sums=sums)]
    pieces = [weighed(one) for one in rows]
    assert [True, False] == [one.contradicted for one in disagreed(pieces, rows, verdicts)]


DISPUTED = put_aside(piece("d", "0.3"), Aside.DISPUTED)
AT_EDGE = put_aside(piece("d", "0.3", ended=999), Aside.DISPUTED)
WILD = put_aside(DISPUTED, Aside.DISPUTED, bounded=False)


@pytest.mark.parametrize(
    ("left", "beside", "code"),
    [
        ("4", DISPUTED, "U12"),
        ("4.5", DISPUTED, "M2"),
        ("2.5", DISPUTED, "U3"),
        ("4", AT_EDGE, "U12"),
        ("2.5", WILD, "U12"),
    ],
)
def test_what_a_window_says_around_a_dispute(left: str, beside: Piece, code: str) -> None:
    """It proves nothing; what even the dispute does not explain is told, and holds for the others alone."""
    found = judge(ends(balance("5"), balance(left)), [piece("a", "1"), beside], SETTLING)
    assert found is not None
    assert (code, True, {"a"}) == (found.verdict.code, found.disputed, set(found.decided))


def test_a_dispute_is_decided_by_no_later_window() -> None:
    """The window says that it holds one, decides the others alone, and resolves nothing."""
    found = judge(ends(balance("5"), balance("4.7")), [doubt("q", "0.3"), DISPUTED, piece("a", "0.1")], SETTLING)
    assert found is not None
    assert (True, {"a"}, {}) == (found.disputed, set(found.decided), found.resolved)
    assert "calls that were judged MISMATCH before may come to 0.3 USD" in found.verdict.sentence
    plain = judge(ends(balance("5"), balance("4")), [piece("a", "1")], SETTLING)
    assert plain is not None
    assert not plain.disputed
