"""Idempotency keys: equal requests of one client are paid once, in a race, after a restart, after a loss."""

import asyncio
import threading
from typing import Any

import msgspec
import pytest

from service.core.words import ZeroReason
from service.errors import InvalidArgumentsError
from service.ledger.working import FILE_NAME
from service.serving.auth import DEFAULT, LOCAL
from service.serving.repeats import decode, encode
from service.simulator.faults import Hang
from tests.rig import Rig
from tests.serving.keyed import KEY, Start, Starts, answers, code_of, id_of, original_of, reply_of, said
from tests.serving.running import billed, checked, serving_over


async def test_the_second_is_the_first_ones_answer(start: Start) -> None:
    """It is a call of its own, marked, with the same words, no attempt and no cost."""
    first, second = await start.reply(), await start.reply()
    assert said(first) == said(second)
    assert (None, id_of(first)) == (original_of(first), original_of(second))
    receipt = checked(second)
    assert id_of(first) != receipt["tool_call_id"]
    assert (0, "idempotent_replay", (), ()) == (
        receipt["provider_calls"],
        receipt["zero_reason"],
        receipt["attempts"],
        receipt["totals"],
    )
    assert ("NO CREDIT USED", "N12") == (receipt["verdict"]["word"], receipt["verdict"]["code"])
    assert 1 == len(start.lab.books)


async def test_what_the_mark_says(start: Start) -> None:
    """The mark names the original, when it was answered, and its page; nothing else."""
    first, second = await start.reply(), await start.reply()
    (answered, _) = start.lab.written("answer")
    assert {
        "tool_call_id": id_of(first),
        "answered_at": answered["at"],
        "url": checked(first)["url"],
    } == second.replay


async def test_what_the_ledger_says(start: Start) -> None:
    """Both calls have the same hashes, never the key; the repetition is one transaction and names its original."""
    await start.reply()
    start.lab.store.commits.clear()
    await start.reply()
    assert [("tool_call", "answer")] == start.lab.store.commits
    first, second = start.lab.written("tool_call")
    assert first["idempotency"] == second["idempotency"]
    assert {"key_sha256", "request_sha256"} == set(first["idempotency"])
    _, answered = start.lab.written("answer")
    assert first["tool_call_id"] == answered["replay_of"]
    assert ("ok", "idempotent_replay", None, True) == answers(start.lab)[1]
    assert KEY.encode() not in start.lab.log


async def test_a_hundred_at_once(start: Start) -> None:
    """Of a hundred equal calls at once one asks the provider; all get its words, ninety-nine are marked."""
    runs = [start.begin() for _ in range(100)]
    replies = await asyncio.gather(*(reply_of(run) for run in runs))
    assert 1 == len(start.lab.books)
    assert 1 == len({str(said(reply)) for reply in replies})
    assert 100 == len({id_of(reply) for reply in replies})
    (original,) = [id_of(reply) for reply in replies if reply.replay is None]
    assert {original} == {original_of(reply) for reply in replies if reply.replay is not None}
    assert 1 == sum(checked(reply)["provider_calls"] for reply in replies)
    assert 1 == start.past.questions
    assert {} == start.keys.flights


async def test_other_keys_and_other_clients_never_meet(start: Start) -> None:
    """Another key, or the same key of another client, is paid for itself."""
    replies = [
        await start.reply(),
        await start.reply(key="another"),
        await start.reply(caller=LOCAL),
        await start.reply(key=None),
        await start.reply(key=None),
    ]
    assert [None] * 5 == [original_of(reply) for reply in replies]
    assert 5 == len(start.lab.books)
    again = await start.reply(caller=LOCAL)
    assert id_of(replies[2]) == original_of(again)


@pytest.mark.parametrize("tool", ["chat", "scripted"])
async def test_another_request_under_the_key(start: Start, tool: str) -> None:
    """Other arguments or another tool are refused, nothing is sent, and the key stays bound to the first."""
    first = await start.reply()
    other = await start.reply(tool, prompt="something else")
    assert ("idempotency_conflict", False) == (code_of(other), other.error is not None and other.error.retryable)
    assert id_of(first) in other.content[0]
    assert (0, ZeroReason.INVALID_ARGUMENTS) == (checked(other)["provider_calls"], checked(other)["zero_reason"])
    assert ("tool_error", "invalid_arguments", "idempotency_conflict", False) == answers(start.lab)[1]
    assert start.lab.written("tool_call")[1]["idempotency"] is None
    assert id_of(first) == original_of(await start.reply())
    assert 1 == len(start.lab.books)


async def test_another_request_while_the_first_is_in_flight(start: Start) -> None:
    """The conflict is told at once, not when the first has ended."""
    start.lab.fault(Hang())
    first = start.begin()
    await billed(start.service)
    assert "idempotency_conflict" == code_of(await start.reply(prompt="something else"))
    assert not first.done.done()
    first.cancel()
    await reply_of(first)


async def test_a_wrong_request_does_not_stand_in_a_right_ones_way(starts: Starts, start: Start) -> None:
    """While a wrong request is looked up, a repetition of the right one waits, and then gets its answer."""
    first = await start.reply()
    again = await starts.start()
    again.past.gate.clear()
    wrong = again.begin(prompt="something else")
    assert await asyncio.to_thread(again.past.asked.wait, 20)
    right = again.begin()
    again.past.gate.set()
    assert "idempotency_conflict" == code_of(await reply_of(wrong))
    assert id_of(first) == original_of(await reply_of(right))


