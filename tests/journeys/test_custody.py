"""Custody: a ledger grows older than its version, its disk and its machine, and nobody can tell it otherwise."""

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service.ledger.sqlite import FILE_NAME
from tests.accounts import Export
from tests.journeys.conftest import KEYS
from tests.processes import Judge, Served, Serving, begin_to_serve, end, eventually, get, get_json, run, serve
from tests.speaking import Speaker, receipt_of, speaking

STORES = Path(__file__).parents[1] / "ledger" / "stores"
Said = dict[str, Any]


@asynccontextmanager
async def busy(served: Served) -> AsyncIterator[Speaker]:
    """Call once before and once after the block."""
    async with speaking(served.socket) as speaker:
        assert not (await speaker.call(prompt="Before?", provider="kimi"))["isError"]
        yield speaker
        assert not (await speaker.call(prompt="After?", provider="glm"))["isError"]


async def exai(served: Served, *words: str) -> Said:
    """Run a command on a service's ledger that must do well; give what it told as JSON."""
    status, said = await run(*words, "--format", "json", "--data-dir", str(served.data), folder=served.folder)
    assert 0 == status, said.decode()
    told: Said = json.loads(said)
    return told


class Owner:
    """Who starts a service again in the folder of one that has ended."""

    def __init__(self, judge: Judge) -> None:
        self._environ = {**KEYS, **judge.base_urls}
        self.started: list[Served] = []

    def again(self, served: Served) -> Served:
        """Start it."""
        self.started.append(serve(served.folder, self._environ))
        return self.started[-1]

    async def refused(self, served: Served) -> str:
        """Start it where it must not start; give what it said."""
        before = (served.folder / "stderr").stat().st_size
        child, _ = begin_to_serve(served.folder, self._environ)
        self.started.append(Served(child, served.folder, ""))
        assert 1 == await self.started[-1].ended()
        return (served.folder / "stderr").read_bytes()[before:].decode()


@pytest.fixture
def owner(judge: Judge) -> Iterator[Owner]:
    """Start again, for one test."""
    owner = Owner(judge)
    yield owner
    for served in owner.started:
        end(served.child)


async def whole(served: Served) -> Export:
    """Verify a ledger with all that is beside it; give its export."""
    status, said = await served.verify()
    assert 0 == status, said
    return Export(await served.export())


async def test_a_ledger_of_an_early_version_is_taken_up(serving: Serving, tmp_path: Path) -> None:
    """Killed in a call, it is migrated and swept; old receipts are shown, new calls follow, all of it verifies."""
    data = tmp_path / "service-0" / "data"
    data.mkdir(parents=True, mode=0o700)
    shutil.copyfile(STORES / "schema-1.sqlite3", data / FILE_NAME)
    served = serving()
    given = json.loads((STORES / "schema-1.receipts.json").read_text())
    for one in given:
        shown = await get_json(f"{served.url}/console/calls/{one['tool_call_id']}.json")
        assert one["totals"] == shown["totals"]
        assert [attempt["ledger"] for attempt in one["attempts"]] == [
            attempt["ledger"] for attempt in shown["attempts"]
        ]
    async with busy(served):
        pass
    health: Said = await get_json(f"{served.url}/health")
    assert "ok" == health["status"]
    export = await whole(served)
    assert {1, 3} == {entry["v"] for entry in export.entries}
    assert 1 == len({entry["origin"] for entry in export.entries})
    (crashed,) = (entry for entry in export.of("doubt") if entry["cause"] == "crash")
    assert crashed["attempt_id"] == export.intents[crashed["attempt_id"]]["attempt_id"]
    assert len(given) + 3 == len(export.answers)
    assert 0 == await served.stop()


