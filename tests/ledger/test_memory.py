"""The store in memory catches what a disk would silently suffer."""

from typing import TYPE_CHECKING

import msgspec
import pytest

from service.core.entries import encode
from service.core.merkle import leaf_hash
from service.ledger.memory import ContractBrokenError, Memory, MemoryStore
from service.ledger.store import Line, Rows

if TYPE_CHECKING:
    from tests.conftest import Made

NO_ROWS = Rows((), (), ())


def line_of(made: "Made") -> Line:
    """Write the first line of a log."""
    text = encode(made.tool_call())
    return Line(0, "tool_call", "c" * 32, leaf_hash(text), text)


def test_a_wrong_hash_is_caught(made: "Made") -> None:
    """A line whose hash is not that of its bytes is refused."""
    store = MemoryStore(Memory(), new_origin="o")
    with pytest.raises(ContractBrokenError, match="leaf hash"):
        store.append([msgspec.structs.replace(line_of(made), leaf_hash=bytes(32))], NO_ROWS)


def test_writing_after_a_failure_is_caught(made: "Made") -> None:
    """After an append that failed, the store takes nothing before it was opened anew."""
    store = MemoryStore(Memory(), new_origin="o")
    line = line_of(made)
    with pytest.raises(ContractBrokenError):
        store.append([msgspec.structs.replace(line, index=7)], NO_ROWS)
    with pytest.raises(ContractBrokenError, match="after a failure"):
        store.append([line], NO_ROWS)


def test_two_threads_at_once_are_caught() -> None:
    """A call that comes while another one is under way is refused."""
    store = MemoryStore(Memory(), new_origin="o")
    with store._alone(), pytest.raises(ContractBrokenError, match="two threads"):
        store.has_call("c" * 32)
