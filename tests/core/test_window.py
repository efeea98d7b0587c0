"""Windows: each reason at its boundary, and what no history at random may lead to."""

from collections import Counter
from itertools import combinations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.money import pico
from service.core.placing import Piece, Settling
from service.core.window import RULE, Ends, Found, judge
from service.core.words import VerdictWord
from tests.core.histories import STEP, History, corrupted, history
from tests.core.two_ends import CLOSED_INDEX, OPENED_INDEX, SETTLING, at, balance, doubt, ends, piece
from tests.core.window_cases import (
    BILLED_LATE,
    CALL,
    CASES,
    DISAGREED,
    METERED,
    dated,
    money,
    spend,
    tokens,
    usage,
)


@pytest.mark.parametrize(("said", "window", "pieces", "settling", "code"), CASES, ids=[each[0] for each in CASES])
def test_a_window_has_one_reason(
    said: str, window: Ends, pieces: list[Piece], settling: Settling, code: str | None
) -> None:
    """And its word follows from the reason's letter."""
    assert said
    found = judge(window, pieces, settling)
    assert code == (None if found is None else found.verdict.code)
    letters = {"P": VerdictWord.PROVEN, "U": VerdictWord.UNVERIFIED, "M": VerdictWord.MISMATCH}
    assert found is None or letters[found.verdict.code[0]] is found.verdict.word


def _judged(window: Ends, *pieces: Piece, settling: Settling = SETTLING) -> Found:
    found = judge(window, pieces, settling)
    assert found is not None
    return found


def test_a_verdict_tells_what_it_decides_and_from_what() -> None:
    """The readings at its ends, the attempts between them, both sides, and the version of the rule."""
    found = _judged(money("5", "3.9", shared_with=("v",)), CALL, piece("b", "0.1", ended=40), piece("c", began=-9))
    verdict = found.verdict
    assert (RULE, "kimi", "w", ("v",)) == (verdict.rule, verdict.provider, verdict.wallet, verdict.shared_with)
    assert (OPENED_INDEX, OPENED_INDEX + 41) == (verdict.after, verdict.until)
    assert (OPENED_INDEX, CLOSED_INDEX) == (verdict.opened, verdict.closed)
    assert frozenset({"a", "b"}) == found.decided
    assert verdict.sums is not None
    assert ("5", "3.9", "1.1", "1.1", 2) == (
        verdict.sums.opening,
        verdict.sums.closing,
        verdict.sums.moved,
        verdict.sums.surely,
        verdict.sums.attempts,
    )
    assert verdict.sentence.endswith("Calls of other wallets of the same account are counted in.")


def test_a_short_window_is_due_when_the_books_are_final() -> None:
    """A doubt that readings may resolve is, too; the last word is not."""
    assert at(130) == _judged(money("5", "4.5", second=60), CALL).verdict.due_at
    assert at(150) == _judged(money("5", "4", second=60), CALL, doubt("b", ended=50)).verdict.due_at
    assert at(130) == _judged(spend("2", usage(1000), second=60), METERED).verdict.due_at
    assert None is _judged(money("5", "4.5"), CALL).verdict.due_at


def test_tokens_of_both_sides_are_written_down_even_where_they_cannot_be_compared() -> None:
    """Here an attempt at the edge forbids it."""
    found = _judged(spend("1", usage(900)), METERED, piece("b", "0.01", ended=999))
    assert found.verdict.sums is not None
    assert [("output", 1000, 900)] == [(each.name, each.ours, each.theirs) for each in found.verdict.sums.classes]


