"""Honest zero: a call that moved no credit says why, in its answer, its receipt, its page and its row."""

import asyncio
import csv
import io
import json
from decimal import Decimal
from typing import NamedTuple

import pytest
from websockets.asyncio.client import connect

from service.errors import StoreFullError
from tests.accounts import Export, Said, agree
from tests.processes import WAIT_S, Judge, Served, Serving, eventually
from tests.serving import running
from tests.speaking import receipt_of
from tests.stories import Story, Witness, read_by_a_person, witnessing


class Zero(NamedTuple):
    """A call for which no provider was asked, and why.

    Attributes:
        code: of the error; None when the call succeeds.
        says: words of the answer's text, remedy included.
        outcome: of the call, as its page words it.
        sentence: the verdict's, without its beginning.
        note: beside the 0 on the page.
    """

    asked: Said
    code: str | None
    says: str
    outcome: str
    reason: str
    verdict: str
    sentence: str
    note: str
    tool: str = "chat"


NO_WALLET = "No configured wallet serves this request; no provider was asked."
BAD_ARGUMENTS = "The tool's arguments were refused before any provider was asked."
ARGUMENTS = (
    "invalid_arguments",
    "N10",
    BAD_ARGUMENTS,
    "the arguments were refused",
)
ZEROS = {
    "the provider has no key": Zero(
        {"provider": "glm"},
        "no_wallet",
        "Set GLM_API_KEY",
        "failed",
        "no_wallet",
        "N9",
        NO_WALLET,
        "no wallet serves the request",
    ),
    "the model's provider has no key": Zero(
        {"model": "glm-5.3"},
        "no_wallet",
        "no key is configured for GLM",
        "failed",
        "no_wallet",
        "N9",
        NO_WALLET,
        "no wallet serves the request",
    ),
    "nobody's model": Zero(
        {"model": "gpt-9"},
        "unknown_model",
        "no provider is known to offer the model 'gpt-9'",
        "ended with an error of the tool",
        *ARGUMENTS,
    ),
    "another provider's model": Zero(
        {"provider": "kimi", "model": "glm-5.3"},
        "unknown_model",
        "Leave provider out, or name glm.",
        "ended with an error of the tool",
        *ARGUMENTS,
    ),
    "a model that cannot do it": Zero(
        {"model": "kimi-k3", "thinking": False},
        "invalid_arguments",
        "thinking cannot be switched off",
        "ended with an error of the tool",
        *ARGUMENTS,
    ),
    "a tool without a model": Zero(
        {},
        None,
        "",
        "answered",
        "no_model_step",
        "N7",
        "The tool asked no model, so no provider was asked.",
        "no model was asked",
        tool="usage",
    ),
    "a tool without a model, asked for nonsense": Zero(
        {"zone": "Middle/Earth"},
        "invalid_arguments",
        "Middle/Earth",
        "ended with an error of the tool",
        *ARGUMENTS,
        tool="usage",
    ),
}


@pytest.fixture(scope="module")
def only_kimi(serving_long: Serving) -> Served:
    """Start a service that has a key for one provider alone."""
    return serving_long(GLM_API_KEY="")


def nothing_was_asked(story: Story, zero: Zero) -> None:
    """Assert that answer, receipt and page say that no provider was asked, and why."""
    for receipt in (story.receipt, story.shown):
        assert (0, zero.reason) == (receipt["provider_calls"], receipt["zero_reason"])
        assert ([], [], False) == (receipt["attempts"], receipt["totals"], receipt["simulated"])
        verdict = receipt["verdict"]
        assert ("NO CREDIT USED", zero.verdict) == (verdict["word"], verdict["code"])
        assert f"This call cost nothing. {zero.sentence}" == verdict["sentence"]
    for words in (
        f"This call cost nothing. {zero.sentence}",
        f"0 {zero.note}",
        "No request was sent to any provider.",
        "There is no id: no provider was asked.",
        f"Outcome{zero.outcome}",
    ):
        assert words in story.page
    (content,) = story.result["content"]
    assert zero.says in content["text"]
    assert (zero.code is not None) == story.result["isError"]
    if zero.code is not None:
        assert zero.code == story.result["structuredContent"]["error"]["code"]
        assert content["text"].endswith(f"\nThis call cost nothing. {zero.sentence}")


