"""What reading gives: the rows that lists and sums are made of, and how SQL's values become them."""

from typing import Any, TypeVar

import msgspec

from service.ledger.rows import columns
from service.ledger.store import AttemptRow, CallRow

PAGE_ROWS_MAX = 500
_Row = TypeVar("_Row", bound=msgspec.Struct)


class CallLine(msgspec.Struct, frozen=True):
    """One call of a list, with its attempts in order."""

    call: CallRow
    attempts: tuple[AttemptRow, ...]


class WalletSum(msgspec.Struct, frozen=True, kw_only=True):
    """What one wallet's attempts in one currency add up to. `currency` is None where no price is known."""

    provider: str
    wallet: str
    currency: str | None
    simulated: bool
    attempts: int
    settled: int
    in_doubt: int
    unpriced: int
    uncached_input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_pico: int
    held_pico: int


class Head(msgspec.Struct, frozen=True):
    """Where the log stands."""

    origin: str
    epoch: int
    next_index: int


def row_of(kind: type[_Row], values: tuple[Any, ...]) -> _Row:
    """Read a row: SQLite has no booleans and no closed lists."""
    return msgspec.convert(dict(zip(columns(kind), values, strict=True)), kind, strict=False)


def page(limit: int) -> int:
    """Bound how many rows are listed at once."""
    return max(0, min(limit, PAGE_ROWS_MAX))
