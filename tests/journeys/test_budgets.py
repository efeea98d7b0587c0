"""Budgets in a real service: who is let through, who is stopped and told why, and what a kill leaves reserved."""

import asyncio
import json
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.accounts import Export, agree
from tests.processes import Judge, Served, Serving, end, eventually, get, get_json, run, serve
from tests.speaking import Said, Speaker, receipt_of, speaking

MANY = {
    "EXAI_SESSION_CALLS_IN_FLIGHT_MAX": "1000",
    "EXAI_CLIENT_CALLS_IN_FLIGHT_MAX": "1000",
    "EXAI_CALLS_IN_FLIGHT_MAX": "1000",
}
ENVIRON = {**MANY, "KIMI_API_KEY": "sim-rich-budgets", "GLM_API_KEY": "sim-rich-budgets"}
OUTPUT_TOKENS = 1000
LONG = "A long story, please. sim:words=5000"
"""Its answer always uses up `OUTPUT_TOKENS`, so ten of them do not leave room for an eleventh."""
UNPRICED = {"provider": "glm", "model": "glm-4-32b-0414-128k"}
"""Its price of cached input is stated nowhere, so its worst case is no amount."""


async def ask(speaker: Speaker, **arguments: object) -> Said:
    """Ask for a long story."""
    said: Said = {"prompt": LONG, "provider": "kimi", "max_output_tokens": OUTPUT_TOKENS, **arguments}
    return await speaker.call(**said)


async def command(served: Served, *words: str, status: int = 0) -> str:
    """Run `exai` on a service's data folder; give all that it said."""
    found, said = await run(*words, "--data-dir", str(served.data), folder=served.folder)
    assert status == found, said
    return said.decode()


async def set_budget(served: Served, name: str, limit: str, *words: str, per: str = "total") -> str:
    """Set a budget."""
    return await command(served, "budget", "set", name, "--limit", limit, "--per", per, *words)


async def listed(served: Served, name: str) -> list[Said]:
    """List the limits of a budget."""
    said = json.loads(await command(served, "budget", "list", "--format", "json"))
    (limits,) = [budget["limits"] for budget in said["budgets"] if budget["name"] == name]
    found: list[Said] = limits
    return found


async def worst_case(served: Served, speaker: Speaker) -> tuple[Decimal, Decimal]:
    """Make a call; say what such a one can cost at most, and what it cost."""
    assert not (await ask(speaker))["isError"]
    export = Export(await served.export())
    (intent,), (settlement,) = export.of("intent"), export.of("settlement")
    return Decimal(intent["worst_case"]["amount"]), Decimal(settlement["cost"]["amount"])


def error_of(result: Said) -> Said:
    """Take the error out of a result."""
    error: Said = result["structuredContent"]["error"]
    return error


def stopped(results: Iterable[Said]) -> list[Said]:
    """Choose the results of calls that a budget stopped, each of which must say so in every place."""
    found = [result for result in results if result["isError"]]
    for result in found:
        assert "budget" == error_of(result)["code"], result
        receipt = receipt_of(result)
        assert ("NO CREDIT USED", "N2", 0) == (
            receipt["verdict"]["word"],
            receipt["verdict"]["code"],
            receipt["provider_calls"],
        )
    return found


def most_used(export: Export) -> Decimal:
    """Add up, entry by entry, what is spent and reserved; give the most that it ever was."""
    used: dict[str, Decimal] = {}
    most = Decimal(0)
    for entry in export.entries:
        if entry["kind"] == "intent":
            used[entry["attempt_id"]] = Decimal(entry["worst_case"]["amount"])
        elif entry["kind"] == "settlement":
            used[entry["attempt_id"]] = Decimal(entry["cost"]["amount"])
        elif entry["kind"] in ("refusal", "unsent", "resolution"):
            used[entry["attempt_id"]] = Decimal(0)
        most = max(most, sum(used.values(), Decimal(0)))
    return most


