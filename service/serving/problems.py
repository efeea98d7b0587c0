"""Problems: the only map from an error to what the wire, the ledger and the metrics call it."""

from typing import Any

from service.core.words import ToolOutcome, VerdictWord, ZeroReason
from service.errors import (
    AdmissionError,
    BudgetStopError,
    CallCancelledError,
    ExaiError,
    IdempotencyConflictError,
    InternalError,
    InvalidArgumentsError,
    MayNotSeeError,
    NoWalletError,
    ProviderRefusedError,
    UnknownModelError,
)
from service.mcp.events import ToolFault, ToolReply

_OUTCOMES: tuple[tuple[type[ExaiError], ToolOutcome], ...] = (
    (InvalidArgumentsError, ToolOutcome.TOOL_ERROR),
    (MayNotSeeError, ToolOutcome.TOOL_ERROR),
    (IdempotencyConflictError, ToolOutcome.TOOL_ERROR),
    (UnknownModelError, ToolOutcome.TOOL_ERROR),
    (ProviderRefusedError, ToolOutcome.REFUSED),
    (BudgetStopError, ToolOutcome.BUDGET),
    (CallCancelledError, ToolOutcome.CANCELLED),
)
_ZERO_REASONS: tuple[tuple[type[ExaiError], ZeroReason], ...] = (
    (InvalidArgumentsError, ZeroReason.INVALID_ARGUMENTS),
    (IdempotencyConflictError, ZeroReason.INVALID_ARGUMENTS),
    (UnknownModelError, ZeroReason.INVALID_ARGUMENTS),
    (MayNotSeeError, ZeroReason.NO_MODEL_STEP),
    (NoWalletError, ZeroReason.NO_WALLET),
    (BudgetStopError, ZeroReason.BUDGET_STOP),
    (CallCancelledError, ZeroReason.CANCELLED),
)


def outcome(error: ExaiError | None) -> ToolOutcome:
    """Say how a tool call ended."""
    if error is None:
        return ToolOutcome.OK
    return next((word for kind, word in _OUTCOMES if isinstance(error, kind)), ToolOutcome.FAILED)


def zero_reason(error: ExaiError | None) -> ZeroReason:
    """Say why a call that made no attempt made none."""
    if error is None:
        return ZeroReason.NO_MODEL_STEP
    return next((word for kind, word in _ZERO_REASONS if isinstance(error, kind)), ZeroReason.UNAVAILABLE)


def known(error: Exception, tool_call_id: str) -> ExaiError:
    """Let an error of the family pass; hide any other behind a reference to the log."""
    if isinstance(error, ExaiError):
        return error
    return InternalError(
        f"the service failed on tool call {tool_call_id}",
        remedy="This is a fault of the service. Its log names the call by this id.",
    )


def refusal(error: ExaiError, receipt: dict[str, Any] | None = None) -> ToolReply:
    """Dress an error for the caller: a sentence and a remedy for people, code and flag for programs.

    Where no credit was used, the text says why, in the words of the receipt's verdict.
    """
    said = [error.message, error.remedy]
    if isinstance(error, AdmissionError):
        said.append("Nothing was sent to a provider.")
    elif receipt is not None and receipt["verdict"]["word"] == VerdictWord.NO_CREDIT_USED:
        said.append(receipt["verdict"]["sentence"])
    return ToolReply(
        content=("\n".join(filter(None, said)),),
        is_error=True,
        error=ToolFault(
            code=error.code,
            message=error.message,
            retryable=error.retryable,
            remedy=error.remedy,
            resets_at=error.resets_at if isinstance(error, BudgetStopError) else None,
        ),
        receipt=receipt,
    )
