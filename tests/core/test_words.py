"""The closed lists of the code and of the README are the same."""

import re
from enum import StrEnum
from pathlib import Path

import pytest

from service.core import words

LISTS = {
    "attempt outcome": words.AttemptOutcome,
    "tool outcome": words.ToolOutcome,
    "zero reason": words.ZeroReason,
    "cost status": words.CostStatus,
    "refusal reason": words.RefusalReason,
    "unsent reason": words.UnsentReason,
    "doubt cause": words.DoubtCause,
    "resolution": words.ResolutionOutcome,
    "resolution source": words.ResolutionSource,
    "budget period": words.BudgetPeriod,
    "budget event": words.BudgetEvent,
    "client event": words.ClientEvent,
    "reading cause": words.ReadingCause,
    "reading outcome": words.ReadingOutcome,
    "verification": words.VerificationOutcome,
    "check": words.CheckState,
    "verdict": words.VerdictWord,
}
README = Path(words.__file__).with_name("README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", LISTS)
def test_the_readme_explains_exactly_the_words_of_a_list(name: str) -> None:
    """Each word stands in the README's table, in the code's order, with a meaning; no other does."""
    rows = re.findall(rf"^\| {name} \| `([^`]+)` \| [^|]*[a-z][^|]* \|$", README, re.MULTILINE)
    assert [word.value for word in LISTS[name]] == rows


def test_every_closed_list_is_in_the_readme() -> None:
    """A list added to the code has its rows in the table."""
    found = {kind for kind in vars(words).values() if isinstance(kind, type) and issubclass(kind, StrEnum)}
    assert set(LISTS.values()) == found - {StrEnum}


@pytest.mark.parametrize("name", LISTS)
def test_a_word_is_fit_for_a_label(name: str) -> None:
    """A word is short and plain, so that it may stand in a metric, an entry or a page as it is."""
    form = r"[a-z_]{2,24}|[A-Z ]{2,24}|not [a-z]{2,16}"
    assert all(re.fullmatch(form, word) for word in LISTS[name])
