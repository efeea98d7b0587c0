"""Errors are one family: each has a code of its own, and its text is what it was given."""

import inspect
import re

import pytest

from service import errors
from service.errors import (
    AnswerLostError,
    AttemptInDoubtError,
    BudgetStopError,
    ExaiError,
    ProviderRefusedError,
)

FAMILY = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, ExaiError)]
RETRYABLE = {"LedgerClosedError", "OverCapacityError", "ProviderUnreachableError", "StoreFullError"}


def made(kind: type[ExaiError]) -> ExaiError:
    """Make an error of a kind."""
    if issubclass(kind, ProviderRefusedError):
        return kind("what happened", reason="rate_limited", status=429, retryable=False, remedy="what to do")
    if issubclass(kind, AttemptInDoubtError):
        return kind("what happened", cause="stream_cut", remedy="what to do")
    if issubclass(kind, AnswerLostError):
        return kind("what happened", replay_of="c1", remedy="what to do")
    return kind("what happened", remedy="what to do")


def test_every_kind_has_a_code_of_its_own() -> None:
    """Clients and metrics tell the kinds apart by a short closed word."""
    codes = [kind.code for kind in FAMILY]
    assert len(codes) == len(set(codes))
    assert [code for code in codes if not re.fullmatch(r"[a-z_]{3,24}", code)] == []


@pytest.mark.parametrize("kind", FAMILY)
def test_an_error_carries_its_sentence_and_its_remedy(kind: type[ExaiError]) -> None:
    """Text, message and remedy are what they were made of."""
    error = made(kind)
    assert (str(error), error.message, error.remedy) == ("what happened", "what happened", "what to do")
    assert error.retryable is (kind.__name__ in RETRYABLE)


def test_a_remedy_may_be_unknown() -> None:
    """An error without a remedy has an empty one, never None."""
    assert ExaiError("x").remedy == ""


@pytest.mark.parametrize("retryable", [True, False])
def test_a_refusal_carries_what_the_provider_said(*, retryable: bool) -> None:
    """Whether a refused request may be tried again is the provider's word, not the kind's."""
    error = ProviderRefusedError(
        "refused", reason="rate_limited", status=429, retryable=retryable, retry_after_ms=1000
    )
    assert ("rate_limited", 429, retryable, 1000) == (
        error.reason,
        error.status,
        error.retryable,
        error.retry_after_ms,
    )
    assert ProviderRefusedError("x", reason="r", status=1, retryable=retryable).retry_after_ms is None


def test_an_attempt_in_doubt_is_never_to_be_repeated() -> None:
    """It may have been billed, so trying again is not offered; its cause is kept."""
    error = AttemptInDoubtError("lost", cause="stream_cut")
    assert (error.cause, error.retryable) == ("stream_cut", False)


def test_a_lost_answer_names_its_call() -> None:
    """Whose answer it was is kept; asking again with the same key is not offered."""
    error = AnswerLostError("lost", replay_of="c1")
    assert ("c1", False) == (error.replay_of, error.retryable)


def test_a_budget_says_when_it_begins_anew() -> None:
    """Unless it is told, it never does, and waiting is not offered."""
    ends = "2026-11-23T00:00:00.000000Z"
    error = BudgetStopError("spent", resets_at=ends, retryable=True)
    assert (ends, True) == (error.resets_at, error.retryable)
    assert (None, False) == (BudgetStopError("spent").resets_at, BudgetStopError("spent").retryable)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """The drawing at the top of the file shows every kind below its own parent."""
    drawn: dict[str, str] = {}
    path: list[str] = []
    for indent, name in re.findall(r"^    ([│├└─ ]*)(\w+Error)\b", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 4
        path[depth:] = [name]
        drawn[name] = path[depth - 1] if depth else "Exception"
    in_code = {kind.__name__: kind.__mro__[1].__name__ for kind in FAMILY}
    assert in_code == drawn