A, B = doubt("b", "0.5", "0.1"), doubt("c", "3", "1", ended=40)
RESOLVED: list[tuple[str, Ends, list[Piece], str, dict[str, str], str]] = [
    (
        "none was billed",
        money("5", "4"),
        [CALL, A],
        "P1",
        {"b": "0"},
        "That leaves nothing for any attempt in doubt.",
    ),
    ("one was", money("5", "3.7"), [CALL, A], "U12", {"b": "0.3"}, "The rest fits only one attempt in doubt."),
    (
        "both were",
        spend("4.3"),
        [CALL, A, B],
        "U12",
        {},
        "The rest fits only one set of attempts in doubt.",
    ),
    ("a payment may hide", money("9", "8"), [CALL, A, B], "U12", {}, "too blurred to tell."),
    ("beside an edge", spend("1"), [CALL, A, piece("d", ended=999)], "U12", {}, "too blurred to tell."),
    ("beside a package", spend("1", tokens("5", "5")), [CALL, A], "U12", {}, "too blurred to tell."),
    ("beside no price", spend("1"), [CALL, A, piece("d", "0", most=None)], "U12", {}, "too blurred to tell."),
    ("not final", spend("1", second=120), [CALL, A], "U12", {}, "too blurred to tell."),
    ("what no doubt explains", spend("1.05"), [CALL, A], "U12", {}, "too blurred to tell."),
    (
        "an amount stated by hand",
        spend("1.3"),
        [CALL, doubt("b", "0.3", least=pico("0.3"))],
        "U12",
        {},
        "to tell.",
    ),
    ("a doubt alone", spend("0"), [A], "U12", {"b": "0"}, "That leaves nothing for any attempt in doubt."),
]


@pytest.mark.parametrize(
    ("said", "window", "pieces", "code", "amounts", "last"), RESOLVED, ids=[each[0] for each in RESOLVED]
)
def test_doubts_are_resolved_only_where_nothing_else_explains_the_rest(
    said: str, window: Ends, pieces: list[Piece], code: str, amounts: dict[str, str], last: str
) -> None:
    """One that was not billed blurs nothing; one that was still does: its amount is the movement's own rest."""
    assert said
    found = _judged(window, *pieces)
    assert {name: pico(amount) for name, amount in amounts.items()} == found.resolved
    assert code == found.verdict.code
    assert found.verdict.sentence.endswith(last)


def test_a_simulated_wallet_says_so() -> None:
    """In the entry and first in the sentence."""
    window = ends(balance("5", simulated=True), balance("4", simulated=True), simulated=True)
    verdict = _judged(window, CALL).verdict
    assert verdict.simulated
    assert verdict.sentence.startswith("SIMULATED: Between ")


SEEDS = st.integers(0, 2**32)
THOUSAND = settings(max_examples=1000)


def windows(made: History) -> list[tuple[int, int, Ends, list[Piece]]]:
    """Give every window between two readings that do not overlap, with the attempts known by its end."""
    return [
        (
            first,
            last,
            msgspec.structs.replace(money("1", "1"), opening=made.readings[first], closing=made.readings[last]),
            made.pieces(made.asked[last] + 0.5),
        )
        for first, last in combinations(range(len(made.asked)), 2)
        if made.asked[first] + 0.5 < made.asked[last]
    ]


@THOUSAND
@given(SEEDS)
def test_an_honest_history_is_never_a_mismatch(seed: int) -> None:
    """Nor does anybody else spend in it, and every doubt that is resolved cost what is said."""
    made = history(seed)
    billed = {call.name: call.cost if call.billed else 0 for call in made.calls}
    for first, last, window, pieces in windows(made):
        found = judge(window, pieces, SETTLING)
        if found is None:
            continue
        assert found.verdict.word is not VerdictWord.MISMATCH, found.verdict.sentence
        assert "U3" != found.verdict.code, found.verdict.sentence
        tolerance = (2 + len(pieces)) * STEP[made.counter]
        for name, amount in found.resolved.items():
            assert abs(billed[name] - amount) <= tolerance, (first, last, name)


@THOUSAND
@given(SEEDS)
def test_bills_that_come_later_than_usual_are_no_mismatch(seed: int) -> None:
    """As late as the books may follow at all; nor is such a bill laid to an attempt in doubt."""
    made = history(seed, late=True)
    billed = {call.name: call.cost if call.billed else 0 for call in made.calls}
    for first, last, window, pieces in windows(made):
        found = judge(window, pieces, SETTLING)
        if found is None:
            continue
        assert found.verdict.word is not VerdictWord.MISMATCH, found.verdict.sentence
        tolerance = (2 + len(pieces)) * STEP[made.counter]
        for name, amount in found.resolved.items():
            assert abs(billed[name] - amount) <= tolerance, (first, last, name)


