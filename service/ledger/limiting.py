"""Limiting: the budgets that a store's own entries leave in force, and what the operator's file says otherwise.

While anything runs the log alone says which budgets hold; the file of settings is a voice in it, heard at a start.
"""

import logging
from collections.abc import Iterable

from service.core import entries
from service.core.budget import Cells
from service.core.entries import BudgetEntry, BudgetTerms
from service.core.in_force import by_file, in_force
from service.core.periods import Window
from service.core.words import BudgetEvent
from service.ledger.budgets import Budgets
from service.ledger.ledger import Ledger
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore
from service.ledger.used import read_used

BY_FILE = "exai.toml"
"""Who says what the file of settings says, whatever its name; no person's name in an entry is this."""

_log = logging.getLogger(__name__)


def limiting(store: SqliteStore, *, at: str) -> Budgets:
    """Take up the budgets in force. They read the store's own tables, on the thread of its writer.

    Args:
        store: whose entries say what is in force.
        at: UTC text of the time.
    """

    def used(terms: BudgetTerms, within: Window) -> Cells:
        return read_used(store.select, terms, within)

    said = (entries.decode(line.entry) for line in store.of_ledger())
    return Budgets(used, entries=[entry for entry in said if isinstance(entry, BudgetEntry)], at=at)


async def follow_file(
    ledger: Ledger,
    reading: Reading,
    wanted: Iterable[BudgetTerms],
    *,
    has_file: bool = True,
    warnings: Iterable[str] = (),
) -> tuple[BudgetEntry, ...]:
    """Let the budgets hold that the operator's file states, and those no more that it does not state any longer.

    Must be done before calls are taken. A name that a command has set belongs to the file once the file states it.

    Args:
        ledger: takes what changes.
        reading: of the same folder.
        wanted: what the file states.
        has_file: whether there is one; a file that is missing, for a wrong working directory say, lifts no limit.
        warnings: what the operator should know about it.

    Returns:
        What was written.

    Raises:
        LedgerError: it could not be written.
    """
    for warning in warnings:
        _log.warning("%s", warning)
    said = [entry for entry in reading.of_ledger() if isinstance(entry, BudgetEntry)]
    makers = {entry.name: entry.by for entry in in_force(said).entries}
    if not has_file:
        for name in sorted(name for name, maker in makers.items() if maker == BY_FILE):
            _log.warning("budget %s still holds: a file of settings stated it, and this start found none", name)
        return ()
    changes = by_file(said, wanted, by=BY_FILE)
    for entry in changes:
        maker = makers.get(entry.name, BY_FILE)
        if maker != BY_FILE:
            _log.warning("budget %s, set by %r, is from now on as the file of settings says", entry.name, maker)
        elif entry.event is BudgetEvent.REMOVED:
            _log.warning("budget %s is removed, as the file of settings says", entry.name)
        else:
            _log.info("budget %s is set, as the file of settings says", entry.name)
    if changes:
        await ledger.append(*changes)
    return changes
