"""The judge's own door: books, switches, money that moves without a request. Everything under `/_sim/`."""

from typing import Annotated, Literal

import msgspec
from aiohttp import web

from service.simulator.accounts import Account
from service.simulator.faults import KINDS, Amount, read_faults
from service.simulator.rates import amount_nano
from service.simulator.world import World


class Movement(msgspec.Struct, forbid_unknown_fields=True):
    """What moves in a wallet without a chat request: money, a plan's credits, or a package of tokens."""

    wallet: str
    kind: Literal["elsewhere", "topup", "voucher", "package", "credits"]
    amount: Annotated[Amount, msgspec.Meta(max_length=20)] | None = None
    tokens: Annotated[int, msgspec.Meta(ge=1, le=10**12)] | None = None

    def apply(self, account: Account, at_ns: int) -> None:
        """Do it; raises ValueError for what is not stated, or is not to be had."""
        if self.kind == "package":
            if self.tokens is None or account.provider != "glm":
                raise ValueError("a package has tokens, and is glm's")
            account.packages.append((at_ns, self.tokens))
            return
        if self.amount is None:
            raise ValueError(f"{self.kind} has an amount")
        if self.kind == "credits":
            account.draw_credits(at_ns, amount_nano(self.amount))
        else:
            account.move(at_ns, self.kind, amount_nano(self.amount))


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
            account = _moved(world, await request.read())
        except ValueError as error:
            return _json({"error": str(error)}, 400)
        if account is None:
            return _json({"error": "no such wallet; it opens with its key's first request"}, 404)
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


def _moved(world: World, body: bytes) -> Account | None:
    """Make a movement; None for an unknown wallet, ValueError for what is none."""
    movement = msgspec.json.decode(body, type=Movement)  # its own errors are ValueErrors
    account = world.books.accounts.get(movement.wallet)
    if account is not None:
        movement.apply(account, world.clock())
    return account


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
