"""The Live page of a whole service: what a person sees while clients call, and while the service is restarted."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from subprocess import Popen
from urllib.parse import urlsplit

import aiohttp
import pytest
from playwright.async_api import expect

from tests.browsing import breaches, browsing
from tests.journeys.conftest import KEYS
from tests.processes import WAIT_S, Judge, Served, Serving, end, eventually, get, start
from tests.speaking import receipt_of, speaking

STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
def served(serving: Serving) -> Served:
    """Start a service."""
    return serving()


@pytest.fixture
def again() -> Iterator[list[Popen[bytes]]]:
    """Give a place for the service's successor, which ends with the test."""
    successors: list[Popen[bytes]] = []
    yield successors
    for child in successors:
        end(child)


async def restart(served: Served, simulated: Judge, successors: list[Popen[bytes]]) -> None:
    """Stop the service, and start it again on the same folder and the same port."""
    assert 0 == await served.stop()
    environ = {**KEYS, **simulated.base_urls, "EXAI_DATA_DIR": str(served.data)}
    port = str(urlsplit(served.url).port)
    successors.append(start("serve", "--port", port, folder=served.folder, environ=environ))

    async def ready() -> bool:
        try:
            return 200 == (await get(f"{served.url}/health/ready"))[0]
        except aiohttp.ClientError:
            return False

    await eventually(ready)


async def ask(served: Served, prompt: str) -> str:
    """Make one call; give its id."""
    async with speaking(served.socket) as speaker:
        result = await speaker.call(prompt=prompt, provider="kimi")
    assert not result["isError"]
    call_id: str = receipt_of(result)["tool_call_id"]
    return call_id


async def ids(answer: aiohttp.ClientResponse, count: int) -> list[int]:
    """Read so many events; give their ids."""
    found: list[int] = []
    async with asyncio.timeout(WAIT_S):
        while len(found) < count:
            name, _, text = (await answer.content.readline()).decode().strip().partition(": ")
            found += [int(text)] if name == "id" else []
    return found


async def test_a_call_is_seen_as_it_happens(
    served: Served, simulated: Judge, judge: Judge, again: list[Popen[bytes]]
) -> None:
    """A row appears without a reload and leads to the receipt; after a restart the page goes on by itself."""
    assert [] == await judge.requests()
    async with browsing() as context:
        page = await context.new_page()
        await page.goto(f"{served.url}/console/live")
        await expect(page.locator("#state")).to_contain_text("Live")
        first = await ask(served, "Am I seen?")
        await expect(page.locator("#rows tr")).to_contain_text(["UNVERIFIED"])
        await expect(page.locator("#rows tr")).to_contain_text(["SIMULATED"])
        await restart(served, simulated, again)
        await expect(page.locator("#state")).to_contain_text("Live")
        second = await ask(served, "And now?")
        await expect(page.locator("#rows tr")).to_contain_text(["answered", "answered"])
        links = [await link.get_attribute("href") for link in await page.locator("#rows a").all()]
        assert [f"/console/calls/{second}", f"/console/calls/{first}"] == links
        assert [] == await breaches(page)
        await page.locator("#rows a").first.click()
        await expect(page.locator("h1")).to_be_visible()
        assert page.url.endswith(second)


async def test_missed_events_are_replayed_after_a_restart(
    served: Served, simulated: Judge, again: list[Popen[bytes]]
) -> None:
    """A client that names its last event to the service's next start gets every event that followed."""
    await ask(served, "One.")
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{served.url}/console/live?after=0", headers=STREAM) as answer:
            before = await ids(answer, 4)
        await restart(served, simulated, again)
        await ask(served, "Two.")
        for last in (before[0], before[-1]):
            named = {**STREAM, "Last-Event-ID": str(last)}
            async with http.get(f"{served.url}/console/live", headers=named) as answer:
                missed = [index for index in before if index > last]
                found = await ids(answer, len(missed) + 4)
                assert missed == found[: len(missed)]
                assert sorted(set(found)) == found


async def test_the_service_stops_while_streams_are_open(served: Served) -> None:
    """Five open streams end with the service, which does not wait for them."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        streams = [
            await stack.enter_async_context(http.get(f"{served.url}/console/live", headers=STREAM))
            for _ in range(5)
        ]
        assert [200] * 5 == [stream.status for stream in streams]
        assert 0 == await served.stop()
        async with asyncio.timeout(WAIT_S):
            for stream in streams:
                await stream.read()
    assert "Traceback" not in (served.folder / "stderr").read_text()


async def test_who_may_not_read_sees_no_stream(serving: Serving) -> None:
    """Away from loopback's trust, the stream needs the same right as every page."""
    served = serving(EXAI_WS_TOKEN="a-token-long-enough-to-count")
    status, _ = await get(f"{served.url}/console/live", Accept="text/event-stream", Host="stranger.example")
    assert 421 == status
    status, _ = await get(f"{served.url}/console/live", Accept="text/event-stream", Authorization="Bearer wrong")
    assert 401 == status
