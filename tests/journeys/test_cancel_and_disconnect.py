"""Cancel, disconnect, stop: whoever leaves, and however, what was begun is ended and written down."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.accounts import Export, Said, agree, unique
from tests.processes import Judge, Served, Serving, end, eventually, get_json, serve
from tests.speaking import receipt_of, speaking

STORM, CLIENTS, AT_ONCE = 320, 8, 8
LONG = "Tell me a long story. sim:words=60"
ENDLESS = "Tell me a very long story. sim:words=900"
SLOW = {"kind": "drip", "slice_bytes": 200, "pause_seconds": 0.01}


@pytest.fixture
def served(serving: Serving) -> Served:
    """Start a service."""
    return serving()


async def closed(served: Served, count: int) -> list[Said]:
    """Wait until so many calls are closed; list them, newest first."""

    async def look() -> list[Said]:
        page = await get_json(f"{served.url}/console/calls.json")
        calls: list[Said] = [call for call in page["calls"] if call["outcome"] is not None]
        return calls if count <= len(calls) else []

    return await eventually(look)


async def arrived(judge: Judge, count: int) -> None:
    """Wait until so many requests have reached the simulators."""

    async def look() -> bool:
        return count <= len(await judge.requests())

    await eventually(look)


@pytest.mark.parametrize("provider", ["kimi", "glm"])
async def test_a_cancel_closes_the_upstream_and_is_in_doubt(served: Served, judge: Judge, provider: str) -> None:
    """In mid-stream the connection to the provider is closed, nothing more is said, and the session lives."""
    await judge.fault({**SLOW, "provider": provider, "next": 1})
    async with speaking(served.socket) as speaker:
        number, answer = await speaker.begin(prompt=ENDLESS, provider=provider, token="t")
        await speaker.text_of("t")
        await speaker.cancel(number)
        (call,) = await closed(served, 1)
        assert not (await speaker.call(prompt="And now?", provider=provider))["isError"]
        assert not answer.done()
        assert "w900" not in "".join(speaker.progress["t"])
    assert ("cancelled", ["in_doubt"]) == (call["outcome"], [one["outcome"] for one in call["attempts"]])
    export, requests = Export(await served.export()), await judge.requests()
    (doubt,) = export.of("doubt")
    assert "cancelled" == doubt["cause"]
    assert unique(export.intents[doubt["attempt_id"]]) == unique(requests[0])
    assert doubt["estimate"]["amount"] != "0"
    agree(export, requests)


async def test_a_cancel_before_the_answer_begins_is_in_doubt(served: Served, judge: Judge) -> None:
    """The request has arrived, so it may be billed, and it is: by the books, not by the ledger."""
    await judge.fault({"kind": "hang", "next": 1})
    async with speaking(served.socket) as speaker:
        number, _ = await speaker.begin(prompt="Hello?", provider="kimi")
        await arrived(judge, 1)
        await speaker.cancel(number)
        (call,) = await closed(served, 1)
    assert ["in_doubt"] == [one["outcome"] for one in call["attempts"]]
    (total,) = (await get_json(f"{served.url}/console/calls.json"))["totals"]
    assert ("0", 1) == (total["cost"], total["in_doubt"])
    (request,) = await judge.requests()
    assert request["billed"]["amount"] != "0"


async def test_a_cancel_of_nothing_changes_nothing(served: Served, judge: Judge) -> None:
    """Cancelling what was answered, or never asked, is ignored."""
    async with speaking(served.socket) as speaker:
        await speaker.call(prompt="Hello?")
        for number in (2, 999):
            await speaker.cancel(number)
        assert not (await speaker.call(prompt="Still there?"))["isError"]
    agree(Export(await served.export()), await judge.requests())


async def test_a_disconnect_lets_the_call_settle(served: Served, judge: Judge) -> None:
    """A client that is gone does not stop what it ordered: both providers' calls settle at their bills."""
    await judge.fault({"kind": "latency", "seconds": 0.3})
    async with speaking(served.socket) as speaker:
        await speaker.begin(prompt="Hello?", provider="kimi")
        await speaker.begin(prompt=LONG, provider="glm", token="t")
        await arrived(judge, 2)
        assert speaker.socket.transport is not None
        speaker.socket.transport.abort()
    calls = await closed(served, 2)
    assert ["settled", "settled"] == [one["outcome"] for call in calls for one in call["attempts"]]
    assert ["ok", "ok"] == [call["outcome"] for call in calls]
    agree(Export(await served.export()), await judge.requests())


