"""A key that is used two hundred times, over two sessions, a kill and a new start: one request in the books."""

import asyncio
from pathlib import Path
from typing import Any

from tests.accounts import Export
from tests.processes import Judge, Served, Serving, end, eventually, get_json, serve
from tests.speaking import Said, Speaker, receipt_of, speaking

KEY = "3f1c9a52-order-of-a-stranger"
REPLAY = "exai/idempotent_replay"
ENVIRON = {
    "KIMI_API_KEY": "sim-rich-once",
    "GLM_API_KEY": "sim-rich-once",
    "EXAI_SESSION_CALLS_IN_FLIGHT_MAX": "200",
    "EXAI_CLIENT_CALLS_IN_FLIGHT_MAX": "200",
    "EXAI_CALLS_IN_FLIGHT_MAX": "200",
}
SECRET_WORDS = "tell me of the canary 7Hq2"  # the simulator's answer repeats them
ASKED: Said = {"prompt": SECRET_WORDS, "provider": "kimi"}


async def ask(speaker: Speaker, *, key: str = KEY, **arguments: object) -> Said:
    """Call `chat` with a key, and give its result."""
    params = {
        "name": "chat",
        "arguments": {**ASKED, **arguments},
        "_meta": {"exai/idempotency_key": key},
    }
    result: Said = (await speaker.ask("tools/call", params))["result"]
    return result


async def fifty_each(served: Served) -> list[Said]:
    """Ask a hundred times at once, over two sessions."""
    async with speaking(served.socket) as one, speaking(served.socket) as other:
        return await asyncio.gather(*(ask(speaker) for _ in range(50) for speaker in (one, other)))


def words(result: Said) -> tuple[Any, ...]:
    """Take what a result says."""
    return result["content"], result["structuredContent"], result["isError"]


def marks(results: list[Said]) -> set[str | None]:
    """Name the originals that results repeat; None stands for an original's own."""
    return {result["_meta"][REPLAY]["tool_call_id"] if REPLAY in result["_meta"] else None for result in results}


async def test_one_request_for_two_hundred_calls_and_a_kill(judge: Judge, tmp_path: Path) -> None:
    """A hundred at once, kill -9, a start, a hundred more: one request was sent, and every account says so."""
    environ = {**ENVIRON, **judge.base_urls}
    served = serve(tmp_path, environ)
    try:
        before = await fifty_each(served)
    finally:
        end(served.child)
    served = serve(tmp_path, environ)
    try:
        after = await fifty_each(served)
        (request,) = await judge.requests()
        (original,) = [result for result in before if REPLAY not in result["_meta"]]
        first = receipt_of(original)["tool_call_id"]
        assert {None, first} == marks(before)
        assert {first} == marks(after)
        assert 1 == len({str(words(result)) for result in [*before, *after]})
        await _agree(served, first, request)
        assert 0 == await served.stop()
    finally:
        end(served.child)
    await _nothing_is_told(served)


async def _agree(served: Served, first: str, request: Said) -> None:
    """Let page and health say it too: one attempt, paid as the books say, and 199 calls that cost nothing."""
    page = await get_json(f"{served.url}/console/calls/{first}.json")
    assert request["billed"]["amount"] == page["totals"][0]["amount"] != "0"
    (total,) = (await get_json(f"{served.url}/console/calls.json"))["totals"]
    assert (request["billed"]["amount"], 0) == (total["cost"], total["in_doubt"])
    assert [] == [why for why in (await get_json(f"{served.url}/health"))["reasons"] if "conservation" in why]
    export = Export(await served.export())
    assert 1 == len(export.intents)
    assert 199 == sum(answer["replay_of"] == first for answer in export.answers.values())


async def _nothing_is_told(served: Served) -> None:
    """Let neither key nor words stand in the ledger, its export or the log; the text has a file of its own."""
    found = {
        path.name
        for path in [*served.data.rglob("*"), served.folder / "stdout", served.folder / "stderr"]
        if path.is_file() and (KEY.encode() in path.read_bytes() or SECRET_WORDS.encode() in path.read_bytes())
    }
    assert {"working.sqlite3"} == found
    assert SECRET_WORDS.encode() not in await served.export()
    assert 0 == (await served.verify())[0]


