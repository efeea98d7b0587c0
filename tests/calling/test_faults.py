"""Faults: every end that is no settlement becomes an error with a remedy that names no key."""

from typing import TYPE_CHECKING

import pytest

from service.calling.faults import fault
from service.core.shapes import Provider
from service.core.words import DoubtCause, RefusalReason, UnsentReason
from service.errors import (
    AttemptInDoubtError,
    CallCancelledError,
    InternalError,
    ProviderRefusedError,
    ProviderUnreachableError,
)
from tests.rig import PROVIDERS

if TYPE_CHECKING:
    from tests.conftest import Made


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
@pytest.mark.parametrize("reason", RefusalReason)
def test_refusals(made: "Made", reason: RefusalReason, provider: Provider) -> None:
    """Every reason of refusal has a whole remedy, and keeps the provider's own sentence."""
    asked = provider
    error = fault(made.refusal(reason=reason, retry_after_ms=7), asked)
    assert isinstance(error, ProviderRefusedError)
    assert (reason, 429, True, 7) == (error.reason, error.status, error.retryable, error.retry_after_ms)
    assert error.remedy.endswith(".")
    assert "{" not in error.remedy
    assert str(error) == f"{asked.title} refused the request (HTTP 429): please try again after 1 seconds"


@pytest.mark.parametrize("reason", RefusalReason)
def test_a_remedy_never_promises_what_the_flag_denies(made: "Made", reason: RefusalReason) -> None:
    """Where trying again is not known to help, no remedy says "try again"."""
    error = fault(made.refusal(reason=reason, retryable=False), PROVIDERS["glm"])
    assert not error.retryable
    assert "Try again" not in error.remedy


@pytest.mark.parametrize("reason", UnsentReason)
def test_unsent(made: "Made", reason: UnsentReason) -> None:
    """What was not sent is unreachable and worth another try, or was stopped."""
    error = fault(made.unsent(reason=reason), PROVIDERS["kimi"])
    if reason in {UnsentReason.CANCELLED, UnsentReason.STOPPING}:
        assert isinstance(error, CallCancelledError)
    elif reason is UnsentReason.SERVICE_FAILED:
        assert isinstance(error, InternalError)
    else:
        assert isinstance(error, ProviderUnreachableError)
        assert error.retryable
        assert "KIMI_BASE_URL" in error.remedy


@pytest.mark.parametrize("cause", DoubtCause)
def test_doubt(made: "Made", cause: DoubtCause) -> None:
    """Doubt says that it may have been billed, and that trying again is no free choice."""
    error = fault(made.doubt(cause=cause), PROVIDERS["glm"])
    assert isinstance(error, AttemptInDoubtError)
    assert (cause, False) == (error.cause, error.retryable)
    assert "may have been billed" in error.remedy
