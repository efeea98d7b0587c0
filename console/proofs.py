"""Proofs: how a person begins one here. The deed is the service's: the console hands the wish on, no more."""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from aiohttp import web

from service.core.money import pico
from service.core.token import ADMIN
from service.serving.auth import LOCAL, Caller
from service.serving.keys import CALLER

Begin = Callable[[Caller, str | None, str | None], Awaitable[str]]
"""Given who asks, a wallet and what it may cost at most, it begins a proof and gives its tool call's id."""
_BEGUN_MAX = 64


class Proofs:
    """The way to begin a proof, and the ids of those begun here, which the ledger may not hold yet.

    Args:
        begin: begins one; None where none is offered.
        local_may: whether a reader on this machine may without a token: not where one is configured, for then
            other people on the machine must have it, too.
        most: by wallet, the most that may be asked for, and its unit.
    """

    def __init__(
        self,
        begin: Begin | None,
        *,
        local_may: bool = False,
        most: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self._begin = begin
        self._local_may = local_may
        self._most = dict(most or {})
        self._begun: deque[str] = deque(maxlen=_BEGUN_MAX)

    def offered(self, request: web.Request) -> bool:
        """Say whether who asks may begin one: it spends money, so reading alone is not enough."""
        caller = request.get(CALLER)
        if self._begin is None or caller is None:
            return False
        return self._local_may if caller is LOCAL else ADMIN in caller.scopes

    def too_much(self, wallet: str | None, max_cost: str) -> str | None:
        """Say why an amount is more than may be asked for here; None if it is not.

        Where no wallet is named it may come to be any, so the lowest number counts.
        """
        named = {name: most for name, most in self._most.items() if wallet in (None, name)}
        if not named:
            return None
        name, (amount, unit) = min(named.items(), key=lambda one: pico(one[1][0]))
        if pico(max_cost) <= pico(amount):
            return None
        return f"A proof begun here may come to {amount} {unit} at most for {name}; {max_cost} is more."

    async def begin(self, caller: Caller, wallet: str | None, max_cost: str | None) -> str:
        """Begin one for who asks; give its tool call's id.

        Raises:
            LookupError: none is offered here.
            ExaiError: it may not begin.
        """
        if self._begin is None:
            raise LookupError
        tool_call_id = await self._begin(caller, wallet, max_cost)
        self._begun.append(tool_call_id)
        return tool_call_id

    def begun(self, tool_call_id: str) -> bool:
        """Say whether one with this id was begun here since the start."""
        return tool_call_id in self._begun


def is_ours(request: web.Request) -> bool:
    """Say whether a request comes from a page of this very host, in so many words.

    A page of another host, or one that hides where it is, must not make a reader's browser spend money.
    """
    origins = request.headers.getall("Origin", [])
    return (
        len(origins) == 1
        and origins[0].startswith(("http://", "https://"))
        and (urlsplit(origins[0]).netloc.lower() == request.host.lower())
    )
