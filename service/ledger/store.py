"""The contract of a store, and the lines and rows that pass through it.

What every store must hold to:

- `append` is all or nothing. When it returns, the lines survive a power cut and the rows agree with them.
- Indexes are contiguous from 0; a line is never changed, moved or removed.
- One process writes. A second writer must be refused at opening, not at its first write.
- Rows are put in order (of a row's several states the last one stands), sums are added.
- `StoreFullError` means that nothing was written and the store goes on. After any other error the state is
  unknown: the store must not be written to again before it was opened anew.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from service.core.words import AttemptOutcome


class Line(msgspec.Struct, frozen=True):
    """One entry as it is kept: its exact bytes, their leaf hash, and what finds them."""

    index: int
    kind: str
    tool_call_id: str | None
    leaf_hash: bytes
    entry: bytes


class CallRow(msgspec.Struct, frozen=True, kw_only=True):
    """One tool call as lists show it. Fields of the answer are None while the call is open."""

    tool_call_id: str
    opened_index: int
    opened_at: str
    client: str
    tool: str
    trace_id: str
    attempts: int
    simulated: bool
    outcome: str | None
    zero_reason: str | None
    error_code: str | None
    closed_at: str | None
    duration_us: int | None


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt as lists show it. Amounts are pico-units of `currency`; None is unknown, never zero."""

    attempt_id: str
    tool_call_id: str
    number: int
    provider: str
    wallet: str
    model: str
    started_at: str
    outcome: AttemptOutcome
    http_status: int | None
    provider_request_id: str | None
    simulated: bool
    currency: str | None
    cost_status: str | None
    cost_pico: int | None
    held_pico: int | None
    estimate_pico: int | None
    uncached_input_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    duration_us: int | None


class RollupKey(msgspec.Struct, frozen=True, kw_only=True):
    """What 15 minutes of attempts are summed by. `bucket` is the UTC text of the quarter hour's begin."""

    bucket: str
    client: str
    tool: str
    provider: str
    wallet: str
    model: str
    currency: str
    simulated: bool


class RollupSums(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of one quarter hour. `unpriced` counts settled attempts whose price is not known."""

    attempts: int = 0
    settled: int = 0
    in_doubt: int = 0
    unpriced: int = 0
    uncached_input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_pico: int = 0
    held_pico: int = 0


class Rows(msgspec.Struct, frozen=True):
    """What a batch of lines changes in the tables that are read: rows to put, sums to add."""

    calls: tuple[CallRow, ...]
    attempts: tuple[AttemptRow, ...]
    rollups: tuple[tuple[RollupKey, RollupSums], ...]


class Store(Protocol):
    """Where the log is kept. Its methods block; never two threads call them at once.

    Attributes:
        origin: the data folder's identity, made once.
        epoch: number of this opening, from 1.
        next_index: index that the next line must have.
    """

    origin: str
    epoch: int
    next_index: int

    def append(self, lines: Sequence[Line], rows: Rows) -> None:
        """Make lines and rows durable, all or nothing.

        Raises:
            StoreFullError: nothing was written.
            Exception: anything else; what was written is unknown.
        """

    def open_calls(self) -> Iterator[Line]:
        """Give the lines of every call that has no answer, in the log's order.

        Raises:
            StoreBrokenError: they cannot be read.
        """

    def has_call(self, tool_call_id: str) -> bool:
        """Tell whether a tool call of this id was ever opened."""

    def close(self) -> None:
        """Let go of the data folder. Nothing but another `close` may be called after it."""
