"""Tool calls from admission to reply: each is closed in the ledger, whatever happens, and its reply says so."""

import asyncio
import logging
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from service.calling.journal import Journal
from service.core.shapes import Ask, Desk, Message
from service.core.words import AttemptOutcome, ToolOutcome, ZeroReason
from service.errors import InvalidArgumentsError, OverCapacityError, StoreFullError
from service.simulator.faults import CutStream, Error
from tests.rig import WAIT_S
from tests.serving.running import Service, checked, for_ever, serving


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A service whose provider is the simulator."""
    async with serving() as made:
        yield made


async def test_plain_call(service: Service) -> None:
    """A plain call is two transactions, two fsyncs; its reply has the model's words and the receipt."""
    reply = await service.reply()
    assert [("tool_call", "intent"), ("accepted", "settlement", "answer")] == service.lab.store.commits
    assert ("Simulated answer to: hi", False) == (reply.content[0], reply.is_error)
    receipt = checked(reply)
    assert (1, None, True) == (receipt["provider_calls"], receipt["zero_reason"], receipt["simulated"])
    assert [("ok", None)] == service.answers
    assert service.lab.billed() == Decimal(receipt["totals"][0]["amount"])
    assert str(receipt["url"]).startswith("http://127.0.0.1:8079/console/calls/")


async def test_salts_prove_the_texts(service: Service) -> None:
    """The receipt's salts stand beside both commitments, and in no entry."""
    receipt = checked(await service.reply())
    attempt = receipt["attempts"][0]
    salts = [attempt["request_commitment"]["salt"], attempt["response_commitment"]["salt"]]
    assert all(salts)
    assert [] == [salt for salt in salts if salt in service.lab.log.decode()]


ENDS = [
    (Error(type="invalid_request_error"), ToolOutcome.REFUSED, "provider_refused", AttemptOutcome.REFUSED),
    (CutStream(), ToolOutcome.FAILED, "attempt_in_doubt", AttemptOutcome.IN_DOUBT),
]


@pytest.mark.parametrize(("fault", "ended", "code", "attempt"), ENDS)
async def test_failed_attempts(
    service: Service, fault: Error | CutStream, ended: ToolOutcome, code: str, attempt: AttemptOutcome
) -> None:
    """An error reply has code, remedy and receipt; the call is closed with the fitting outcome."""
    service.lab.fault(fault)
    reply = await service.reply()
    assert reply.is_error
    assert reply.error is not None
    assert code == reply.error.code
    assert reply.error.remedy
    receipt = checked(reply)
    assert [attempt] == [one["outcome"] for one in receipt["attempts"]]
    assert [(ended, None)] == service.answers


async def test_unreachable(service: Service) -> None:
    """A provider that cannot be reached: three unsent attempts, one closed call, nothing spent."""
    await service.lab.simulator.runner.cleanup()
    receipt = checked(await service.reply())
    assert ["unsent"] * 3 == [one["outcome"] for one in receipt["attempts"]]
    assert ([("failed", None)], 0) == (service.answers, len(receipt["totals"]))


@pytest.mark.parametrize(
    ("given", "ended", "reason"),
    [
        ({"model": "gpt-9"}, ToolOutcome.TOOL_ERROR, ZeroReason.INVALID_ARGUMENTS),
        ({"model": "kimi-k3", "thinking": False}, ToolOutcome.TOOL_ERROR, ZeroReason.INVALID_ARGUMENTS),
    ],
)
async def test_zero_attempts(
    service: Service, given: dict[str, Any], ended: ToolOutcome, reason: ZeroReason
) -> None:
    """A call that ends before any attempt says why there was none."""
    receipt = checked(await service.reply(**given))
    assert (0, reason) == (receipt["provider_calls"], receipt["zero_reason"])
    assert [(ended, reason)] == service.answers
    assert [] == service.lab.books


async def test_no_model_step(service: Service) -> None:
    """A tool that asks no model succeeds with no attempt, in one transaction."""
    reply = await service.reply("scripted")
    assert ("done", False) == (reply.content[0], reply.is_error)
    assert ZeroReason.NO_MODEL_STEP == checked(reply)["zero_reason"]
    assert [("tool_call", "answer")] == service.lab.store.commits


async def test_invalid_arguments_leave_no_entry(service: Service) -> None:
    """What does not fit the schema is refused before admission: no entry, no place taken."""
    with pytest.raises(InvalidArgumentsError):
        service.begin(prompt=5)
    assert ([], 0) == (service.lab.store.commits, service.calls.open)


