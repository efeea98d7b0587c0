"""A token that lapses while its owner is connected: no new call, a close that says why, and calls that run on."""

import pytest

from service.serving.auth import Tokens
from service.serving.ports import PumpTerms
from tests.naming import NOW_NS, Day, created, revoked, steps, text_of, tokens
from tests.serving.conftest import Pumping
from tests.serving.doubles import call_tool

HOUR_NS = 3600 * 10**9
ENDS = "2026-11-22T17:00:00.000000Z"


@pytest.fixture
def day() -> Day:
    """A day that the test moves."""
    return Day()


@pytest.fixture
def known(day: Day) -> Tokens:
    """One token without an end, one with, and a third."""
    return tokens(
        created(1, "ci", "call"), created(2, "ends", "call", expires_at=ENDS), created(3, "other", "call"), day=day
    )


async def test_a_revoked_token_closes(pumping: Pumping, known: Tokens) -> None:
    """The close is 1008 and says why; a call in flight is left alone."""
    async with pumping(named=known, caller=known.caller(text_of(1))) as pumped:
        await pumped.initialize()
        pumped.duplex.say(call_tool(1))
        running = await pumped.calls.next()
        assert "ci" == pumped.pump.client
        known.take(steps(revoked(1, "ci")))
        pumped.pump.look()
        assert 1008 == await pumped.close_code()
        assert (1008, "the token was revoked") == pumped.duplex.closed.result()
        assert not running.cancelled.is_set()
        running.end()
    assert ["token_lapsed"] == pumped.rejections


async def test_somebody_else_s_token_closes_nothing(pumping: Pumping, known: Tokens) -> None:
    """Who is not meant is not disturbed."""
    async with pumping(named=known, caller=known.caller(text_of(3))) as pumped:
        await pumped.initialize()
        known.take(steps(revoked(1, "ci")))
        pumped.pump.look()
        pumped.duplex.say(call_tool(1))
        (await pumped.calls.next()).end()
        assert 1 == (await pumped.duplex.hear())["id"]


async def test_no_call_begins_with_an_expired_token(pumping: Pumping, known: Tokens, day: Day) -> None:
    """Each call is looked at, whenever the next look would be."""
    async with pumping(named=known, caller=known.caller(text_of(2))) as pumped:
        await pumped.initialize()
        day.now_ns = NOW_NS + HOUR_NS
        pumped.duplex.say(call_tool(1))
        assert 1008 == await pumped.close_code()
        assert "the token has expired" == pumped.duplex.closed.result()[1]
        assert pumped.calls.begun.empty()


async def test_a_silent_client_s_token_expires(pumping: Pumping, known: Tokens, day: Day) -> None:
    """The heartbeat looks too, so nobody stays by saying nothing."""
    terms = PumpTerms(heartbeat_s=0.02)
    async with pumping(named=known, caller=known.caller(text_of(2)), terms=terms) as pumped:
        await pumped.initialize()
        day.now_ns = NOW_NS + HOUR_NS
        assert 1008 == await pumped.close_code()


async def test_hello_with_a_named_token(pumping: Pumping, known: Tokens) -> None:
    """The predecessor's hello may carry one, where everyone else is local, too; a revoked one is refused."""
    async with pumping(named=known) as pumped:
        pumped.duplex.say({"op": "hello", "token": text_of(1)})
        assert (await pumped.duplex.hear())["ok"]
        assert "ci" == pumped.pump.client
    known.take(steps(revoked(1, "ci")))
    async with pumping(named=known) as pumped:
        pumped.duplex.say({"op": "hello", "token": text_of(1)})
        assert not (await pumped.duplex.hear())["ok"]
        assert 4003 == await pumped.close_code()
