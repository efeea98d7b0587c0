"""Tests of the event splitter."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.providers._sse import Events


def test_every_line_end_ends_a_line() -> None:
    """CRLF, LF and CR are all line ends, and a blank line ends an event."""
    assert Events().feed(b"data: a\r\n\r\ndata: b\n\ndata: c\r\r") == [b"a", b"b", b"c"]


def test_a_line_end_may_be_cut_in_two() -> None:
    """A CRLF whose halves come in two chunks is one line end, so no event ends before its time."""
    events = Events()
    assert [b"a\nb"] == [event for byte in b"data: a\r\ndata: b\r\n\r\n" for event in events.feed(bytes([byte]))]


def test_data_lines_are_joined() -> None:
    """Several data lines of one event are joined by a line feed; one blank after the colon is dropped."""
    assert Events().feed(b"data: a\ndata:  b\ndata\n\n") == [b"a\n b\n"]


def test_comments_and_other_fields_are_passed_over() -> None:
    """Comments, names, ids and retry times leave no event and are no sign of a stranger."""
    events = Events()
    assert events.feed(b": ping\n\nevent: e\nid: 7\nretry: 1\ndata: x\n\n") == [b"x"]
    assert events.strange_lines == 0


def test_a_byte_order_mark_is_dropped() -> None:
    """A byte order mark before the first line is no part of it."""
    assert Events().feed(b"\xef\xbb\xbfdata: x\n\n") == [b"x"]


def test_lines_of_no_event_stream_are_counted() -> None:
    """HTML is no event stream, whether its last line ended or not."""
    events = Events()
    assert events.feed(b"<html>\n<body>") == []
    assert events.rest() is None
    assert events.strange_lines == 2


@pytest.mark.parametrize("cut", [b"da", b"data", b"", b": pi"])
def test_a_cut_line_is_no_sign_of_a_stranger(cut: bytes) -> None:
    """What may be the beginning of a known field is not held against the stream."""
    events = Events()
    events.feed(cut)
    assert events.rest() is None
    assert events.strange_lines == 0


@pytest.mark.parametrize("cut", [b"data: x", b"data: x\n", b"data: x\r"])
def test_a_cut_event_is_offered(cut: bytes) -> None:
    """Data whose blank line never came is given by `rest`."""
    events = Events()
    assert events.feed(cut) == []
    assert events.rest() == b"x"


def test_an_event_with_a_line_too_long_is_given_up_whole() -> None:
    """Half an event might read as something else, so none of it is given; the next one is whole again."""
    events = Events(line_bytes_max=10)
    assert events.feed(b"data: 1\ndata: 23456\n\ndata: ok\n\n") == [b"ok"]
    assert events.strange_lines == 1


def test_a_cut_event_with_a_line_too_long_is_given_up() -> None:
    """The rest of a stream that ends in a line too long is nothing."""
    events = Events(line_bytes_max=10)
    events.feed(b"data: 1\ndata: 23456")
    assert events.rest() is None


def test_an_event_too_long_is_given_up() -> None:
    """Many short lines cannot fill the memory either."""
    events = Events(event_bytes_max=8)
    assert events.feed(b"data: abcd\n" * 1000 + b"\n") == []
    assert events.strange_lines == 1


_PARTS = st.lists(
    st.sampled_from([b"data: ", b"data:", b"\r", b"\n", b"\r\n", b"x", b":", b"\xef\xbb\xbf", b"1234567"])
)


@settings(deadline=None)
@given(_PARTS, st.lists(st.integers(0, 200)))
def test_chunks_make_no_difference(parts: list[bytes], cuts: list[int]) -> None:
    """However a stream is cut, the same events come out of it."""
    stream = b"".join(parts)
    whole, cut = Events(line_bytes_max=12, event_bytes_max=20), Events(line_bytes_max=12, event_bytes_max=20)
    bounds = [0, *sorted(min(at, len(stream)) for at in cuts), len(stream)]
    pieces = [stream[begin:end] for begin, end in itertools.pairwise(bounds)]
    expected = (whole.feed(stream), whole.rest(), whole.strange_lines)
    assert expected == ([event for piece in pieces for event in cut.feed(piece)], cut.rest(), cut.strange_lines)
