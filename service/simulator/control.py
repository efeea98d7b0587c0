"""The judge's own door: books, switches, money that moves without a request. Everything under `/_sim/`."""

from typing import Annotated, Literal

import msgspec
from aiohttp import web

from service.simulator.faults import KINDS, Amount, read_faults
from service.simulator.rates import amount_nano
from service.simulator.world import World


class Movement(msgspec.Struct, forbid_unknown_fields=True):
    """Money that moves in a wallet without a chat request."""

    wallet: str
    kind: Literal["elsewhere", "topup", "voucher"]
    amount: Annotated[Amount, msgspec.Meta(max_length=20)]


def control_routes(world: World) -> list[web.RouteDef]:
    """Give the routes of the judge; none needs a key, for only loopback reaches them."""

    async def books(_request: web.Request) -> web.Response:
        return _json(world.books.as_json())

    async def faults(_request: web.Request) -> web.Response:
        return _json({**world.board.as_json(), "kinds": KINDS})

    async def put_faults(request: web.Request) -> web.Response:
        try:
            world.board.put(read_faults(await request.read()))
        except ValueError as error:
            return _json({"error": str(error)}, 400)
        return _json(world.board.as_json())

    async def move(request: web.Request) -> web.Response:
        try:
            movement = msgspec.json.decode(await request.read(), type=Movement)
        except msgspec.MsgspecError as error:
            return _json({"error": str(error)}, 400)
        account = world.books.accounts.get(movement.wallet)
        if account is None:
            return _json({"error": "no such wallet; it opens with its key's first request"}, 404)
        account.move(world.clock(), movement.kind, amount_nano(movement.amount))
        return _json(account.as_json())

    async def reset(_request: web.Request) -> web.Response:
        world.reset()
        return _json({"reset": True})

    async def lost(_request: web.Request) -> web.Response:
        known = "GET books, GET or PUT faults, POST move, POST reset"
        return _json({"error": f"unknown; under /_sim/ there are: {known}"}, 404)

    return [
        web.get("/_sim/books", books),
        web.get("/_sim/faults", faults),
        web.put("/_sim/faults", put_faults),
        web.post("/_sim/move", move),
        web.post("/_sim/reset", reset),
        web.route("*", "/_sim/{rest:.*}", lost),
    ]


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
