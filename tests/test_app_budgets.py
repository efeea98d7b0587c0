"""Budgets in the whole application, by a clock that the test moves: days end at their zone's midnight."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service.app import running
from service.core.entries import BudgetEntry
from service.core.times import utc_ns
from service.errors import SettingsError
from service.mounting import Service
from service.secret import Secret
from service.settings import BudgetSource, Settings, WalletSource
from service.simulator.app import start
from tests.speaking import Said, Speaker, speaking

LATE = "2026-11-22T18:29:50Z"
MIDNIGHT = "2026-11-22T18:30:00.000000Z"  # in Kolkata
OF_FILE = BudgetSource(
    place="exai.toml line 1", name="kolkata", limit=("850 tokens",), period="day", zone="Asia/Kolkata"
)


class Moved:
    """A clock that a test puts forward; durations are real."""

    def __init__(self, at: str) -> None:
        self.at_ns = utc_ns(at)

    def now_ns(self) -> int:
        """Say the time."""
        return self.at_ns

    def monotonic_ns(self) -> int:
        """Say a time for durations."""
        return time.monotonic_ns()


@asynccontextmanager
async def served(
    folder: Path, clock: Moved, *budgets: BudgetSource, zone: str = "UTC"
) -> AsyncIterator[tuple[Service, Speaker]]:
    """Run the service with the simulator, and a session of it."""
    simulator = await start(seed="budgets")
    try:
        url = simulator.urls["KIMI_BASE_URL"]
        source = WalletSource(provider="kimi", key=Secret("sim-rich-budgets"), base_url=url, zone=zone)
        settings = Settings(port=0, data_dir=folder / "data", wallets=(source,), has_file=True, budgets=budgets)
        async with running(settings, environ={}, clock=clock) as service, speaking(service.mcp_url) as speaker:
            yield service, speaker
    finally:
        await simulator.close()


async def ask(speaker: Speaker) -> Said:
    """Ask for what may use 783 tokens, and uses a hundred."""
    return await speaker.call(prompt="Hello, you!", max_output_tokens=500)


def error_of(result: Said) -> dict[str, Any]:
    """Take the error out of a result."""
    found: dict[str, Any] = result["structuredContent"]["error"]
    return found


async def test_a_day_ends_at_its_zone_s_midnight(tmp_path: Path) -> None:
    """What is stopped says when it can be done, in UTC and there; from that moment on it can."""
    clock = Moved(LATE)
    async with served(tmp_path, clock, OF_FILE) as (_, speaker):
        assert not (await ask(speaker))["isError"]
        error = error_of(await ask(speaker))
        assert ("budget", True, MIDNIGHT) == (error["code"], error["retryable"], error["resets_at"])
        assert "It begins anew at 2026-11-22T18:30:00Z (2026-11-23 00:00 in Asia/Kolkata)." in error["message"]
        assert error["remedy"].startswith("Wait until then, ")
        clock.at_ns = utc_ns(MIDNIGHT) - 1000
        assert "budget" == error_of(await ask(speaker))["code"]
        clock.at_ns = utc_ns(MIDNIGHT)
        assert not (await ask(speaker))["isError"]


async def test_a_start_goes_on_with_the_day(tmp_path: Path) -> None:
    """What was used before it counts; nothing is said again of a budget that has not changed."""
    clock = Moved(LATE)
    async with served(tmp_path, clock, OF_FILE) as (_, speaker):
        assert not (await ask(speaker))["isError"]
    clock.at_ns += 10**9
    async with served(tmp_path, clock, OF_FILE) as (service, speaker):
        assert "budget" == error_of(await ask(speaker))["code"]
        said = [entry for entry in service.kept.reading.of_ledger() if isinstance(entry, BudgetEntry)]
        (state,) = service.kept.limits()
    assert ["set", "warned"] == [entry.event for entry in said]
    assert (True, 0) == (0 < state.spent, state.reserved)


async def test_a_budget_has_its_wallet_s_zone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Unless it names one; and one for a wallet that is not there is told of in the log."""
    sources = (
        BudgetSource(place="exai.toml line 1", name="a", limit=("9 USD",), period="day"),
        BudgetSource(place="exai.toml line 9", name="b", limit=("9 USD",), period="day", wallet="none-such"),
    )
    async with served(tmp_path, Moved(LATE), *sources, zone="Asia/Kolkata") as (service, _):
        assert [("a", "Asia/Kolkata"), ("b", "UTC")] == [
            (state.terms.name, state.terms.zone) for state in service.kept.limits()
        ]
    assert "exai.toml line 9: no attempt has the wallet 'none-such' of this budget" in caplog.text


async def test_a_wrong_budget_costs_no_epoch(tmp_path: Path) -> None:
    """The start is refused before the ledger is touched."""
    wrong = BudgetSource(place="exai.toml line 1", name="a", limit=("9",), period="day")
    settings = Settings(port=0, data_dir=tmp_path / "data", budgets=(wrong,))
    with pytest.raises(SettingsError, match=r"^exai\.toml line 1: '9' is no limit"):
        async with running(settings, environ={}):
            pass
    assert not (tmp_path / "data").exists()