async def test_a_storm_of_cancels_leaves_nothing_open(serving: Serving, judge: Judge) -> None:
    """Hundreds of calls, each cancelled at its own moment, then the clients are gone: every intent ends, once."""
    served = serving(EXAI_CALLS_IN_FLIGHT_MAX="500", EXAI_CLIENT_CALLS_IN_FLIGHT_MAX="500")
    await judge.fault({"kind": "latency", "seconds": 0.03})
    dice = random.Random(STORM)  # noqa: S311 - moments, not secrets

    async def client() -> None:
        async with speaking(served.socket) as speaker:
            for _ in range(STORM // CLIENTS // AT_ONCE):
                begun = [await speaker.begin(prompt="Hello?") for _ in range(AT_ONCE)]
                for number, _ in begun:
                    await asyncio.sleep(dice.uniform(0, 0.01))  # the moment is what is random here
                    await speaker.cancel(number)
                await asyncio.wait([answer for _, answer in begun], timeout=0.05)
            assert speaker.socket.transport is not None
            speaker.socket.transport.abort()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))

    async def none_open() -> bool:
        return bool(0 == (await get_json(f"{served.url}/console/calls.json?outcome=open"))["call_count"])

    await eventually(none_open)
    await judge.fault()
    async with speaking(served.socket) as speaker:
        assert not (await speaker.call(prompt="Is there room?"))["isError"]
    export = Export(await served.export())
    assert set(export.intents) == set(export.ends)
    assert len(export.of("tool_call")) == len(export.answers) > STORM // 2
    agree(export, await judge.requests())


async def _load(served: Served, judge: Judge, count: int) -> list[Said | None]:
    """Begin calls, tell the service to stop when all have reached a provider, and give what was answered."""
    async with speaking(served.socket) as speaker:
        pending = [
            (await speaker.begin(prompt=LONG, provider=("kimi", "glm")[number % 2], token=f"t{number}"))[1]
            for number in range(count)
        ]
        await arrived(judge, count)
        served.child.terminate()
        answers = await asyncio.gather(*pending)
        await speaker.socket.wait_closed()
        assert 1001 == speaker.socket.close_code
    return answers


async def test_a_stop_under_load_answers_every_open_call(serving: Serving, judge: Judge) -> None:
    """SIGTERM with eight calls in mid-stream: all are answered and settled, then goodbye, and status 0."""
    served = serving()
    await judge.fault({"kind": "drip", "slice_bytes": 2000, "pause_seconds": 0.01})
    answers = await _load(served, judge, 8)
    assert 0 == await served.ended()
    receipts = [receipt_of(said["result"]) for said in answers if said is not None]
    assert ["settled"] * 8 == [one["outcome"] for receipt in receipts for one in receipt["attempts"]]
    export = Export(await served.export())
    agree(export, await judge.requests())
    assert "stop" == export.entries[-1]["event"]


async def test_a_stop_does_not_wait_beyond_its_grace(serving: Serving, judge: Judge) -> None:
    """Calls that never end are stopped after EXAI_GRACE_S, answered as in doubt, and nothing is left open."""
    served = serving(EXAI_GRACE_S="0.2")
    await judge.fault({"kind": "half_open"})
    answers = await _load(served, judge, 4)
    assert 0 == await served.ended()
    receipts = [receipt_of(said["result"]) for said in answers if said is not None]
    assert ["in_doubt"] * 4 == [one["outcome"] for receipt in receipts for one in receipt["attempts"]]
    before = await served.export()
    export = Export(before)
    assert set(export.intents) == set(export.ends)
    assert {call["tool_call_id"] for call in export.of("tool_call")} == set(export.answers)
    await judge.fault()
    again = await _start_again(served, judge, served.folder)
    assert again.splitlines()[: len(Export(before).entries)] == before.splitlines()[:-1]
    added = [entry["kind"] for entry in Export(again).entries[len(export.entries) :]]
    # A start and a stop: nothing was swept.
    assert ["system", "system"] == [kind for kind in added if kind not in {"reading", "verdict", "verification"}]


async def _start_again(served: Served, judge: Judge, folder: Path) -> bytes:
    environ = {"KIMI_API_KEY": "sim-rich-journeys", "GLM_API_KEY": "sim-rich-journeys", **judge.base_urls}
    again = serve(folder, environ)
    try:
        assert 0 == await again.stop()
    finally:
        end(again.child)
    return await served.export()
