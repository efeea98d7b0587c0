"""A request's bytes: the host as servers want it named, and no value that could be a line."""

import msgspec
import pytest

from service.calling.request import USER_AGENT, pieces_of, request_head, target_of
from tests.calling.conftest import PREPARED


@pytest.mark.parametrize(
    ("base_url", "origin", "shown", "path"),
    [
        ("https://api.moonshot.ai/v1", ("https", "api.moonshot.ai", 443), "api.moonshot.ai", "/v1"),
        ("https://api.moonshot.ai:8443", ("https", "api.moonshot.ai", 8443), "api.moonshot.ai:8443", ""),
        ("http://127.0.0.1:9100/v1", ("http", "127.0.0.1", 9100), "127.0.0.1:9100", "/v1"),
        ("http://[::1]:9100/a b", ("http", "::1", 9100), "[::1]:9100", "/a%20b"),
        ("http://[::1]", ("http", "::1", 80), "[::1]", ""),
        ("https://bücher.example/v1", ("https", "bücher.example", 443), "xn--bcher-kva.example", "/v1"),
    ],
)
def test_targets(base_url: str, origin: tuple[str, str, int], shown: str, path: str) -> None:
    """A port that is the scheme's own is not shown; an address stands in brackets; a name is ASCII."""
    target = target_of(base_url)
    assert (origin, shown, path) == (target.origin, target.shown, target.path)


@pytest.mark.parametrize("base_url", ["http://a..b/v1", "http://host:99999/v1"])
def test_what_is_no_target(base_url: str) -> None:
    """A name with nothing between two dots, and a port beyond all, lead nowhere."""
    with pytest.raises(ValueError, match=r"label|[Pp]ort"):
        target_of(base_url)


def test_head() -> None:
    """Every line stands once, and the head ends with an empty one."""
    head = request_head(target_of("http://127.0.0.1:9100/v1"), "sim-key", PREPARED)
    assert [
        b"POST /v1/chat/completions HTTP/1.1",
        b"Host: 127.0.0.1:9100",
        f"User-Agent: {USER_AGENT}".encode(),
        b"Accept: */*",
        b"Accept-Encoding: identity",
        b"Content-Type: application/json",
        b"Authorization: Bearer sim-key",
        b"Content-Length: 19",
        b"",
        b"",
    ] == head.split(b"\r\n")


def test_a_question_has_no_body() -> None:
    """A GET states no length, and one that is rooted leaves out the base URL's path."""
    asked = msgspec.structs.replace(PREPARED, path="/api/biz/x?a=1%20b", body=b"", method="GET", rooted=True)
    lines = request_head(target_of("http://127.0.0.1:9100/api/paas/v4"), "sim-key", asked).split(b"\r\n")
    assert b"GET /api/biz/x?a=1%20b HTTP/1.1" == lines[0]
    assert not any(line.startswith(b"Content-Length") for line in lines)


@pytest.mark.parametrize("path", ["", "users/me", "/users/me balance"])
def test_a_path_is_one_word(path: str) -> None:
    """A blank would end it, and begin what the server takes for the protocol."""
    asked = msgspec.structs.replace(PREPARED, path=path, method="GET", rooted=True)
    with pytest.raises(ValueError, match="path"):
        request_head(target_of("http://127.0.0.1:9100"), "sim-key", asked)


@pytest.mark.parametrize("value", ["a\r\nX-Evil: b", "a\nb", "a\rb", "é"])
def test_no_value_is_a_line(value: str) -> None:
    """It is refused, and the refusal shows neither value nor key."""
    prepared = msgspec.structs.replace(PREPARED, headers=(("X-Nonce", value),))
    with pytest.raises(ValueError, match="header's value") as caught:
        request_head(target_of("http://127.0.0.1:9100/v1"), "sim-key", prepared)
    assert "sim-key" not in repr(caught.value)


@pytest.mark.parametrize("size", [0, 1, 2**18, 2**18 + 1, 10**6])
def test_pieces(size: int) -> None:
    """A body's pieces are the body, in order, and none is long; an empty body is one piece."""
    body = bytes(range(256)) * (size // 256 + 1)
    pieces = list(pieces_of(body[:size]))
    assert body[:size] == b"".join(pieces)
    assert max(map(len, pieces)) <= 2**18
