"""Provider faults: whatever a provider does, answer, receipt, page and books tell one and the same story."""

import asyncio
import html
import re
import socket
from typing import NamedTuple

import pytest
from aiohttp import web

from tests.accounts import Export, Said, agree
from tests.processes import Judge, Served, Serving, get, get_json
from tests.speaking import receipt_of, speaking

LONG = "Tell me a long story. sim:words=40"
SHORT_DEADLINES = {"EXAI_FIRST_BYTE_TIMEOUT_S": "0.3", "EXAI_IDLE_TIMEOUT_S": "0.3", "EXAI_ATTEMPTS_MAX": "2"}


class Told(NamedTuple):
    """How a call with a fault must end.

    Attributes:
        code: of the error; None when the call is answered all the same.
        remedy: words of the remedy.
        outcomes: of its attempts.
        verdict: code of the verdict.
    """

    fault: Said
    code: str | None
    remedy: str
    outcomes: tuple[str, ...]
    verdict: str
    stream: bool = False


DOUBT = "may have been billed"
CASES = {
    "hang": Told({"kind": "hang"}, "attempt_in_doubt", DOUBT, ("in_doubt",), "U5"),
    "hang, not billed": Told({"kind": "hang", "billed": False}, "attempt_in_doubt", DOUBT, ("in_doubt",), "U5"),
    "silence": Told({"kind": "half_open"}, "attempt_in_doubt", DOUBT, ("in_doubt",), "U5"),
    "cut": Told({"kind": "cut_stream"}, "attempt_in_doubt", DOUBT, ("in_doubt",), "U6"),
    "cut stream": Told(
        {"kind": "cut_stream", "chunks": 5}, "attempt_in_doubt", DOUBT, ("in_doubt",), "U6", stream=True
    ),
    "garbage": Told({"kind": "garbage"}, "attempt_in_doubt", DOUBT, ("in_doubt",), "U6"),
    "garbage stream": Told({"kind": "garbage"}, "attempt_in_doubt", DOUBT, ("in_doubt",), "U6", stream=True),
    "no usage": Told(
        {"kind": "wrong_usage", "variant": "missing"}, "attempt_in_doubt", DOUBT, ("in_doubt",), "U6"
    ),
    "negative usage": Told(
        {"kind": "wrong_usage", "variant": "negative"}, "attempt_in_doubt", DOUBT, ("in_doubt",), "U6"
    ),
    "absurd usage": Told(
        {"kind": "wrong_usage", "variant": "absurd"}, "attempt_in_doubt", DOUBT, ("in_doubt",), "U6"
    ),
    "redirect": Told({"kind": "redirect"}, "attempt_in_doubt", DOUBT, ("in_doubt",), "U6"),
    "wrong model": Told({"kind": "wrong_model"}, None, "", ("settled",), "M3"),
    "slow": Told({"kind": "drip", "slice_bytes": 64}, None, "", ("settled",), "U4"),
    "compressed": Told({"kind": "gzip"}, None, "", ("settled",), "U4"),
    "overloaded, then well": Told(
        {"kind": "error", "status": 429, "type": "engine_overloaded_error", "code": "1305", "retry_after_s": 1},
        None,
        "",
        ("refused", "settled"),
        "U4",
    ),
    "not the caller's fault": Told(
        {"kind": "error", "status": 400, "type": "invalid_request_error", "code": "1214"},
        "provider_refused",
        "names in its message",
        ("refused",),
        "N3",
    ),
}


class Story(NamedTuple):
    """What the client, the receipt's JSON and page, and the books say of one call."""

    result: Said
    shown: Said
    page: str
    requests: list[Said]


async def tell(served: Served, judge: Judge, provider: str, prompt: str, *, stream: bool = False) -> Story:
    """Call once and ask everybody about it."""
    before = len(await judge.requests())
    async with speaking(served.socket) as speaker:
        result = await speaker.call(prompt=prompt, provider=provider, token="told" if stream else None)
    url = receipt_of(result)["url"]
    shown = await get_json(f"{url}.json")
    status, page = await get(url, Accept="text/html")
    assert 200 == status
    return Story(result, shown, page, (await judge.requests())[before:])


@pytest.fixture(scope="module")
def stories(serving_long: Serving, simulated: Judge) -> dict[tuple[str, str], Story]:
    """Let every fault hit each provider once, on one service with short deadlines."""

    async def run() -> dict[tuple[str, str], Story]:
        await simulated.reset()
        served, told = serving_long(**SHORT_DEADLINES), {}
        for name, case in CASES.items():
            for provider, foreign in (("kimi", "code"), ("glm", "type")):
                fault = {key: value for key, value in case.fault.items() if key != foreign}
                await simulated.fault({**fault, "provider": provider, "next": 1})
                told[name, provider] = await tell(served, simulated, provider, LONG, stream=case.stream)
        agree(Export(await served.export()), await simulated.requests())
        assert "ok" == (await get_json(f"{served.url}/health"))["status"]
        return told

    return asyncio.run(run())


