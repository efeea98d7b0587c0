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
from tests.accounts import Export, Said, agree, unique
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
    Stretch("some in doubt were not billed", 0.1, also=(("cut unbilled", "glm"),) * 3),
    Stretch("a top-up", 0.2, topped_up="12.34", is_pause_after=False),
    Stretch("rough", 0.2, ROUGH),
    Stretch("the price has changed, and the counters lag", 0.2, lag_s=LAG_S),
)
LIES = {"double bill": "U3", "undercharge": "M2"}
"""What the windows say that hold them."""
LIED_PART = 3
"""One call in so many is made for each lie."""
RATES = {"uncached_input": "1.4", "cached_input": "0.26", "output": "4.4"}
RESOLUTIONS = {"kimi": Decimal("0.00001"), "glm": Decimal("0.000000001")}
FLOAT = Decimal("0.000001")
"""What is added up in floats."""


class Mixed(NamedTuple):
    """Every account of one run, taken when the provider's books were final.

    Attributes:
        books: the simulator's.
        consumed: by wallet, what `/metrics` says that its counter moved.
        by_tables, by_records: calls by the code of their verdict, as SQL and as the pure rule count them.
        changed_at_ns: when a price changed.
    """

    books: Said
    export: Export
    consumed: dict[str, Decimal]
    by_tables: Counter[str]
    by_records: Counter[str]
    changed_at_ns: int

    @property
    def bills(self) -> dict[str, Decimal]:
        """Give what was billed for each attempt that arrived."""
        found = {unique(one): Decimal(one["billed"]["amount"]) for one in self.books["requests"]}
        return {name: found[unique(said)] for name, said in self.export.intents.items() if unique(said) in found}

    def tolerance(self, resolution: Said) -> Decimal:
        """Say what the counter's steps may hide between the readings that a resolution names."""
        _, opened, _, closed = resolution["by"].split()
        provider = self.export.intents[resolution["attempt_id"]]["provider"]
        between = [one for one in self.export.intents.values() if int(opened) < one["index"] < int(closed)]
        return RESOLUTIONS[provider] * (2 + Decimal(sum(one["provider"] == provider for one in between)) / 2)

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
    """Make calls, stretch by stretch, with pauses in which the books become final."""
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
                making = make(speakers, dice.calls(stretch, count), at_once=AT_ONCE)
                await asyncio.gather(making, *_payments(service, judge, stretch))
                if stretch.is_pause_after:
                    await final(service)
            await judge.fault()
            books, consumed = await judge.books(), _consumed((await get(f"{service.url}/metrics"))[1])
            by_tables, by_records = _counts(service.kept.reading)
    status, exported = await run("ledger", "export", "--data-dir", str(folder / "data"), folder=folder)
    assert 0 == status, exported
    return Mixed(books, Export(exported), consumed, by_tables, by_records, changed_at_ns)


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
        reading_idle_s=0.5,
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