def warned(export: Export) -> list[int]:
    """List the thresholds that were warned of."""
    return [entry["warning"]["percent"] for entry in export.of("budget") if entry["event"] == "warned"]


async def test_ten_of_a_thousand(judge: Judge, serving: Serving) -> None:
    """A limit for ten lets ten of a thousand calls at once through, whatever order they come in."""
    served = serving(**MANY)
    async with speaking(served.socket) as first:
        worst, cost = await worst_case(served, first)
        limit = cost + 10 * worst
        await set_budget(served, "ten", f"{limit} USD")
        async with (
            speaking(served.socket) as second,
            speaking(served.socket) as third,
            speaking(served.socket) as fourth,
        ):
            speakers = (first, second, third, fourth)
            results = await asyncio.gather(*(ask(speaker) for _ in range(250) for speaker in speakers))
        told = stopped(results)
        assert (990, 11) == (len(told), len(await judge.requests()))
        error = error_of(told[0])
        assert f"Budget 'ten' allows {limit} USD in all" in error["message"]
        assert (False, True) == (error["retryable"], "exai budget set ten --limit" in error["remedy"])
        (row,) = await listed(served, "ten")
        bills = [Decimal(request["billed"]["amount"]) for request in await judge.requests()]
        assert (sum(bills), "0") == (Decimal(row["spent"]), row["reserved"])
        assert not (await ask(first, max_output_tokens=OUTPUT_TOKENS // 10))[
            "isError"
        ]  # what was not used is free
        assert 1 == len(stopped([await ask(first)]))
    assert 0 == await served.stop()
    export = Export(await served.export())
    assert {"settled": 12} == export.outcomes()
    assert worst * 10 <= most_used(export) <= limit
    agree(export, await judge.requests())
    assert (991, 991) == tuple(
        sum(answer[what] == word for answer in export.answers.values())
        for what, word in (("outcome", "budget"), ("zero_reason", "budget_stop"))
    )
    assert 0 == (await served.verify())[0]


async def test_a_kill_leaves_what_is_in_doubt_reserved(judge: Judge, tmp_path: Path) -> None:
    """After kill -9 and a start the attempts under way count at their worst case, until somebody resolves them."""
    environ = {**ENVIRON, **judge.base_urls}
    served = serve(tmp_path, environ)
    try:
        async with speaking(served.socket) as speaker:
            worst, cost = await worst_case(served, speaker)
            await set_budget(served, "three", f"{cost + 3 * worst} USD")
            await judge.fault({"kind": "hang", "next": 3})
            for _ in range(3):
                await speaker.begin(prompt=LONG, provider="kimi", max_output_tokens=OUTPUT_TOKENS)
            await _arrived(judge, 4)
            assert 1 == len(stopped([await ask(speaker)]))
            end(served.child)
    finally:
        end(served.child)
    served = serve(tmp_path, environ)
    try:
        async with speaking(served.socket) as speaker:
            told = stopped([await ask(speaker)])
            assert "USD in all, and this attempt could use" in error_of(told[0])["message"]
            (row,) = await listed(served, "three")
            assert (cost, 3 * worst) == (Decimal(row["spent"]), Decimal(row["reserved"]))
            doubt = Export(await served.export()).of("doubt")
            resolve = (
                "ledger",
                "resolve",
                doubt[0]["attempt_id"],
                "--why",
                "the provider's console shows nothing",
            )
            await command(served, *resolve, "--not-billed")
            assert not (await ask(speaker))["isError"]
            assert 1 == len(stopped([await ask(speaker)]))
        assert 5 == len(await judge.requests())
        await _agree(served, "three")
        assert 0 == await served.stop()
    finally:
        end(served.child)
    assert most_used(Export(await served.export())) <= cost + 3 * worst
    assert 0 == (await served.verify())[0]


async def _arrived(judge: Judge, count: int) -> None:
    async def there() -> bool:
        return len(await judge.requests()) >= count

    await eventually(there)


async def _agree(served: Served, name: str) -> None:
    """Let list, page and metrics say the same of a budget's limits, and the audit find nothing."""
    rows = await listed(served, name)
    page = await get_json(f"{served.url}/console/budgets.json")
    (limits,) = [budget["limits"] for budget in page["budgets"] if budget["name"] == name]
    figures = ("unit", "group", "limit", "spent", "reserved", "left")
    assert [[row[figure] for figure in figures] for row in rows] == [
        [limit[figure] for figure in figures] for limit in limits
    ]
    text = (await get(f"{served.url}/metrics"))[1]
    for figure in ("limit", "spent", "reserved"):
        shown = re.findall(rf'^exai_budget_{figure}\{{([^}}]*budget="{name}"[^}}]*)\}} (\S+)$', text, re.MULTILINE)
        assert sorted(float(row[figure]) for row in rows) == sorted(float(value) for _, value in shown)
    reasons = (await get_json(f"{served.url}/health"))["reasons"]
    assert [] == [why for why in reasons if "conservation" in why or "evidence" in why]


async def test_a_command_holds_at_once(judge: Judge, serving: Serving) -> None:
    """Set, changed and removed without a restart: the next call knows it, and so does every view."""
    served = serving()
    empty = await command(served, "budget", "list")
    assert "exai budget set" in empty
    async with speaking(served.socket) as speaker:
        said = await set_budget(served, "small", "100 tokens", per="day")
        assert "100 tokens a day (UTC), for all attempts." in said
        assert "from the next attempt on" in said
        error = error_of(stopped([await ask(speaker)])[0])
        assert ("retryable", False) == ("retryable", error["retryable"])  # it never fits
        assert error["resets_at"].endswith("T00:00:00.000000Z")
        await command(served, "budget", "set", "small", "--limit", "1 USD", "--limit", "5000 tokens")
        assert not (await ask(speaker))["isError"]
        await _agree(served, "small")
        assert ["USD", "tokens"] == sorted(row["unit"] for row in await listed(served, "small"))
        await command(served, "budget", "set", "small", "--limit", "0 USD")
        assert 1 == len(stopped([await ask(speaker)]))
        await command(served, "budget", "remove", "small")
        assert not (await ask(speaker))["isError"]
        assert empty == await command(served, "budget", "list")
    said = await command(served, "budget", "remove", "small", status=1)
    assert "there is no budget 'small'" in said
    assert 2 == len(await judge.requests())
    assert 0 == await served.stop()
    events = [entry["event"] for entry in Export(await served.export()).of("budget")]
    assert ["set", "set", "set", "removed"] == [event for event in events if event != "warned"]


async def test_each_threshold_warns_once(judge: Judge, tmp_path: Path) -> None:
    """At 50, 80 and 95 percent there is one entry and one line of the log, over a restart, too."""
    environ = {**ENVIRON, **judge.base_urls}
    served = serve(tmp_path, environ)
    try:
        await set_budget(served, "ten", f"{11 * OUTPUT_TOKENS + 300} tokens", per="month")
        async with speaking(served.socket) as speaker:
            results = [await ask(speaker) for _ in range(6)]
        assert 0 == await served.stop()
    finally:
        end(served.child)
    served = serve(tmp_path, environ)
    try:
        async with speaking(served.socket) as speaker:
            results += [await ask(speaker) for _ in range(6)]
        assert (2, 10) == (len(stopped(results)), len(await judge.requests()))
        assert 0 == await served.stop()
    finally:
        end(served.child)
    assert [50, 80, 95] == warned(Export(await served.export()))
    log = (served.folder / "stderr").read_text()
    assert [1, 1, 1] == [log.count(f"spent and reserved, {percent} % or more") for percent in (50, 80, 95)]
    assert 0 == (await served.verify())[0]


async def test_a_price_that_nobody_knows(judge: Judge, serving: Serving) -> None:
    """It stops at a limit in money, passes when it is allowed, and is bounded by tokens all the same."""
    served = serving()
    async with speaking(served.socket) as speaker:
        await set_budget(served, "money", "100 USD", per="day")
        (told,) = stopped([await ask(speaker, **UNPRICED)])
        assert "no price is known of glm-4-32b-0414-128k" in error_of(told)["message"]
        await command(served, "budget", "set", "money", "--allow-unknown-price")
        assert not (await ask(speaker, **UNPRICED))["isError"]
        await set_budget(served, "few", f"{2 * OUTPUT_TOKENS} tokens", "--model", UNPRICED["model"], per="month")
        (told,) = stopped([await ask(speaker, **UNPRICED)])
        assert "Budget 'few'" in error_of(told)["message"]
        assert not (await ask(speaker))["isError"]
    assert 2 == len(await judge.requests())


async def test_clients_do_not_touch_each_other(judge: Judge, serving: Serving) -> None:
    """With --each client every named token has the whole limit for itself."""
    served = serving()
    await set_budget(served, "each", f"{2 * OUTPUT_TOKENS} tokens", "--each", "client", per="total")
    tokens = {}
    for name in ("anna", "bob"):
        words = ("token", "create", "--name", name, "--scopes", "call,read", "--format", "json")
        said = await command(served, *words)
        tokens[name] = json.JSONDecoder().raw_decode(said[said.index("{") :])[0]["token"]
    for name, token in tokens.items():
        async with speaking(served.socket, Authorization=f"Bearer {token}") as speaker:
            results = [await ask(speaker) for _ in range(2)]
        (told,) = stopped(results)
        assert f"Budget 'each' for client {name} allows" in error_of(told)["message"]
    assert 2 == len(await judge.requests())
    rows = await listed(served, "each")
    assert ["client anna", "client bob"] == [row["group"] for row in rows]
    await _agree(served, "each")


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    """A file of settings with one budget."""
    path = tmp_path / "exai.toml"
    state(path, name="file", limit="100 tokens", period="day", zone="Asia/Kolkata")
    return path


def state(path: Path, **said: str) -> None:
    """Write a file of settings with one budget."""
    path.write_text("\n".join(["[[budget]]", *(f'{name} = "{value}"' for name, value in said.items()), ""]))


async def test_the_file_of_settings(judge: Judge, tmp_path: Path, toml: Path) -> None:
    """What it states holds and no command changes it; what it states no more is gone after the next start."""
    environ: dict[str, Any] = {**ENVIRON, **judge.base_urls, "EXAI_CONFIG": str(toml)}
    served = serve(tmp_path, environ)
    try:
        async with speaking(served.socket) as speaker:
            (told,) = stopped([await ask(speaker)])
            assert error_of(told)["resets_at"].endswith("T18:30:00.000000Z")
        for words in (("set", "file", "--limit", "1 USD"), ("remove", "file")):
            said = await command(served, "budget", *words, status=1)
            assert "is stated in the file of settings" in said
        await set_budget(served, "mine", "10000 tokens")
        assert 0 == await served.stop()
    finally:
        end(served.child)
    state(toml, name="mine", limit="5000 tokens", period="total")
    served = serve(tmp_path, environ)
    try:
        async with speaking(served.socket) as speaker:
            assert not (await ask(speaker))["isError"]
        ((row,), text) = await listed(served, "mine"), await command(served, "budget", "list")
        assert ("5000", "exai.toml") == (row["limit"], row["source"])
        assert "file:" not in text
        assert 0 == await served.stop()
    finally:
        end(served.child)
    assert "budget mine, set by " in (served.folder / "stderr").read_text()
    events = [(entry["event"], entry["name"]) for entry in Export(await served.export()).of("budget")]
    assert [("set", "file"), ("set", "mine"), ("removed", "file"), ("set", "mine")] == [
        one for one in events if one[0] != "warned"
    ]
