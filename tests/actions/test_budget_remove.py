"""Removing a budget: it holds no more; what is not there, or is the file's, is refused with a remedy."""

import pytest

from service.actions.budget_remove import ACTION, BudgetRemove, BudgetRemoved
from service.core.entries import BudgetEntry, BudgetTerms
from service.core.words import BudgetEvent, BudgetPeriod
from service.errors import ActionError
from service.ledger.limiting import BY_FILE
from tests.acting import BY, Acting


async def put(lab: Acting, name: str, by: str = BY) -> BudgetTerms:
    """Set a budget."""
    terms = BudgetTerms(name=name, period=BudgetPeriod.DAY, limits={"USD": "5"})
    await lab.stand.ledger.append(BudgetEntry(event=BudgetEvent.SET, name=name, terms=terms, warning=None, by=by))
    return terms


async def remove(lab: Acting, name: str) -> BudgetRemoved:
    """Remove it."""
    return await ACTION.run(BudgetRemove(name=name), lab.stand, BY)


async def test_a_budget_is_removed(lab: Acting) -> None:
    """The answer shows what it was; from then on nothing is bounded."""
    terms = await put(lab, "daily")
    gone = await remove(lab, "daily")
    *_, entry = lab.stand.reading.of_ledger()
    assert isinstance(entry, BudgetEntry)
    assert (BudgetEvent.REMOVED, "daily", None, BY) == (entry.event, entry.name, entry.terms, entry.by)
    assert (terms, entry.index) == (gone.terms, gone.index)
    assert not lab.stand.ledger.writer.budgets.active


async def test_what_is_not_there(lab: Acting) -> None:
    """The remedy names what there is."""
    with pytest.raises(ActionError, match="there is no budget 'daily'") as caught:
        await remove(lab, "daily")
    assert "None is set." in caught.value.remedy
    await put(lab, "monthly")
    with pytest.raises(ActionError) as caught:
        await remove(lab, "daily")
    assert "There are: monthly. See exai budget list." == caught.value.remedy


async def test_the_file_s_budget(lab: Acting) -> None:
    """The next start would set it again, so it is removed in the file."""
    await put(lab, "daily", BY_FILE)
    with pytest.raises(ActionError, match="is stated in the file of settings"):
        await remove(lab, "daily")
    assert lab.stand.ledger.writer.budgets.active
