"""The control socket: a running service does what commands on its machine ask, for its own user and root alone."""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from service import VERSION
from service.actions import _door
from service.actions._action import AnyAction, Stand, somebody
from service.actions._door import BODY_BYTES_MAX, LIFE_S, ROOT, Problem
from service.core.redact import redacted
from service.errors import ActionError, ExaiError, LedgerError
from service.ledger.writer import SecretInEntryError
from service.transports.site import make_runner

DEADLINE_S = 50.0
_JSON = "application/json"
_PEER = struct.Struct("3i")  # source: socket(7), SO_PEERCRED: pid, uid, gid
_ALIVE = b"HTTP/1.1 100 Continue\r\n\r\n"  # source: RFC 9110, section 15.2: a client passes over any number
_ID_BYTES = 8

_log = logging.getLogger(__name__)


class Control:
    """What is behind the door. It belongs to the event loop that serves it.

    Args:
        actions: by name.
        stand: what they work with.
        deadline_s: for every action that is not long.
        life_s: between two signs of life.
    """

    def __init__(
        self,
        actions: Mapping[str, AnyAction],
        stand: Stand,
        *,
        deadline_s: float = DEADLINE_S,
        life_s: float = LIFE_S,
    ) -> None:
        self._actions = actions
        self._stand = stand
        self._deadline_s = deadline_s
        self._life_s = life_s
        self._turn = asyncio.Lock()  # an action looks first and writes then: no other may write between

    def application(self) -> web.Application:
        """Make what is served."""
        app = web.Application(middlewares=[_stand_guard], client_max_size=BODY_BYTES_MAX)
        app.add_routes([web.get(ROOT, self._list), web.post(f"{ROOT}{{name}}", self._act)])
        return app

    async def _list(self, _request: web.Request) -> web.Response:
        told = {"version": VERSION, "actions": sorted(self._actions)}
        return web.Response(body=msgspec.json.encode(told), content_type=_JSON)

    async def _act(self, request: web.Request) -> web.Response:
        action = self._actions.get(request.match_info["name"])
        if action is None:
            raise _Refusal(404, _other_version("it knows no such action"))
        try:
            asked = msgspec.json.decode(await request.read(), type=action.request)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _Refusal(400, _other_version(redacted(str(error)))) from error
        by = somebody(_peer(request))
        with _signs_of_life(request, self._life_s):
            reply = await self._run(action, asked, by)
        _log.info("an action was done", extra={"action": action.name, "by": by})
        return web.Response(body=msgspec.json.encode(reply), content_type=_JSON)

    async def _run(self, action: AnyAction, asked: msgspec.Struct, by: str) -> msgspec.Struct:
        if action.is_long:
            reply: msgspec.Struct = await action.run(asked, self._stand, by)
            return reply
        try:
            async with asyncio.timeout(self._deadline_s), self._turn:
                reply = await action.run(asked, self._stand, by)
        except SecretInEntryError as error:
            raise ActionError(f"{action.name}: {error}", remedy=error.remedy) from error
        except TimeoutError as error:
            raise ActionError(
                f"{action.name} took longer than {self._deadline_s:g} s",
                remedy="It may have been done all the same: look before you ask again.",
            ) from error
        return reply


@asynccontextmanager
async def controlled(folder: Path, actions: Mapping[str, AnyAction], stand: Stand) -> AsyncIterator[None]:
    """Keep a folder's door open while the context lasts. The caller must hold the folder's lock.

    Where the folder can hold no socket the service does without: commands that write then need it stopped.

    Raises:
        ActionError: the folder's path is too long for a socket on this system.
    """
    try:
        listener = _door.bind(folder)
    except OSError as error:
        _log.warning("commands cannot ask this service: no control socket in its folder: %s", error.strerror)
        yield
        return
    runner = make_runner(Control(actions, stand).application())
    try:
        await runner.setup()
        await web.SockSite(runner, listener).start()
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / _door.FILE_NAME).unlink()
        await runner.cleanup()
        listener.close()


class _Refusal(Exception):  # noqa: N818 - it is raised to be answered, and by us alone
    def __init__(self, status: int, problem: Problem) -> None:
        super().__init__(problem.message)
        self.status = status
        self.problem = problem


@web.middleware
async def _stand_guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let in who may ask, and turn whatever goes wrong into a problem."""
    try:
        _refuse_stranger(request)
        return await handler(request)
    except _Refusal as refusal:
        return _answer(refusal.status, refusal.problem)
    except ExaiError as error:
        status = 503 if isinstance(error, LedgerError) else 409
        return _answer(status, Problem(error.code, error.message, error.remedy, retryable=error.retryable))
    except web.HTTPException as error:
        return _answer(error.status, Problem("request", f"{error.reason}."))
    except ConnectionError:
        raise
    except Exception:  # noqa: BLE001 - whatever breaks, whoever asked must be told
        reference = secrets.token_hex(_ID_BYTES)
        _log.exception("an action failed for a fault of ours", extra={"reference": reference})
        message = f"the service failed; its log names this {reference}"
        return _answer(500, Problem("internal", message))


def _refuse_stranger(request: web.Request) -> None:
    if "Origin" in request.headers:  # no browser reaches a socket: somebody has put a proxy before it
        raise _Refusal(403, Problem("origin", "pages may not ask here"))
    uid = _peer(request)
    if uid not in (None, 0, os.geteuid()):
        message = f"this service takes commands of {somebody()} and of root alone"
        raise _Refusal(403, Problem("unauthorized", message, "Run the command as one of them."))


def _peer(request: web.Request) -> int | None:
    """Tell the user at the other end; None where the system does not: there the file's mode keeps others out."""
    transport = request.transport
    if sys.platform != "linux" or transport is None:
        return None
    connection: socket.socket = transport.get_extra_info("socket")
    _pid, uid, _gid = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return int(uid)


@contextlib.contextmanager
def _signs_of_life(request: web.Request, every_s: float) -> Iterator[None]:
    """Let the waiting client hear something now and then, so that it may tell a long deed from a dead service."""

    async def live() -> None:
        while request.transport is not None:
            await asyncio.sleep(every_s)
            if request.transport is not None:
                request.transport.write(_ALIVE)

    living = asyncio.create_task(live())
    try:
        yield
    finally:
        living.cancel()


def _other_version(why: str) -> Problem:
    return Problem(
        "not_understood",
        f"the running service, version {VERSION}, does not understand this: {why}",
        "Use the command of the same version, or start the service again with the newer one.",
    )


def _answer(status: int, problem: Problem) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(problem), content_type=_JSON)
