"""How a connection opens: what may come before the introduction, and who is let in."""

import pytest

from service.mcp.terms import Limits
from service.serving.auth import DEFAULT
from service.serving.ports import Mark, PumpTerms
from tests.serving.conftest import Pumping
from tests.serving.doubles import (
    INITIALIZE,
    TOKEN,
    call_tool,
)


async def test_opening_deadline(pumping: Pumping) -> None:
    """A connection that introduces nobody is closed with 4002, also when it chatters before."""
    async with pumping(terms=PumpTerms(opening_s=0.05)) as pumped:
        pumped.duplex.say({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        assert 4002 == await pumped.close_code()
    assert ["before_initialize", "opening_timeout"] == pumped.rejections


async def test_opening_deadline_is_over(pumping: Pumping) -> None:
    """A connection that is open is not held to the opening's deadline."""
    async with pumping(terms=PumpTerms(opening_s=0.05, heartbeat_s=0.02)) as pumped:
        await pumped.initialize()
        pumped.duplex.say(call_tool(1, progress="p"))
        running = await pumped.calls.next()
        for _ in range(5):
            await pumped.duplex.hear()
        running.end()
    assert [] == pumped.rejections


@pytest.mark.parametrize(
    ("frame", "code", "reason"), [(Mark.BINARY, 1003, "binary"), (Mark.OVERSIZE, 1009, "oversize")]
)
async def test_marks(pumping: Pumping, frame: Mark, code: int, reason: str) -> None:
    """Binary and oversize frames end the connection, whoever sends them."""
    async with pumping() as pumped:
        pumped.duplex.say(frame)
        assert code == await pumped.close_code()
    assert [reason] == pumped.rejections


async def test_small_frames_before_opening(pumping: Pumping) -> None:
    """A stranger's frame must be small, though a client's may be big."""
    async with pumping(limits=Limits(opening_bytes_max=500)) as pumped:
        pumped.duplex.say(b" " * 501)
        assert 1009 == await pumped.close_code()
    assert ["oversize"] == pumped.rejections


async def test_frame_rate(pumping: Pumping) -> None:
    """Whoever sends too many frames is closed with 1008; pings of the transport count."""
    async with pumping(terms=PumpTerms(frames_per_s=0.001, frames_burst=3)) as pumped:
        for _ in range(4):
            pumped.duplex.say(Mark.CONTROL)
        assert 1008 == await pumped.close_code()
    assert ["frame_rate"] == pumped.rejections


async def test_mcp_without_a_caller(pumping: Pumping) -> None:
    """Where nobody was recognised at the handshake, MCP gets no word but the remedy in a close 1008."""
    async with pumping(token=TOKEN, caller=None) as pumped:
        pumped.duplex.say(INITIALIZE)
        assert 1008 == await pumped.close_code()
        assert "Authorization" in pumped.duplex.closed.result()[1]
    assert 0 == pumped.duplex.unheard()
    assert ["unauthorized"] == pumped.rejections


async def test_hello_with_the_token(pumping: Pumping) -> None:
    """The predecessor's hello lets a client in whom the handshake did not know."""
    async with pumping(token=TOKEN, caller=None) as pumped:
        pumped.duplex.say({"op": "hello", "token": TOKEN})
        assert (await pumped.duplex.hear())["ok"]
        pumped.duplex.say({"op": "call_tool", "request_id": "r", "name": "chat", "arguments": {}})
        running = await pumped.calls.next()
        assert DEFAULT is running.caller
        running.end()


@pytest.mark.parametrize("token", [None, "", "wrong"])
async def test_hello_without_the_token(pumping: Pumping, token: str | None) -> None:
    """A hello without the right token is refused in words and closed with 4003."""
    async with pumping(token=TOKEN, caller=None) as pumped:
        pumped.duplex.say({"op": "hello", "token": token})
        refused = await pumped.duplex.hear()
        assert 4003 == await pumped.close_code()
    assert (False, "unauthorized") == (refused["ok"], refused["error"])
    assert "EXAI_WS_TOKEN" in refused["remedy"]
    assert ["unauthorized"] == pumped.rejections


@pytest.mark.parametrize(("token", "is_welcome"), [(None, True), ("", True), ("wrong", False)])
async def test_hello_after_a_handshake(pumping: Pumping, token: str | None, is_welcome: bool) -> None:  # noqa: FBT001 - a table's column
    """Whoever was recognised at the handshake may leave the token out of the hello, but not say a wrong one."""
    async with pumping(token=TOKEN, caller=DEFAULT) as pumped:
        pumped.duplex.say({"op": "hello", "token": token})
        assert is_welcome is (await pumped.duplex.hear())["ok"]
