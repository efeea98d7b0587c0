"""Usage: for one question every view of the ledger gives the same sums, on both sides of any zone's midnight."""

import asyncio
import csv
import io
import json
import re
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

import jsonschema_rs
import msgspec
import pytest

from service.core.account import SCHEMA
from service.core.entries import OfCall
from service.core.words import CostStatus, ZeroReason
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.sqlite import SqliteStore
from service.ledger.writer import Writer
from tests.accounts import Export
from tests.processes import Served, Serving, get, get_json, run
from tests.speaking import Said, Speaker, receipt_of, speaking

if TYPE_CHECKING:
    from tests.conftest import Made

DAY, AFTER = "2026-03-08", "2026-03-09"  # in Los Angeles this day has 23 hours
BOUNDS = {
    "UTC": ("2026-03-08T00:00:00", "2026-03-09T00:00:00"),
    "Asia/Kolkata": ("2026-03-07T18:30:00", "2026-03-08T18:30:00"),
    "Asia/Shanghai": ("2026-03-07T16:00:00", "2026-03-08T16:00:00"),
    "America/Los_Angeles": ("2026-03-08T08:00:00", "2026-03-09T07:00:00"),
}
_ALL = "every call"
_ASKED = (*BOUNDS, _ALL)
_CARD = re.compile(
    r'<p class="spend">\s*<span class="figure">(?P<amount>[0-9.]+)&nbsp;(?P<currency>[A-Z]{3})</span>'
)
_HELD = re.compile(r"<strong>≤ (?P<amount>[0-9.]+)&nbsp;(?P<currency>[A-Z]{3}) held</strong>")
Amounts = dict[str, Decimal]


class Sums(NamedTuple):
    """What a view says of some calls: amounts by currency, and counts."""

    spent: Amounts
    held: Amounts
    attempts: int
    tokens: int


class At:
    """A clock that stands where it was put."""

    ns = 0

    def now_ns(self) -> int:
        """Say the time."""
        return self.ns

    def monotonic_ns(self) -> int:
        """Say the same."""
        return self.ns


def edges() -> list[int]:
    """Give the last microsecond before each bound, and the bound itself, in order."""
    bounds = {datetime.fromisoformat(f"{bound}+00:00") for both in BOUNDS.values() for bound in both}
    return sorted(int(bound.timestamp()) * 10**9 + offset for bound in bounds for offset in (-1000, 0))


def lived(made: "Made", number: int) -> list[OfCall]:
    """Write one call: dollars, then yuan that are settled, in doubt or unknown; every fifth asked nobody.

    Each amount is a power of two, so that no two sets of calls have the same sum.
    """
    of: dict[str, Any] = {"tool_call_id": f"{number:032x}"}
    opened = made.tool_call(**of, client=f"client-{number % 3}")
    if number % 5 == 4:
        return [opened, made.answer(**of, zero_reason=ZeroReason.NO_MODEL_STEP)]
    amount = f"{Decimal(2**number).scaleb(-12):f}"
    worst = msgspec.structs.replace(made.intent().worst_case, currency="CNY", amount=f"{Decimal(2**number):f}")
    dollars = made.settlement(**of, attempt_id=f"{number:031x}1", cost=made.cost(amount=amount))
    yuan = made.cost(currency="CNY", amount=amount)
    unknown = made.cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None)
    second: dict[str, Any] = {**of, "attempt_id": f"{number:031x}2"}
    ends: list[OfCall] = [
        made.settlement(2, **second, cost=yuan),
        made.doubt(2, **second),
        made.settlement(2, **second, cost=unknown),
    ]
    return [
        opened,
        made.intent(**of, attempt_id=f"{number:031x}1"),
        dollars,
        made.intent(2, **second, provider="glm", wallet="glm-main", model="glm-5.3", worst_case=worst),
        ends[number % 3],
        made.answer(**of),
    ]


async def write(made: "Made", folder: Path) -> None:
    """Write a ledger with a call at each edge."""
    clock = At()
    clock.ns = edges()[0] - 10**9
    feed = Feed((), reread=lambda _first, _count: (), next_index=0)
    feed.start()
    ledger = Ledger(Writer(SqliteStore(folder, new_origin="exai/edges")), feed, clock=clock)
    await ledger.start({})
    for number, at_ns in enumerate(edges()):
        clock.ns = at_ns
        await ledger.append(*lived(made, number))
    await ledger.close()


