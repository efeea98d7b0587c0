"""Problems: one map from errors to outcomes, zero reasons and replies; every error of the family is in it."""

import msgspec
import pytest

from service import errors
from service.core.words import ToolOutcome, ZeroReason
from service.errors import CallError, ExaiError, ProviderRefusedError, UnauthorizedError
from service.serving.problems import known, outcome, refusal, zero_reason

MAP: list[tuple[type[ExaiError], ToolOutcome, ZeroReason]] = [
    (errors.InvalidArgumentsError, ToolOutcome.TOOL_ERROR, ZeroReason.INVALID_ARGUMENTS),
    (errors.MayNotSeeError, ToolOutcome.TOOL_ERROR, ZeroReason.NO_MODEL_STEP),
    (errors.IdempotencyConflictError, ToolOutcome.TOOL_ERROR, ZeroReason.INVALID_ARGUMENTS),
    (errors.UnknownModelError, ToolOutcome.TOOL_ERROR, ZeroReason.INVALID_ARGUMENTS),
    (errors.NoWalletError, ToolOutcome.FAILED, ZeroReason.NO_WALLET),
    (errors.BudgetStopError, ToolOutcome.BUDGET, ZeroReason.BUDGET_STOP),
    (errors.ProviderUnreachableError, ToolOutcome.FAILED, ZeroReason.UNAVAILABLE),
    (errors.CallCancelledError, ToolOutcome.CANCELLED, ZeroReason.CANCELLED),
    (errors.CallInterruptedError, ToolOutcome.FAILED, ZeroReason.UNAVAILABLE),
    (errors.NotRecordedError, ToolOutcome.FAILED, ZeroReason.UNAVAILABLE),
    (errors.InternalError, ToolOutcome.FAILED, ZeroReason.UNAVAILABLE),
]


@pytest.mark.parametrize(("kind", "ended", "reason"), MAP)
def test_map(kind: type[ExaiError], ended: ToolOutcome, reason: ZeroReason) -> None:
    """Each error has one outcome, and one reason why a call that it ended made no attempt."""
    error = kind("no")
    assert (ended, reason) == (outcome(error), zero_reason(error))


def test_map_is_complete() -> None:
    """Every error that a call can end with is judged: those that need more than a message are judged below."""
    with_arguments = {errors.ProviderRefusedError, errors.AttemptInDoubtError, errors.AnswerLostError}
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CallError)}
    assert kinds - {CallError} - with_arguments == {kind for kind, _, _ in MAP}


def test_refused_and_in_doubt() -> None:
    """A provider's refusal is an outcome of its own; doubt is a failure."""
    refused = ProviderRefusedError("no", reason="overloaded", status=503, retryable=True)
    doubt = errors.AttemptInDoubtError("lost", cause="stream_cut")
    assert (ToolOutcome.REFUSED, ToolOutcome.FAILED) == (outcome(refused), outcome(doubt))


def test_answer_lost() -> None:
    """A repetition whose answer is lost failed, for the service could not do what it was asked."""
    lost = errors.AnswerLostError("gone", replay_of="c1")
    assert (ToolOutcome.FAILED, ZeroReason.UNAVAILABLE) == (outcome(lost), zero_reason(lost))


def test_success() -> None:
    """Without an error the outcome is ok; without an attempt there was no model step."""
    assert (ToolOutcome.OK, ZeroReason.NO_MODEL_STEP) == (outcome(None), zero_reason(None))


def test_known() -> None:
    """An error of the family passes as it is; any other is hidden behind the call's id."""
    mine = errors.NoWalletError("no key")
    assert mine is known(mine, "c1")
    hidden = known(KeyError("secret detail"), "c1")
    assert ("internal", False) == (hidden.code, hidden.retryable)
    assert "c1" in hidden.message
    assert "secret" not in f"{hidden}{hidden.remedy}"


def test_refusal_for_people_and_programs() -> None:
    """A reply holds sentence and remedy for people, code and flag for programs, and the receipt it is given."""
    refused = ProviderRefusedError("busy", reason="overloaded", status=503, retryable=True, remedy="Wait.")
    receipt = {"verdict": {"word": "UNVERIFIED", "sentence": "Nobody knows."}}
    reply = refusal(refused, receipt)
    assert (("busy\nWait.",), True, receipt) == (reply.content, reply.is_error, reply.receipt)
    assert reply.error is not None
    assert ("provider_refused", "busy", True, "Wait.") == (
        reply.error.code,
        reply.error.message,
        reply.error.retryable,
        reply.error.remedy,
    )


def test_no_credit_used() -> None:
    """Where no credit was used the text ends with the verdict's own sentence, which says why."""
    receipt = {"verdict": {"word": "NO CREDIT USED", "sentence": "This call cost nothing. Nobody was asked."}}
    reply = refusal(errors.NoWalletError("no key", remedy="Set one."), receipt)
    assert ("no key\nSet one.\nThis call cost nothing. Nobody was asked.",) == reply.content


def test_refusal_before_admission() -> None:
    """Whoever is not admitted is told that nothing was sent, and gets no receipt."""
    reply = refusal(UnauthorizedError("who are you?"))
    assert ("who are you?\nNothing was sent to a provider.",) == reply.content
    assert reply.receipt is None


def test_a_budget_s_stop_says_when_it_begins_anew() -> None:
    """Programs get the time; errors that nothing resets say nothing of it."""
    stop = errors.BudgetStopError("too much", resets_at="2026-11-23T00:00:00.000000Z", retryable=True)
    assert {
        "code": "budget",
        "message": "too much",
        "retryable": True,
        "remedy": "",
        "resets_at": "2026-11-23T00:00:00.000000Z",
    } == msgspec.to_builtins(refusal(stop).error)
    assert "resets_at" not in msgspec.to_builtins(refusal(errors.NoWalletError("no key")).error)
