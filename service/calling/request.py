"""A request as bytes: where it goes, its head, its body in pieces. Pure."""

from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import msgspec

from service import VERSION
from service.core.shapes import Prepared

USER_AGENT = f"exai/{VERSION}"
_PIECE_BYTES = 256 * 2**10
_PORTS = {"http": 80, "https": 443}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a base URL leads: an origin to connect to, and what every request's head to it begins with."""

    scheme: str
    host: str
    port: int
    path: str
    shown: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What a connection is good for."""
        return self.scheme, self.host, self.port


def target_of(base_url: str) -> Target:
    """Take a base URL apart.

    Raises:
        ValueError: its host is no name, or its port none.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host.encode("idna").decode()
    port = parts.port or _PORTS[parts.scheme]
    if port != _PORTS[parts.scheme]:
        shown = f"{shown}:{port}"
    return Target(scheme=parts.scheme, host=host, port=port, path=quote(parts.path, safe="/%:@"), shown=shown)


def request_head(target: Target, key: str, prepared: Prepared) -> bytes:
    """Write a request's head.

    Raises:
        ValueError: a value is not ASCII, or would begin a line of its own. Its text shows no value.
    """
    path = prepared.path if prepared.rooted else f"{target.path}{prepared.path}"
    if not path.startswith("/") or " " in path:
        raise ValueError("the request's path is none")
    length = f"Content-Length: {len(prepared.body)}"
    lines = (
        f"{prepared.method} {path} HTTP/1.1",
        f"Host: {target.shown}",
        f"User-Agent: {USER_AGENT}",
        "Accept: */*",
        "Accept-Encoding: identity",  # the bytes that are counted and hashed are the provider's own
        *(f"{name}: {value}" for name, value in prepared.headers),
        f"Authorization: Bearer {key}",
        *((length,) if prepared.method == "POST" else ()),
    )
    head = "\r\n".join((*lines, "", ""))
    if not head.isascii() or head.count("\n") != len(lines) + 1 or head.count("\r") != len(lines) + 1:
        raise ValueError("a header's value is not ASCII, or holds the end of a line")
    return head.encode()


def pieces_of(body: bytes) -> Iterator[bytes]:
    """Cut a body: a long prompt must not hold up the loop."""
    if len(body) <= _PIECE_BYTES:
        yield body
        return
    for start in range(0, len(body), _PIECE_BYTES):
        yield body[start : start + _PIECE_BYTES]