class Views(NamedTuple):
    """Every view, by what was asked: a zone's day, or everything."""

    export: Export
    command: dict[str, Said]
    sheet: dict[str, str]
    tool: dict[str, Said]
    page: dict[str, str]
    page_json: dict[str, Said]
    page_csv: dict[str, str]
    by_day: dict[str, Said]


@pytest.fixture(scope="module")
def views(made: "Made", serving_long: Serving, tmp_path_factory: pytest.TempPathFactory) -> Views:
    """Start a service on that ledger, make two calls more, and ask every view."""
    folder = tmp_path_factory.mktemp("edges")

    async def ask_all() -> Views:
        await write(made, folder)
        served = serving_long(EXAI_DATA_DIR=str(folder))
        async with speaking(served.socket) as speaker:
            await speaker.call(prompt="What is a ledger?", provider="kimi")
            await speaker.call(prompt="What is a ledger?", provider="glm")
            tools = {asked: await _tool(speaker, asked) for asked in _ASKED}
        return await _look(served, folder, tools)

    return asyncio.run(ask_all())


async def _look(served: Served, folder: Path, tools: dict[str, Said]) -> Views:
    async def command(*words: str) -> str:
        status, said = await run("usage", "--data-dir", str(folder), *words, folder=served.folder)
        assert 0 == status, said
        return said.decode()

    status, exported = await run("ledger", "export", "--data-dir", str(folder), folder=served.folder)
    assert 0 == status
    return Views(
        export=Export(exported),
        command={asked: json.loads(await command(*_words(asked), "--format", "json")) for asked in _ASKED},
        sheet={asked: await command(*_words(asked), "--format", "csv", "--by", "tool,model") for asked in _ASKED},
        tool=tools,
        page={asked: (await get(f"{served.url}/console/calls{_query(asked)}"))[1] for asked in _ASKED},
        page_json={asked: await get_json(f"{served.url}/console/calls.json{_query(asked)}") for asked in _ASKED},
        page_csv={asked: (await get(f"{served.url}/console/calls.csv{_query(asked)}"))[1] for asked in _ASKED},
        by_day={
            zone: json.loads(await command("--zone", zone, "--by", "day,client", "--format", "json"))
            for zone in BOUNDS
        },
    )


async def _tool(speaker: Speaker, asked: str) -> Said:
    arguments = {} if asked == _ALL else {"from": DAY, "to": AFTER, "zone": asked}
    answer = await speaker.ask("tools/call", {"name": "usage", "arguments": arguments})
    result: Said = answer["result"]
    return result


def _words(asked: str) -> tuple[str, ...]:
    return () if asked == _ALL else ("--from", DAY, "--to", AFTER, "--zone", asked)


def _query(asked: str) -> str:
    if asked == _ALL:
        return ""
    since, until = BOUNDS[asked]
    return f"?since={quote(since)}Z&until={quote(until)}Z"


def _is_meant(asked: str, at: str) -> bool:
    return asked == _ALL or BOUNDS[asked][0] <= at.rstrip("Z") < BOUNDS[asked][1]


def by_hand(export: Export, calls: set[str]) -> Sums:
    """Add the entries of some calls up, by nothing of the product."""
    spent, held, tokens = defaultdict[str, Decimal](Decimal), defaultdict[str, Decimal](Decimal), 0
    intents = {name: entry for name, entry in export.intents.items() if entry["tool_call_id"] in calls}
    for name, intent in intents.items():
        end = export.ends[name]
        if end["kind"] == "settlement":
            tokens += sum(count for kind, count in end["usage"].items() if kind != "reasoning_tokens")
            if end["cost"]["amount"] is not None:
                spent[end["cost"]["currency"]] += Decimal(end["cost"]["amount"])
        elif end["kind"] == "doubt":
            held[intent["worst_case"]["currency"]] += Decimal(intent["worst_case"]["amount"])
    return Sums(_known(spent), _known(held), len(intents), tokens)


def _known(amounts: Amounts) -> Amounts:
    """Leave out what comes to nothing."""
    return {currency: amount for currency, amount in amounts.items() if amount}


