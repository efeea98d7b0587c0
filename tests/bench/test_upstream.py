"""The bench's provider is honest: what a service reads of it, and verifies, is what an honest provider says."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.core.pricing import cost
from service.core.usage import Usage
from service.pricelist import load_prices
from service.providers.kimi import PROVIDER
from tests.bench.upstream import CHARGE, Account, Upstream
from tests.rig import BEGUN_NS

ASK = b'{"model":"kimi-k2.6","messages":[],"stream":false}'


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Serve on a port."""
    account = Account()
    server = await asyncio.get_running_loop().create_server(lambda: Upstream(account), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def told(port: int, line: str, body: bytes = b"") -> tuple[dict[str, str], Any]:
    """Ask once; give headers and JSON."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    writer.write(f"{line} HTTP/1.1\r\nAuthorization: Bearer k\r\n{length}\r\n".encode() + body)
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    headers = dict(one.lower().split(": ", 1) for one in head.splitlines()[1:] if one)
    said = await reader.readexactly(int(headers["content-length"]))
    writer.close()
    return headers, json.loads(said)


def test_its_charge_is_the_price() -> None:
    """What its balance loses by an answer is what a service works out for it."""
    prices = load_prices(None)
    used = Usage(
        uncached_input_tokens=93,
        cached_input_tokens=0,
        cache_write_tokens=0,
        output_tokens=200,
        reasoning_tokens=0,
    )
    row = prices.row("kimi", "api.moonshot.ai", PROVIDER.default_model, BEGUN_NS)
    amount = cost(used, row, prices.version).amount
    assert amount is not None
    assert CHARGE == CHARGE.__class__(amount)


async def test_a_reading_is_answered(port: int) -> None:
    """A question without a body is answered, and the balance falls by the calls."""
    before = (await told(port, "GET /v1/users/me/balance"))[1]["data"]["available_balance"]
    for _ in range(100):
        await told(port, "POST /v1/chat/completions", ASK)
    after = (await told(port, "GET /v1/users/me/balance"))[1]["data"]["available_balance"]
    assert 0.08884 == pytest.approx(before - after, abs=1e-5)
    assert "enterprise-tier-1" == (await told(port, "GET /v1/users/me"))[1]["data"]["user_group_id"]


async def test_every_answer_is_signed_and_has_its_own_id(port: int) -> None:
    """The time is now, and the signature is called the provider's own."""
    answers = [await told(port, "POST /v1/chat/completions", ASK) for _ in range(2)]
    assert 2 == len({body["id"] for _, body in answers}) == len({head["msh-request-id"] for head, _ in answers})
    stamp, signed = PROVIDER.signature(answers[0][0]) or ("0", "")
    assert signed
    assert abs(time.time() - int(stamp) / 1000) < 60
    assert {"valid": True} == (await told(port, "POST /v1/signatures/verify", b"{}"))[1]
