"""Named tokens over real sockets: who comes in with one, who is counted, and who is shown out."""

import asyncio

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from tests.naming import created, revoked, steps, text_of, tokens
from tests.serving.doubles import INITIALIZE, TOKEN, WAIT_S, call_tool
from tests.transports.conftest import Serving


def bearer(token: str) -> dict[str, str]:
    """Write the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


async def closed(client: ClientWebSocketResponse) -> tuple[int | None, str]:
    """Read to the close, and say its code and words."""
    async with asyncio.timeout(WAIT_S):
        while (message := await client.receive()).type is WSMsgType.TEXT:
            pass
    return message.data, str(message.extra)


@pytest.mark.parametrize("path", ["/mcp", "/"])
@pytest.mark.parametrize("token", [TOKEN, None])
async def test_a_call_with_a_named_token(serving: Serving, path: str, token: str | None) -> None:
    """It is recorded for the token's name, whether or not another token is configured."""
    known = tokens(created(1, "ci", "call"), token=token)
    async with serving(named=known) as served:
        async with served.http.ws_connect(served.url(path), headers=bearer(text_of(1))) as client:
            await client.send_json(INITIALIZE)
            await client.send_json(call_tool(1))
            running = await served.calls.next()
            assert "ci" == running.caller.name
            running.end()
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", **bearer(text_of(2))}
        async with served.http.get(served.url(path), headers=upgrade) as answer:
            assert 401 == answer.status
            assert text_of(2) not in await answer.text()


async def test_a_revoked_token_closes_its_connections(serving: Serving) -> None:
    """All of that client's at once, told from any thread, and nobody else's."""
    known = tokens(created(1, "ci", "call"), created(2, "other", "call"))
    async with serving(named=known) as served:
        first, second, other = [
            await served.http.ws_connect(served.url(), headers=bearer(text_of(number))) for number in (1, 1, 2)
        ]
        for client in (first, second, other):
            await client.send_json(INITIALIZE)
            await client.receive_json(timeout=WAIT_S)
        assert (2, 1, 0) == tuple(served.sockets.count_of(name) for name in ("ci", "other", "nobody"))
        await asyncio.to_thread(known.take, steps(revoked(1, "ci")))
        assert [(1008, "the token was revoked")] * 2 == [await closed(first), await closed(second)]
        await other.send_json({"jsonrpc": "2.0", "id": 7, "method": "ping"})
        assert 7 == (await other.receive_json(timeout=WAIT_S))["id"]
        await other.close()


async def test_a_change_after_the_end(serving: Serving) -> None:
    """Tokens that change when the loop is gone disturb nobody."""
    known = tokens(created(1, "ci", "call"))

    def run() -> None:
        async def once() -> None:
            async with serving(named=known):
                pass

        asyncio.run(once())

    await asyncio.to_thread(run)
    known.take(steps(revoked(1, "ci")))