def summed(rows: list[Said], spent: str = "spent") -> Sums:
    """Add the rows of a view up, exactly."""
    amounts = {name: defaultdict[str, Decimal](Decimal) for name in (spent, "held")}
    for row in rows:
        for name, sums in amounts.items():
            if row[name]:
                sums[row["currency"]] += Decimal(row[name])
    kinds = ("uncached_input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
    tokens = sum(int(row[kind] or 0) for row in rows for kind in kinds)
    attempts = sum(int(row["attempts"]) for row in rows)
    return Sums(_known(amounts[spent]), _known(amounts["held"]), attempts, tokens)


def of_lines(text: str) -> Sums:
    """Add the console's CSV up: a line is an attempt, and holds apart only what is in doubt."""
    lines = [line for line in csv.DictReader(io.StringIO(text)) if line["attempt_id"]]
    for line in lines:
        line["attempts"] = "1"
        line["held"] = line["held"] if line["attempt_outcome"] == "in_doubt" else ""
    return summed(lines, "cost")


@pytest.mark.parametrize("asked", _ASKED)
def test_every_view_gives_the_same_sums(views: Views, asked: str) -> None:
    """Command, sheet, tool, page, its JSON and CSV, and the export: equal to the last digit, per currency."""
    opened = {entry["tool_call_id"]: entry for entry in views.export.of("tool_call") if entry["tool"] == "chat"}
    meant = {name for name, entry in opened.items() if _is_meant(asked, entry["at"])}
    expected = by_hand(views.export, meant)
    assert meant
    assert expected.attempts
    assert expected == summed(views.command[asked]["totals"])
    assert expected == summed(list(csv.DictReader(io.StringIO(views.sheet[asked]))))
    assert expected == summed(views.tool[asked]["structuredContent"]["totals"])
    assert expected == summed(views.page_json[asked]["totals"], "cost")
    assert expected == of_lines(views.page_csv[asked])
    for pattern, amounts in ((_CARD, expected.spent), (_HELD, expected.held)):
        shown = defaultdict[str, Decimal](Decimal)
        for found in pattern.finditer(views.page[asked]):
            shown[found["currency"]] += Decimal(found["amount"])
        assert amounts == _known(shown)


def test_the_edges_are_parted(views: Views) -> None:
    """Each zone's day holds other calls than every other zone's; the bounds are those of the zone."""
    sums = {zone: summed(views.command[zone]["totals"]).spent["USD"] for zone in BOUNDS}
    assert len(BOUNDS) == len(set(sums.values()))
    for zone, bounds in BOUNDS.items():
        told = views.command[zone]["range"]
        assert (zone, *(f"{bound}.000000Z" for bound in bounds)) == (told["zone"], told["since"], told["until"])


@pytest.mark.parametrize("zone", BOUNDS)
def test_days_are_the_zones_own(views: Views, zone: str) -> None:
    """Grouped by day and client, each row is what its calls add up to, in the zone's calendar."""
    calls = defaultdict[tuple[str, str], set[str]](set)
    for entry in views.export.of("tool_call"):
        day = datetime.fromisoformat(entry["at"]).astimezone(ZoneInfo(zone)).date().isoformat()
        calls[day, entry["client"]].add(entry["tool_call_id"])
    rows = defaultdict[tuple[str, str], list[Said]](list)
    for row in views.by_day[zone]["rows"]:
        rows[row["day"], row["client"]].append(row)
    assert set(calls) == set(rows)
    for group, names in calls.items():
        assert by_hand(views.export, names) == summed(rows[group])


def test_the_tool_costs_nothing_and_says_so(views: Views) -> None:
    """Its receipt has no provider call and the reason; its document fits its schema; its text is in words."""
    for asked, result in views.tool.items():
        receipt = receipt_of(result)
        assert (0, "no_model_step") == (receipt["provider_calls"], receipt["zero_reason"])
        jsonschema_rs.validate(dict(SCHEMA), result["structuredContent"])
        assert result["structuredContent"]["range"]["zone"] == ("UTC" if asked == _ALL else asked)
        assert "USD spent" in result["content"][0]["text"]
    assert "SIMULATED" in views.tool[_ALL]["content"][0]["text"]