def _consumed(text: str) -> dict[str, Decimal]:
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {
        sample.labels["wallet"]: Decimal(str(sample.value))
        for sample in samples
        if sample.name == "exai_wallet_consumed_total" and sample.labels["currency"] == "USD"
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


@pytest.fixture(scope="module")
def lied_to(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Mixed]:
    """Make some of the calls, for each lie, with a provider that for a while tells it of every tenth."""

    async def lied(lie: str) -> Mixed:
        fates = {**CALM, lie: sum(CALM.values()) // 9}
        stretches = (Stretch("before", 0.3), Stretch("lied to", 0.4, fates), Stretch("after", 0.3))
        return await mixed(tmp_path_factory.mktemp("lied"), stretches, CALLS // LIED_PART)

    async def both() -> list[Mixed]:
        return await asyncio.gather(*map(lied, LIES))

    return dict(zip(LIES, asyncio.run(both()), strict=True))


def test_every_request_has_its_intent_and_every_settlement_is_the_bill(honest: Mixed) -> None:
    """Nothing arrived that was not written down before, and what was metered is priced to the last digit."""
    agree(honest.export, honest.books["requests"])
    outcomes = honest.export.outcomes()
    assert {"settled", "refused", "in_doubt"} == set(outcomes)
    assert sum(len(one.also) for one in HONEST) < outcomes["in_doubt"] < CALLS // 10
    assert round(CALLS * sum(one.share for one in HONEST)) <= len(honest.export.answers)
    usages = [entry["usage"] for entry in honest.export.of("settlement")]
    assert any(one["cached_input_tokens"] for one in usages)
    statuses = {entry["cost"]["status"] for entry in honest.export.of("settlement")}
    assert {"priced", "free"} == statuses


def test_a_price_changes_between_two_calls(honest: Mixed) -> None:
    """The price of the moment holds: twice as much from then on, and both sides say so."""
    found = Counter[bool]()
    for entry in honest.export.of("settlement"):
        intent, usage = honest.export.intents[entry["attempt_id"]], entry["usage"]
        if CHANGING == intent["model"]:
            is_after = utc_ns(intent["at"]) >= honest.changed_at_ns
            once = sum(usage[f"{kind}_tokens"] * Decimal(rate) for kind, rate in RATES.items()) / 10**6
            assert once * (2 if is_after else 1) == Decimal(entry["cost"]["amount"])
            found[is_after] += 1
    assert min(found[True], found[False]) > CALLS // 100


def test_no_doubt_is_resolved_wrongly(honest: Mixed) -> None:
    """Readings say what one cost, or that it cost nothing, where the books say so; others stay in doubt."""
    doubts, resolutions = honest.export.of("doubt"), honest.export.of("resolution")
    in_doubt, bills = {entry["attempt_id"] for entry in doubts}, honest.bills
    for entry in resolutions:
        assert entry["attempt_id"] in in_doubt
        assert ("reconciled", "readings") == (entry["outcome"], entry["source"])
        bill, amount = bills[entry["attempt_id"]], Decimal(entry["amount"])
        assert abs(bill - amount) <= (honest.tolerance(entry) if amount else 0)
    found = Counter("billed" if Decimal(entry["amount"]) else "not billed" for entry in resolutions)
    assert found["billed"] >= 1
    assert found["not billed"] >= 3
    doubtful = {code: honest.by_records[code] for code in ("U5", "U6", "U16", "N14")}
    assert len(doubts) == sum(doubtful.values())
    assert len(doubts) - len(resolutions) == doubtful["U5"] + doubtful["U6"] > 0


def test_no_honest_window_is_a_mismatch(honest: Mixed) -> None:
    """Whatever goes wrong on the way, two sources never disagree; and most of the calls are proven."""
    assert [] == honest.windows("MISMATCH")
    assert {"P1", "U12"} <= {one["code"] for one in honest.export.of("verdict")} <= {"P1", "U1", "U2", "U3", "U12"}
    settled = honest.export.outcomes()["settled"]
    assert honest.by_records["P1"] > settled // 2


def test_what_is_proven_moved_as_the_books_say(honest: Mixed) -> None:
    """The counter moved by the bills of the window's calls, but for what is uncertain: a twentieth at most."""
    bills = honest.bills
    proven = honest.windows("PROVEN")
    assert {"kimi", "glm"} == {one["provider"] for one in proven}
    for one in proven:
        moved, billed = Decimal(one["sums"]["moved"]), sum(bills.get(name, Decimal()) for name in honest.held(one))
        names = ("straddling", "in_doubt", "tolerance")
        uncertain = sum(Decimal(one["sums"][name]) for name in names)
        assert abs(moved - billed) <= uncertain <= max(moved / 20, RESOLUTIONS[one["provider"]])


def test_what_was_consumed_is_what_the_books_say(honest: Mixed) -> None:
    """The sum of all that the counters moved is the sum of all bills, but for a step at either end."""
    for wallet in honest.books["wallets"]:
        apart = honest.consumed[wallet["wallet"]] - Decimal(wallet["spent"])
        assert abs(apart) <= RESOLUTIONS[wallet["provider"]] + FLOAT


def test_verdicts_are_counted_alike(honest: Mixed) -> None:
    """The tables' sums are those of the pure rule over every record."""
    assert honest.by_records == honest.by_tables
    assert len(honest.export.answers) == honest.by_records.total()


@pytest.mark.parametrize("lie", LIES)
def test_no_window_with_a_lie_is_proven(lied_to: dict[str, Mixed], lie: str) -> None:
    """Every tenth was billed twice, or half: no window that holds one is PROVEN, and one says why."""
    run_of, kind = lied_to[lie], lie.replace(" ", "_")
    told = {unique(one) for one in run_of.books["requests"] if kind in one["faults"] and one["usage"] is not None}
    assert len(told) > CALLS // LIED_PART // 100
    holding = [
        one
        for one in run_of.export.of("verdict")
        if not told.isdisjoint(unique(run_of.export.intents[name]) for name in run_of.held(one))
    ]
    assert "PROVEN" not in {one["word"] for one in holding}
    assert LIES[lie] in {one["code"] for one in holding}
    assert run_of.by_records == run_of.by_tables
    assert run_of.windows("PROVEN")
