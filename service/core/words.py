"""The closed lists: every word that an entry, a label or a page may carry, and nothing else.

The README of this room shows them as one table, which a test compares with this file.
"""

from enum import StrEnum


class AttemptOutcome(StrEnum):
    """How an attempt ended; `open` until it has."""

    OPEN = "open"
    SETTLED = "settled"
    REFUSED = "refused"
    UNSENT = "unsent"
    IN_DOUBT = "in_doubt"
    RECONCILED = "reconciled"
    WRITTEN_OFF = "written_off"


class ToolOutcome(StrEnum):
    """How a tool call ended."""

    OK = "ok"
    TOOL_ERROR = "tool_error"
    REFUSED = "refused"
    BUDGET = "budget"
    CANCELLED = "cancelled"
    FAILED = "failed"


class ZeroReason(StrEnum):
    """Why a tool call made no attempt at all."""

    CACHED = "cached"
    NO_MODEL_STEP = "no_model_step"
    MODEL_STEP_DECLINED = "model_step_declined"
    BUDGET_STOP = "budget_stop"
    NO_WALLET = "no_wallet"
    INVALID_ARGUMENTS = "invalid_arguments"
    CANCELLED = "cancelled"
    IDEMPOTENT_REPLAY = "idempotent_replay"
    UNAVAILABLE = "unavailable"


class CostStatus(StrEnum):
    """What is known of a cost. Unknown is never zero."""

    PRICED = "priced"
    FREE = "free"
    PLAN = "plan"
    UNKNOWN_PRICE = "unknown_price"
    STATED = "stated"
    RECONCILED = "reconciled"


class RefusalReason(StrEnum):
    """Why a provider refused a request, in our words; the provider's own stand beside it."""

    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    NO_BALANCE = "no_balance"
    QUOTA_EXHAUSTED = "quota_exhausted"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    INVALID_REQUEST = "invalid_request"
    UNKNOWN_MODEL = "unknown_model"
    CONTEXT_TOO_LONG = "context_too_long"
    CONTENT_FILTERED = "content_filtered"
    DUPLICATE_REQUEST = "duplicate_request"
    PROVIDER_ERROR = "provider_error"


class UnsentReason(StrEnum):
    """Why not one byte of a request left this machine."""

    NAME_NOT_RESOLVED = "name_not_resolved"
    CONNECTION_REFUSED = "connection_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_FAILED = "tls_failed"
    CANCELLED = "cancelled"
    STOPPING = "stopping"
    SERVICE_FAILED = "service_failed"


class DoubtCause(StrEnum):
    """Why no usage came back although the first byte had left."""

    STREAM_CUT = "stream_cut"
    CONNECTION_LOST = "connection_lost"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    TOTAL_TIMEOUT = "total_timeout"
    UNREADABLE_ANSWER = "unreadable_answer"
    NO_USAGE = "no_usage"
    BODY_TOO_LARGE = "body_too_large"
    CANCELLED = "cancelled"
    STOPPING = "stopping"
    CRASH = "crash"
    SERVICE_FAILED = "service_failed"


class ResolutionOutcome(StrEnum):
    """What became of an attempt in doubt."""

    RECONCILED = "reconciled"
    WRITTEN_OFF = "written_off"


class ResolutionSource(StrEnum):
    """By what an attempt in doubt was resolved."""

    OPERATOR = "operator"
    READINGS = "readings"


class BudgetPeriod(StrEnum):
    """For how long a limit holds before it begins anew."""

    MINUTE = "minute"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


class BudgetEvent(StrEnum):
    """What happened to a budget."""

    SET = "set"
    REMOVED = "removed"
    WARNED = "warned"


class ClientEvent(StrEnum):
    """What happened to a named token."""

    CREATED = "created"
    REVOKED = "revoked"


class ReadingCause(StrEnum):
    """Why a provider's counter was asked."""

    START = "start"
    SCHEDULE = "schedule"
    ACTIVITY = "activity"
    DEMAND = "demand"
    PROOF = "proof"


class ReadingOutcome(StrEnum):
    """What came of asking a provider's counter."""

    READ = "read"
    REFUSED = "refused"
    NOT_OFFERED = "not_offered"
    UNREADABLE = "unreadable"
    UNREACHABLE = "unreachable"


class VerificationOutcome(StrEnum):
    """What a provider said of its own signature, when it was asked."""

    VALID = "valid"
    INVALID = "invalid"
    UNAVAILABLE = "unavailable"


class CheckState(StrEnum):
    """What one of the six checks of an attempt found."""

    PASS = "pass"  # noqa: S105 - a word, no secret
    FAIL = "fail"
    NOT_YET = "not yet"
    NOT_AVAILABLE = "not available"
    NOT_NEEDED = "not needed"


class VerdictWord(StrEnum):
    """What the evidence says."""

    PROVEN = "PROVEN"
    UNVERIFIED = "UNVERIFIED"
    MISMATCH = "MISMATCH"
    NO_CREDIT_USED = "NO CREDIT USED"
