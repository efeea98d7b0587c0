"""The sentences on windows: every number in them stands in the sums."""

import re

import msgspec
import pytest

from service.core.books import TokenClass, WindowSums
from service.core.placing import Edges
from service.core.weighing import AT_EDGES, BETWEEN_RATES, NOT_FINAL
from service.core.window_words import blind, moment, sentence, span
from tests.core.two_ends import edges

SUMS = WindowSums(
    unit="USD",
    opening="5",
    closing="4.9688",
    moved="0.0312",
    added=None,
    surely="0.0313",
    straddling="0",
    in_doubt="0",
    tolerance="0.00009",
    attempts=14,
    classes=(
        TokenClass(name="uncached_input", ours=9, theirs=11),
        TokenClass(name="cache_write", ours=3, theirs=None),
        TokenClass(name="output", ours=1312, theirs=1200),
    ),
)
SPAN = "Between 2026-11-22 11:00:00 and 11:16:40 UTC"
OURS = "14 calls in this window come to 0.0313 USD"
FELL = "the balance fell by 0.0312 USD"
WHO = "Somebody else spends from this account, or it is overcharged."
SAID = {
    "P1": f"{FELL}; {OURS}.",
    "U2": f"{FELL}, but {OURS}. The provider's books on them are not final before 2026-11-23 07:00:00 UTC.",
    "U3": f"{FELL}, and {OURS}. {WHO}",
    "U8": f"{FELL}, and {OURS}. The counter's own steps may hide 0.00009 USD: too coarse to tell.",
    "U12": f"{FELL}, and {OURS}. The counter's own steps may hide 0.00009 USD: too blurred to tell.",
    "U13": f"{FELL}, but {OURS}: a payment that the counter does not show apart would explain it.",
    "U15": f"{FELL}, but {OURS}: a token package may have paid for them first.",
    "M2": f"{FELL}, but {OURS}, and the provider's books are final.",
    "M7": f"the provider counted 1200 output tokens where its answers told 1312; {OURS}.",
    "M9": f"{FELL}, but {OURS}. The provider counts the same tokens and took more.",
}


def say(code: str, sums: WindowSums = SUMS, figure: str = "available", **changed: bool | str) -> str:
    """Say a sentence on the window of the tests."""
    return sentence(code, edges(), figure, sums, due_at="2026-11-23T07:00:00.000000Z", **changed)  # type: ignore[arg-type] # as stated by the test


@pytest.mark.parametrize("code", SAID)
def test_a_sentence_says_both_sides(code: str) -> None:
    """What the counter did, what our calls come to, and what follows."""
    assert f"{SPAN} {SAID[code]}" == say(code)


@pytest.mark.parametrize("code", SAID)
def test_every_number_of_a_sentence_stands_in_the_sums(code: str) -> None:
    """Except for times."""
    numbers = re.findall(r"(?<![\d:-])\d+(?:\.\d+)?(?![\d:-])", say(code))
    assert set() == set(numbers) - {*re.findall(r"[\d.]+", repr(SUMS))}
    assert 2 <= len(numbers)


def test_what_was_paid_in_is_said_where_it_hides_the_movement() -> None:
    """No movement is named then."""
    hidden = msgspec.structs.replace(SUMS, moved=None, added="10")
    expected = f"{SPAN} at least 10 USD was paid in or given, which hides how much was taken; {OURS}."
    assert expected == say("U13", hidden)
    over = f"{SPAN} at least 10 USD was paid in or given, and more was taken than ours: {OURS}. {WHO}"
    assert over == say("U3", hidden)


@pytest.mark.parametrize("code", ["P1", "U2", "U3", "U12", "U13", "U15", "M2", "M9"])
def test_what_was_paid_into_a_balance_is_said_wherever_it_fell(code: str) -> None:
    """It may show more at the end than at the begin; a counter of spend shows no payment."""
    paid = msgspec.structs.replace(SUMS, added="10")
    fell = "the balance, with 10 USD paid in or given, fell by 0.0312 USD"
    assert f"{SPAN} {SAID[code].replace(FELL, fell)}" == say(code, paid)
    assert say(code, figure="spent") == say(code, paid, "spent")


def test_a_plan_at_its_cap_names_both_ends() -> None:
    """How much was taken is not known then, but that it was too much may be."""
    sums = msgspec.structs.replace(SUMS, unit="credits", opening="1990", closing="2000", moved=None)
    stands = f"{SPAN} the plan's quota counter went from 1990 to 2000 credits and stands at its cap"
    ours = OURS.replace("USD", "credits")
    assert f"{stands}, which may hide how much was taken; {ours}." == say("U8", sums, "credits_5h")
    assert f"{stands}, and {ours}. {WHO}" == say("U3", sums, "credits_5h")


@pytest.mark.parametrize("moved", ["0.0312", None])
def test_bills_that_may_have_come_late_are_nobodys_theft(moved: str | None) -> None:
    """Nor are they too high a charge."""
    late = "Bills of calls before this window that came later than usual would explain it."
    sums = msgspec.structs.replace(SUMS, moved=moved, added="10")
    assert say("U3", sums).replace(WHO, late) == say("U3", sums, late=True)


