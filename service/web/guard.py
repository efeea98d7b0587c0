"""The guard: Host, Origin and the right to read, checked before any route and any upgrade.

Browsers do not hold WebSockets to the same-origin rule, and a rebound name reaches loopback: these checks
are the only thing between a stranger's page and this service.

Who may read: `/`, `/mcp` (which has its own check) and the probes are open. Everything else needs the scope
`read`, unless the request cannot have come from elsewhere: the service is bound to loopback, the peer is on
loopback, and the Host it names is a loopback name (a proxy on this machine names another).
"""

import logging
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from service.errors import UnauthorizedError
from service.loopback import is_loopback
from service.serving.auth import CALL, LOCAL, READ, READER_CHALLENGE, Caller, Tokens, readers_token
from service.serving.keys import CALLER
from service.serving.quiet import QuietLog
from service.web.hosts import Hosts, split

OPEN_PATHS = frozenset(("/", "/mcp", "/health/live", "/health/ready"))
_OF_CALLS = ("/console/", "/api/")
"""Where who may call finds what its own calls came to; each of these shows a caller no more than it may see."""
REASONS = frozenset(("host", "origin", "target", "unauthorized"))
"""Every word that `count_rejection` may be given; fit for a metric's label."""


def guard(
    hosts: Hosts,
    tokens: Tokens,
    *,
    is_bound_to_loopback: bool,
    count_rejection: Callable[[str], None] = lambda _reason: None,
    quiet: QuietLog | None = None,
) -> Middleware:
    """Make the middleware that stands before every route of an application.

    Args:
        hosts: the names that are ours.
        tokens: who may read.
        is_bound_to_loopback: whether every port is bound to loopback.
        count_rejection: is given a word of `REASONS`.
        quiet: where refusals are told, without a stranger's text.
    """
    told = quiet or QuietLog(logging.getLogger(__name__))

    @web.middleware
    async def stand(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = _refusal(request, hosts)
        if refusal is not None:
            reason, error = refusal
            count_rejection(reason)
            told.warn(f"a request is refused for its {reason}")
            raise error
        if request.rel_url.raw_path not in OPEN_PATHS:
            try:
                request[CALLER] = _reader(request, tokens, is_bound_to_loopback=is_bound_to_loopback)
            except web.HTTPException:
                count_rejection("unauthorized")
                raise
        return await handler(request)

    return stand


def _refusal(request: web.Request, hosts: Hosts) -> tuple[str, web.HTTPException] | None:
    if not request.raw_path.startswith("/"):
        return "target", web.HTTPBadRequest(text="The request's target must be a path on this host.")
    named = request.headers.getall("Host", [])
    if len(named) != 1 or not hosts.admits(named[0]):
        return "host", web.HTTPMisdirectedRequest(
            text="This service does not answer to that host name. Use the address it was started with, "
            "or add the name (and port) to EXAI_ALLOWED_HOSTS."
        )
    origins = request.headers.getall("Origin", [])
    if len(origins) > 1 or (origins and not hosts.admits_origin(origins[0])):
        return "origin", web.HTTPForbidden(
            text="Pages of another origin may not use this service. If the page is yours, add its host "
            "(and port) to EXAI_ALLOWED_HOSTS."
        )
    return None


def _reader(request: web.Request, tokens: Tokens, *, is_bound_to_loopback: bool) -> Caller:
    header = request.headers.get("Authorization")
    if header is None and is_bound_to_loopback and _comes_from_here(request):
        return LOCAL
    try:
        caller = tokens.caller(readers_token(header))
    except UnauthorizedError as error:
        in_a_browser = "In a browser give it as the password; any name will do."
        raise web.HTTPUnauthorized(
            text=f"{error.message} {error.remedy} {in_a_browser}", headers=READER_CHALLENGE
        ) from None
    if READ not in caller.scopes and not (CALL in caller.scopes and request.path.startswith(_OF_CALLS)):
        raise web.HTTPForbidden(text="This token may not read here. Use one with the scope read.")
    return caller


def _comes_from_here(request: web.Request) -> bool:
    named = split(request.headers.get("Host", ""))
    return (
        request.remote is not None and is_loopback(request.remote) and named is not None and is_loopback(named[0])
    )
