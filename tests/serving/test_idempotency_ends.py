"""Idempotency keys and calls that end badly: what frees a key, what holds it, and what those get who joined."""

import asyncio
import logging

import pytest

from service.errors import StoreError, StoreFullError
from service.mcp.events import ToolReply
from service.simulator.faults import CutStream, Error, Hang, Latency
from tests.serving.keyed import Start, Starts, answers, code_of, id_of, original_of, reply_of, said
from tests.serving.running import billed, checked

REFUSED = Error(type="invalid_request_error", next=1)


async def test_a_refusal_frees_the_key(start: Start) -> None:
    """What a provider refused cost nothing: with the same key it may be asked again, and another thing too."""
    start.lab.fault(REFUSED)
    first = await start.reply()
    assert start.kept() is None
    second = await start.reply()
    assert ("provider_refused", None) == (code_of(first), code_of(second))
    assert [None, None] == [original_of(first), original_of(second)]
    assert 2 == len(start.lab.books)
    assert id_of(second) == original_of(await start.reply())


async def test_an_unreachable_provider_frees_the_key(start: Start) -> None:
    """What never left cost nothing: another call with the key tries again."""
    await start.lab.simulator.runner.cleanup()
    for _ in range(2):
        reply = await start.reply()
        assert ("provider_unreachable", None) == (code_of(reply), original_of(reply))
    assert 6 == len(start.lab.written("unsent"))


async def test_who_joins_shares_the_refusal(start: Start) -> None:
    """While a call is in flight others join it, and get its error, marked; then the key is free."""
    start.lab.fault(Error(type="invalid_request_error", next=1), Latency(seconds=0.2))
    first, second = start.begin(), start.begin()
    replies = [await reply_of(first), await reply_of(second)]
    assert said(replies[0]) == said(replies[1])
    assert id_of(replies[0]) == original_of(replies[1])
    assert ("refused", "idempotent_replay", "provider_refused", True) in answers(start.lab)
    assert not (await start.reply()).is_error
    assert 2 == len(start.lab.books)


async def test_doubt_binds(start: Start) -> None:
    """A lost answer may have been billed: its error is given again, and nothing is sent again."""
    start.lab.fault(CutStream(next=1))
    first, second = await start.reply(), await start.reply()
    assert ("attempt_in_doubt", said(first)) == (code_of(second), said(second))
    assert id_of(first) == original_of(second)
    assert (1, 0) == (len(start.lab.books), checked(second)["provider_calls"])
    assert ("failed", "idempotent_replay", "attempt_in_doubt", True) == answers(start.lab)[1]


async def test_a_cancelled_wait_is_one_clients_own(start: Start) -> None:
    """Who joined and cancels ends its own waiting: the original goes on, and the key stays bound to it."""
    start.lab.fault(Latency(seconds=0.3))
    first, joined = start.begin(), start.begin()
    await billed(start.service)
    joined.cancel()
    left = await reply_of(joined)
    assert ("cancelled", None) == (code_of(left), original_of(left))
    assert not first.done.done()
    reply = await reply_of(first)
    assert not reply.is_error
    assert ("cancelled", "cancelled", "cancelled", False) == answers(start.lab)[0]
    assert id_of(reply) == original_of(await start.reply())
    assert 1 == len(start.lab.books)


async def test_a_cancelled_original(start: Start) -> None:
    """A cancel of the original stops its attempt; who joined or comes later gets that end, marked."""
    start.lab.fault(Hang(next=1))
    first, joined = start.begin(), start.begin()
    await billed(start.service)
    first.cancel()
    replies = [await reply_of(first), await reply_of(joined), await start.reply()]
    assert ["cancelled"] * 3 == [code_of(reply) for reply in replies]
    assert [None, id_of(replies[0]), id_of(replies[0])] == [original_of(reply) for reply in replies]
    assert 1 == len(start.lab.books)


async def test_a_cancel_before_anything_was_sent(start: Start) -> None:
    """It frees the key, for it cost nothing; who had joined shares it."""
    first, joined = start.begin(), start.begin()
    first.cancel()
    replies = [await reply_of(first), await reply_of(joined)]
    assert ["cancelled"] * 2 == [code_of(reply) for reply in replies]
    assert [] == start.lab.books
    assert not (await start.reply()).is_error