async def test_a_tool_without_a_model_is_repeated_too(start: Start) -> None:
    """A success binds its key although nobody was asked."""
    first = await start.reply("scripted")
    start.service.scripted.begun.clear()
    assert id_of(first) == original_of(await start.reply("scripted"))
    assert not start.service.scripted.begun.is_set()


async def test_a_restart_forgets_nothing(starts: Starts, start: Start) -> None:
    """Another start gives the stored answer, to a hundred at once, and asks the ledger once for all of them."""
    first = await start.reply()
    start.working.close()
    again = await starts.start()
    replies = await asyncio.gather(*(reply_of(again.begin()) for _ in range(100)))
    assert {id_of(first)} == {original_of(reply) for reply in replies}
    assert {str(said(first))} == {str(said(reply)) for reply in replies}
    assert (1, 1) == (len(start.lab.books), again.past.questions)


async def test_a_request_that_another_start_left_open(starts: Starts, start: Start) -> None:
    """What a dead start had sent is not sent again: there is no answer, and the error says what is known."""
    start.lab.fault(Hang(next=1))
    run = start.begin()
    await billed(start.service)
    again = await starts.start()
    for _ in range(2):
        reply = await again.reply()
        assert "answer_lost" == code_of(reply)
        assert "may have been billed" in reply.content[0]
        assert "new key" in reply.content[0]
        assert str(checked(reply)["url"]).rpartition("/")[0] in reply.content[0]
    assert 1 == len(start.lab.books)
    run.cancel()
    ended = await reply_of(run)
    assert id_of(ended) == original_of(await again.reply())


async def test_a_lost_text_is_not_bought_again(starts: Starts, start: Start) -> None:
    """Without the stored text each repetition fails and says so; it names the call, and never frees the key."""
    first = await start.reply()
    start.working.close()
    for path in starts.folder.glob(f"{FILE_NAME}*"):
        path.unlink()
    again = await starts.start()
    for _ in range(3):
        reply = await again.reply()
        assert ("answer_lost", None) == (code_of(reply), reply.replay)
        assert f"as tool call {id_of(first)}" in reply.content[0]
        assert "Its provider metered it." in reply.content[0]
    assert ("failed", "unavailable", "answer_lost", True) == answers(start.lab)[-1]
    assert {id_of(first)} == {one["replay_of"] for one in start.lab.written("answer")[1:]}
    assert 1 == len(start.lab.books)


async def test_a_text_of_another_call_is_not_given(start: Start) -> None:
    """A text that another request left under the key is not the answer of the one that binds it now."""
    await start.reply()
    kept = start.kept()
    assert kept is not None
    ended = decode(kept)
    assert ended is not None
    start.keep(encode(msgspec.structs.replace(ended, tool_call_id="0" * 32)))
    assert "answer_lost" == code_of(await start.reply())


async def test_a_key_is_bound_for_a_day(starts: Starts, start: Start) -> None:
    """24 hours from the original's opening its answer is given again; after them it is asked anew."""
    first = await start.reply()
    starts.clock.pass_s(24 * 3600 - 1)
    assert id_of(first) == original_of(await start.reply())
    starts.clock.pass_s(2)
    assert original_of(await start.reply()) is None
    assert 2 == len(start.lab.books)


async def test_the_answer_is_kept_before_it_leaves(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """While an answer is being kept nobody has it, neither who asked nor who joined; a moment later all may."""
    asked, go = threading.Event(), threading.Event()
    put = start.working.put

    def held(*given: Any, **named: Any) -> bool:  # noqa: ANN401 - as it comes
        asked.set()
        return go.wait(20) and put(*given, **named)

    monkeypatch.setattr(start.working, "put", held)
    runs = [start.begin(), start.begin()]
    assert await asyncio.to_thread(asked.wait, 20)
    assert [False, False] == [run.done.done() for run in runs]
    assert [False] == [flight.end.done() for flight in start.keys.flights.values()]
    go.set()
    kept = [(await reply_of(run), start.kept()) for run in runs]
    assert [True, True] == [content is not None and id_of(kept[0][0]).encode() in content for _, content in kept]


async def test_a_bad_key_is_refused_before_admission(start: Start) -> None:
    """It leaves no entry and takes no place."""
    with pytest.raises(InvalidArgumentsError):
        start.begin(key="")
    assert ([], 0, 0) == (start.lab.store.commits, start.service.calls.open, start.past.questions)


async def test_calls_without_a_key_are_as_ever(start: Start) -> None:
    """They ask the past nothing, keep nothing, and are two transactions."""
    await start.reply(key=None)
    assert [("tool_call", "intent"), ("accepted", "settlement", "answer")] == start.lab.store.commits
    assert (0, {}) == (start.past.questions, start.keys.flights)
    assert start.lab.written("tool_call")[0]["idempotency"] is None


async def test_a_service_without_keys_refuses_them(lab: Rig) -> None:
    """Where nothing remembers keys, a call that brings one is not simply paid again and again."""
    async with serving_over(lab) as service:
        with pytest.raises(InvalidArgumentsError):
            service.begin(meta={"exai/idempotency_key": KEY}, caller=DEFAULT)
    assert [] == lab.books