@pytest.mark.parametrize("how", ["backup", "archive"])
async def test_a_copy_comes_back_on_another_machine(
    serving: Serving, owner: Owner, tmp_path: Path, how: str
) -> None:
    """Taken while calls are made, it is verified by a key alone, restored, refused, adopted, and goes on."""
    served = serving()
    target = tmp_path / "away"
    async with busy(served):
        told = await exai(served, "ledger", how, str(target))
    copy, noted = told["copy"], told["noted"]
    export = await whole(served)
    entry = export.entries[noted["index"]]
    assert ("action", how, str(copy["entries"]), "away") == (
        entry["kind"],
        entry["action"],
        entry["detail"]["entries"],
        entry["detail"]["where"],
    )
    assert 1 == len([one for one in export.of("system") if one["event"] == "start"])  # the service wrote it
    assert 0 == await served.stop()

    status, said = await run("ledger", "verify", str(target), "--key", copy["public_key"], folder=tmp_path)
    assert 0 == status, said.decode()
    other = serving()
    assert 0 == await other.stop()
    shutil.rmtree(other.data)
    shutil.rmtree(other.folder / "data-checkpoints")
    restored = await exai(other, "ledger", "restore", str(target), "--key", copy["public_key"])
    assert (copy["entries"], copy["origin"]) == (restored["entries"], restored["origin"])
    assert "holds no checkpoint" in restored["refused_until_adopted"]
    assert "exai ledger adopt --why TEXT" in await owner.refused(other)
    adopted = await exai(other, "ledger", "adopt", "--why", "a new machine")
    assert copy["origin"] == adopted["origin_before"] != adopted["origin"]
    third = owner.again(other)
    async with busy(third):
        pass
    after = await whole(third)
    assert export.entries[: copy["entries"]] == after.entries[: copy["entries"]]
    assert adopted["origin"] == after.entries[-1]["origin"]
    assert 0 == await third.stop()


async def test_yesterdays_copy_is_refused_until_it_is_adopted(
    serving: Serving, owner: Owner, tmp_path: Path
) -> None:
    """Put back with its key, it lacks what was signed since; adopted, both origins are in one whole log."""
    served = serving()
    async with busy(served):
        pass
    assert 0 == await served.stop()
    shutil.copytree(served.data, tmp_path / "yesterday")
    today = owner.again(served)
    async with busy(today):
        pass
    assert 0 == await today.stop()
    signed = len((await whole(today)).entries)
    shutil.rmtree(today.data)
    shutil.copytree(tmp_path / "yesterday", today.data)
    said = await owner.refused(today)
    assert f"{signed} were signed: it is an older copy, or its end was cut off" in said
    assert "Traceback" not in said
    adopted = await exai(today, "ledger", "adopt", "--why", "the disk died")
    assert "the disk died" == adopted["why"]
    tomorrow = owner.again(today)
    async with busy(tomorrow):
        pass
    export = await whole(tomorrow)
    assert [adopted["origin_before"], adopted["origin"]] == list(
        dict.fromkeys(entry["origin"] for entry in export.entries)
    )
    assert 0 == await tomorrow.stop()


async def test_an_attempt_in_doubt_is_resolved_while_the_service_runs(serving: Serving, judge: Judge) -> None:
    """What was held is free in page, JSON and metric, and the log says who said so."""
    served = serving()
    await judge.fault({"kind": "cut_stream", "provider": "glm", "chunks": 5, "next": 1})
    async with speaking(served.socket) as speaker:
        lost = receipt_of(await speaker.call("t", prompt="Tell me a story. sim:words=30", provider="glm"))
        (attempt,) = lost["attempts"]
        assert "in_doubt" == attempt["outcome"]
        await _gauge(served, 1)
        looked = await exai(
            served, "ledger", "resolve", lost["tool_call_id"], "--write-off", "--why", "x", "--dry-run"
        )
        assert None is looked["index"]
        status, said = await run(
            *("ledger", "resolve", attempt["attempt_id"], "--cost", "1000", "USD", "--why", "x"),
            *("--data-dir", str(served.data)),
            folder=served.folder,
        )
        assert (1, True) == (status, b"--above-bound" in said)
        done = await exai(
            served,
            *("ledger", "resolve", lost["tool_call_id"], "--cost", "0.00001", "USD"),
            *("--tokens", "40", "--why", "the provider's own list of requests"),
        )
        await _gauge(served, 0)
    shown = await get_json(f"{served.url}/console/calls/{lost['tool_call_id']}.json")
    assert "reconciled" == shown["attempts"][0]["outcome"]
    (total,) = shown["totals"]
    assert "0" == total["in_doubt_held"]
    export = await whole(served)
    (entry,) = export.of("resolution")
    assert (done["index"], "0.00001", 40) == (entry["index"], entry["amount"], entry["tokens"])
    assert "(uid " in entry["by"]
    assert 1 == len([one for one in export.of("system") if one["event"] == "start"])
    assert 0 == await served.stop()


async def _gauge(served: Served, expected: int) -> None:
    """Wait until the metric says how many attempts are in doubt."""

    async def look() -> bool:
        _, text = await get(f"{served.url}/metrics")
        values = [
            line.rpartition(" ")[2] for line in text.splitlines() if line.startswith("exai_attempts_in_doubt{")
        ]
        return [float(expected)] == list(map(float, values))

    await eventually(look)
