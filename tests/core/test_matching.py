"""Both sides are matched one to one, and what cannot be told apart is left open."""

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from service.core.entries import OfCall
from service.core.matching import CANDIDATES_MAX, Ours, Pair, Status, Sums, difference_pico, matched, ours_of, sums
from service.core.money import pico
from service.core.statement import StatementRow
from service.core.times import NS_PER_S, utc_ns
from service.core.words import CostStatus

if TYPE_CHECKING:
    from tests.conftest import Made

AT_NS = utc_ns("2026-11-22T16:21:00Z")
TOLERANCE_S = 120


def one(number: int = 1, *, at_s: float = 0, lasts_s: float = 1, **changed: Any) -> Ours:  # noqa: ANN401 - any field
    """Make an attempt of 100 tokens in, 40 of them cached, and 50 out, for 0.25 USD."""
    began_ns = AT_NS + int(at_s * NS_PER_S)
    attempt = Ours(
        tool_call_id=f"c-{number}",
        attempt_id=f"a-{number}",
        ids=frozenset({f"id-{number}"}),
        began_ns=began_ns,
        ended_ns=began_ns + int(lasts_s * NS_PER_S),
        models=("kimi-k3", "kimi-k3-0905"),
        outcome="settled",
        uncached_input_tokens=60,
        cached_input_tokens=40,
        output_tokens=50,
        currency="USD",
        amount_pico=pico("0.25"),
        is_expected=True,
        simulated=False,
    )
    return msgspec.structs.replace(attempt, **changed)


def row(request_id: str | None = None, *, at_s: float | None = None, **changed: Any) -> StatementRow:  # noqa: ANN401 - any field
    """State such an attempt."""
    stated = StatementRow(
        lines=(2,),
        request_id=request_id,
        at_ns=None if at_s is None else AT_NS + int(at_s * NS_PER_S),
        model=None,
        input_tokens=100,
        cached_input_tokens=None,
        output_tokens=50,
        amount_pico=pico("0.25"),
        step_pico=pico("0.01"),
        currency="USD",
    )
    return msgspec.structs.replace(stated, **changed)


def match(ours: list[Ours], rows: list[StatementRow], *, cached: bool = True) -> list[Pair]:
    """Match with the usual tolerance."""
    return matched(ours, rows, tolerance_ns=TOLERANCE_S * NS_PER_S, input_includes_cached=cached)


def told(pairs: list[Pair]) -> list[tuple[str, str | None, str | None]]:
    """Say (status, attempt, by) of each pair."""
    return [(pair.status.value, None if pair.ours is None else pair.ours.attempt_id, pair.by) for pair in pairs]


def test_an_id_matches_whatever_else_differs() -> None:
    """Any of an attempt's ids; neither time nor tokens count beside it."""
    ours = [one(ids=frozenset({"head", "body"})), one(2, at_s=5)]
    pairs = match(ours, [row("id-2", at_s=9000, output_tokens=1), row("body")])
    assert [("matched", "a-1", "request_id"), ("tokens_differ", "a-2", "request_id")] == told(pairs)


@pytest.mark.parametrize(
    ("changed", "cached", "status", "tokens"),
    [
        ({}, True, "matched", ()),
        ({"output_tokens": 51}, True, "tokens_differ", ("output_tokens: ours 50, theirs 51",)),
        (
            {"input_tokens": 99, "cached_input_tokens": 39},
            True,
            "tokens_differ",
            ("input_tokens: ours 100, theirs 99", "cached_input_tokens: ours 40, theirs 39"),
        ),
        ({"input_tokens": 60}, False, "matched", ()),
        ({"input_tokens": None, "output_tokens": None}, True, "matched", ()),
        (
            {"output_tokens": 51, "amount_pico": pico("0.5")},
            True,
            "amount_differs",
            ("output_tokens: ours 50, theirs 51",),
        ),
    ],
)
def test_tokens_that_differ_are_told(
    changed: dict[str, Any],
    cached: bool,  # noqa: FBT001 - a table
    status: str,
    tokens: tuple[str, ...],
) -> None:
    """One request of which both sides count other tokens is no match, though its amount be the same."""
    (pair,) = match([one()], [row("id-1", **changed)], cached=cached)
    assert (status, tokens) == (pair.status, pair.tokens)


def test_tokens_that_we_do_not_know_do_not_differ() -> None:
    """An attempt in doubt was metered by nobody here."""
    doubted = one(
        is_expected=False,
        outcome="in_doubt",
        amount_pico=None,
        currency=None,
        uncached_input_tokens=None,
        cached_input_tokens=None,
        output_tokens=None,
    )
    (pair,) = match([doubted], [row("id-1")])
    assert (Status.MATCHED, ()) == (pair.status, pair.tokens)


