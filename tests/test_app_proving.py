"""The proving room within the whole application: it reads by itself, says so, and holds up nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from service.app import running
from service.core.books import ReadingEntry, VerdictEntry
from service.core.words import ReadingCause, ReadingOutcome, VerdictWord
from service.mounting import Service
from service.secret import Secret
from service.settings import Settings, WalletSource
from service.simulator.app import Simulator, start

WAIT_S = 20


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A simulator."""
    one = await start(seed="app")
    yield one
    await asyncio.wait_for(one.close(), WAIT_S)


def settings(folder: Path, url: str) -> Settings:
    """A service with one wallet at Kimi."""
    source = WalletSource(provider="kimi", name="main", key=Secret("sim-local"), base_url=url)
    return Settings(port=0, data_dir=folder, wallets=(source,))


async def newest(service: Service) -> tuple[ReadingEntry, ...]:
    """Wait until both counters of the wallet were read, or were not to be had."""
    async with asyncio.timeout(WAIT_S):
        while len(found := service.kept.reading.latest_readings("main")) < 2:  # noqa: ASYNC110 - the log knows no event
            await asyncio.sleep(0.01)
    return found


async def test_a_wallet_is_read_at_the_start(tmp_path: Path, simulator: Simulator) -> None:
    """By itself: balance and account are entries, and `/health` tells of them."""
    async with (
        running(settings(tmp_path, simulator.urls["KIMI_BASE_URL"]), environ={}) as service,
        aiohttp.ClientSession() as http,
    ):
        found = await newest(service)
        assert {("balance", "read", "start"), ("account", "read", "start")} == {
            (one.counter, one.outcome.value, one.cause.value) for one in found
        }
        async with http.get(f"{service.url}/health", headers={"Accept": "application/json"}) as answer:
            checks = json.loads(await answer.text())["checks"]
        assert any("main" == check.get("of") and "SIMULATED" in check["sentence"] for check in checks)


async def test_without_the_token_a_page_may_be_read_here_and_spends_nothing(
    tmp_path: Path, simulator: Simulator
) -> None:
    """Once a token is configured, whoever is on this machine has no form and begins no proof without one."""
    tokenless = settings(tmp_path, simulator.urls["KIMI_BASE_URL"])
    guarded = msgspec.structs.replace(tokenless, ws_token=Secret("a-token-of-the-owner"))
    async with running(guarded, environ={}) as service, aiohttp.ClientSession() as http:
        async with http.get(f"{service.url}/console/reconcile") as page:
            assert 200 == page.status
            assert "Begin the proof" not in await page.text()
        address = f"{service.url}/console/prove"
        async with http.post(address, data={}, headers={"Origin": service.url}) as answer:
            assert 403 == answer.status
    async with (
        running(tokenless, environ={}) as service,
        aiohttp.ClientSession() as http,
        http.get(f"{service.url}/console/reconcile") as page,
    ):
        assert "Begin the proof" in await page.text()


async def test_a_provider_that_is_away_is_written_down(tmp_path: Path) -> None:
    """Nobody listens there: the service runs all the same, and its ledger says that it was not reached."""
    async with running(settings(tmp_path, "http://127.0.0.1:9/v1"), environ={}) as service:
        assert {ReadingOutcome.UNREACHABLE} == {one.outcome for one in await newest(service)}


async def test_a_provider_that_never_answers_holds_up_nothing(tmp_path: Path) -> None:
    """Neither start nor stop waits for a question; what was on its way is broken off, without an entry."""
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        async with (
            asyncio.timeout(WAIT_S),
            running(settings(tmp_path, f"http://127.0.0.1:{port}/v1"), environ={}) as service,
        ):
            await asked.wait()
        assert not service.kept.ledger.failed


async def test_readings_are_had_on_demand(tmp_path: Path, simulator: Simulator) -> None:
    """What the service hands to others reads and reconciles."""
    async with running(settings(tmp_path, simulator.urls["KIMI_BASE_URL"]), environ={}) as service:
        await newest(service)
        (wallet,) = service.wallets
        found = await service.proving.readers.read(wallet, cause=ReadingCause.DEMAND)
        assert {"balance", "account"} == {one.counter for one in found}
        assert await service.proving.reconciler.reconcile(wallet) is None


async def test_a_restart_shows_the_newest_window_though_an_old_one_was_judged_last(
    tmp_path: Path, simulator: Simulator
) -> None:
    """The verdict that was written last may be on an earlier window, or on a real wallet of the same name."""
    quiet = msgspec.structs.replace(settings(tmp_path, simulator.urls["KIMI_BASE_URL"]), readings=False)
    newest_window = VerdictEntry(
        rule=1,
        provider="kimi",
        wallet="main",
        simulated=True,
        word=VerdictWord.PROVEN,
        code="P1",
        sentence="Said.",
        opened=30,
        closed=40,
    )
    judged_anew = msgspec.structs.replace(
        newest_window, word=VerdictWord.MISMATCH, code="M2", opened=10, closed=20
    )
    of_another = msgspec.structs.replace(newest_window, simulated=False, code="U2", word=VerdictWord.UNVERIFIED)
    async with running(quiet, environ={}) as service:
        await service.kept.ledger.append(newest_window, judged_anew, *[of_another] * 30)
    async with (
        running(quiet, environ={}) as service,
        aiohttp.ClientSession() as http,
        http.get(f"{service.url}/metrics") as answer,
    ):
        series = [line for line in (await answer.text()).splitlines() if line.startswith("exai_wallet_verdict{")]
    assert ["PROVEN"] == [
        word for word in VerdictWord for line in series if f'"{word}"' in line and line[-3:] == "1.0"
    ]
