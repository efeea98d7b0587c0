"""Budgets in force: what the log's entries leave standing, and what a file says otherwise."""

from collections.abc import Iterable

import msgspec

from service.core.entries import BudgetEntry, BudgetTerms
from service.core.words import BudgetEvent


class InForce(msgspec.Struct, frozen=True):
    """What stands.

    Attributes:
        entries: those that set the budgets in force, by the budgets' names.
        warned: the newest warning of each limit and group in its newest window, since its budget was set.
    """

    entries: tuple[BudgetEntry, ...]
    warned: tuple[BudgetEntry, ...]

    @property
    def terms(self) -> tuple[BudgetTerms, ...]:
        """The terms, by name."""
        return tuple(entry.terms for entry in self.entries if entry.terms is not None)


def in_force(entries: Iterable[BudgetEntry]) -> InForce:
    """Fold what was said of budgets, in the log's order."""
    stands: dict[str, BudgetEntry] = {}
    warned: dict[str, dict[tuple[tuple[str, ...], str, bool], BudgetEntry]] = {}
    for entry in entries:
        if (said := entry.warning) is not None:
            newest, place = warned.setdefault(entry.name, {}), (said.group, said.unit, said.simulated)
            before = newest.get(place)
            if before is None or before.warning is None or before.warning.window <= said.window:
                newest[place] = entry  # a late retry may warn of the window before
            continue
        warned.pop(entry.name, None)
        stands.pop(entry.name, None)
        if entry.terms is not None:
            stands[entry.name] = entry
    return InForce(
        tuple(entry for _, entry in sorted(stands.items())),
        tuple(entry for name in sorted(warned) for entry in warned[name].values() if name in stands),
    )


def by_file(entries: Iterable[BudgetEntry], wanted: Iterable[BudgetTerms], *, by: str) -> tuple[BudgetEntry, ...]:
    """Write what a file of settings changes, at a start.

    What a command said since holds until the file says something else than it did before: so neither a restart
    undoes a command, nor is a change of the file passed over.

    Args:
        entries: what was said so far, in the log's order.
        wanted: the terms that the file states.
        by: what entries made for the file bear; a command's bear something else.
    """
    entries, stated = tuple(entries), {terms.name: terms for terms in wanted}
    said = {entry.name: entry.terms for entry in entries if entry.by == by and entry.warning is None}
    stands = {entry.name: entry for entry in in_force(entries).entries}
    gone = [name for name in sorted(said) if name not in stated and name in stands and stands[name].by == by]
    removed = [BudgetEntry(event=BudgetEvent.REMOVED, name=name, terms=None, warning=None, by=by) for name in gone]
    return (
        *removed,
        *(
            BudgetEntry(event=BudgetEvent.SET, name=name, terms=terms, warning=None, by=by)
            for name, terms in sorted(stated.items())
            if said.get(name) != terms
        ),
    )