def test_gaps_stand_on_both_sides() -> None:
    """What only we have, what only they have; what they need not show is no gap."""
    ours = [one(), one(2, is_expected=False, outcome="in_doubt", output_tokens=None)]
    pairs = match(ours, [row("id-9", at_s=9000), row("id-8")])
    assert [("missing_there", "a-1", None), ("missing_here", None, None), ("missing_here", None, None)] == told(
        pairs
    )


def test_an_unexpected_attempt_that_is_shown_is_matched() -> None:
    """An attempt in doubt that was billed: the amount of ours is not known, so none differs."""
    doubted = one(is_expected=False, outcome="in_doubt", amount_pico=None, currency=None, output_tokens=None)
    (pair,) = match([doubted], [row("id-1")])
    assert (Status.MATCHED, None) == (pair.status, difference_pico(pair))
    refused = one(is_expected=False, outcome="refused", amount_pico=0, currency=None, output_tokens=None)
    (pair,) = match([refused], [row("id-1")])
    assert (Status.DIFFERS, pico("0.25")) == (pair.status, difference_pico(pair))


@pytest.mark.parametrize(
    ("amount", "step", "status"),
    [
        ("0.25", "0.01", "matched"),
        ("0.259", "0.01", "matched"),
        ("0.26", "0.01", "amount_differs"),
        ("0.24", "0.01", "amount_differs"),
        ("0.250001", "0.000001", "amount_differs"),
    ],
)
def test_amounts_are_equal_to_the_last_digit(amount: str, step: str, status: str) -> None:
    """A statement rounds; a whole step of its last digit is a difference."""
    (pair,) = match([one()], [row("id-1", amount_pico=pico(amount), step_pico=pico(step))])
    assert status == pair.status


def test_another_currency_is_another_amount() -> None:
    """Nothing is converted."""
    (pair,) = match([one()], [row("id-1", currency="CNY")])
    assert (Status.DIFFERS, None) == (pair.status, difference_pico(pair))


def test_without_an_amount_nothing_differs() -> None:
    """A statement of tokens alone, and a cost that we do not know."""
    pairs = match([one(), one(2, amount_pico=None)], [row("id-1", amount_pico=None, currency=None), row("id-2")])
    assert ["matched", "matched"] == [pair.status for pair in pairs]
    assert [None, None] == [difference_pico(pair) for pair in pairs]


