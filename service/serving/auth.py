"""Who calls: a token is turned into a caller, or into a refusal that takes the same path for every stranger.

Named tokens are known from the ledger's committed entries: whoever wrote one, it counts from then on.
"""

import base64
import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec

from service.core import token as tokens
from service.core.entries import AnyEntry, ClientEntry
from service.core.record import Step
from service.core.times import utc_ns
from service.core.token import NamedToken, TokenState
from service.errors import UnauthorizedError
from service.secret import Secret
from service.serving.quiet import QuietLog

CALL = tokens.CALL
READ = tokens.READ
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
        token_sha256: which named token it came with; None for none.
    """

    name: str
    scopes: frozenset[str]
    sees_all: bool
    token_sha256: str | None = None


LOCAL = Caller("local", frozenset((CALL, READ)), sees_all=True)
"""Everyone, while no token is configured. The start must keep such a service on loopback."""

DEFAULT = Caller("default", frozenset((CALL, READ)), sees_all=False)
"""Whoever has the token of EXAI_WS_TOKEN."""

_LAPSES = {TokenState.REVOKED: "the token was revoked", TokenState.EXPIRED: "the token has expired"}


class _Standing(msgspec.Struct, frozen=True):
    """A named token that lets somebody in until it expires."""

    digest: bytes
    expires_ns: int | None
    caller: Caller


class Tokens:
    """The token that is configured and the named ones, as digests; without the former everyone is the local owner.

    Named tokens may change on any thread (it is a listener of the feed); everything else belongs to one loop.

    Args:
        token: of EXAI_WS_TOKEN.
        entries: the ledger's, as far as they tell of named tokens.
        now_ns: the UTC wall time, by which tokens expire.

    Attributes:
        failures: refusals since the start.
    """

    def __init__(
        self,
        token: Secret | None,
        *,
        entries: Iterable[AnyEntry] = (),
        now_ns: Callable[[], int] = time.time_ns,
        quiet: QuietLog | None = None,
    ) -> None:
        if token is not None and not token.reveal():
            raise ValueError("an empty token would let everyone in; leave it out instead")
        self.failures = 0
        self._digest = None if token is None else _digest(token.reveal())
        self._now_ns = now_ns
        self._quiet = quiet or QuietLog(logging.getLogger(__name__))
        self._changing = threading.Lock()
        self._named = tokens.tokens_after(entries)  # this and the next: replaced as a whole, never changed
        self._standing = _standing(self._named.values(), now_ns())
        self._watchers: tuple[Callable[[], None], ...] = ()

    @property
    def is_required(self) -> bool:
        """Say whether a token is configured, without which nobody comes in."""
        return self._digest is not None

    def caller(self, token: str | None) -> Caller:
        """Tell who brings this token.

        Raises:
            UnauthorizedError: it is missing, wrong, expired or revoked. These are not told apart: whatever comes
                is digested and compared in constant time with every token there is. Where no token is
                configured, only what begins as a named token does is looked at so.
        """
        if self._digest is None and not (token or "").startswith(tokens.PREFIX):
            return LOCAL
        given = _digest(token or "")
        found = DEFAULT if self._digest is not None and hmac.compare_digest(given, self._digest) else None
        now_ns = self._now_ns()
        for one in self._standing:  # to the last one, whichever it is
            is_it = hmac.compare_digest(given, one.digest)
            is_active = one.expires_ns is None or now_ns < one.expires_ns
            found = one.caller if is_it and is_active else found
        if found is None:
            raise self._refusal()
        return found

    def lapse(self, caller: Caller) -> str | None:
        """Say why a caller who came in may stay no longer; None if it may."""
        if caller.token_sha256 is None:
            return None
        named = self._named.get(caller.token_sha256)
        state = TokenState.REVOKED if named is None else named.state(self._now_ns())
        return None if state is TokenState.ACTIVE else _LAPSES[state]

    def valid(self, caller: Caller) -> bool:
        """Say whether a caller who came in may stay."""
        return self.lapse(caller) is None

    def take(self, steps: Sequence[Step]) -> None:
        """Learn of named tokens from committed steps; may be called from any thread, and twice with the same."""
        told = [step.entry for step in steps if isinstance(step.entry, ClientEntry)]
        if not told:
            return
        with self._changing:
            changed = tokens.tokens_after(told, self._named)
            if changed == self._named:
                return
            self._named = changed
            self._standing = _standing(changed.values(), self._now_ns())
            watchers = self._watchers
        for watcher in watchers:
            watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Let somebody be called, on whatever thread, each time after named tokens have changed."""
        with self._changing:
            self._watchers += (watcher,)

    def _refusal(self) -> UnauthorizedError:
        self.failures += 1
        self._quiet.warn("a client came without the right token")
        return UnauthorizedError(
            "The token is missing or wrong.",
            remedy="Send the value of EXAI_WS_TOKEN, or a token of `exai token create` that is neither expired nor"
            ' revoked: in the header "Authorization: Bearer …", or as `token` in the hello of the older protocol.',
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


def _standing(named: Iterable[NamedToken], now_ns: int) -> tuple[_Standing, ...]:
    """Leave out what is revoked or has expired: it is then as unknown as what nobody ever made."""
    return tuple(
        _Standing(
            bytes.fromhex(one.token_sha256),
            None if one.expires_at is None else utc_ns(one.expires_at),
            Caller(one.name, frozenset(one.scopes), READ in one.scopes, one.token_sha256),
        )
        for one in named
        if one.state(now_ns) is TokenState.ACTIVE
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