async def test_limits() -> None:
    """A call above the limit leaves no entry; a place is free again when its call is closed."""
    async with serving(per_session=1) as service:
        service.scripted.deed = for_ever
        first = service.begin("scripted")
        with pytest.raises(OverCapacityError):
            service.begin("scripted")
        first.cancel()
        await asyncio.wait_for(first.done, WAIT_S)
        assert not (await service.reply()).is_error
        assert 2 == len(service.answers)


async def test_tool_fails(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """An error that no tool may raise is hidden behind the call's id, logged with it, and the call is closed."""

    async def broken(_desk: Desk) -> None:
        raise KeyError("secret detail")

    service.scripted.deed = broken
    with caplog.at_level(logging.ERROR):
        reply = await service.reply("scripted")
    assert reply.error is not None
    assert "internal" == reply.error.code
    receipt = checked(reply)
    assert str(receipt["tool_call_id"]) in reply.error.message
    assert "secret detail" not in repr(reply)
    assert [receipt["tool_call_id"]] == [record.__dict__["tool_call_id"] for record in caplog.records]
    assert [("failed", "unavailable")] == service.answers


async def test_tool_fails_after_an_attempt(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """What was spent before a tool failed stands in its receipt."""

    async def broken(desk: Desk) -> None:
        await desk.complete(Ask(messages=(Message("user", "hi"),)))
        raise KeyError("no")

    service.scripted.deed = broken
    receipt = checked(await service.reply("scripted"))
    assert ["settled"] == [one["outcome"] for one in receipt["attempts"]]
    assert "a tool failed" in caplog.text


@pytest.mark.parametrize("kind", ["intent", "answer"])
async def test_not_recorded(service: Service, kind: str) -> None:
    """When an entry cannot be made durable the reply says so, and shows nothing that is not written."""
    service.lab.store.fault = (kind, StoreFullError("the disk is full", remedy="Make room."), 2)
    reply = await service.reply()
    assert reply.error is not None
    assert "not_recorded" == reply.error.code
    assert "Simulated" not in repr(reply)
    if kind == "intent":
        assert [] == service.lab.books
        assert ZeroReason.UNAVAILABLE == checked(reply)["zero_reason"]
    else:
        assert ["open"] == [one["outcome"] for one in checked(reply)["attempts"]]
        assert "may have billed it" in reply.error.remedy


async def test_not_recorded_is_closed_later(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose answer found the disk full is closed as failed, by itself, once there is room."""
    monkeypatch.setattr("service.serving.calls.Journal", partial(Journal, again_s=0.01))
    service.lab.store.fault = ("answer", StoreFullError("the disk is full", remedy="Make room."), 1)
    await service.reply()
    async with asyncio.timeout(WAIT_S):
        while not service.answers:  # noqa: ASYNC110 - another thread writes; it knows no event
            await asyncio.sleep(0.001)
    assert [("failed", None)] == service.answers
    assert ["not_recorded"] == [entry["error_code"] for entry in service.lab.written("answer")]
    assert 1 == len(service.lab.written("settlement"))


async def test_text_arrives(service: Service) -> None:
    """A client that wants text hears it, piece by piece, and the reply holds all of it."""
    heard: list[str] = []
    run = service.begin(on_text=heard.append, prompt="sim:words=20", thinking=False)
    reply = await asyncio.wait_for(run.done, WAIT_S)
    assert len(heard) > 1
    assert reply.content[0] == "".join(heard)


async def test_reply_that_cannot_be_dressed(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Even a fault in our own dressing ends in a reply: nobody waits for ever."""

    def broken(*_given: object, **_named: object) -> None:
        raise RuntimeError("no receipt")

    monkeypatch.setattr("service.serving.calls.receipt", broken)
    reply = await service.reply()
    assert reply.error is not None
    assert "internal" == reply.error.code
    assert "a call could not be closed" in caplog.text


async def test_never_recorded(service: Service) -> None:
    """A call of which nothing could be written says that nothing was sent, and leaves nothing."""
    service.lab.store.fault = ("tool_call", StoreFullError("the disk is full", remedy="Make room."), 2)
    reply = await service.reply()
    assert reply.error is not None
    assert "Make room. Nothing was sent to a provider." == reply.error.remedy
    assert ([], []) == (service.lab.store.commits, service.lab.books)
