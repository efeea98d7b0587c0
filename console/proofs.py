"""Proofs: how a person begins one here. The deed is the service's: the console hands the wish on, no more."""

from collections import deque
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from service.core.token import ADMIN
from service.serving.auth import LOCAL
from service.serving.keys import CALLER

Begin = Callable[[str | None, str | None], Awaitable[str]]
"""Given a wallet and what it may cost at most, it begins a proof and gives its tool call's id."""
_BEGUN_MAX = 64


class Proofs:
    """The way to begin a proof, and the ids of those begun here, which the ledger may not hold yet.

    Args:
        begin: begins one; None where none is offered.
    """

    def __init__(self, begin: Begin | None) -> None:
        self._begin = begin
        self._begun: deque[str] = deque(maxlen=_BEGUN_MAX)

    def offered(self, request: web.Request) -> bool:
        """Say whether who asks may begin one: it spends money, so reading alone is not enough."""
        caller = request.get(CALLER)
        return self._begin is not None and caller is not None and (caller is LOCAL or ADMIN in caller.scopes)

    async def begin(self, wallet: str | None, max_cost: str | None) -> str:
        """Begin one; give its tool call's id.

        Raises:
            LookupError: none is offered here.
            ExaiError: it may not begin.
        """
        if self._begin is None:
            raise LookupError
        tool_call_id = await self._begin(wallet, max_cost)
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
