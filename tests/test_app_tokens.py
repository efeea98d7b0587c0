"""Named tokens in the whole application: who is let in, what their tools show them, and whose their proofs are."""

import asyncio
from pathlib import Path

import aiohttp

from service.app import running
from service.core.entries import ClientEntry
from service.mounting import Service
from service.secret import Secret
from service.settings import BudgetSource, Settings, WalletSource
from service.simulator.app import start
from tests.naming import created, revoked, text_of
from tests.speaking import Said, Speaker, receipt_of, speaking

WAIT_S = 20.0


async def written(service: Service, *entries: ClientEntry) -> None:
    """Make tokens, and wait until they count."""
    for entry in entries:
        await service.kept.ledger.append(entry)
    assert await asyncio.to_thread(service.kept.feed.wait, WAIT_S)


def bearer(number: int) -> dict[str, str]:
    """Write the header that carries the token of a number."""
    return {"Authorization": f"Bearer {text_of(number)}"}


async def use(speaker: Speaker, tool: str, **arguments: object) -> Said:
    """Call a tool that asks no model, and give its result."""
    result: Said = (await speaker.ask("tools/call", {"name": tool, "arguments": arguments}))["result"]
    return result


async def test_what_anybody_commits_counts(tmp_path: Path) -> None:
    """An entry that no action wrote makes and revokes a token as well, here and at the next start."""
    settings = Settings(port=0, data_dir=tmp_path / "data", ws_token=Secret("a-token-of-the-owner"))

    async def status(http: aiohttp.ClientSession, url: str) -> int:
        async with http.get(f"{url}/console/calls.json", headers=bearer(1)) as answer:
            return answer.status

    async with running(settings, environ={}) as service, aiohttp.ClientSession() as http:
        assert 401 == await status(http, service.url)
        await written(service, created(1, "eye", "read"))
        assert 200 == await status(http, service.url)
    async with running(settings, environ={}) as service, aiohttp.ClientSession() as http:
        assert 200 == await status(http, service.url)
        await written(service, revoked(1, "eye"))
        assert 401 == await status(http, service.url)


async def test_tools_show_a_client_its_own_alone(tmp_path: Path) -> None:
    """Without the scope read no balance is told, and of another client's call no receipt; with it, both are."""
    nobody = WalletSource(provider="kimi", key=Secret("sim-local"), base_url="http://127.0.0.1:9/v1")
    settings = Settings(port=0, data_dir=tmp_path / "data", wallets=(nobody,), readings=False)
    async with running(settings, environ={}) as service:
        await written(service, created(1, "one", "call"), created(2, "two", "call"))
        await written(service, created(3, "eye", "call", "read"))
        async with (
            speaking(service.mcp_url, **bearer(1)) as one,
            speaking(service.mcp_url, **bearer(2)) as two,
            speaking(service.mcp_url, **bearer(3)) as eye,
        ):
            of_one = receipt_of(await use(one, "usage"))["tool_call_id"]
            for speaker, may in ((one, (False, True)), (two, (False, False)), (eye, (True, True))):
                told = [await use(speaker, "balance"), await use(speaker, "receipt", tool_call_id=of_one)]
                assert may == tuple(not result["isError"] for result in told)


async def test_a_proof_of_the_console_is_its_token_s(tmp_path: Path) -> None:
    """What it spends is counted by the budget of the client whose token began it, and of nobody else."""
    simulator = await start(seed="tokens")
    source = WalletSource(provider="kimi", key=Secret("sim-local"), base_url=simulator.urls["KIMI_BASE_URL"])
    budget = BudgetSource(place="a", name="each", limit=("9 USD",), period="day", each=("client",))
    settings = Settings(
        port=0, data_dir=tmp_path / "data", wallets=(source,), has_file=True, budgets=(budget,), grace_s=0
    )
    try:
        async with running(settings, environ={}) as service, aiohttp.ClientSession(headers=bearer(1)) as http:
            await written(service, created(1, "alice", "call", "read", "admin"))
            address, headers = f"{service.url}/console/prove", {"Origin": service.url}
            async with http.post(address, data={"wallet": ""}, headers=headers, allow_redirects=False) as answer:
                assert 303 == answer.status
            async with asyncio.timeout(WAIT_S):
                while not any(one.spent for one in service.kept.limits()):  # noqa: ASYNC110 - no event tells of it
                    await asyncio.sleep(0.01)
            assert {("alice",)} == {one.group for one in service.kept.limits() if one.spent or one.reserved}
    finally:
        await simulator.close()
