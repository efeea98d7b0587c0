"""Budgets in force: the log's entries say what stands, and a file and a command do not undo each other."""

from collections.abc import Sequence

import pytest

from service.core.entries import BudgetEntry, BudgetTerms, BudgetWarning
from service.core.in_force import by_file, in_force
from service.core.words import BudgetEvent, BudgetPeriod

FILE, PERSON = "exai.toml", "somebody"


def terms(name: str, limit: str = "5") -> BudgetTerms:
    """Make terms of a day."""
    return BudgetTerms(name=name, period=BudgetPeriod.DAY, limits={"USD": limit})


def put(name: str, limit: str = "5", *, by: str = PERSON) -> BudgetEntry:
    """Set a budget."""
    return BudgetEntry(event=BudgetEvent.SET, name=name, terms=terms(name, limit), warning=None, by=by)


def gone(name: str, *, by: str = PERSON) -> BudgetEntry:
    """Remove a budget."""
    return BudgetEntry(event=BudgetEvent.REMOVED, name=name, terms=None, warning=None, by=by)


def warned(name: str, percent: int, *, unit: str = "USD", window: str = "w1") -> BudgetEntry:
    """Warn of a budget."""
    said = BudgetWarning(unit=unit, group=(), window=window, percent=percent, used="1", limit="5", simulated=False)
    return BudgetEntry(event=BudgetEvent.WARNED, name=name, terms=None, warning=said, by="service")


def test_the_last_word_on_each_name_stands() -> None:
    """Budgets come by name; what was removed is gone, what was set again has its new terms."""
    found = in_force([put("b"), put("a"), put("c"), gone("b"), put("a", "7"), gone("nobody")])
    assert (terms("a", "7"), terms("c")) == found.terms
    assert (put("a", "7"), put("c")) == found.entries


def test_the_newest_warnings_stand() -> None:
    """One of each limit; new terms and a removal forget them."""
    entries = [
        put("a"),
        put("b"),
        warned("a", 50),
        warned("b", 50),
        warned("a", 80),
        warned("a", 50, unit="tokens"),
    ]
    assert (warned("a", 80), warned("a", 50, unit="tokens"), warned("b", 50)) == in_force(entries).warned
    assert (warned("b", 50),) == in_force([*entries, put("a", "9")]).warned
    assert (warned("a", 50, window="w2"),) == in_force(
        [put("a"), warned("a", 95), warned("a", 50, window="w2")]
    ).warned
    late = [put("a"), warned("a", 50, window="w2"), warned("a", 95)]  # a retry of the window before
    assert (warned("a", 50, window="w2"),) == in_force(late).warned
    assert () == in_force([*entries, gone("a"), gone("b")]).warned
    assert () == in_force([warned("never-set", 50)]).warned


@pytest.mark.parametrize(
    ("entries", "wanted", "changes"),
    [
        ([], [], []),
        ([], [terms("b"), terms("a")], [put("a", by=FILE), put("b", by=FILE)]),
        ([put("a", by=FILE)], [terms("a")], []),
        ([put("a", by=FILE)], [terms("a", "6")], [put("a", "6", by=FILE)]),
        ([put("a", by=FILE)], [], [gone("a", by=FILE)]),
        ([put("a", by=FILE), put("a", "9")], [terms("a")], []),  # a command's word outlives a restart
        ([put("a", by=FILE), put("a", "9")], [terms("a", "6")], [put("a", "6", by=FILE)]),
        ([put("a", by=FILE), put("a", "9")], [], []),
        ([put("a", by=FILE), gone("a")], [terms("a")], []),
        ([put("a", by=FILE), gone("a", by=FILE)], [terms("a")], [put("a", by=FILE)]),
        ([put("a")], [], []),  # what a command made, no file removes
        ([put("a"), warned("a", 50)], [terms("a")], [put("a", by=FILE)]),
        ([put("a", by=FILE), put("b", by=FILE)], [terms("b")], [gone("a", by=FILE)]),
    ],
)
def test_what_a_file_changes(
    entries: Sequence[BudgetEntry], wanted: Sequence[BudgetTerms], changes: Sequence[BudgetEntry]
) -> None:
    """It says what it says otherwise than at the start before; the rest is left to commands."""
    assert tuple(changes) == by_file(entries, wanted, by=FILE)
