"""Metrics: what the injected renderer says once everything committed was counted."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web


def routes(
    *, settle: Callable[[], Awaitable[None]], render: Callable[[str], tuple[bytes, str]]
) -> list[web.RouteDef]:
    """List the one address.

    Args:
        settle: waits until the counters have seen every committed entry.
        render: Accept header → body and content type; runs in a thread, so it must be thread-safe.
    """

    async def show(request: web.Request) -> web.Response:
        await settle()
        body, content_type = await asyncio.to_thread(render, request.headers.get("Accept", ""))
        # The header is set whole: the exposition formats put parameters into it that must stay.
        return web.Response(body=body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    return [web.get("/metrics", show)]
