"""Every store holds to the contract of `service.ledger.store`: one body, run over each of them."""

from typing import TYPE_CHECKING

import pytest

from service.core.entries import AnyEntry, encode, kind
from service.core.merkle import leaf_hash
from service.core.record import Step
from service.errors import StoreLockedError
from service.ledger.rows import joined, rows
from service.ledger.store import Line, Rows, Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Made
    from tests.ledger.conftest import OpenStore

NO_ROWS = Rows((), (), ())


def lines_of(*of: AnyEntry, first: int = 0, call_id: str | None = "c" * 32) -> list[Line]:
    """Write entries as lines from an index on."""
    texts = [(kind(entry), encode(entry)) for entry in of]
    return [Line(index, name, call_id, leaf_hash(text), text) for index, (name, text) in enumerate(texts, first)]


def append(store: Store, lines: list[Line], changed: Rows) -> None:
    """Append lines with their rows and the tree that covers them."""
    tree = store.tree.extended([line.leaf_hash for line in lines])
    store.append(lines, joined([changed], tree))


def put(store: Store, made: "Made") -> None:
    """Append the first two entries of a call."""
    entries = (made.tool_call(), made.intent())
    call = made.call(made.intent())
    append(store, lines_of(*entries), rows([Step(entry, call) for entry in entries]))


def test_a_new_store_is_empty(open_store: "OpenStore") -> None:
    """A new store stands at index 0 in epoch 1 and has the identity it was given."""
    store = open_store()
    assert (store.origin, store.epoch, store.next_index) == ("exai/test", 1, 0)
    assert list(store.open_calls()) == []
    store.close()


def test_lines_survive_an_opening(open_store: "OpenStore", made: "Made") -> None:
    """What was appended is there, byte for byte, after the store was opened anew; the epoch counts openings."""
    store = open_store()
    put(store, made)
    assert store.next_index == 2
    store.close()
    again = open_store()
    assert (again.origin, again.epoch, again.next_index) == ("exai/test", 2, 2)
    assert list(again.open_calls()) == lines_of(made.tool_call(), made.intent())
    again.close()


def test_closed_calls_are_not_open(open_store: "OpenStore", made: "Made") -> None:
    """A call with an answer is known and not given among the open ones."""
    store = open_store()
    put(store, made)
    entries = (made.settlement(), made.answer())
    call = made.call(made.intent(), *entries)
    append(store, lines_of(*entries, first=2), rows([Step(entry, call) for entry in entries]))
    assert list(store.open_calls()) == []
    assert (store.has_call("c" * 32), store.has_call("d" * 32)) == (True, False)
    store.close()


@pytest.mark.parametrize("first", [0, 1, 3, 4])
def test_a_gap_is_refused(open_store: "OpenStore", made: "Made", first: int) -> None:
    """Lines that do not follow the last one are refused, and none of them is kept."""
    store = open_store()
    put(store, made)
    with pytest.raises(Exception, match=r"gap|belongs"):
        store.append(lines_of(made.settlement(), made.answer(), first=first), NO_ROWS)
    store.close()
    again = open_store()
    assert again.next_index == 2
    again.close()


def test_one_process_writes(open_store: "OpenStore") -> None:
    """A second opening is refused while the first lasts, and allowed after it."""
    store = open_store()
    with pytest.raises(StoreLockedError):
        open_store()
    store.close()
    open_store().close()


def test_closing_twice_does_no_harm(open_store: "OpenStore") -> None:
    """A closed store may be closed again: the second time lets go of nothing that is another's."""
    store = open_store()
    store.close()
    other = open_store()
    store.close()
    with pytest.raises(StoreLockedError):
        open_store()
    other.close()


USES: "dict[str, Callable[[Store], object]]" = {
    "append": lambda store: store.append([], NO_ROWS),
    "has_call": lambda store: store.has_call("c" * 32),
    "open_calls": lambda store: list(store.open_calls()),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_closed_store_is_not_used(open_store: "OpenStore", use: "Callable[[Store], object]") -> None:
    """Whatever is asked of a closed store is refused."""
    store = open_store()
    store.close()
    with pytest.raises(Exception, match="closed"):
        use(store)
