"""The contract of a store, and the lines and rows that pass through it.

What every store must hold to:

- `append` is all or nothing. When it returns, the lines survive a power cut and the rows agree with them.
- Indexes are contiguous from 0; a line is never changed, moved or removed.
- One process writes. A second writer must be refused at opening, not at its first write.
- Rows are put in order (of a row's several states the last one stands), sums are added; one may be less than
  zero, where it takes back what was added for an attempt that is resolved now.
- The tree is kept with the lines that it covers, never without them.
- `StoreFullError` means that nothing was written and the store goes on. After any other error the state is
  unknown: the store must not be written to again before it was opened anew.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from service.core.merkle import BLOCK, CompactRange, block_hash
from service.core.words import AttemptOutcome


class Line(msgspec.Struct, frozen=True):
    """One entry as it is kept: its exact bytes, their leaf hash, and what finds them."""

    index: int
    kind: str
    tool_call_id: str | None
    leaf_hash: bytes
    entry: bytes


class CallRow(msgspec.Struct, frozen=True, kw_only=True):
    """One tool call as lists show it. Fields of the answer are None while the call is open.

    Attributes:
        rolled_up: whether the roll-ups hold it: it is closed, and all its attempts belong to one of them.
        needs_model: whether its tool has no good answer but a model's.
    """

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
    idempotency_key: str | None
    replay_of: str | None
    rolled_up: bool
    needs_model: bool = False


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One attempt as lists show it. Amounts are pico-units of `currency`; None is unknown, never zero.

    Attributes:
        currency: what it is billed in; of `held_pico` where no price is known.
        held_pico: the worst case, while it is open, in doubt, or settled without a known price.
        held_tokens: the same, while it is open, in doubt, or resolved without a count of tokens.
        stated_tokens: what a resolution says it consumed.
        intent_index, end_index: where the log holds its intent and its end; a resolution is no end.
        signed: whether the answer bore the provider's signature.
        code: the verdict's code by its own record alone, of `core.verdict.RULE`.
    """

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
    held_tokens: int | None
    stated_tokens: int | None
    duration_us: int | None
    intent_index: int = -1
    end_index: int | None = None
    ended_at: str | None = None
    signed: bool = False
    code: str = ""


class ReadingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of a provider's counter, as far as it is looked up by."""

    index: int
    wallet: str
    counter: str
    outcome: str
    at: str
    simulated: bool


class WindowRow(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict on a wallet's window.

    It decides the settled attempts of that wallet, real or simulated as it is itself, whose intent stands after
    the entry `after`, and whose end stands at or before the entry `until` and before its own.
    """

    index: int
    at: str
    provider: str
    wallet: str
    simulated: bool
    after: int
    until: int
    word: str
    code: str


class OwnRow(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict on one attempt, which stands in the log before it."""

    attempt_id: str
    index: int
    code: str


class VerificationRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider said of one attempt's signature."""

    tool_call_id: str
    attempt_id: str
    index: int
    outcome: str


class JudgedRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one attempt after its call was written down; indexes are of entries.

    Attributes:
        own_index: of the newest verdict on this very attempt.
        window_index: of the verdict on a window that holds: the newest that decides it, but a PROVEN one stays.
        last_index: of the newest verdict on a window that decides it.
        verification_index: of the newest answer about its signature; `verified` is what that said.
        tries: how often the provider was asked about it.
    """

    tool_call_id: str
    number: int
    own_index: int | None = None
    own_code: str | None = None
    window_index: int | None = None
    window_code: str | None = None
    last_index: int | None = None
    verification_index: int | None = None
    verified: str | None = None
    tries: int = 0


class BookRows(msgspec.Struct, frozen=True):
    """What entries of the provider's books change, each kind in the log's order.

    It is put after the attempts of the same lines. Who decides what is said by indexes alone, so it is the same
    whether these lines came in one batch or in many.
    """

    readings: tuple[ReadingRow, ...] = ()
    windows: tuple[WindowRow, ...] = ()
    owns: tuple[OwnRow, ...] = ()
    verifications: tuple[VerificationRow, ...] = ()


NO_BOOKS = BookRows()
"""What nearly every batch changes in these: nothing. It is this very object."""


class RollupKey(msgspec.Struct, frozen=True, kw_only=True):
    """What 15 minutes of closed calls are summed by; what only an attempt has is empty for calls without one.

    Attributes:
        bucket: the UTC text of the begin of the quarter hour in which the calls were opened.
    """

    bucket: str
    client: str
    tool: str
    provider: str
    wallet: str
    model: str
    currency: str
    simulated: bool


class RollupSums(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of one quarter hour.

    Attributes:
        free, plan, unpriced: settled attempts that cost nothing, are paid by a quota, have no known price.
        last_at: UTC text of when the newest of the calls was opened; empty in what only changes sums.
    """

    calls: int = 0
    calls_without_attempt: int = 0
    attempts: int = 0
    settled: int = 0
    refused: int = 0
    unsent: int = 0
    in_doubt: int = 0
    reconciled: int = 0
    written_off: int = 0
    free: int = 0
    plan: int = 0
    unpriced: int = 0
    uncached_input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_pico: int = 0
    held_pico: int = 0
    held_tokens: int = 0
    stated_tokens: int = 0
    last_at: str = ""


class Tree(msgspec.Struct, frozen=True):
    """The log's Merkle tree after some lines.

    Attributes:
        range: its compact range.
        blocks: number and hash of each block of `merkle.BLOCK` leaves that these lines completed.
        tail: the leaves after the last whole block.
    """

    range: CompactRange = CompactRange()
    blocks: tuple[tuple[int, bytes], ...] = ()
    tail: tuple[bytes, ...] = ()

    def extended(self, leaves: Sequence[bytes]) -> "Tree":
        """Add leaves; `blocks` are then those that these complete."""
        whole = self.range.size // BLOCK
        tail = (*self.tail, *leaves)
        if len(tail) < BLOCK:  # nearly always: the tail is copied once
            return Tree(self.range.extended(leaves), (), tail)
        cuts = range(0, len(tail) - BLOCK + 1, BLOCK)
        blocks = tuple((whole + number, block_hash(tail[at : at + BLOCK])) for number, at in enumerate(cuts))
        return Tree(self.range.extended(leaves), blocks, tail[len(blocks) * BLOCK :])


class Rows(msgspec.Struct, frozen=True):
    """What a batch of lines changes in the tables that are read: rows to put, sums to add; the tree after it."""

    calls: tuple[CallRow, ...]
    attempts: tuple[AttemptRow, ...]
    rollups: tuple[tuple[RollupKey, RollupSums], ...]
    tree: Tree = Tree()
    books: BookRows = NO_BOOKS


class Store(Protocol):
    """Where the log is kept. Its methods block; never two threads call them at once.

    Attributes:
        origin: the data folder's identity, made once.
        epoch: number of this opening, from 1.
        next_index: index that the next line must have.
        tree: that of all lines.
    """

    origin: str
    epoch: int
    next_index: int
    tree: Tree

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

    def call_lines(self, tool_call_id: str) -> Sequence[Line]:
        """Give the lines of one call, in the log's order; none if there is no such call."""

    def of_ledger(self) -> Iterator[Line]:
        """Give the lines of no call, in the log's order; not those of the provider's books."""

    def close(self) -> None:
        """Let go of the data folder. Nothing but another `close` may be called after it."""
