"""Hosts: by which names this service may be addressed, and nothing that merely looks like one of them."""

import re
from collections.abc import Callable, Iterable

from service.errors import SettingsError
from service.loopback import is_loopback

_AUTHORITY = re.compile(
    r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_-])?)(?::(?P<port>[0-9]{1,5}))?"
)
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/@]+)")
_DEFAULT_PORTS = {"http": 80, "https": 443}

Authority = tuple[str, int | None]


class Hosts:
    """The names that are ours: loopback ones with a bound port, and what the operator allows.

    Args:
        bound_ports: the ports that are listened on; asked each time, for a port may be known late.
        allowed: `name` (on a bound or a default port) or `name:port` (there only).

    Raises:
        SettingsError: an allowed host is neither.
    """

    def __init__(self, bound_ports: Callable[[], Iterable[int]], allowed: Iterable[str] = ()) -> None:
        self._bound_ports = bound_ports
        self._allowed = frozenset(_allowed(text) for text in allowed)

    def admits(self, host: str) -> bool:
        """Judge the value of a Host header."""
        authority = split(host)
        return authority is not None and self._is_ours(*authority, tuple(_DEFAULT_PORTS.values()))

    def admits_origin(self, origin: str) -> bool:
        """Judge the value of an Origin header; `null` is nobody's origin."""
        parts = _ORIGIN.fullmatch(origin.lower())
        authority = split(parts["authority"]) if parts else None
        return (
            parts is not None
            and authority is not None
            and self._is_ours(*authority, (_DEFAULT_PORTS[parts["scheme"]],))
        )

    def _is_ours(self, name: str, port: int | None, defaults: tuple[int, ...]) -> bool:
        ports = defaults if port is None else (port,)
        if any((name, each) in self._allowed for each in ports):
            return True
        bound = set(self._bound_ports())
        if (name, None) in self._allowed:
            return any(each in bound or each in _DEFAULT_PORTS.values() for each in ports)
        # Without a port the default one of the scheme is meant: ours only if we are bound to it.
        return is_loopback(name) and any(each in bound for each in ports)


def split(text: str) -> Authority | None:
    """Split `name` or `name:port`; None for user names, trailing dots and whatever else is not that plain.

    Brackets of an IPv6 address are taken off.
    """
    parts = _AUTHORITY.fullmatch(text.lower())
    if parts is None:
        return None
    return parts["name"].strip("[]"), int(parts["port"]) if parts["port"] else None


def _allowed(text: str) -> Authority:
    authority = split(text)
    if authority is None:
        raise SettingsError(
            f"{text!r} is no host name", remedy="Write EXAI_ALLOWED_HOSTS as names or name:port, without a scheme."
        )
    return authority
