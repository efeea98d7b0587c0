"""Wallets: the accounts that pay. A wallet's key leaves it only in a request's header."""

import hashlib
import re
from urllib.parse import SplitResult, urlsplit

import msgspec

from service.core.shapes import Provider
from service.loopback import is_loopback
from service.secret import SIMULATOR_KEY, Secret

_SIMULATOR_KEY_CNY = "sim-cny"
_FINGERPRINT_CHARS = 8
NO_PLAN = "none"
_PLAN = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_OWN_PORTS = frozenset((None, 443))


class WalletError(ValueError):
    """A key and a base URL that must not meet; the text says why and holds no part of the key."""


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    """An account that pays, as far as its key and host tell.

    Attributes:
        name: unique; `provider-fingerprint` unless the operator names it.
        base_url: without a slash at the end.
        host: lower-case host of the base URL, with its port if it names one.
        price_host: the host whose prices hold here; None if none is known.
        currency: what it is billed in; None if not known.
        fingerprint: first 8 hex of the key's SHA-256.
        simulated: whether a simulator, not a provider, is behind it.
        zone: IANA name; whose days and months its budgets mean.
        plan: the plan that pays; None where every call is paid by its tokens.
        own_host: whether it is a host of the provider's own, reached by https; a simulator's never is.
    """

    name: str
    provider: str
    base_url: str
    host: str
    price_host: str | None
    currency: str | None
    fingerprint: str
    simulated: bool
    key: Secret
    zone: str = "UTC"
    plan: str | None = None
    own_host: bool = False


def fingerprint(key: str) -> str:
    """Tell keys apart without showing them: first 8 hex of SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()[:_FINGERPRINT_CHARS]


def wallet(
    provider: Provider,
    key: str,
    *,
    base_url: str,
    name: str | None = None,
    zone: str = "UTC",
    plan: str | None = None,
) -> Wallet:
    """Put a wallet together and refuse what would send a key where it must not go.

    Args:
        provider: whose account it is.
        key: what is sent in every request's header.
        base_url: where requests go.
        name: the operator's own name for it.
        zone: whose days its budgets mean.
        plan: what the operator says of the plan; `none` says that there is none. None: as the base URL tells.

    Raises:
        WalletError: no http(s) URL, a simulator's key for another host than this machine, a real key over
            plain http to another machine, a key that no header can carry, or a plan that is no word.
    """
    if plan is not None and not _PLAN.fullmatch(plan):
        raise WalletError(f"plan is {plan[:40]!r}: expected a word like coding, or {NO_PLAN}")
    if not key.isascii() or not key.isprintable() or " " in key or not key:
        raise WalletError("the key is empty or has characters that no HTTP header can carry")
    parts = _plain(base_url)
    if parts is None or parts.hostname is None:
        raise WalletError(f"the base URL of {provider.name} is no plain http or https URL")
    simulated = key.startswith(SIMULATOR_KEY)
    local = is_loopback(parts.hostname)
    if simulated and not local:
        raise WalletError(f"a simulator's key ({SIMULATOR_KEY}…) is never sent to {parts.hostname}")
    if not simulated and not local and parts.scheme != "https":
        raise WalletError(f"a key is never sent to {parts.hostname} without TLS; use https")
    hint = "real" if not simulated else "sim-cny" if key.startswith(_SIMULATOR_KEY_CNY) else "sim"
    price_host = provider.price_host(parts.hostname, hint)
    return Wallet(
        name=name or f"{provider.name}-{fingerprint(key)}",
        provider=provider.name,
        base_url=base_url.rstrip("/"),
        host=parts.netloc.lower(),
        price_host=price_host,
        currency=provider.currency(price_host),
        fingerprint=fingerprint(key),
        simulated=simulated,
        key=Secret(key),
        zone=zone,
        plan=provider.plan(parts.path) if plan is None else plan if plan != NO_PLAN else None,
        own_host=_is_own(provider, parts) and not simulated,
    )


def _is_own(provider: Provider, parts: SplitResult) -> bool:
    return parts.scheme == "https" and parts.hostname in provider.hosts and parts.port in _OWN_PORTS


def _plain(url: str) -> SplitResult | None:
    """Take a URL apart; None if it is broken, or has more than scheme, host, port and path."""
    try:
        parts = urlsplit(url)
        plain = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if plain and "@" not in parts.netloc and not parts.query and not parts.fragment else None
