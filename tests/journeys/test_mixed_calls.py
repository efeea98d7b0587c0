"""Mixed calls: thousands of them, while counters are read; every verdict is held against the simulator's books."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.app import running
from service.core.times import utc_ns
from service.core.verdict import verdict
from service.ledger.choosing import CallFilter
from service.ledger.reading import Reading
from service.mounting import Service
from service.proving import proving
from service.proving.rounds import decides
from service.secret import Secret
from service.settings import Settings, WalletSource
from tests.accounts import Export, Said, agree, billed, unique
from tests.mixing import CALM, CHANGING, DEADLINE_S, ROUGH, Dice, Stretch, make, price_rows
from tests.processes import Judge, eventually, get, run, simulators
from tests.speaking import speaking

CALLS = int(os.environ.get("EXAI_MIXED_CALLS", "1500"))
"""Ten thousand take some minutes."""
SESSIONS, AT_ONCE = 6, 6
USUAL_S, FINAL_S, LAG_S = 0.7, 2.0, 0.5
CHANGES_AFTER_S = 12
KEY = "sim-rich-mixed"
AS_OF = "2026-11-23T00:00:00Z"
HONEST = (
    Stretch("before a price changes", 0.2),
    Stretch("one of each provider's is in doubt", 0.1, also=(("cut", "kimi"), ("cut", "glm"))),
    Stretch("a top-up", 0.2, topped_up="12.34"),
    Stretch("some in doubt were not billed", 0.1, also=(("cut unbilled", "glm"),) * 3),
    Stretch("rough", 0.2, ROUGH),
    Stretch("the counters lag", 0.1, lag_s=LAG_S),
    Stretch("after the price changed", 0.1),
)
LIES = {"double bill": "U3", "undercharge": "M2"}
"""What the windows say that hold them, and that can show them."""


class Mixed(NamedTuple):
    """Every account of one run, taken when the provider's books were final.

    Attributes:
        books: the simulator's.
        metrics: what `/metrics` said, by sample and labels.
        by_tables, by_records: calls by the code of their verdict, as SQL and as the pure rule count them.
        changed_at_ns: when a price changed.
    """

    books: Said
    export: Export
    metrics: dict[tuple[str, ...], Decimal]
    by_tables: Counter[str]
    by_records: Counter[str]
    changed_at_ns: int

    @property
    def bills(self) -> dict[str, Decimal]:
        """Give what was billed for each attempt that arrived."""
        found = {unique(one): Decimal(one["billed"]["amount"]) for one in self.books["requests"]}
        return {name: found[unique(said)] for name, said in self.export.intents.items() if unique(said) in found}

    def held(self, window: Said) -> list[str]:
        """List the attempts that a window's verdict decides."""
        return [
            name
            for name, said in self.export.intents.items()
            if said["wallet"] == window["wallet"] and window["after"] < said["index"]
            if name in self.export.ends and self.export.ends[name]["index"] <= window["until"]
        ]

    def windows(self, word: str) -> list[Said]:
        """List the verdicts of a word."""
        return [one for one in self.export.of("verdict") if one["word"] == word]


async def mixed(folder: Path, stretches: Sequence[Stretch], calls: int) -> Mixed:
    """Make calls, stretch by stretch, with a pause after each in which the books become final."""
    changed_at_ns = (time.time_ns() // 10**9 + CHANGES_AFTER_S) * 10**9
    prices = folder / "prices.toml"
    prices.write_text(price_rows(changed_at_ns))
    dice = Dice(stretches[0].name, changed_at_ns, time.time_ns)
    with simulators(folder, str(changed_at_ns), module="tests.mixing") as judge:
        async with AsyncExitStack() as stack:
            service = await stack.enter_async_context(running(_settings(folder, judge, prices), environ={}))
            speakers = [await stack.enter_async_context(speaking(service.mcp_url)) for _ in range(SESSIONS)]
            for stretch in stretches:
                if stretch is stretches[-1]:
                    await eventually(_after(changed_at_ns))
                count = round(calls * stretch.share)
                await judge.fault(*stretch.faults(count))
                t0 = time.time()
                making = make(speakers, dice.calls(stretch, count), at_once=AT_ONCE)
                await asyncio.gather(making, *_payments(service, judge, stretch))
                print(stretch.name, count, time.time() - t0)
                await final(service)
            await judge.fault()
            books, metrics = await judge.books(), _samples((await get(f"{service.url}/metrics"))[1])
            by_tables, by_records = _counts(service.kept.reading)
    status, exported = await run("ledger", "export", "--data-dir", str(folder / "data"), folder=folder)
    assert 0 == status, exported
    return Mixed(books, Export(exported), metrics, by_tables, by_records, changed_at_ns)


def _settings(folder: Path, judge: Judge, prices: Path) -> Settings:
    urls = {name.partition("_")[0].lower(): url for name, url in judge.base_urls.items()}
    sources = [WalletSource(provider=name, key=Secret(KEY), base_url=url) for name, url in urls.items()]
    return Settings(
        port=0,
        data_dir=folder / "data",
        wallets=tuple(sources),
        prices=prices,
        first_byte_timeout_s=DEADLINE_S,
        idle_timeout_s=DEADLINE_S,
        calls_in_flight_max=SESSIONS * AT_ONCE,
        client_calls_in_flight_max=SESSIONS * AT_ONCE,
        reading_interval_s=0.5,
        reading_idle_s=1.0,
        settling_s=USUAL_S,
    )


def _after(moment_ns: int) -> Any:  # noqa: ANN401 - a probe
    async def probe() -> bool:
        return time.time_ns() > moment_ns

    return probe


def _payments(service: Service, judge: Judge, stretch: Stretch) -> list[Any]:
    wallets = service.wallets if stretch.topped_up else ()
    return [judge.move(wallet.name, "topup", str(stretch.topped_up)) for wallet in wallets]


async def final(service: Service) -> None:
    """Wait until each wallet was read after its books were final, and what that shows is written down."""
    moment_ns = time.time_ns() + int(FINAL_S * 10**9)

    async def all_read() -> bool:
        newest = [filter(decides, service.kept.reading.latest_readings(one.name)) for one in service.wallets]
        return all(any(utc_ns(one.asked_at) > moment_ns for one in found) for found in newest)

    await eventually(all_read)
    for wallet in service.wallets:
        await service.proving.reconciler.reconcile(wallet)


def _samples(text: str) -> dict[tuple[str, ...], Decimal]:
    families = text_string_to_metric_families(text)
    return {
        (sample.name, *sample.labels.values()): Decimal(str(sample.value))
        for family in families
        for sample in family.samples
    }


def _counts(reading: Reading) -> tuple[Counter[str], Counter[str]]:
    """Count verdicts twice: by the tables, and by the pure rule over every record."""
    tables, records = Counter[str](), Counter[str]()
    with reading.snapshot():
        for one in reading.verdict_counts(CallFilter()):
            tables[one.code] += one.calls
        for (call_id,) in reading.select("SELECT tool_call_id FROM calls"):
            call = reading.call(call_id)
            assert call is not None
            records[verdict(call, as_of=AS_OF, judged=reading.judged([call_id])).code] += 1
    return tables, records


@pytest.fixture(scope="module", autouse=True)
def _soon_final() -> Iterator[None]:
    """Let the simulators' books be final after seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proving, "SIMULATED_FINAL_S", FINAL_S)
        yield


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Mixed:
    """Make all the calls with a provider that is honest, however badly it works."""
    return asyncio.run(mixed(tmp_path_factory.mktemp("honest"), HONEST, CALLS))
