"""The connection alone: the same bytes are the same answer, in whatever pieces they come."""

import asyncio
import gzip
import socket
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.calling.connection import Connection, Head, LostError
from service.core.words import DoubtCause

OK = b"HTTP/1.1 200 OK\r\n"
HI = OK + b"Content-Length: 2\r\n\r\nhi"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
PACKED = gzip.compress(b"hi")
GZIP = OK + f"Content-Encoding: gzip\r\nContent-Length: {len(PACKED)}\r\n\r\n".encode() + PACKED


class Heard:
    """A taker that keeps what it is given, in order."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self.body = b""
        self.end: DoubtCause | str = ""

    def headed(self, head: Head) -> None:
        """Keep it; it comes once, and first."""
        assert (None, b"", "") == (self.head, self.body, self.end)
        self.head = head

    def received(self, chunk: bytes) -> None:
        """Keep it; a head has come before it."""
        assert self.head is not None
        self.body += chunk

    def ended(self, failure: LostError | None) -> None:
        """Keep it; it comes once."""
        assert not self.end
        self.end = failure.cause if failure else "whole"


class Wired:
    """A transport that goes nowhere: its peer has said all that it is going to."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._is_closing = False

    def get_extra_info(self, name: str) -> object:
        """Give the socket; there is no TLS."""
        return self._peer if name == "socket" else None

    def write(self, piece: bytes) -> None:
        """Take it."""

    def get_write_buffer_size(self) -> int:
        """Say that nothing waits."""
        return 0

    def is_closing(self) -> bool:
        """Say whether it was aborted."""
        return self._is_closing

    def abort(self) -> None:
        """Close."""
        self._is_closing = True


@pytest.fixture(scope="module")
def peer() -> Iterator[socket.socket]:
    """Open a socket that nobody speaks on."""
    here, there = socket.socketpair()
    with here, there:
        yield here


def heard(peer: socket.socket, pieces: Iterable[bytes]) -> tuple[Heard, bool]:
    """Give a connection an answer in pieces, then the peer's end; say what was heard, and if it is free.

    The transport is closed by nobody but the connection itself.
    """
    transport, taker, connection = Wired(peer), Heard(), Connection()
    connection.connection_made(cast("asyncio.Transport", transport))
    connection.begin(b"", taker)
    for piece in pieces:
        if not transport.is_closing():
            connection.data_received(piece)
    is_free = connection.is_free
    connection.eof_received()
    connection.connection_lost(None)
    return taker, is_free


def cut(said: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut bytes at places."""
    bounds = [0, *sorted({place % len(said) for place in places} - {0}), len(said)]
    return [said[begin:end] for begin, end in pairwise(bounds)]


ANSWERS = {
    "length": (HI, 200, b"hi", "whole", True),
    "chunks": (CHUNKED + b"1;a=b\r\nh\r\n1\r\ni\r\n0\r\nX: y\r\n\r\n", 200, b"hi", "whole", True),
    "packed": (GZIP, 200, b"hi", "whole", True),
    "until the end": (OK + b"\r\nhi", 200, b"hi", "whole", False),
    "interim": (b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nX: y\r\n\r\n" + HI, 200, b"hi", "whole", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", "whole", True),
    "1.0": (HI.replace(b"1.1", b"1.0"), 200, b"hi", "whole", False),
    "close": (OK + b"Connection: keep-alive, close\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", "whole", False),
    "another after it": (HI + HI.replace(b"hi", b"no"), 200, b"hi", "whole", False),
    "one byte after it": (HI + b"H", 200, b"hi", "whole", False),
    "cut": (HI[:-1], 200, b"h", DoubtCause.STREAM_CUT, True),
    "two lengths": (OK + b"Content-Length: 2\r\n" * 2 + b"\r\nhi", None, b"", DoubtCause.UNREADABLE_ANSWER, False),
    "length and chunks": (
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        None,
        b"",
        DoubtCause.UNREADABLE_ANSWER,
        False,
    ),
    "chunks not last": (
        OK + b"Transfer-Encoding: chunked, gzip\r\n\r\nhi",
        200,
        b"hi",
        DoubtCause.STREAM_CUT,
        True,
    ),
    "folded": (OK + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nhi", None, b"", DoubtCause.UNREADABLE_ANSWER, False),
    "bare line feeds": (HI.replace(b"\r\n", b"\n"), None, b"", DoubtCause.UNREADABLE_ANSWER, False),
    "broken chunk": (CHUNKED + b"2\r\nhiXX", 200, b"hi", DoubtCause.STREAM_CUT, False),
    "length in a trailer": (
        CHUNKED + b"2\r\nhi\r\n0\r\nContent-Length: 2\r\n\r\n",
        200,
        b"hi",
        DoubtCause.STREAM_CUT,
        False,
    ),
    "interim with a body": (
        b"HTTP/1.1 104 X\r\nContent-Length: 2\r\n\r\nno" + HI,
        None,
        b"",
        DoubtCause.UNREADABLE_ANSWER,
        False,
    ),
    "packed twice": (
        OK + f"Content-Encoding: gzip\r\nContent-Length: {2 * len(PACKED)}\r\n\r\n".encode() + PACKED * 2,
        200,
        b"hi",
        DoubtCause.STREAM_CUT,
        False,
    ),
    "large head": (OK + b"X: " + b"y" * 50_000 + HI[len(OK) - 2 :], 200, b"hi", "whole", True),
    "too large a head": (
        OK + b"X: " + b"y" * 70_000 + HI[len(OK) - 2 :],
        None,
        b"",
        DoubtCause.UNREADABLE_ANSWER,
        False,
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
@given(places=st.lists(st.integers(0, 2**17), max_size=12))
def test_pieces_make_no_difference(peer: socket.socket, name: str, places: list[int]) -> None:
    """Wherever an answer is cut into pieces: the same head, body and end, and the same say on what comes next."""
    said, status, body, end, is_free = ANSWERS[name]
    taker, found_free = heard(peer, cut(said, places))
    assert (status, body, end) == (taker.head.status if taker.head else None, taker.body, taker.end)
    assert is_free == found_free or "whole" != end


@pytest.mark.parametrize(
    "begin",
    [
        b"HTTP/1.1 200 ",
        OK + b"X: ",
        CHUNKED + b"2;x=",
        CHUNKED + b"2\r\nhi\r\n0\r\nX: ",
        b"HTTP/1.1 100 C\r\n\r\n",
    ],
)
def test_what_is_no_body_has_a_bound(peer: socket.socket, begin: bytes) -> None:
    """A line that never ends, and interim answers without end, are given up long before their time."""
    more = b"HTTP/1.1 100 C\r\n\r\n" * 500 if b"100" in begin else b"y" * 10_000
    taker, _ = heard(peer, [begin, *[more] * 100])
    assert taker.end in {DoubtCause.UNREADABLE_ANSWER, DoubtCause.STREAM_CUT}


def test_our_own_breaking_off_is_no_end(peer: socket.socket) -> None:
    """A body that ends with the connection is not whole because this side ended it."""
    taker, connection = Heard(), Connection()
    connection.connection_made(cast("asyncio.Transport", Wired(peer)))
    connection.begin(b"", taker)
    connection.data_received(OK + b"\r\nhi")
    connection.abort()
    connection.connection_lost(None)
    assert DoubtCause.STREAM_CUT == taker.end
