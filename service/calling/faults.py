"""From how an attempt ended to what the caller is told: an error of the family, with a remedy that fits."""

from service.core.entries import DoubtEntry, RefusalEntry, UnsentEntry
from service.core.shapes import Provider
from service.core.words import RefusalReason, UnsentReason
from service.errors import (
    AttemptInDoubtError,
    CallCancelledError,
    CallError,
    InternalError,
    ProviderRefusedError,
    ProviderUnreachableError,
)

_REMEDY: dict[RefusalReason, str] = {
    RefusalReason.AUTHENTICATION: "Check {variable}: the key is wrong, revoked, or of another of {title}'s hosts.",
    RefusalReason.PERMISSION: "This account may not use the model; choose another, or ask {title} for access.",
    RefusalReason.NO_BALANCE: "Top up the account at {title}; nothing was charged for this request.",
    RefusalReason.QUOTA_EXHAUSTED: "The plan's quota is used up; wait for its reset, or use another key.",
    RefusalReason.RATE_LIMITED: "Try again a little later; {title} limits requests per minute.",
    RefusalReason.OVERLOADED: "Try again a little later; {title} is overloaded.",
    RefusalReason.INVALID_REQUEST: "Change what {title} names in its message.",
    RefusalReason.UNKNOWN_MODEL: "Name a model that {title} offers to this account.",
    RefusalReason.CONTEXT_TOO_LONG: "Send a shorter prompt, or name a model with a larger context.",
    RefusalReason.CONTENT_FILTERED: "{title} declined the content; rephrase it.",
    RefusalReason.DUPLICATE_REQUEST: "Send the request again; it will carry a new id.",
    RefusalReason.PROVIDER_ERROR: "Try again later; the fault is at {title}.",
}
# The same reasons, where the provider's own table does not call them passing: then "later" would be a guess.
_LASTING: dict[RefusalReason, str] = _REMEDY | {
    RefusalReason.RATE_LIMITED: "Read {title}'s message: it limits this account, and does not say that it passes.",
    RefusalReason.OVERLOADED: "Read {title}'s message: it does not say that trying again helps.",
    RefusalReason.PROVIDER_ERROR: "The fault is at {title}, which does not say that trying again helps.",
}
_MAYBE_BILLED = (
    "It may have been billed, so it was not tried again. It is held at its worst case; see the receipt."
)


def fault(end: RefusalEntry | UnsentEntry | DoubtEntry, provider: Provider) -> CallError:
    """Name what went wrong, for the caller."""
    match end:
        case RefusalEntry():
            remedies = _REMEDY if end.retryable else _LASTING
            remedy = remedies[end.reason].format(title=provider.title, variable=provider.key_variables[0])
            return ProviderRefusedError(
                f"{provider.title} refused the request (HTTP {end.status}): {end.message}",
                reason=end.reason,
                status=end.status,
                retryable=end.retryable,
                retry_after_ms=end.retry_after_ms,
                remedy=remedy,
            )
        case UnsentEntry(reason=UnsentReason.CANCELLED | UnsentReason.STOPPING):
            return CallCancelledError("the call was stopped before anything was sent")
        case UnsentEntry(reason=UnsentReason.SERVICE_FAILED):
            return InternalError(
                "the service failed before anything was sent",
                remedy=f"This is a fault of the service. Its log names attempt {end.attempt_id}.",
            )
        case UnsentEntry():
            return ProviderUnreachableError(
                f"{provider.title} could not be reached ({end.reason.replace('_', ' ')}): {end.message}",
                remedy=f"Check the network and {provider.base_url_variable}; nothing was sent.",
            )
        case DoubtEntry():
            return AttemptInDoubtError(
                f"no usage came back from {provider.title} ({end.cause.replace('_', ' ')}): {end.message}",
                cause=end.cause,
                remedy=_MAYBE_BILLED,
            )
