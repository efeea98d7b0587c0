"""The account routes of both providers: who asks, what is counted against the switches, what is said."""

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from service.simulator import glm, glm_account, kimi, kimi_account
from service.simulator.accounts import Account, Standing, standing_of, wallet_of
from service.simulator.chat import chat, key_of
from service.simulator.faults import BillingLag, ClockSkew, Error, Fault, pick
from service.simulator.provider import Provider
from service.simulator.shapes import Answer, Stamp
from service.simulator.wire import send
from service.simulator.world import World

Route = Callable[[web.Request], Awaitable[web.StreamResponse]]
Body = Callable[[World, Account, bytes, int | None], object]
Deny = Callable[[Standing], object]


def kimi_routes(world: World) -> list[web.RouteDef]:
    """Give Kimi's real paths."""
    ask = partial(_account_route, world, kimi)
    return [
        web.post(kimi.CHAT_PATH, _chat_route(world, kimi, plan=False)),
        web.get("/v1/models", ask(lambda _w, account, _b, _u: kimi_account.models(account))),
        web.get("/v1/users/me", ask(lambda _w, account, _b, _u: kimi_account.me(account))),
        web.get(
            "/v1/users/me/balance",
            ask(lambda _w, account, _b, until_ns: kimi_account.balance(account, until_ns)),
        ),
        web.post(
            "/v1/tokenizers/estimate-token-count",
            ask(lambda _w, _a, body, _u: kimi_account.estimate(body)),
        ),
        web.post(
            "/v1/signatures/verify",
            ask(lambda w, _a, body, _u: kimi_account.verify(w.seal, body), no_store=True),
        ),
    ]


def glm_routes(world: World) -> list[web.RouteDef]:
    """Give GLM's real paths; the monitor and account routes refuse with a 200 and take the key raw as well."""
    ask = partial(_account_route, world, glm)
    deny = glm_account.refusal
    models = ask(lambda _w, account, _b, _u: glm_account.models(account))
    return [
        web.post(glm.CHAT_PATH, _chat_route(world, glm, plan=False)),
        web.post(glm.PLAN_CHAT_PATH, _chat_route(world, glm, plan=True)),
        web.get("/api/paas/v4/models", models),
        web.get("/api/coding/paas/v4/models", models),
        web.get(
            "/api/monitor/usage/quota/limit",
            ask(lambda w, account, _b, _u: glm_account.quota(account, w.clock()), deny=deny),
        ),
        web.get(
            "/api/biz/account/query-customer-account-report",
            ask(lambda _w, account, _b, until_ns: glm_account.report(account, until_ns), deny=deny),
        ),
    ]


def lost_route(world: World) -> Route:
    """Answer a path nobody knows; GLM asks for a key before it looks at the path."""

    async def route(request: web.Request) -> web.StreamResponse:
        if not request.path.startswith("/api/"):
            answer = kimi.plain(kimi.stamp(world.ids, world.clock()), 404, {"error": "url.not_found"})
        else:
            stamped = glm.stamp(world.ids, world.clock())
            standing = standing_of(key_of(request))
            lost = {"status": 404, "error": "Not Found", "path": request.path.removeprefix("/api/paas")}
            answer = glm.plain(stamped, 404, lost)
            if standing in {"absent", "unknown", "revoked"}:
                answer = glm.refuse(glm.unauthorized(standing), stamped)
        return await send(request, answer, (), world.closing)

    return route


def _chat_route(world: World, provider: Provider, *, plan: bool) -> Route:
    async def route(request: web.Request) -> web.StreamResponse:
        return await chat(request, world, provider, plan=plan)

    return route


def _account_route(
    world: World, provider: Provider, body_of: Body, *, deny: Deny | None = None, no_store: bool = False
) -> Route:
    """Make a route that reads an account. `deny` is how it refuses keys with a 200 instead of a 401."""

    async def route(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        key = key_of(request)
        if deny is not None:
            key = key or request.headers.get("Authorization", "").strip() or None
        wallet = wallet_of(provider.NAME, key) if key else None
        faults = world.board.take(provider.NAME, wallet, "account")
        skew = pick(faults, ClockSkew)
        stamped = provider.stamp(world.ids, world.clock() + (skew.seconds * 10**9 if skew else 0))
        answer = _reply(world, provider, body_of, deny, key, body, faults, stamped)
        if no_store:
            headers = (*answer.headers, ("Cache-Control", "no-store"))
            answer = Answer(answer.status, headers, answer.body)
        return await send(request, answer, faults, world.closing)

    return route


def _reply(
    world: World,
    provider: Provider,
    body_of: Body,
    deny: Deny | None,
    key: str | None,
    body: bytes,
    faults: tuple[Fault, ...],
    stamped: Stamp,
) -> Answer:
    standing = standing_of(key)
    if key is None or standing not in {"good", "empty"}:
        if deny is not None:
            return provider.plain(stamped, 200, deny(standing))
        return provider.refuse(provider.unauthorized(standing), stamped)
    error, lag = pick(faults, Error), pick(faults, BillingLag)
    if error is not None:
        return provider.refuse(provider.injected(error), stamped)
    until_ns = world.clock() - int(lag.seconds * 10**9) if lag is not None else None
    try:
        said = body_of(world, world.books.account(provider.NAME, key), body, until_ns)
    except ValueError as problem:
        return provider.refuse(provider.bad_request(str(problem)), stamped)
    return provider.plain(stamped, 200, said)