async def same_rows(witness: Witness, story: Story, zero: Zero) -> None:
    """Assert that the list of calls, as JSON, as CSV and as its page, has the same reason."""
    calls = json.loads(await witness.read("/console/calls.json"))["calls"]
    (call,) = (call for call in calls if call["tool_call_id"] == story.shown["tool_call_id"])
    assert (zero.reason, zero.verdict, []) == (call["zero_reason"], call["verdict"]["code"], call["attempts"])
    lines = csv.DictReader(io.StringIO(await witness.read("/console/calls.csv")))
    (line,) = (line for line in lines if line["tool_call_id"] == story.shown["tool_call_id"])
    assert (zero.reason, zero.verdict, "") == (line["zero_reason"], line["verdict_code"], line["cost"])
    assert f"0 {zero.note}" in read_by_a_person(await witness.read("/console/calls", "text/html"))


@pytest.mark.parametrize("name", ZEROS)
async def test_a_call_that_asks_nobody_says_why(only_kimi: Served, judge: Judge, name: str) -> None:
    """Refused by the desk: 0 provider calls, the reason in words everywhere, and the books have no request."""
    zero = ZEROS[name]
    async with witnessing(only_kimi) as witness:
        arguments = {"prompt": "Hello?", **zero.asked} if zero.tool == "chat" else zero.asked
        answer = await witness.speaker.ask("tools/call", {"name": zero.tool, "arguments": arguments})
        story = await witness.tell(answer["result"])
        nothing_was_asked(story, zero)
        await same_rows(witness, story, zero)
        assert [] == await judge.requests()


async def test_the_predecessors_clients_are_told_too(only_kimi: Served, judge: Judge) -> None:
    """In the predecessor's protocol the error carries the same receipt, which says why no credit moved."""
    call = {
        "op": "call_tool",
        "request_id": "r-1",
        "name": "chat",
        "arguments": {"prompt": "Hi", "provider": "glm"},
    }
    async with connect(only_kimi.older_socket, proxy=None) as socket:
        for frame in ({"op": "hello", "token": ""}, call):
            await socket.send(json.dumps(frame))
        answer: Said = {}
        while answer.get("op") != "call_tool_res":
            answer = json.loads(await asyncio.wait_for(socket.recv(), WAIT_S))
    receipt = answer["receipt"]
    assert (0, "no_wallet", "N9") == (
        receipt["provider_calls"],
        receipt["zero_reason"],
        receipt["verdict"]["code"],
    )
    assert f"This call cost nothing. {NO_WALLET}" == receipt["verdict"]["sentence"]
    assert "Set GLM_API_KEY" in answer["error"]["metadata"]["remedy"]
    assert [] == await judge.requests()


async def test_a_call_that_was_cancelled_at_once_asked_nobody(only_kimi: Served, judge: Judge) -> None:
    """A cancel on the heels of its call: nothing is sent, and each such call says that it was cancelled."""
    async with witnessing(only_kimi) as witness:

        async def cancelled_before_sending() -> list[Said]:
            number, _ = await witness.speaker.begin(prompt="Hello?", provider="kimi")
            await witness.speaker.cancel(number)
            calls: list[Said] = json.loads(await witness.read("/console/calls.json?outcome=cancelled"))["calls"]
            return [call for call in calls if not call["attempts"]]

        call, *_ = await eventually(cancelled_before_sending)
        url = f"/console/calls/{call['tool_call_id']}"
        shown, page = json.loads(await witness.read(f"{url}.json")), await witness.read(url, "text/html")
        assert (0, "cancelled", "N11") == (shown["provider_calls"], shown["zero_reason"], shown["verdict"]["code"])
        sentence = "This call cost nothing. The client cancelled the call before anything was sent."
        assert sentence == shown["verdict"]["sentence"]
        assert sentence in read_by_a_person(page)
        assert "0 cancelled before sending" in read_by_a_person(page)
        # The others were stopped on their way out: an attempt was intended, and not one byte of it left.
        for other in json.loads(await witness.read("/console/calls.json?outcome=cancelled"))["calls"]:
            assert {"unsent"} >= {attempt["outcome"] for attempt in other["attempts"]}
            assert "NO CREDIT USED" == other["verdict"]["word"]
    assert [] == await judge.requests()