@THOUSAND
@given(SEEDS)
def test_a_dishonest_history_is_never_proven(seed: int) -> None:
    """Where the books differ from what is right by more than the tolerance and a twentieth."""
    honest, false = corrupted(seed)
    for first, last, window, pieces in windows(false):
        right, moved = (made.truths[last] - made.truths[first] for made in (honest, false))
        tolerance = (2 + len(pieces)) * STEP[false.counter]
        if abs(moved - right) > tolerance + max(moved, right) // 20:
            found = judge(window, pieces, SETTLING)
            assert found is None or found.verdict.word is not VerdictWord.PROVEN, found.verdict.sentence


def test_histories_at_random_reach_every_reason_that_they_should() -> None:
    """So the thousands above are no empty claim."""
    honest, false, resolved = Counter[str](), Counter[str](), Counter[bool]()
    for seed in range(400):
        for _, _, window, pieces in windows(history(seed)):
            found = judge(window, pieces, SETTLING)
            honest.update([found.verdict.code] if found else [])
            resolved.update(amount > 0 for amount in (found.resolved.values() if found else ()))
        for _, _, window, pieces in windows(corrupted(seed)[1]):
            found = judge(window, pieces, SETTLING)
            false.update([found.verdict.code] if found else [])
    assert {"P1", "P2", "U8", "U12", "U13"} <= {code for code, count in honest.items() if count >= 10}
    assert {"U3", "M2", "M9"} <= {code for code, count in false.items() if count >= 10}
    assert resolved[True] >= 5
    assert resolved[False] >= 5


def test_clocks_that_disagree_are_named() -> None:
    """Then nothing says when the books are final; a doubt is not resolved either."""
    verdict = _judged(dated(money("5", "4.5"), 400), CALL).verdict
    assert None is verdict.due_at
    assert (
        "the balance fell by 0.5 USD, but 1 call in this window comes to 1 USD. This machine's clock and the"
        " provider's disagree, so whether its books are final cannot be told."
    ) in verdict.sentence
    assert {} == _judged(dated(money("5", "3.7"), 400), CALL, A).resolved
    unreadable = msgspec.structs.replace(balance("5"), date="yesterday")
    assert "M2" == _judged(ends(unreadable, balance("4.5")), CALL).verdict.code


def test_who_took_more_is_left_open_where_a_bill_may_have_come_late() -> None:
    """Beyond that bill it is not."""
    late = "Bills of calls before this window that came later than usual would explain it."
    assert late in _judged(money("5", "3.5"), CALL, BILLED_LATE).verdict.sentence
    assert "Somebody else spends" in _judged(money("5", "3.4"), CALL, BILLED_LATE).verdict.sentence


def test_fewer_tokens_beside_others_stay_a_contradiction() -> None:
    """In the sums, too: no later window that cannot compare them proves its calls."""
    verdict = _judged(spend("1", usage(900)), METERED, doubt("b")).verdict
    assert "the provider counted 900 output tokens where its answers told 1000; 1 call in" in verdict.sentence
    assert verdict.sums is not None
    assert verdict.sums.contradicted


def test_a_contradiction_is_not_forgotten_when_it_cannot_be_repeated() -> None:
    """Its own counts began anew at midnight: what they said before stands in the sentence and the sums."""
    verdict = _judged(spend("1"), DISAGREED).verdict
    assert verdict.sums is not None
    assert verdict.sums.contradicted
    assert verdict.sentence.endswith(
        "The provider's own counts of tokens disagreed with its answers before, and cannot be compared any more."
    )
    fewer = _judged(spend("1", usage(900), second=120), METERED).verdict
    assert fewer.sums is not None
    assert ("U2", True) == (fewer.code, fewer.sums.contradicted)
