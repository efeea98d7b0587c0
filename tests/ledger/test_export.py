"""The export keeps an entry's exact bytes and says what it cannot read."""

import gzip
import io
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest

from service.core.entries import SystemEntry, encode
from service.core.merkle import leaf_hash
from service.errors import StoreError
from service.ledger import export
from service.ledger.export import (
    UNREADABLE,
    Closing,
    closing_line,
    closing_of,
    export_line,
    read_export,
    rows_of,
)
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


CLOSING = Closing("exai/1\n1\nAAAA\n\n— exai/1 AAAA\n", "exai/1+00000000+AAAA")


def test_the_last_line_is_checkpoint_and_key() -> None:
    """It is no entry; an export of an earlier version has none."""
    lines = export_line(line_of(0)) + export_line(line_of(1))
    whole = lines + closing_line(CLOSING)
    assert whole.splitlines()[-1].startswith('{"checkpoint":"exai/1\\n1\\nAAAA\\n\\n— '.encode())
    assert CLOSING == closing_of(io.BytesIO(whole))
    assert [0, 1] == [line.index for line in read_export(io.BytesIO(whole))]
    assert closing_of(io.BytesIO(lines)) is None
    assert closing_of(io.BytesIO()) is None


@pytest.mark.parametrize(
    "change", [(b"{", b"{ "), (b"}\n", b"}"), (b'"public_key"', b'"publik_key"'), (b"\xe2", b"\xff")]
)
def test_a_last_line_in_another_form_is_an_unreadable_entry(change: tuple[bytes, bytes]) -> None:
    """As every line, it has one form."""
    text = closing_line(CLOSING).replace(*change)
    assert closing_of(io.BytesIO(text)) is None
    assert [Line(0, UNREADABLE, None, b"", text)] == list(read_export(io.BytesIO(text)))


def test_a_closing_line_amid_the_entries_is_unreadable() -> None:
    """Only the last line closes: what was put behind it is not passed over."""
    text = closing_line(CLOSING) + export_line(line_of(1)) + closing_line(CLOSING)
    assert [(0, UNREADABLE), (1, "system")] == [(line.index, line.kind) for line in read_export(io.BytesIO(text))]


def test_the_hash_pass_reads_the_same_lines() -> None:
    """Index, hash and bytes are those of the entries; an index counts only if its hash vouches for it."""
    lines = [line_of(5), line_of(7)]
    text = b"".join(map(export_line, lines)) + b"?\n"
    assert [
        (5, lines[0].leaf_hash, lines[0].entry),
        (7, lines[1].leaf_hash, lines[1].entry),
        (8, b"", b"?\n"),
    ] == list(rows_of(io.BytesIO(text)))
    changed = export_line(lines[0]).replace(b'"index":5', b'"index":4')
    assert 0 == next(rows_of(io.BytesIO(changed)))[0]


def test_bytes_that_are_no_entry_keep_their_hash() -> None:
    """It is that of the bytes; only what they say cannot be read."""
    line = Line(0, UNREADABLE, None, leaf_hash(b"[]"), b"[]")
    assert [line] == list(read_export(io.BytesIO(export_line(line))))


def test_an_archive_that_was_cut_cannot_be_read_on() -> None:
    """What was read before it is given; then the damage is told."""
    packed = gzip.compress(b"".join(export_line(line_of(index)) for index in range(1000)))
    lines = read_export(cast("BinaryIO", gzip.GzipFile(fileobj=io.BytesIO(packed[: len(packed) // 2]))))
    assert 0 == next(lines).index
    with pytest.raises(StoreError, match="the file is damaged"):
        list(lines)
    assert closing_of(cast("BinaryIO", gzip.GzipFile(fileobj=io.BytesIO(packed[:-20])))) is None
