"""A provider that is away: nobody listens where it should, or somebody else does."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.accounts import Export, agree
from tests.processes import Judge, Served, Serving
from tests.stories import Story, same_story, witnessing
from tests.troubles import Told, doubted


async def told_of(served: Served, provider: str) -> Story:
    """Call once and ask everybody about it."""
    async with witnessing(served) as witness:
        return await witness.tell(await witness.speaker.call(prompt="Hello?", provider=provider))


async def test_a_provider_that_is_down_is_tried_again_and_costs_nothing(serving: Serving, judge: Judge) -> None:
    """Nobody listens: not one byte leaves, so it is tried again; the other provider still answers."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and never listened on
        served = serving(KIMI_BASE_URL=f"http://127.0.0.1:{held.getsockname()[1]}/v1", EXAI_ATTEMPTS_MAX="2")
        story = await told_of(served, "kimi")
    told = Told(
        {}, ("unsent", "unsent"), "N6", "provider_unreachable", "KIMI_BASE_URL", retryable=True, status=None
    )
    same_story(story, "kimi", told)
    assert story.shown["verdict"]["sentence"].endswith("could not be reached; the request never left.")
    assert "0 never left this machine: connection refused" in story.page
    assert not (await told_of(served, "glm")).result["isError"]
    agree(Export(await served.export()), await judge.requests())


@asynccontextmanager
async def gateway(page: str, asked: list[str]) -> AsyncIterator[str]:
    """Stand where a provider should be and answer everything with status 502; give the base URL."""

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=502, text=page, content_type="text/html")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def test_a_gateways_page_is_no_answer_of_the_provider(serving: Serving, judge: Judge) -> None:
    """A 502 with HTML tells nothing of what was billed: in doubt, not tried again, no markup passed on."""
    asked: list[str] = []
    async with gateway("<html><script>alert('gateway')</script>Bad gateway</html>", asked) as url:
        story = await told_of(serving(KIMI_BASE_URL=url), "kimi")
    assert ["/v1/chat/completions"] == asked
    same_story(story, "kimi", doubted({}, "unreadable_answer", status=502))
    assert "alert('gateway')" not in story.page + str(story.result)
    assert [] == await judge.requests()