@pytest.mark.parametrize(
    ("unit", "figure", "said"),
    [
        ("USD", "spent", "the account's spend counter rose by 0.0312 USD"),
        ("credits", "credits_5h", "the plan's quota counter rose by 0.0312 credits"),
        ("tokens", "package_tokens", "the token packages fell by 0.0312 tokens"),
    ],
)
def test_each_counter_moves_in_its_own_words(unit: str, figure: str, said: str) -> None:
    """A quota and a spend counter rise, a balance and a package fall."""
    sums = msgspec.structs.replace(SUMS, unit=unit)
    assert f"{SPAN} {said}; 14 calls in this window come to 0.0313 {unit}." == say("P1", sums, figure)


def test_what_else_may_have_moved_it_is_said() -> None:
    """Calls at the edges, calls in doubt, calls without a price; or that there was none."""
    one = msgspec.structs.replace(SUMS, attempts=1, straddling="0.2", in_doubt="0.3")
    expected = (
        f"{SPAN} {FELL}, and 1 call in this window comes to 0.0313 USD, calls at its edges may come to 0.2 USD,"
        " calls in doubt or under way may come to 0.3 USD, calls whose usage or price is not known have no bound."
        " The counter's own steps may hide 0.00009 USD: too little to tell. And more."
    )
    assert expected == say("U12", one, unbounded=True, coarse=True, after="And more.")
    none = msgspec.structs.replace(SUMS, attempts=0, surely="0")
    assert f"{SPAN} {FELL}, and no call in this window was surely charged. {WHO}" == say("U3", none)


@pytest.mark.parametrize(
    ("straddles", "said"),
    [
        ((AT_EDGES,), "calls at its edges may come to 0.2 USD"),
        ((NOT_FINAL,), "calls whose books are not final may come to 0.2 USD"),
        ((AT_EDGES, BETWEEN_RATES), "calls at its edges or at a change of rates may come to 0.2 USD"),
    ],
)
def test_why_metered_calls_may_be_missing_is_said(straddles: tuple[str, ...], said: str) -> None:
    """They are not in doubt: what they cost is known."""
    sums = msgspec.structs.replace(SUMS, straddling="0.2")
    assert f"{SPAN} {FELL}, but {OURS}, {said}, and the provider's books are final." == sentence(
        "M2", edges(), "available", sums, straddles=straddles
    )


@pytest.mark.parametrize(
    ("disputed", "said"), [("0.2", "may come to 0.2 USD"), (None, "have no bound"), ("0", None)]
)
def test_what_was_judged_mismatch_before_is_said(disputed: str | None, said: str | None) -> None:
    """With what it may come to."""
    found = say("U12", msgspec.structs.replace(SUMS, disputed=disputed))
    expected = "" if said is None else f", calls that were judged MISMATCH before {said}"
    assert f"{OURS}{expected}. The counter" in found


def test_other_tokens_are_named_where_none_are_fewer() -> None:
    """The first class that differs."""
    sums = msgspec.structs.replace(SUMS, classes=SUMS.classes[:2])
    assert "counted 11 uncached input tokens where its answers told 9;" in say("M7", sums)


def test_tokens_that_do_not_fit_yet_are_named() -> None:
    """With the time from which they must."""
    expected = (
        f"{SPAN} the provider counted 1200 output tokens where its answers told 1312; {OURS}."
        " The provider's books on them are not final before 2026-11-23 07:00:00 UTC."
    )
    assert expected == say("U2", SUMS, by_tokens=True)
    assert expected == say("U2", SUMS, by_tokens=True, disagreed=True)


def test_fewer_tokens_beside_calls_that_may_be_counted_are_named() -> None:
    """They decide nothing, but nothing is proven over them either."""
    assert (
        f"{SPAN} the provider counted 1200 output tokens where its answers told 1312; {OURS}."
        " Other calls may be in its counts: too blurred to tell."
    ) == say("U12", by_tokens=True)


def test_a_simulated_window_says_so_first() -> None:
    """Before anything else."""
    played = msgspec.structs.replace(edges().closing, simulated=True)
    told = sentence("P1", Edges(opening=edges().opening, closing=played), "available", SUMS)
    assert told.startswith(f"SIMULATED: {SPAN} the balance fell")


def test_a_blind_window_says_why() -> None:
    """It has no numbers."""
    assert f"{SPAN} the counter began anew or ran backwards, so its readings at both ends cannot be compared." == (
        blind("U12", edges())
    )
    assert blind("U8", edges()).startswith(f"{SPAN} the plan's quota is told in percent only")


def test_the_second_date_is_said_only_if_it_is_another() -> None:
    """Times are UTC, to the second."""
    later = msgspec.structs.replace(edges().closing, asked_at="2026-11-23T00:00:01.900000Z")
    assert "2026-11-22 11:00:00 and 2026-11-23 00:00:01 UTC" == span(Edges(opening=edges().opening, closing=later))
    assert "2026-11-22 11:00:00" == moment("2026-11-22T11:00:00.123456Z")


def test_counts_that_disagreed_before_are_said() -> None:
    """With the time of the final books, where that is known; without it no time is named."""
    before = (
        "The provider's own counts of tokens disagreed with its answers before, and cannot be compared any more."
    )
    assert f"{SPAN} {FELL}, and {OURS}. {before}" == sentence("U12", edges(), "available", SUMS, disagreed=True)
    due = "The provider's books on them are not final before 2026-11-23 07:00:00 UTC."
    assert f"{SPAN} {FELL}, and {OURS}. {before} {due}" == say("U2", disagreed=True)
    assert f"{SPAN} {FELL}, but {OURS}." == sentence("U2", edges(), "available", SUMS)
