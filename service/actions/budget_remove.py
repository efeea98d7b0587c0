"""Remove a budget: from the next attempt on it stops nothing."""

import msgspec

from service.actions._action import Action, Stand
from service.actions._budgets import refuse_the_file_s, standing
from service.core.entries import BudgetEntry, BudgetTerms
from service.core.words import BudgetEvent
from service.errors import ActionError


class BudgetRemove(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which budget."""

    name: str


class BudgetRemoved(msgspec.Struct, frozen=True, kw_only=True):
    """The budget that holds no more.

    Attributes:
        index: the entry's.
    """

    terms: BudgetTerms
    index: int


async def _run(asked: BudgetRemove, stand: Stand, by: str) -> BudgetRemoved:
    there = await standing(stand)
    entry = there.get(asked.name)
    refuse_the_file_s(entry)
    if entry is None or entry.terms is None:
        known = f"There are: {', '.join(there)}." if there else "None is set."
        raise ActionError(f"there is no budget {asked.name[:60]!r}", remedy=f"{known} See exai budget list.")
    said = BudgetEntry(event=BudgetEvent.REMOVED, name=entry.name, terms=None, warning=None, by=by)
    (step,) = await stand.ledger.append(said)
    return BudgetRemoved(terms=entry.terms, index=step.entry.index)


ACTION = Action(name="budget-remove", request=BudgetRemove, reply=BudgetRemoved, run=_run)
