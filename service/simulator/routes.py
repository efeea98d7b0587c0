"""The account routes of both providers: who asks, what is counted against the switches, what is said."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from aiohttp import web

from service.simulator import glm, glm_account, glm_usage, kimi, kimi_account
from service.simulator.accounts import Account, Standing, standing_of, wallet_of
from service.simulator.chat import chat, key_of
from service.simulator.faults import BillingLag, ClockSkew, Error, Fault, pick
from service.simulator.provider import Provider
from service.simulator.shapes import Answer, Stamp
from service.simulator.wire import send
from service.simulator.world import World

Route = Callable[[web.Request], Awaitable[web.StreamResponse]]
Deny = Callable[[Standing], object]


@dataclass(frozen=True, slots=True)
class Question:
    """What an account route is asked: whose account, in which words, and as of when (None: now)."""

    world: World
    account: Account
    body: bytes
    query: Mapping[str, str]
    until_ns: int | None


Body = Callable[[Question], object]


def kimi_routes(world: World) -> list[web.RouteDef]:
    """Give Kimi's real paths."""
    ask = partial(_account_route, world, kimi)
    return [
        web.post(kimi.CHAT_PATH, _chat_route(world, kimi, plan=False)),
        web.get("/v1/models", ask(lambda asked: kimi_account.models(asked.account))),
        web.get("/v1/users/me", ask(lambda asked: kimi_account.me(asked.account))),
        web.get(
            "/v1/users/me/balance",
            ask(lambda asked: kimi_account.balance(asked.account, asked.until_ns)),
        ),
        web.post(
            "/v1/tokenizers/estimate-token-count",
            ask(lambda asked: kimi_account.estimate(asked.body)),
        ),
        web.post(
            "/v1/signatures/verify",
            ask(lambda asked: kimi_account.verify(asked.world.seal, asked.body), no_store=True),
        ),
    ]


def glm_routes(world: World) -> list[web.RouteDef]:
    """Give GLM's real paths; the monitor and account routes refuse with a 200 and take the key raw as well."""
    ask = partial(_account_route, world, glm)
    deny = glm_account.refusal
    models = ask(lambda asked: glm_account.models(asked.account))
    return [
        web.post(glm.CHAT_PATH, _chat_route(world, glm, plan=False)),
        web.post(glm.PLAN_CHAT_PATH, _chat_route(world, glm, plan=True)),
        web.get("/api/paas/v4/models", models),
        web.get("/api/coding/paas/v4/models", models),
        web.get(
            "/api/monitor/usage/quota/limit",
            ask(lambda q: glm_account.quota(q.account, q.world.clock(), q.until_ns), deny=deny),
        ),
        web.get(
            "/api/biz/account/query-customer-account-report",
            ask(lambda asked: glm_account.report(asked.account, asked.until_ns), deny=deny),
        ),
        web.get(
            "/api/biz/tokenAccounts/list/my",
            ask(lambda asked: glm_account.packages(asked.account, asked.until_ns), deny=deny),
        ),
        web.get(
            "/api/monitor/credit-usage/usage-detail",
            ask(lambda q: glm_usage.usage_detail(q.account, q.query, q.until_ns), deny=deny),
        ),
        web.get(
            "/api/monitor/usage/model-usage",
            ask(lambda q: glm_usage.model_usage(q.account, q.query, q.until_ns), deny=deny),
        ),
    ]


def lost_route(world: World) -> Route:
    """Answer a path nobody knows; GLM asks for a key before it looks at the path."""

    async def route(request: web.Request) -> web.StreamResponse:
        if not request.path.startswith("/api/"):
            answer = _lost(kimi, kimi.stamp(world.ids, world.clock()), request.path)
        else:
            stamped = glm.stamp(world.ids, world.clock())
            standing = standing_of(key_of(request))
            answer = _lost(glm, stamped, request.path)
            if standing in {"absent", "unknown", "revoked"}:
                answer = glm.refuse(glm.unauthorized(standing), stamped)
        return await send(request, answer, (), world.closing)

    return route


def _lost(provider: Provider, stamped: Stamp, path: str) -> Answer:
    """Say that there is no such route, as each provider does."""
    if provider.NAME == kimi.NAME:
        return provider.plain(stamped, 404, {"error": "url.not_found"})
    return provider.plain(
        stamped, 404, {"status": 404, "error": "Not Found", "path": path.removeprefix("/api/paas")}
    )


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
        # A switch may be for one route: its path is part of what the switch looks at.
        faults = world.board.take(provider.NAME, wallet, "account", request.path_qs.encode() + b"\n" + body)
        skew = pick(faults, ClockSkew)
        stamped = provider.stamp(world.ids, world.clock() + (skew.seconds * 10**9 if skew else 0))
        answer = _reply(world, provider, body_of, deny, key, request, body, faults, stamped)
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
    request: web.Request,
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
    if error is not None and error.status == HTTPStatus.NOT_FOUND and not (error.type or error.code):
        return _lost(provider, stamped, request.path)
    if error is not None:
        return provider.refuse(provider.injected(error), stamped)
    until_ns = world.clock() - int(lag.seconds * 10**9) if lag is not None else None
    try:
        account = world.books.account(provider.NAME, key)
        said = body_of(Question(world, account, body, request.query, until_ns))
    except ValueError as problem:
        return provider.refuse(provider.bad_request(str(problem)), stamped)
    return provider.plain(stamped, 200, said)
