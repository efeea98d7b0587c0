"""Health: whether the process lives, whether it takes calls, and how each part is, in words."""

import asyncio
from collections.abc import Callable, Sequence
from enum import StrEnum
from http import HTTPStatus

import msgspec
from aiohttp import web

from service.web.problems import wants_json

_UNCACHED = {"Cache-Control": "no-store"}

Detail = dict[str, str | int | float | bool | None]
"""Numbers of one part, for programs."""


class State(StrEnum):
    """How a part is. What cannot fail must never be called ok."""

    OK = "ok"  # it was seen to do what it should
    DEGRADED = "degraded"  # it does not
    UNKNOWN = "unknown"  # nothing has shown yet whether it does
    OFF = "off"  # nobody asked for it


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """How one part of the service is.

    Attributes:
        name: the part, one word.
        of: which one, where there may be several.
        sentence: how it is, for people; what to do when it is not well.
        detail: the same in numbers.
    """

    name: str
    of: str | None = None
    state: State
    sentence: str
    detail: Detail = msgspec.field(default_factory=dict)

    @property
    def title(self) -> str:
        """Write the part's name, and which one it is."""
        return self.name if self.of is None else f"{self.name} {self.of}"


Ready = Callable[[], tuple[bool, Sequence[str]]]
"""Whether tool calls are taken, and if not, why, in sentences."""


def routes(*, ready: Ready, checks: Callable[[], Sequence[Check]]) -> list[web.RouteDef]:
    """List the three addresses.

    Args:
        ready: must be quick and must not wait.
        checks: looks at every part; runs in a thread. A check that cannot look must say that it is degraded.
    """

    async def live(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n", headers=_UNCACHED)

    async def show_ready(request: web.Request) -> web.Response:
        is_ready, reasons = ready()
        status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        if wants_json(request):
            return web.json_response(
                {"ready": is_ready, "reasons": list(reasons)}, status=status, headers=_UNCACHED
            )
        text = "\n".join(("ready" if is_ready else "not ready", *reasons, ""))
        return web.Response(text=text, status=status, headers=_UNCACHED)

    async def show(request: web.Request) -> web.Response:
        found = await asyncio.to_thread(checks)
        # Degraded is not down: whoever routes by status asks /health/ready.
        if _wants_words(request):
            return web.Response(text=_words(found), headers=_UNCACHED)
        return web.Response(text=_json(found), content_type="application/json", headers=_UNCACHED)

    return [
        web.get("/health/live", live),
        web.get("/health/ready", show_ready),
        web.get("/health", show),
    ]


def _wants_words(request: web.Request) -> bool:
    return "text/" in request.headers.get("Accept", "") and not wants_json(request)


def _of(found: Sequence[Check], state: State) -> list[Check]:
    return [check for check in found if check.state is state]


def _status(found: Sequence[Check]) -> State:
    return State.DEGRADED if _of(found, State.DEGRADED) else State.OK


def _json(found: Sequence[Check]) -> str:
    shown = {
        "status": _status(found),
        "reasons": [f"{check.title}: {check.sentence}" for check in _of(found, State.DEGRADED)],
        "unknown": [f"{check.title}: {check.sentence}" for check in _of(found, State.UNKNOWN)],
        "checks": list(found),
    }
    return msgspec.json.encode(shown).decode()


def _words(found: Sequence[Check]) -> str:
    unknown = ", ".join(check.title for check in _of(found, State.UNKNOWN))
    status = f"{_status(found)}; not known yet: {unknown}" if unknown else _status(found)
    lines = (f"{_shown(check.state):8} {check.title}: {check.sentence}" for check in found)
    return "\n".join((status, *lines, ""))


def _shown(state: State) -> str:
    return state.upper() if state is State.DEGRADED else state