async def test_a_cancel_while_the_past_is_asked(starts: Starts, start: Start) -> None:
    """A repetition that is cancelled while it is looked up frees nothing: the key stays with its original."""
    first = await start.reply()
    again = await starts.start()
    again.past.gate.clear()
    run = again.begin()
    assert await asyncio.to_thread(again.past.asked.wait, 20)
    run.cancel()
    again.past.gate.set()
    replies = [await reply_of(run), await again.reply()]
    assert [id_of(first)] * 2 == [original_of(reply) for reply in replies]
    assert 1 == len(start.lab.books)


async def test_a_client_that_is_gone_may_come_back(start: Start) -> None:
    """A disconnect ends nothing: who comes back with the key joins the call, or gets its answer."""
    start.lab.fault(Latency(seconds=0.2))
    run = start.begin()
    waiting = asyncio.create_task(_wait(run.done))
    await billed(start.service)
    waiting.cancel()
    reply = await start.reply()
    assert (False, id_of(await reply_of(run))) == (reply.is_error, original_of(reply))
    assert 1 == len(start.lab.books)


async def _wait(done: "asyncio.Future[ToolReply]") -> None:
    await asyncio.shield(done)


async def test_an_answer_that_cannot_be_kept(starts: Starts, caplog: pytest.LogCaptureFixture) -> None:
    """It leaves all the same, is counted and logged without its words; its repetition is told that it is lost."""
    start = await starts.start(text_bytes_max=10)
    with caplog.at_level(logging.WARNING):
        first = await start.reply()
    assert (False, 1) == (first.is_error, start.keys.unkept)
    assert "could not be kept" in caplog.text
    assert "Simulated" not in caplog.text
    assert "answer_lost" == code_of(await start.reply())
    assert 1 == len(start.lab.books)


async def test_a_text_that_cannot_be_written_down(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails in keeping an answer, the reply leaves, and nobody who joined waits for ever."""

    def broken(_ended: object) -> bytes:
        raise TypeError("no such type")

    monkeypatch.setattr("service.serving.idempotency.encode", broken)
    runs = [start.begin(), start.begin()]
    assert [False, False] == [(await reply_of(run)).is_error for run in runs]
    assert 1 == start.keys.unkept


@pytest.mark.parametrize("error", [StoreError("unreadable", remedy="Restore it."), ValueError("odd")])
async def test_a_past_that_cannot_be_read(start: Start, error: Exception) -> None:
    """Then nothing is sent, to nobody who joined either; later the key is as free as it was."""
    start.past.error = error
    replies = await asyncio.gather(*(reply_of(start.begin()) for _ in range(3)))
    code = error.code if isinstance(error, StoreError) else "internal"
    assert [code] * 3 == [code_of(reply) for reply in replies]
    assert [] == start.lab.books
    assert [None] * 3 == [one["idempotency"] for one in start.lab.written("tool_call")]
    start.past.error = None
    assert (None, False) == (original_of(reply := await start.reply()), reply.is_error)


@pytest.mark.parametrize("kind", ["intent", "answer"])
async def test_an_original_that_cannot_be_recorded(start: Start, kind: str) -> None:
    """Who joined is told the same; the key is free if nothing was sent, and bound if something was."""
    start.lab.store.fault = (kind, StoreFullError("the disk is full", remedy="Make room."), 1)
    runs = [start.begin(), start.begin()]
    replies = [await reply_of(run) for run in runs]
    assert ["not_recorded"] * 2 == [code_of(reply) for reply in replies]
    assert (kind == "answer") is ("may have billed" in replies[1].content[0])
    start.lab.store.fault = None
    reply = await start.reply()
    assert ("answer_lost" if kind == "answer" else None, 1) == (code_of(reply), len(start.lab.books))


async def test_a_stop_ends_the_waiting(start: Start) -> None:
    """When the service stops, who joined is answered too, and its entry does not bind the key."""
    start.lab.fault(Hang(next=1))
    first, joined = start.begin(), start.begin()
    await billed(start.service)
    await asyncio.wait_for(start.service.calls.drain(0), 20)
    assert ["interrupted"] * 2 == [code_of(await reply_of(run)) for run in (first, joined)]
    hashed = [one["tool_call_id"] for one in start.lab.written("tool_call") if one["idempotency"]]
    assert hashed[0] == id_of(await reply_of(first))
    repeats = [one["replay_of"] for one in start.lab.written("answer") if one["tool_call_id"] in hashed[1:]]
    assert [hashed[0]] * len(hashed[1:]) == repeats
