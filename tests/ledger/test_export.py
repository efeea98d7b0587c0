"""The export keeps an entry's exact bytes and says what it cannot read."""

import io
from typing import TYPE_CHECKING

import pytest

from service.core.entries import SystemEntry, encode
from service.core.merkle import leaf_hash
from service.ledger import export
from service.ledger.export import UNREADABLE, export_line, read_export
from service.ledger.store import Line

if TYPE_CHECKING:
    from tests.conftest import Made


def line_of(index: int, **detail: str) -> Line:
    """Make a line of no call."""
    text = encode(SystemEntry(index=index, event="note", detail=detail))
    return Line(index, "system", None, leaf_hash(text), text)


def test_a_line_is_one_object() -> None:
    """The frame is fixed, the entry stands in it byte for byte."""
    line = line_of(0, name="é\n")
    expected = b'{"entry":' + line.entry + b',"leaf_hash":"' + line.leaf_hash.hex().encode() + b'"}\n'
    assert expected == export_line(line)
    assert expected.count(b"\n") == 1
    assert [line] == list(read_export(io.BytesIO(expected)))


def test_a_call_is_found_again(made: "Made") -> None:
    """Kind and tool call are read from the entry."""
    text = encode(made.tool_call(index=0))
    line = Line(0, "tool_call", made.tool_call().tool_call_id, leaf_hash(text), text)
    assert [line] == list(read_export(io.BytesIO(export_line(line))))


@pytest.mark.parametrize(
    ("old", "new"), [(b'":"', b'": "'), (b'{"entry"', b'{"extra":1,"entry"'), (b"}\n", b"}"), (b"}\n", b"}\r\n")]
)
def test_another_way_to_say_the_same_is_not_read(old: bytes, new: bytes) -> None:
    """An export has one form: a line that differs from it in a space, a field or its end is unreadable."""
    text = export_line(line_of(0)).replace(old, new)
    assert [Line(0, UNREADABLE, None, b"", text)] == list(read_export(io.BytesIO(text)))


def test_reading_goes_on_after_what_it_cannot_read() -> None:
    """An unreadable line takes one index; the lines after it keep theirs."""
    text = export_line(line_of(0)) + b"?\n" + export_line(line_of(2))
    assert [(0, "system"), (1, UNREADABLE), (2, "system")] == [
        (line.index, line.kind) for line in read_export(io.BytesIO(text))
    ]


def test_a_line_without_end_is_read_in_bounded_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a stranger's line is, no more than the bound of it is held."""
    monkeypatch.setattr(export, "LINE_BYTES_MAX", 10)
    sizes = [len(line.entry) for line in read_export(io.BytesIO(b"x" * 25))]
    assert [10, 10, 5] == sizes