async def test_killed_while_the_provider_works(judge: Judge, tmp_path: Path) -> None:
    """What had been sent when the service died is never sent again: the error names the call and its page."""
    environ = {**ENVIRON, **judge.base_urls}
    await judge.fault({"kind": "hang", "next": 1})
    served = serve(tmp_path, environ)
    try:
        async with speaking(served.socket) as speaker:
            params = {"name": "chat", "arguments": ASKED, "_meta": {"exai/idempotency_key": KEY}}
            await speaker.send("tools/call", params)
            await _arrived(judge)
    finally:
        end(served.child)
    served = serve(tmp_path, environ)
    try:
        async with speaking(served.socket) as speaker:
            for _ in range(3):
                result = await ask(speaker)
                error = result["structuredContent"]["error"]
                assert ("answer_lost", 0) == (error["code"], receipt_of(result)["provider_calls"])
                assert "may have been billed" in error["message"]
                lost = error["remedy"].partition("receipt: ")[2].partition(";")[0]
                page = await get_json(f"{lost}.json")
                assert ["in_doubt"] == [one["outcome"] for one in page["attempts"]]
            assert not (await ask(speaker, key="another"))["isError"]
    finally:
        end(served.child)
    assert 2 == len(await judge.requests())


async def _arrived(judge: Judge) -> None:
    await eventually(judge.requests)


async def test_a_client_that_lost_its_connection(serving: Serving, judge: Judge) -> None:
    """It comes back on another connection and gets what it had ordered; another thing it does not get."""
    served = serving()
    await judge.fault({"kind": "latency", "seconds": 0.3})
    async with speaking(served.socket) as speaker:
        params = {
            "name": "chat",
            "arguments": ASKED,
            "_meta": {"exai/idempotency_key": KEY, "progressToken": "p"},
        }
        await speaker.send("tools/call", params)
        await _arrived(judge)
        assert speaker.socket.transport is not None
        speaker.socket.transport.abort()
    async with speaking(served.socket) as speaker:
        result = await ask(speaker)
        assert (False, True) == (result["isError"], REPLAY in result["_meta"])
        other = await ask(speaker, prompt="something else")
        assert "idempotency_conflict" == other["structuredContent"]["error"]["code"]
    assert 1 == len(await judge.requests())


async def test_bad_keys(serving: Serving, judge: Judge) -> None:
    """They are refused with their name and a remedy, before anything is recorded or sent."""
    served = serving()
    async with speaking(served.socket) as speaker:
        for key in ("", "x" * 256, "ключ", 7, {"a": 1}):
            params = {"name": "chat", "arguments": ASKED, "_meta": {"exai/idempotency_key": key}}
            result = (await speaker.ask("tools/call", params))["result"]
            assert "invalid_arguments" == result["structuredContent"]["error"]["code"]
            assert "exai/idempotency_key" in result["content"][0]["text"]
    assert [] == await judge.requests()
    assert [] == Export(await served.export()).of("tool_call")


async def test_killed_at_any_moment(judge: Judge, tmp_path: Path) -> None:
    """Whenever the service dies under twenty equal calls, they are sent once in all, or their loss is told."""
    environ = {**ENVIRON, **judge.base_urls}
    for number, pause_s in enumerate((0.002, 0.01, 0.03)):
        served = serve(tmp_path, environ)
        try:
            async with speaking(served.socket) as speaker:
                asking = [asyncio.create_task(ask(speaker, key=f"k-{number}")) for _ in range(20)]
                await asyncio.sleep(pause_s)  # the moment is what is tried here
                end(served.child)
                await asyncio.gather(*asking, return_exceptions=True)
        finally:
            end(served.child)
        served = serve(tmp_path, environ)
        try:
            async with speaking(served.socket) as speaker:
                results = await asyncio.gather(*(ask(speaker, key=f"k-{number}") for _ in range(20)))
        finally:
            end(served.child)
        codes = {result["structuredContent"].get("error", {}).get("code") for result in results}
        sent = len(await judge.requests())
        assert (codes, sent) in (({None}, 1), ({"answer_lost"}, 1), ({"answer_lost"}, 0))
        await judge.reset()
