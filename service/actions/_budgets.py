"""Budgets in force, as commands that change them see them: which there are, and who may change one."""

import asyncio
from collections.abc import Mapping

from service.actions._action import Stand
from service.core.entries import BudgetEntry
from service.core.in_force import in_force
from service.errors import ActionError
from service.ledger.limiting import BY_FILE


async def standing(stand: Stand) -> Mapping[str, BudgetEntry]:
    """Give the entries that set the budgets in force, by name."""

    def read() -> dict[str, BudgetEntry]:
        said = (entry for entry in stand.reading.of_ledger() if isinstance(entry, BudgetEntry))
        return {entry.name: entry for entry in in_force(said).entries}

    return await asyncio.to_thread(read)


def refuse_the_file_s(entry: BudgetEntry | None) -> None:
    """Refuse to change what the file of settings states: the next start would have two words for one name.

    Raises:
        ActionError: it is of the file.
    """
    if entry is not None and entry.by == BY_FILE:
        raise ActionError(
            f"the budget {entry.name!r} is stated in the file of settings (exai.toml)",
            remedy="Change it there and start the service again, or set one of another name beside it.",
        )
