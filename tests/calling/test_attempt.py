"""One attempt: whatever happens to it, one end is written."""

import asyncio
import logging
import secrets

import pytest

from service.calling.attempt import ERROR_BODY_BYTES_MAX, Attempting, Ended
from service.calling.connection import Head
from service.calling.journal import Journal
from service.calling.wire import Watcher, Wire
from service.core.entries import (
    DoubtEntry,
    End,
    IntentEntry,
    RefusalEntry,
    SettlementEntry,
    UnsentEntry,
    WorstCase,
)
from service.core.evidence import commitment
from service.core.shapes import Prepared
from service.core.wallet import Wallet
from service.core.words import DoubtCause, UnsentReason
from service.errors import NotRecordedError, StoreFullError
from tests.rig import BEGUN_NS, WAIT_S, FixedDay, Rig, ask

BODY = (
    b'{"id":"c-1","model":"kimi-k2.6","choices":[{"finish_reason":"stop","message":{"content":"hi"}}],'
    b'"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}'
)


class Played(Wire):
    """A wire that plays what it is told in place of sending."""

    def __init__(self, *steps: object) -> None:  # the real one's session is not made
        self.steps = steps
        self.reached = asyncio.Event()

    async def exchange(
        self,
        wallet: Wallet,  # noqa: ARG002 - the shape of a wire
        prepared: Prepared,  # noqa: ARG002 - as above
        watcher: Watcher,
        **limits: object,  # noqa: ARG002 - as above
    ) -> None:
        """Tell the watcher step by step: a milestone, bytes, an error to raise, or None to wait for ever."""
        for step in self.steps:
            match step:
                case "connected":
                    watcher.connected()
                case int():
                    watcher.headed(Head(status=step, headers=(("Server", "x"),), tls=None))
                case bytes():
                    watcher.received(step)
                case Exception():
                    raise step
                case _:
                    self.reached.set()
                    await asyncio.Event().wait()


def attempting(lab: Rig, journal: Journal, wire: Wire) -> Attempting:
    """Make an attempt of a call."""
    route = lab.counter.router.route(ask(), at_ns=BEGUN_NS)
    prepared = route.provider.prepare(ask(), model=route.model, max_output_tokens=5, unique="u")
    intent = IntentEntry(
        tool_call_id=journal.opened.tool_call_id,
        attempt_id=secrets.token_hex(16),
        number=0,
        retry_of=None,
        provider="kimi",
        wallet=route.wallet.name,
        endpoint="http://127.0.0.1/v1",
        model=route.model,
        stream=False,
        max_output_tokens=5,
        nonce="u",
        client_request_id=None,
        request=commitment(b"", prepared.body),
        worst_case=WorstCase(input_tokens=1, output_tokens=5, currency="USD", amount="1"),
        price_version="0",
        simulated=True,
    )
    return Attempting(
        wire=wire,
        clock=FixedDay(),
        journal=journal,
        route=route,
        prepared=prepared,
        intent=intent,
        on_text=None,
    )


async def run(lab: Rig, *steps: object) -> Ended:
    """Run an attempt over a played wire, and see that its call can be closed."""
    journal = lab.journal()
    ended = await asyncio.wait_for(attempting(lab, journal, Played(*steps)).run(), WAIT_S)
    closed = await lab.close(journal)
    assert closed.attempts[0].end is not None
    assert type(ended.entry) is type(closed.attempts[0].end)
    return ended


async def test_settled(lab: Rig) -> None:
    """A whole answer settles, and its salt proves the response that was committed to."""
    ended = await run(lab, "connected", 200, BODY[:50], BODY[50:])
    assert isinstance(ended.entry, SettlementEntry)
    assert commitment(lab.journals[-1].salt, BODY) == ended.entry.response
    timing = ended.entry.timing
    milestones = [timing.connected_us, timing.headers_us, timing.first_byte_us, timing.ended_us]
    assert milestones == sorted(milestones, key=lambda us: us or 0)
    assert "hi" == ended.answer.text


@pytest.mark.parametrize(("more_bytes", "kind"), [(0, RefusalEntry), (1, DoubtEntry)])
async def test_error_body_is_bounded(lab: Rig, more_bytes: int, kind: type[End]) -> None:
    """Of an error no more is kept than its limit; what is cut off is no complete error, so nothing is refused."""
    head, tail = b'{"error":{"type":"server_error","message":"', b'"}}'
    padding = b"x" * (ERROR_BODY_BYTES_MAX + more_bytes - len(head) - len(tail))
    ended = await run(lab, "connected", 500, head + padding, tail)
    assert isinstance(ended.entry, kind)


