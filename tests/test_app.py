"""The parts put together: what only the whole application can show."""

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from otel.metrics import Metrics
from service.app import running
from service.secret import Secret
from service.settings import Settings, WalletSource

if TYPE_CHECKING:
    from tests.conftest import Made

KEY = Secret("sim-local")


async def test_the_console_is_found_without_its_slash(tmp_path: Path) -> None:
    """`/console` and `/console/` both lead to the first page."""
    source = WalletSource(provider="kimi", key=KEY, base_url="http://127.0.0.1:9/v1")
    settings = Settings(port=0, data_dir=tmp_path, wallets=(source,))
    async with running(settings, environ={}) as service, aiohttp.ClientSession() as http:
        for path in ("/console", "/console/"):
            async with http.get(service.url + path) as answer:
                assert (200, "/console/") == (answer.status, answer.url.path)


async def test_allowed_hosts_are_answered(tmp_path: Path) -> None:
    """The names that the operator allows reach the guard; any other is none of ours."""
    settings = Settings(port=0, data_dir=tmp_path, allowed_hosts=("exai.example",))
    async with running(settings, environ={}) as service, aiohttp.ClientSession() as http:
        port = service.url.rpartition(":")[2]
        for name, status in (("exai.example", 200), ("other.example", 421)):
            async with http.get(f"{service.url}/health/live", headers={"Host": f"{name}:{port}"}) as answer:
                assert status == answer.status


async def test_a_part_on_a_port_of_its_own(tmp_path: Path) -> None:
    """What is moved is found there, and no longer on the main port."""
    settings = Settings(port=0, console_port=0, data_dir=tmp_path)
    async with running(settings, environ={}) as service, aiohttp.ClientSession() as http:
        assert service.url != service.console_url
        for root, status in ((service.url, 404), (service.console_url, 200)):
            async with http.get(f"{root}/console/calls") as answer:
                assert status == answer.status


@pytest.mark.parametrize(("key", "shown"), [("sim-local", "true"), ("sk-never-sent", "false"), (None, "false")])
async def test_a_scrape_shows_the_kind_of_this_start(key: str | None, shown: str, tmp_path: Path) -> None:
    """Series of real or of simulated attempts stand at 0, as the wallets are; without a wallet the real ones."""
    local = "http://127.0.0.1:9/v1"
    wallets = () if key is None else (WalletSource(provider="kimi", key=Secret(key), base_url=local),)
    settings = Settings(port=0, data_dir=tmp_path, wallets=wallets)
    async with (
        running(settings, environ={}) as service,
        aiohttp.ClientSession() as http,
        http.get(f"{service.url}/metrics") as answer,
    ):
        assert {shown} == set(re.findall('simulated="([a-z]+)"', await answer.text()))


async def test_readiness_ends_with_the_first_word_of_a_stop(tmp_path: Path) -> None:
    """Whoever routes calls learns that none are begun any more, while the process still lives."""
    async with (
        running(Settings(port=0, data_dir=tmp_path), environ={}) as service,
        aiohttp.ClientSession() as http,
    ):
        for path, status in (("/health/ready", 200), ("/health/live", 200)):
            async with http.get(service.url + path) as answer:
                assert status == answer.status
        await service.calls.drain(0)
        for path, status in (("/health/ready", 503), ("/health/live", 200)):
            async with http.get(service.url + path) as answer:
                assert status == answer.status


async def test_a_full_disk_is_no_readiness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the data folder has no room, whoever routes calls goes elsewhere, and is told why, not where."""
    settings = Settings(port=0, data_dir=tmp_path)
    async with running(settings, environ={}) as service, aiohttp.ClientSession() as http:
        asked: list[Path] = []

        def no_room(folder: Path) -> None:
            asked.append(folder)
            raise OSError

        monkeypatch.setattr(service.kept.ledger, "_full", True)
        async with http.get(f"{service.url}/health/ready") as answer:
            assert 200 == answer.status
        monkeypatch.setattr(shutil, "disk_usage", no_room)
        async with http.get(f"{service.url}/health/ready") as answer:
            text = await answer.text()
            assert (503, True) == (answer.status, "Free space in the data folder" in text)
            assert str(tmp_path) not in text
        assert [tmp_path] == asked


async def test_a_counter_that_lies_is_named(tmp_path: Path, made: "Made") -> None:
    """Health reads what `/metrics` would say: a call that no entry closed is an equation that does not hold."""
    settings = Settings(port=0, data_dir=tmp_path)
    async with running(settings, environ={}) as service, aiohttp.ClientSession() as http:
        for sentence in (
            "Entries, counters and spans agree.",
            "Numbers disagree: tool calls counted = closed + swept calls: 1.0 ≠ 0",
        ):
            async with http.get(f"{service.url}/health") as answer:
                checks = {check["name"]: check for check in (await answer.json())["checks"]}
            assert sentence == checks["conservation"]["sentence"]
            assert isinstance(service.kept.metrics, Metrics)
            service.kept.metrics.closed(made.call(made.intent(), made.settlement(), made.answer()), 0)
