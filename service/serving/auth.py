"""Who calls: a token is turned into a caller, or into a refusal that takes the same path for every stranger."""

import base64
import hashlib
import hmac
import logging
from collections.abc import Iterable

import msgspec

from service.errors import UnauthorizedError
from service.secret import Secret
from service.serving.quiet import QuietLog

CALL = "call"
READ = "read"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="exai"'}
"""The headers that every answer with status 401 must carry."""
READER_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="exai", Basic realm="EXAI: the token is the password"'}
"""The same where people read: a browser asks for a password, and shows the page."""
_BEARER = "bearer"
_BASIC = "basic"
_QUERY_NAMES = frozenset(
    ("token", "access_token", "auth_token", "authorization", "bearer", "jwt", "api_key", "apikey", "exai_ws_token")
)


class Caller(msgspec.Struct, frozen=True):
    """Whoever asks, as far as rights go.

    Attributes:
        name: the client that calls are recorded for.
        scopes: `call`, `read`, `admin`.
        sees_all: whether it may read what other clients did.
    """

    name: str
    scopes: frozenset[str]
    sees_all: bool


LOCAL = Caller("local", frozenset((CALL, READ)), sees_all=True)
"""Everyone, while no token is configured. The start must keep such a service on loopback."""

DEFAULT = Caller("default", frozenset((CALL, READ)), sees_all=False)
"""Whoever has the token of EXAI_WS_TOKEN."""


class Tokens:
    """The token that is configured, as a digest; without one everyone is the local owner.

    Attributes:
        failures: refusals since the start.
    """

    def __init__(self, token: Secret | None, *, quiet: QuietLog | None = None) -> None:
        if token is not None and not token.reveal():
            raise ValueError("an empty token would let everyone in; leave it out instead")
        self.failures = 0
        self._digest = None if token is None else _digest(token.reveal())
        self._quiet = quiet or QuietLog(logging.getLogger(__name__))

    @property
    def is_required(self) -> bool:
        """Say whether a token is configured."""
        return self._digest is not None

    def caller(self, token: str | None) -> Caller:
        """Tell who brings this token.

        Raises:
            UnauthorizedError: it is missing or wrong. The two are not told apart: both are digested and
                compared in constant time.
        """
        if self._digest is None:
            return LOCAL
        if hmac.compare_digest(_digest(token or ""), self._digest):
            return DEFAULT
        self.failures += 1
        self._quiet.warn("a client came without the right token")
        raise UnauthorizedError(
            "The token is missing or wrong.",
            remedy='Send the value of EXAI_WS_TOKEN: in the header "Authorization: Bearer …", '
            "or as `token` in the hello of the older protocol.",
        )


def bearer(header: str | None) -> str | None:
    """Take the token out of an Authorization header; None if there is none or it is of another kind."""
    if header is None:
        return None
    kind, _, token = header.strip().partition(" ")
    return token.strip() or None if kind.lower() == _BEARER else None


def readers_token(header: str | None) -> str | None:
    """Take the token out of an Authorization header of either kind; of Basic it is the password, for any name.

    Never for an upgrade: a browser sends a password by itself, a Bearer token it does not.
    """
    kind, _, sent = (header or "").strip().partition(" ")
    if kind.lower() != _BASIC:
        return bearer(header)
    try:
        return base64.b64decode(sent.strip(), validate=True).decode().partition(":")[2] or None
    except ValueError:
        return None


def names_token(query_names: Iterable[str]) -> bool:
    """Say whether an address carries a token in its query, where proxies and histories would keep it."""
    return any(name.lower() in _QUERY_NAMES for name in query_names)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