@pytest.mark.parametrize("steps", [("connected",), ("connected", 200, b'{"id')])
async def test_fault_of_ours(lab: Rig, caplog: pytest.LogCaptureFixture, steps: tuple[object, ...]) -> None:
    """An error that nobody expected ends the attempt in doubt; its text stays in the log."""
    with caplog.at_level(logging.ERROR):
        ended = await run(lab, *steps, RuntimeError("secret detail"))
    assert isinstance(ended.entry, DoubtEntry)
    assert (DoubtCause.SERVICE_FAILED, "the service failed (RuntimeError)") == (
        ended.entry.cause,
        ended.entry.message,
    )
    assert "secret detail" in caplog.text


async def test_fault_of_ours_before_connect(lab: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """The same before a connection leaves it unsent, and not to be repeated."""
    ended = await run(lab, RuntimeError("closed"))
    assert isinstance(ended.entry, UnsentEntry)
    assert UnsentReason.SERVICE_FAILED == ended.entry.reason
    assert "an attempt failed" in caplog.text


@pytest.mark.parametrize("part", ["finish", "refusal", "ids"])
async def test_fault_of_a_provider_file(
    lab: Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """A provider's file that fails on an answer leaves the attempt in doubt, never open."""

    def broken(*_given: object) -> None:
        raise RuntimeError("secret detail")

    if part == "finish":
        monkeypatch.setattr("service.providers._chat.ChatReader.finish", broken)
    else:
        monkeypatch.setattr(f"service.providers.kimi.Kimi.{part}", broken)
    ended = await run(lab, "connected", 200 if part == "finish" else 500, BODY)
    assert isinstance(ended.entry, DoubtEntry)
    assert "secret detail" not in repr(ended.entry)
    assert "secret detail" in caplog.text


@pytest.mark.parametrize(
    ("cause", "reason"),
    [(DoubtCause.CANCELLED, UnsentReason.CANCELLED), (DoubtCause.STOPPING, UnsentReason.STOPPING)],
)
async def test_stop_before_exchange(lab: Rig, cause: DoubtCause, reason: UnsentReason) -> None:
    """A stop before the intent is durable lets it become durable, and nothing is sent."""
    journal, wire = lab.journal(), Played("connected", 200, BODY)
    one = attempting(lab, journal, wire)
    one.stop(cause)
    ended = await asyncio.wait_for(one.run(), WAIT_S)
    assert isinstance(ended.entry, UnsentEntry)
    assert reason == ended.entry.reason
    assert 1 == len((await lab.close(journal)).attempts)


@pytest.mark.parametrize("steps", [("connected", None), ("connected", 200, b"data: {}\n\n", None)])
async def test_stop_twice(lab: Rig, steps: tuple[object, ...]) -> None:
    """A stop ends a connected attempt in doubt; a second one changes nothing, nor does a late one."""
    journal, wire = lab.journal(), Played(*steps)
    one = attempting(lab, journal, wire)
    task = asyncio.create_task(one.run())
    await asyncio.wait_for(wire.reached.wait(), WAIT_S)
    one.stop(DoubtCause.CANCELLED)
    one.stop(DoubtCause.STOPPING)
    ended = await asyncio.wait_for(task, WAIT_S)
    one.stop(DoubtCause.STOPPING)
    assert isinstance(ended.entry, DoubtEntry)
    assert DoubtCause.CANCELLED == ended.entry.cause
    assert 0 == task.cancelling()
    await lab.close(journal)


async def test_loop_torn_down(lab: Rig) -> None:
    """A cancel that nobody asked for through `stop` is the service stopping; the end is written all the same."""
    journal, wire = lab.journal(), Played("connected", None)
    task = asyncio.create_task(attempting(lab, journal, wire).run())
    await asyncio.wait_for(wire.reached.wait(), WAIT_S)
    task.cancel()
    ended = await asyncio.wait_for(task, WAIT_S)
    assert isinstance(ended.entry, DoubtEntry)
    assert DoubtCause.STOPPING == ended.entry.cause
    await lab.close(journal)


async def test_not_recorded(lab: Rig) -> None:
    """An intent that cannot be made durable sends nothing."""
    journal, wire = lab.journal(), Played("connected", None)
    lab.store.fault = ("intent", StoreFullError("full"), 1)
    with pytest.raises(NotRecordedError):
        await asyncio.wait_for(attempting(lab, journal, wire).run(), WAIT_S)
    assert not wire.reached.is_set()


async def test_nothing_is_sent_without_a_durable_intent(
    lab: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Should an intent ever not be durable when its request is due, that is not sent, and the log says so."""

    async def forget(_journal: Journal, _intent: IntentEntry) -> None:
        """Write nothing."""

    monkeypatch.setattr(Journal, "intend", forget)
    with caplog.at_level(logging.ERROR):
        ended = await attempting(lab, lab.journal(), Played("connected", 200, BODY)).run()
    assert isinstance(ended.entry, UnsentEntry)
    assert ended.entry.timing.connected_us is None
    assert UnsentReason.SERVICE_FAILED == ended.entry.reason
    assert "NotIntendedError" in ended.entry.message
    assert "an attempt failed" in caplog.text