async def test_a_free_model_says_that_it_is_free(serving: Serving, judge: Judge) -> None:
    """The provider was asked and metered it, the price is zero: receipt, page, row and books agree."""
    served = serving()
    async with witnessing(served) as witness:
        story = await witness.tell(await witness.speaker.call(prompt="Hello?", model="glm-4.7-flash"))
        rows = read_by_a_person(await witness.read("/console/calls", "text/html"))
    sentence = "This call cost nothing: glm-4.7-flash is priced at zero. The provider metered it all the same."
    for receipt in (story.receipt, story.shown):
        assert (1, None) == (receipt["provider_calls"], receipt["zero_reason"])
        assert ("NO CREDIT USED", "N4") == (receipt["verdict"]["word"], receipt["verdict"]["code"])
        assert receipt["verdict"]["sentence"].endswith(sentence)
        assert ("0", "free") == (
            receipt["attempts"][0]["cost"]["amount"],
            receipt["attempts"][0]["cost"]["status"],
        )
    assert sentence in story.page
    assert "Cost: 0 USD. This model was priced at zero when the request was sent." in story.page
    assert "0 USD this model is priced at zero" in rows
    (request,) = await judge.requests()
    assert Decimal(0) == Decimal(request["billed"]["amount"])
    assert request["usage"]["total_tokens"] > 0


async def begun(witness: Witness, judge: Judge) -> asyncio.Future[Said | None]:
    """Begin a call whose request has reached its provider; give its answer to come."""
    _, answer = await witness.speaker.begin(prompt="Hello?", provider="kimi")

    async def arrived() -> bool:
        return bool(await judge.requests())

    await eventually(arrived)
    return answer


def turned_away(result: Said, why: str) -> None:
    """Assert that a call was not begun: no receipt, for there is no record, and a text that says so."""
    assert "over_capacity" == result["structuredContent"]["error"]["code"]
    assert why in result["content"][0]["text"]
    assert result["content"][0]["text"].endswith("\nNothing was sent to a provider.")
    assert "_meta" not in result


async def test_a_call_above_a_limit_is_not_begun_and_says_so(serving: Serving, judge: Judge) -> None:
    """One call waits for its provider; the next is turned away: no receipt, no entry, nothing sent."""
    served = serving(EXAI_SESSION_CALLS_IN_FLIGHT_MAX="1", EXAI_GRACE_S="0.1")
    await judge.fault({"kind": "hang", "next": 1})
    async with witnessing(served) as witness:
        waiting = await begun(witness, judge)
        turned_away(await witness.speaker.call(prompt="Me too?", provider="kimi"), "that is the limit")
        served.child.terminate()
        stopped = (await witness.speaker.hear(waiting))["result"]
    assert "interrupted" == stopped["structuredContent"]["error"]["code"]
    assert ["in_doubt"] == [attempt["outcome"] for attempt in receipt_of(stopped)["attempts"]]
    assert 0 == await served.ended()
    assert 1 == len(Export(await served.export()).of("tool_call")) == len(await judge.requests())


async def test_a_call_to_a_stopping_service_is_not_begun_and_says_so(serving: Serving, judge: Judge) -> None:
    """While an open call keeps a stopping service up, a new one is turned away: no entry, nothing sent."""
    served = serving()
    await judge.fault({"kind": "latency", "seconds": 1, "next": 1})
    async with witnessing(served) as witness:
        waiting = await begun(witness, judge)
        served.child.terminate()
        answers: list[Said] = []

        async def refused() -> bool:
            answers.append(await witness.speaker.call(prompt="Me too?", provider="glm"))
            return bool(answers[-1]["isError"])

        await eventually(refused)
        turned_away(answers.pop(), "the service is stopping")
        assert not (await witness.speaker.hear(waiting))["result"]["isError"]
    assert 0 == await served.ended()
    export = Export(await served.export())
    assert 1 + len(answers) == len(export.of("tool_call")) == len(await judge.requests())
    agree(export, await judge.requests())


async def test_a_full_disk_sends_nothing_and_says_so() -> None:
    """A call whose intent finds no room asks nobody: unavailable, in words, in the answer and the receipt."""
    async with running.serving() as service:
        service.lab.store.fault = ("intent", StoreFullError("the disk is full", remedy="Make room."), 2)
        reply = await service.reply()
        receipt = running.checked(reply)
        assert (0, "unavailable", "N13") == (
            receipt["provider_calls"],
            receipt["zero_reason"],
            receipt["verdict"]["code"],
        )
        assert reply.content[0].endswith(
            "This call cost nothing. The service could not carry the call out; nothing was sent."
        )
        assert "Make room." in reply.content[0]
        assert [] == service.lab.books
