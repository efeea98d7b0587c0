"""Movement: what two readings tell of consumption, and what they do not."""

import msgspec
import pytest

from service.core.books import ReadingEntry
from service.core.money import pico
from service.core.movement import Counted, Movement, compared, counted, movements, speaks, tells
from service.core.words import ReadingOutcome
from tests.core.two_ends import balance, figure, reading, spent

NINE = "0.000000001"
Parts = tuple[str, str]  # voucher, cash


def only(opening: ReadingEntry, closing: ReadingEntry) -> Movement:
    """Give the one movement of two readings."""
    (movement,) = movements((opening,), (closing,))
    return movement


def parts(voucher: str, cash: str) -> ReadingEntry:
    """Make a balance of vouchers and cash."""
    total = pico(voucher) + max(0, pico(cash))
    return balance(str(total // 10**12), voucher=voucher, cash=cash)


BALANCES: list[tuple[str, Parts, Parts, str, str | None, str | None]] = [
    ("cash is drawn", ("0", "5"), ("0", "3.5"), "1.5", "1.5", None),
    ("nothing moved", ("0", "5"), ("0", "5"), "0", "0", None),
    ("a voucher is drawn", ("4", "5"), ("3", "5"), "1", "1", None),
    ("a voucher is drawn, then cash", ("1", "5"), ("0", "4"), "2", "2", None),
    ("a payment beside a voucher that is drawn", ("4", "5"), ("3", "15"), "1", "1", "10"),
    ("a payment that is none in whole cents", ("4", "5"), ("3", "14.993"), "1", None, "9.993"),
    ("a payment in whole cents, but for the steps", ("4", "5"), ("3", "14.99998"), "1", "1", "9.99998"),
    ("a payment beside a voucher at rest", ("4", "5"), ("4", "15"), "0", "0", "10"),
    ("a payment while the voucher ran out", ("1", "5"), ("0", "15"), "1", None, "10"),
    ("a payment and no voucher", ("0", "5"), ("0", "15"), "0", None, "10"),
    ("a voucher is given while cash is drawn", ("0", "5"), ("3", "4"), "1", None, "3"),
    ("a voucher and a payment", ("0", "5"), ("3", "6"), "0", None, "4"),
    ("into debt", ("0", "1"), ("0", "-0.5"), "1.5", "1.5", None),
    ("a debt beside a voucher", ("2", "-1"), ("1", "-1"), "1", "1", None),
]


@pytest.mark.parametrize(("said", "before", "after", "least", "most", "added"), BALANCES)
def test_a_balance_tells_what_was_drawn_as_far_as_payments_let_it(
    said: str, before: Parts, after: Parts, least: str, most: str | None, added: str | None
) -> None:
    """Vouchers are drawn first, so a rise of cash beside one that is left is a payment and nothing else.

    A payment may hide in a movement, and in none that leaves every number as it was.
    """
    assert said
    movement = only(parts(*before), parts(*after))
    assert (pico(least), None if most is None else pico(most)) == (movement.least, movement.most)
    assert (None if added is None else pico(added)) == movement.added
    assert ("balance", "available", "USD", pico("0.00001"), before != after) == (
        movement.counter,
        movement.figure,
        movement.unit,
        movement.resolution,
        movement.payable,
    )


def test_a_balance_without_parts_is_told_by_what_is_available() -> None:
    """Its rise is a payment of unknown size."""
    three, five = (reading("balance", figure("available", amount)) for amount in ("3", "5"))
    assert (pico("2"), pico("2"), None) == _bounds(only(five, three))
    assert (0, None, pico("2")) == _bounds(only(three, five))
    assert ("3", "5") == (only(three, five).opening, only(three, five).closing)


def _bounds(movement: Movement) -> tuple[int, int | None, int | None]:
    return movement.least, movement.most, movement.added


def report(**amounts: str) -> ReadingEntry:
    """Make a reading of GLM's account report."""
    return reading("account_report", *(figure(name, amount, "CNY", NINE) for name, amount in amounts.items()))


def test_a_counter_of_spend_is_not_disturbed_by_payments() -> None:
    """It is preferred to the balance beside it; what was paid in is told apart."""
    before = report(spent="1", available="9", recharged="10", given="0")
    after = report(spent="1.5", available="20.5", recharged="20", given="2")
    movement = only(before, after)
    assert (pico("0.5"), pico("0.5"), pico("12")) == _bounds(movement)
    assert ("spent", False, pico(NINE)) == (movement.figure, movement.payable, movement.resolution)


def test_payments_that_are_told_apart_leave_the_balance_exact() -> None:
    """Without a counter of spend, what was paid in and is not there was consumed."""
    movement = only(
        report(available="9", recharged="10", given="1"), report(available="18.5", recharged="20", given="1")
    )
    assert (pico("0.5"), pico("0.5"), pico("10")) == _bounds(movement)
    assert ("available", False) == (movement.figure, movement.payable)


def test_a_counter_that_runs_backwards_tells_nothing() -> None:
    """The balance beside it does; alone it leaves no movement."""
    movement = only(report(spent="2", available="9"), report(spent="1", available="8"))
    assert ("available", pico("1")) == (movement.figure, movement.least)
    assert () == movements((report(spent="2"),), (report(spent="1"),))


def test_a_balance_above_all_payments_is_told_as_a_balance() -> None:
    """More came in than the report says: how much was drawn is not known."""
    movement = only(
        report(available="9", recharged="10", given="0"), report(available="30", recharged="20", given="0")
    )
    assert (0, None, pico("21")) == _bounds(movement)


def quota(name: str, amount: str, since: str | None = "a", unit: str = "credits") -> ReadingEntry:
    """Make a reading of a plan's quota."""
    return reading("quota", figure(name, amount, unit, "1", since))


def test_a_plan_is_told_by_the_shortest_window_that_did_not_begin_anew() -> None:
    """Only figures counted since one time are compared."""
    figures = [
        (
            figure("credits_week", str(week), "credits", "1", "w"),
            figure("credits_5h", str(short), "credits", "1", since),
        )
        for week, short, since in ((100, 40, "a"), (110, 50, "a"), (120, 5, "b"))
    ]
    first, second, third = (reading("quota", *each) for each in figures)
    assert ("credits_5h", pico("10")) == (only(first, second).figure, only(first, second).least)
    assert ("credits_week", pico("20")) == (only(first, third).figure, only(first, third).least)
    assert () == movements((quota("credits_5h", "5"),), (quota("credits_5h", "4"),))
    assert () == movements(
        (quota("credits_5h", "5", unit="percent"),), (quota("credits_5h", "6", unit="percent"),)
    )


@pytest.mark.parametrize(
    ("amount", "cap", "most"),
    [("1999", "2000", "9"), ("2000", "2000", None), ("2010", "2000", None), ("2000", None, "10")],
)
def test_a_plan_at_its_cap_tells_a_lower_bound(amount: str, cap: str | None, most: str | None) -> None:
    """A counter that stops there hides what was taken beyond it."""
    since = str(int(amount) - (10 if most != "9" else 9))
    movement = only(
        *(reading("quota", figure("credits_5h", each, "credits", "1", "d", cap=cap)) for each in (since, amount))
    )
    least = "9" if most == "9" else "10"
    assert (pico(least), None if most is None else pico(most)) == (movement.least, movement.most)


def packages(*amounts: str, outcome: ReadingOutcome = ReadingOutcome.READ) -> ReadingEntry:
    """Make a reading of packages of tokens."""
    return reading(
        "packages", *(figure("package_tokens", each, "tokens", "1") for each in amounts), outcome=outcome
    )


def test_packages_are_added_up_and_may_pay_before_money_does() -> None:
    """One that is used up may be listed no more; one that was bought hides the use."""
    money = spent("1")
    tokens, drawn = movements((money, packages("500", "200")), (money, packages("100")))[::-1]
    assert ("tokens", pico("600"), "700", "100") == (tokens.unit, tokens.least, tokens.opening, tokens.closing)
    assert drawn.drawn_elsewhere
    for opening, closing in (
        (packages("5"), packages("9")),
        (packages(), packages("9")),
        (packages("5"), packages("5")),
    ):
        (drawn,) = movements((money, opening), (money, closing))
        assert drawn.drawn_elsewhere
    (drawn,) = movements((money, packages("0")), (money, packages()))
    assert not drawn.drawn_elsewhere


def test_packages_that_were_not_read_at_the_end_are_no_movement() -> None:
    """What cannot be read is not nothing."""
    refused = packages("0", outcome=ReadingOutcome.REFUSED)
    assert () == movements((packages("5"),), (refused,))
    assert () == movements((balance("5", outcome=ReadingOutcome.REFUSED),), (balance("4"),))


def usage(since: str, *counts: tuple[str, str]) -> ReadingEntry:
    """Make a reading of the provider's own token counts."""
    figures = (figure(name, count, "tokens", "1", since) for name, count in counts)
    return reading("credit_usage", *figures)


def test_the_providers_own_counts_are_compared_since_one_time() -> None:
    """Classes rise from reading to reading of one day; packages are no class."""
    before = usage("d", ("output_tokens", "100"), ("uncached_input_tokens", "7"))
    after = usage("d", ("output_tokens", "150"), ("uncached_input_tokens", "9"))
    found = counted((before, packages("5")), (after, packages("2")))
    assert Counted(counter="credit_usage", classes={"output": 50, "uncached_input": 2}) == found
    assert counted((before,), (usage("e", ("output_tokens", "150")),)) is None
    assert counted((after,), (before,)) is None


def test_figures_of_one_name_in_two_units_are_not_compared() -> None:
    """A wallet that changed its currency begins anew."""
    assert {} == compared((report(spent="1"),), (spent("2"),))


@pytest.mark.parametrize(
    ("told", "outcome", "known"),
    [
        ({"credits_5h": "0 of 30000"}, ReadingOutcome.READ, True),
        ({"percent_week": "0 of 100"}, ReadingOutcome.READ, True),
        ({"level": "pro"}, ReadingOutcome.READ, False),
        ({"credits_5h": "0 of 30000"}, ReadingOutcome.REFUSED, False),
    ],
)
def test_a_plan_that_nothing_was_drawn_from_can_be_read(
    told: dict[str, str], outcome: ReadingOutcome, *, known: bool
) -> None:
    """It says so, though no window of ours may begin with it."""
    untouched = msgspec.structs.replace(packages("5"), figures=(), tells=told, outcome=outcome)
    assert (known, False) == (speaks(untouched), tells(untouched))
    assert speaks(balance("5"))


def test_a_reading_tells_if_consumption_moves_one_of_its_figures() -> None:
    """Percent does, too, though too coarsely."""
    telling = [balance("5"), spent("1"), quota("credits_week", "1"), quota("percent_5h", "3", unit="percent")]
    assert [True] * 4 == [tells(each) for each in telling]
    assert [False] * 2 == [tells(each) for each in (packages("5"), usage("d", ("output_tokens", "1")))]


@pytest.mark.parametrize(
    "amount", ["300000000000000000", "-300000000000000000", "1800000000000000000", "1e3", "", "NaN"]
)
def test_a_number_out_of_all_bounds_is_read_by_nobody(amount: str) -> None:
    """Whatever is committed, the rule goes on: that reading is as good as none, and so is its counter."""
    wild, money = packages(amount), spent("1")
    assert not tells(report(spent=amount))
    assert not tells(reading("account_report", figure("spent", "1", cap=amount)))
    (movement,) = movements((money, wild), (spent("2"), packages("5")))
    assert ("spent", pico("1")) == (movement.figure, movement.least)
    assert () == movements((report(spent=amount),), (report(spent="2"),))
    assert counted((usage("d", ("output_tokens", amount)),), (usage("d", ("output_tokens", amount)),)) is None


def test_a_package_that_came_or_went_may_have_paid() -> None:
    """Nothing is left at either end, but the list is another one; so it is where nobody could read it."""
    money = spent("1")
    none = packages("0")
    bought = msgspec.structs.replace(none, tells={"packages_listed": "1", "packages_held": "3000"})
    for opening, closing, unseen, elsewhere in (
        (none, none, False, False),
        (none, bought, False, True),
        (bought, none, False, True),
        (bought, bought, False, False),
        (none, none, True, True),
    ):
        (movement,) = movements((money, opening), (money, closing), unseen=unseen)
        assert elsewhere is movement.drawn_elsewhere