def test_time_and_tokens_match_the_nearest() -> None:
    """The nearest pair first, one to one; a row that is inside its attempt is nearest of all."""
    ours = [one(1), one(2, at_s=60), one(3, at_s=130)]
    pairs = match(ours, [row(at_s=62), row(at_s=-1), row(at_s=100)])
    assert [("matched", f"a-{number}", "time_and_tokens") for number in (1, 2, 3)] == told(pairs)
    assert [-1, 62, 100] == [(pair.row.at_ns - AT_NS) // NS_PER_S for pair in pairs if pair.row and pair.row.at_ns]


def test_equally_near_is_left_open() -> None:
    """Two attempts alike and one row: nobody can tell, so all three stay open; the fourth is not concerned."""
    ours = [one(1), one(2), one(3, output_tokens=51)]
    pairs = match(ours, [row(at_s=5), row(at_s=5, output_tokens=51)])
    assert [
        ("ambiguous", "a-1", None),
        ("ambiguous", "a-2", None),
        ("matched", "a-3", "time_and_tokens"),
        ("ambiguous", None, None),
    ] == told(pairs)


def test_too_many_alike_are_left_open() -> None:
    """However near one of them is."""
    crowd = [one(number, at_s=number / 10) for number in range(CANDIDATES_MAX + 1)]
    pairs = match(crowd, [row(at_s=0.05)])
    assert {Status.AMBIGUOUS} == {pair.status for pair in pairs}


@pytest.mark.parametrize(
    ("ours", "rows", "open_matched_there_here"),
    [
        ([one(1), one(2)], [row(at_s=0), row(at_s=30)], (4, 0, 0, 0)),
        ([one(1), one(2, at_s=30)], [row(at_s=0), row(at_s=0)], (4, 0, 0, 0)),
        ([one(1), one(2), one(3, at_s=100)], [row(at_s=0), row(at_s=110)], (3, 1, 0, 0)),
        ([one(1), one(2), one(3, at_s=500)], [row(at_s=0)], (3, 0, 1, 0)),
        ([one(1), one(2)], [row(at_s=0), row(at_s=500)], (3, 0, 0, 1)),
        ([one(1), one(2, at_s=30)], [row(at_s=0)], (0, 1, 1, 0)),
        ([one(1, at_s=-300), one(2, at_s=9000, lasts_s=1000)], [row(at_s=0)], (0, 0, 2, 1)),
    ],
)
def test_what_may_be_meant_is_not_missing(
    ours: list[Ours], rows: list[StatementRow], open_matched_there_here: tuple[int, ...]
) -> None:
    """What has no candidate left but those that cannot be told apart is left open with them."""
    found = Counter(pair.status for pair in match(ours, rows))
    statuses = (Status.AMBIGUOUS, Status.MATCHED, Status.MISSING_THERE, Status.MISSING_HERE)
    assert open_matched_there_here == tuple(found[status] for status in statuses)


def test_none_of_a_crowd_is_called_missing() -> None:
    """However many are alike, whoever is near may be meant; other counts, or another hour, are not."""
    crowd = [one(number, at_s=number) for number in (*range(4 * CANDIDATES_MAX), 170)]
    later = [one(number, at_s=number) for number in (*range(9000, 9000 + 2 * CANDIDATES_MAX), 9300)]
    others = [one(number, at_s=number, output_tokens=51) for number in range(30)]
    others += [one(number, at_s=number, uncached_input_tokens=61) for number in range(30)]
    others += [one(number, at_s=number) for number in (-500, 600, 4000, 9900)]
    lasting = one(at_s=-5000, lasts_s=400)
    day = row(at_s=8800, lasts_ns=400 * NS_PER_S)
    pairs = match([*crowd, *later, *others, lasting], [row(at_s=60), row(at_s=0), day, row(at_s=9010)])
    ambiguous = {pair.ours.attempt_id for pair in pairs if pair.ours and pair.status is Status.AMBIGUOUS}
    assert {each.attempt_id for each in (*crowd, *later)} == ambiguous
    assert Counter(ambiguous=len(crowd) + len(later) + 4, missing_there=len(others) + 1) == Counter(
        pair.status.value for pair in pairs
    )


@pytest.mark.parametrize(("at_s", "status"), [(121, "matched"), (121.5, "missing_here"), (-120.5, "missing_here")])
def test_the_tolerance_is_of_the_attempts_ends(at_s: float, status: str) -> None:
    """Before its begin and after its end."""
    pairs = match([one(lasts_s=1)], [row(at_s=at_s)])
    assert status in {pair.status for pair in pairs}


@pytest.mark.parametrize(("at_s", "status"), [(-90_000, "missing_here"), (-3600, "matched"), (100, "matched")])
def test_a_row_of_a_whole_day_is_near_all_of_it(at_s: float, status: str) -> None:
    """Two attempts alike on one day stay open."""
    day_ns = 86_400 * NS_PER_S
    assert status in {pair.status for pair in match([one()], [row(at_s=at_s, lasts_ns=day_ns)])}
    pairs = match([one(), one(2, at_s=500)], [row(at_s=-3600, lasts_ns=day_ns)])
    assert {Status.AMBIGUOUS} == {pair.status for pair in pairs}


@pytest.mark.parametrize(
    ("changed", "is_matched"),
    [
        ({}, True),
        ({"output_tokens": 51}, False),
        ({"input_tokens": 99}, False),
        ({"cached_input_tokens": 40}, True),
        ({"cached_input_tokens": 0}, False),
        ({"model": "KIMI-K3-0905"}, True),
        ({"model": "glm-5.3"}, False),
        ({"output_tokens": None}, True),
        ({"output_tokens": None, "input_tokens": None}, False),
    ],
)
def test_all_that_both_state_must_be_equal(changed: dict[str, Any], is_matched: bool) -> None:  # noqa: FBT001 - a table
    """Tokens and the model, under either of its names; a time alone matches nothing."""
    pairs = match([one()], [row(at_s=0, **changed)])
    assert is_matched == (len(pairs) == 1)


def test_input_may_be_stated_without_the_cached() -> None:
    """The legend says which."""
    assert 1 == len(match([one()], [row(at_s=0, input_tokens=60)], cached=False))
    assert 2 == len(match([one()], [row(at_s=0, input_tokens=60)]))


def test_an_id_on_two_attempts_matches_neither_by_id() -> None:
    """Time and tokens decide."""
    ours = [one(1, ids=frozenset({"same"})), one(2, at_s=500, ids=frozenset({"same"}))]
    assert ("matched", "a-2", "time_and_tokens") in told(match(ours, [row("same", at_s=500)]))


def test_sums_are_by_currency() -> None:
    """Each amount is in one part of its side; what is not known is in none; currencies never meet."""
    ours = [one(1), one(2, at_s=9000, amount_pico=pico("1")), one(3, amount_pico=None), one(4, output_tokens=7)]
    ours.append(one(5, output_tokens=7))
    rows = [
        row("id-1", amount_pico=pico("0.26")),
        row("x", amount_pico=pico("5"), currency="CNY"),
        row("id-3", amount_pico=pico("2")),
        row(at_s=0, output_tokens=7, amount_pico=pico("3")),
    ]
    assert [
        Sums(currency="CNY", theirs=pico("5"), missing_here=pico("5")),
        Sums(
            currency="USD",
            ours=pico("1.75"),
            theirs=pico("5.26"),
            matched_ours=pico("0.25"),
            matched_theirs=pico("0.26"),
            missing_there=pico("1"),
            ambiguous_ours=pico("0.5"),
            ambiguous_theirs=pico("3"),
        ),
    ] == sums(match(ours, rows))


def test_pairs_stand_in_the_order_of_time() -> None:
    """Rows without a time by their lines, at the end."""
    rows = [row("z", lines=(3,)), row("y", lines=(2,)), row("x", at_s=9000, lines=(9,))]
    lines = [None if pair.row is None else pair.row.lines for pair in match([one(at_s=500)], rows)]
    assert [None, (9,), (2,), (3,)] == lines


def test_an_honest_statement_matches_whole() -> None:
    """Whatever the order, with a random lag below the tolerance: every row finds an attempt that is alike."""
    dice = random.Random(5)  # noqa: S311 - a test's, not a secret's
    ours = [one(number, at_s=number * 300, output_tokens=dice.randrange(3)) for number in range(300)]
    rows = [
        row(at_s=(each.ended_ns - AT_NS) / NS_PER_S + dice.uniform(0, 119), output_tokens=each.output_tokens)
        for each in ours
    ]
    dice.shuffle(rows)
    assert {Status.MATCHED} == {pair.status for pair in match(ours, rows)}


def billed(made: "Made", *entries: OfCall) -> tuple[str | None, int | None, bool]:
    """Say what an attempt with these entries was billed."""
    (found,) = ours_of(made.call(made.intent(), *entries))
    return found.currency, found.amount_pico, found.is_expected


def test_a_settled_attempt_is_told_whole(made: "Made") -> None:
    """Its ids of head and body, its times, tokens and amount."""
    call = made.call(
        made.intent(client_request_id="ours"), made.accepted(), made.settlement(model_reported="kimi-k3-0905")
    )
    (found,) = ours_of(call)
    assert frozenset({"header-1", "chatcmpl-1", "ours"}) == found.ids
    assert ("kimi-k3", "kimi-k3-0905") == found.models
    assert (60, 40, 50, "settled") == (
        found.uncached_input_tokens,
        found.cached_input_tokens,
        found.output_tokens,
        found.outcome,
    )
    assert ("USD", pico("0.25"), True) == (found.currency, found.amount_pico, found.is_expected)
    assert 20_250_000 == found.ended_ns - found.began_ns


def test_what_a_statement_must_show(made: "Made") -> None:
    """Priced and unpriced settlements, and what was reconciled at an amount; nothing else must be there."""
    unknown = made.cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None)
    free = made.cost(status=CostStatus.FREE, amount="0")
    plan = made.cost(status=CostStatus.PLAN, currency=None, amount=None)
    assert (None, None, True) == billed(made, made.settlement(cost=unknown))
    assert ("USD", 0, False) == billed(made, made.settlement(cost=free))
    assert (None, None, False) == billed(made, made.settlement(cost=plan))
    assert (None, 0, False) == billed(made, made.refusal())
    assert (None, 0, False) == billed(made, made.unsent())
    assert (None, None, False) == billed(made, made.doubt())
    assert ("USD", pico("0.5"), True) == billed(made, made.doubt(), made.resolution())
    assert ("USD", 0, False) == billed(made, made.doubt(), made.resolution(amount="0"))
    assert (None, 0, False) == billed(made, made.doubt(), made.written_off())


def test_an_open_attempt_is_not_told(made: "Made") -> None:
    """Nobody can have stated it yet; one that ended at a time that nobody measured ends when it began."""
    assert [] == list(ours_of(made.call(made.intent())))
    (found,) = ours_of(made.call(made.intent(), made.doubt(timing=None)))
    assert found.began_ns == found.ended_ns