def same_story(story: Story, told: Told) -> None:
    """Assert that the answer, the receipt's JSON and page, and the books say the same."""
    receipt, shown = receipt_of(story.result), story.shown
    assert (told.code is not None) == story.result["isError"]
    if told.code is not None:
        error = story.result["structuredContent"]["error"]
        assert told.code == error["code"]
        assert told.remedy in error["remedy"]
        assert error["remedy"] in story.result["content"][0]["text"]
    for one in (receipt, shown):
        assert told.outcomes == tuple(attempt["outcome"] for attempt in one["attempts"])
        assert told.verdict == one["verdict"]["code"], one["verdict"]
        assert len(told.outcomes) == one["provider_calls"]
    assert receipt["totals"] == shown["totals"]
    assert receipt["verdict"]["word"] in story.page
    assert receipt["verdict"]["sentence"] in html.unescape(story.page)
    assert len(told.outcomes) == len(re.findall(r"Attempt \d+ of \d+:", story.page))
    arrived = [outcome for outcome in told.outcomes if outcome != "unsent"]
    assert len(arrived) == len(story.requests)
    for attempt, request in zip(receipt["attempts"], story.requests, strict=False):
        if attempt["outcome"] == "settled":
            assert request["billed"]["amount"] == attempt["cost"]["amount"]
        else:
            assert attempt["cost"]["amount"] is None


@pytest.mark.parametrize("provider", ["kimi", "glm"])
@pytest.mark.parametrize("case", CASES)
def test_a_fault_is_told_the_same_everywhere(
    stories: dict[tuple[str, str], Story], provider: str, case: str
) -> None:
    """The error's code and remedy, the attempts' outcomes and the verdict fit what the provider did."""
    same_story(stories[case, provider], CASES[case])


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("sim-revoked-key", Told({}, "provider_refused", "{key}: the key is wrong", ("refused",), "N3")),
        ("sim-empty-wallet", Told({}, "provider_refused", "Top up the account", ("refused",), "N3")),
    ],
    ids=["revoked", "empty"],
)
async def test_a_key_that_buys_nothing_is_named(serving: Serving, judge: Judge, key: str, told: Told) -> None:
    """A revoked key and an empty balance are refused once, cost nothing, and say what to do."""
    served = serving(KIMI_API_KEY=key, GLM_API_KEY=key)
    for provider, variable in (("kimi", "KIMI_API_KEY"), ("glm", "GLM_API_KEY")):
        remedy = told.remedy.format(key=variable)
        same_story(await tell(served, judge, provider, "Hello?"), told._replace(remedy=remedy))
    agree(Export(await served.export()), await judge.requests())


async def test_a_provider_without_a_key_is_not_asked(serving: Serving, judge: Judge) -> None:
    """Only the other provider has a key: nothing is sent, to either, and the remedy names the variable."""
    served = serving(GLM_API_KEY="")
    story = await tell(served, judge, "glm", "Hello?")
    same_story(story, Told({}, "no_wallet", "Set GLM_API_KEY", (), "N9"))
    assert "no_wallet" == story.shown["zero_reason"]
    assert [] == await judge.requests()


async def test_a_provider_that_is_down_is_tried_again_and_costs_nothing(serving: Serving, judge: Judge) -> None:
    """Nobody listens: not one byte leaves, so it is tried again; the other provider still answers."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and never listened on
        served = serving(KIMI_BASE_URL=f"http://127.0.0.1:{held.getsockname()[1]}/v1", EXAI_ATTEMPTS_MAX="2")
        story = await tell(served, judge, "kimi", "Hello?")
    same_story(story, Told({}, "provider_unreachable", "KIMI_BASE_URL", ("unsent", "unsent"), "N6"))
    assert not (await tell(served, judge, "glm", "Hello?")).result["isError"]
    agree(Export(await served.export()), await judge.requests())


async def test_a_gateways_page_is_no_answer_of_the_provider(serving: Serving, judge: Judge) -> None:
    """A 502 with HTML tells nothing of what was billed: in doubt, not tried again, no markup passed on."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        page = "<html><script>alert('gateway')</script>Bad gateway</html>"
        return web.Response(status=502, text=page, content_type="text/html")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        served = serving(KIMI_BASE_URL=f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
        story = await tell(served, judge, "kimi", "Hello?")
    finally:
        await runner.cleanup()
    assert ["/v1/chat/completions"] == asked
    told = Told({}, "attempt_in_doubt", DOUBT, ("in_doubt",), "U6")
    same_story(story._replace(requests=[{}]), told)
    assert 502 == story.shown["attempts"][0]["http_status"]
    assert "alert('gateway')" not in story.page + str(story.result)
