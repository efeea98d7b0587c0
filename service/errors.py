"""The errors of the service: one family, each with a code, a remedy, and whether trying again can help.

    ExaiError
    ├── StartError              refuses the start: the operator must change something
    │   ├── SettingsError       a setting is wrong
    │   ├── PlugError           a provider, tool, page or command file is malformed
    │   ├── ClockError          the machine's time cannot be right
    │   └── StoreError          the data folder cannot be used
    │       ├── StoreLockedError    another process has it
    │       ├── StoreBrokenError    what it holds contradicts itself
    │       └── RolledBackError     it is not the log that was signed last
    ├── LedgerError             the ledger could not make something durable
    │   ├── LedgerClosedError   it takes nothing more
    │   ├── StoreFullError      the disk is full; nothing was written
    │   └── LedgerFailedError   the disk failed; the state is unknown until the next start
    ├── ActionError             what a person asked of the ledger was not done
    ├── StatementError          a provider's statement cannot be read
    ├── AdmissionError          a tool call may not begin
    │   ├── UnauthorizedError
    │   └── OverCapacityError
    └── CallError               an admitted tool call did not succeed
        ├── InvalidArgumentsError
        ├── MayNotSeeError
        ├── IdempotencyConflictError
        ├── AnswerLostError
        ├── NoWalletError
        ├── BudgetStopError
        ├── UnknownModelError
        ├── ProviderRefusedError
        ├── ProviderUnreachableError
        ├── AttemptInDoubtError
        ├── CallCancelledError
        ├── CallInterruptedError
        ├── NotRecordedError
        └── InternalError

`str(error)` is fit for the person who made the call: it never holds a secret or a stranger's text as it came.
"""

from typing import ClassVar


class ExaiError(Exception):
    """What every error of the service is.

    Attributes:
        code: the closed word that clients and metrics see.
        remedy: what the reader can do about it.
        retryable: whether the same request may succeed later, unchanged.
    """

    code: ClassVar[str] = "error"
    retryable: bool = False

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return self.message


class StartError(ExaiError):
    """The service refuses to start."""

    code = "start"


class SettingsError(StartError):
    """A setting is wrong; the message names it and where it stands."""

    code = "settings"


class PlugError(StartError):
    """A file that should hold a provider, tool, page or command is malformed; the message names it."""

    code = "plug"


class ClockError(StartError):
    """The machine's time cannot be right; the message says by what it is judged."""

    code = "clock"


class StoreError(StartError):
    """The data folder cannot be used."""

    code = "store"


class StoreLockedError(StoreError):
    """Another process writes to this data folder."""

    code = "store_locked"


class StoreBrokenError(StoreError):
    """The stored log contradicts itself."""

    code = "store_broken"


class RolledBackError(StoreError):
    """The log is not the one that was signed last; only `exai ledger adopt` takes it as it is."""

    code = "rolled_back"


class LedgerError(ExaiError):
    """Something could not be made durable."""

    code = "ledger"


class LedgerClosedError(LedgerError):
    """The ledger takes no more entries: the service is stopping."""

    code = "ledger_closed"
    retryable = True


class StoreFullError(LedgerError):
    """No space is left; nothing was written."""

    code = "store_full"
    retryable = True


class LedgerFailedError(LedgerError):
    """The disk refused or lost a write; what is on it is known only after the next start."""

    code = "ledger_failed"


class ActionError(ExaiError):
    """What a person asked of the ledger was refused, or could not be done."""

    code = "action"

    def __init__(self, message: str, *, remedy: str = "", retryable: bool = False) -> None:
        super().__init__(message, remedy=remedy)
        self.retryable = retryable


class StatementError(ExaiError):
    """A file that should be a provider's statement cannot be read as one; the message names lines and columns."""

    code = "statement"


class AdmissionError(ExaiError):
    """A tool call may not begin. It leaves no entry."""

    code = "admission"


class UnauthorizedError(AdmissionError):
    """No token, a wrong one, or one without the scope."""

    code = "unauthorized"


class OverCapacityError(AdmissionError):
    """A limit of calls in flight is reached."""

    code = "over_capacity"
    retryable = True


class CallError(ExaiError):
    """An admitted tool call did not succeed."""

    code = "call"


class InvalidArgumentsError(CallError):
    """The arguments do not fit the tool's schema."""

    code = "invalid_arguments"


class MayNotSeeError(CallError):
    """It is of all clients' calls, and the caller may see its own alone."""

    code = "may_not_see"


class IdempotencyConflictError(CallError):
    """The idempotency key is bound to another request."""

    code = "idempotency_conflict"


class AnswerLostError(CallError):
    """The request was made before with this idempotency key, and the answer to it is not kept.

    Attributes:
        replay_of: the tool call that it was.
    """

    code = "answer_lost"

    def __init__(self, message: str, *, replay_of: str, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.replay_of = replay_of


class NoWalletError(CallError):
    """No configured wallet serves the request."""

    code = "no_wallet"


class BudgetStopError(CallError):
    """A budget does not allow what the next attempt could cost; nothing was sent for it.

    Attributes:
        resets_at: UTC text of the time at which the budget's window begins anew; None if it never does.
    """

    code = "budget"

    def __init__(
        self, message: str, *, remedy: str = "", resets_at: str | None = None, retryable: bool = False
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.resets_at = resets_at
        self.retryable = retryable


class UnknownModelError(CallError):
    """No provider that has a wallet offers this model."""

    code = "unknown_model"


class ProviderRefusedError(CallError):
    """The provider answered with an error of its own and metered nothing.

    Attributes:
        reason: our word for it, from the closed list of refusals.
        status: the HTTP status.
        retry_after_ms: how long the provider asks to wait; None if it does not say.
    """

    code = "provider_refused"

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        status: int,
        retryable: bool,
        retry_after_ms: int | None = None,
        remedy: str = "",
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.reason = reason
        self.status = status
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms


class ProviderUnreachableError(CallError):
    """Not one byte of the request left: the provider could not be reached."""

    code = "provider_unreachable"
    retryable = True


class AttemptInDoubtError(CallError):
    """The request left and no usage came back. It may have been billed, so it is not tried again.

    Attributes:
        cause: our word for it, from the closed list of doubt causes.
    """

    code = "attempt_in_doubt"

    def __init__(self, message: str, *, cause: str, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.cause = cause


class CallCancelledError(CallError):
    """The client cancelled the call."""

    code = "cancelled"


class CallInterruptedError(CallError):
    """The service stopped before the call ended; nobody cancelled it."""

    code = "interrupted"


class NotRecordedError(CallError):
    """The call could not be recorded, so nothing was sent, or what was sent is in doubt."""

    code = "not_recorded"

    def __init__(self, message: str, *, remedy: str = "", retryable: bool = False) -> None:
        super().__init__(message, remedy=remedy)
        self.retryable = retryable


class InternalError(CallError):
    """A fault of ours. Its text stays in the log; the caller sees a reference."""

    code = "internal"
