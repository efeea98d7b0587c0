"""Agreement: after a mixed load, every account of it says the same, and the judge's books do too."""

import asyncio
import csv
import io
import json
import re
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from tests.accounts import Export, Said, Sums, agree, billed
from tests.collecting import collecting
from tests.processes import Judge, Served, Serving, eventually, get, get_json
from tests.speaking import Speaker, receipt_of, speaking

LONG = "Tell me a long story. sim:words=60"
ENDLESS = "Tell me a very long story. sim:words=900"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
CALLS = 14
LABELS = ("tool", "provider", "model", "kind", "currency", "outcome")
OUTCOMES = Counter({"settled": 9, "refused": 2, "in_doubt": 3})
_OPEN_METRICS = "application/openmetrics-text"
PLACES = (
    ("/metrics", "text/plain"),
    ("/metrics", _OPEN_METRICS),
    ("/console/calls.json", "*/*"),
    ("/console/calls.csv", "*/*"),
    ("/console/calls", "text/html"),
    ("/health", "application/json"),
)
_CARD = re.compile(
    r'<h3><bdi>(?P<wallet>[^<]+)</bdi> <span class="quiet">\w+, (?P<currency>[A-Z]{3})</span></h3>'
    r'.*?<span class="figure">(?P<amount>[0-9.]+)&nbsp;',
    re.DOTALL,
)


class Load(NamedTuple):
    """Every account of one load, taken when all its calls were closed; then the service was stopped.

    Attributes:
        receipts: as clients were told.
        shown: texts by address and what was accepted.
    """

    served: Served
    books: dict[str, Any]
    spans: list[Span]
    receipts: list[Said]
    exported: bytes
    shown: dict[tuple[str, str], str]

    @property
    def export(self) -> Export:
        """Read the ledger."""
        return Export(self.exported)


@pytest.fixture(scope="module")
def load(serving_long: Serving, simulated: Judge) -> Load:
    """Load a service with a bit of everything and ask everybody about it."""

    async def run() -> Load:
        await simulated.reset()
        async with collecting() as collector:
            served = serving_long(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
            results = await _call(served, simulated)
            receipts = [receipt_of(result) for result in results]
            shown = {place: (await get(served.url + place[0], Accept=place[1]))[1] for place in PLACES}
            exported = await served.export()
            assert 0 == await served.stop()  # and so every span has been sent
            return Load(served, await simulated.books(), collector.spans, receipts, exported, shown)

    return asyncio.run(run())


async def _call(served: Served, judge: Judge) -> list[Said]:
    async with speaking(served.socket) as speaker:
        results = [
            *await _good(speaker),
            *await _refused(speaker, judge),
            await _cut(speaker, judge),
        ]
        await _cancelled(speaker, judge)
    await _left(served, judge)

    async def all_closed() -> bool:
        page = await get_json(f"{served.url}/console/calls.json")
        return CALLS == sum(call["outcome"] is not None for call in page["calls"])

    await eventually(all_closed)
    return results


async def _good(speaker: Speaker) -> list[Said]:
    traceparent = f"00-{TRACE}-{PARENT}-01"
    return [
        await speaker.call(prompt="What is a receipt?", provider="kimi", traceparent=traceparent),
        await speaker.call(prompt="What is a ledger?", provider="glm"),
        await speaker.call(prompt=LONG, provider="kimi", token="kimi"),
        await speaker.call(prompt=LONG, provider="glm", token="glm"),
        await speaker.call(prompt="again " * 200, provider="kimi"),
        await speaker.call(prompt="again " * 200, provider="kimi"),
        await speaker.call(prompt="What does this cost?", model="glm-4.7-flash"),
        await speaker.call(prompt="Hello?", model="nobody-1"),
    ]


async def _refused(speaker: Speaker, judge: Judge) -> list[Said]:
    await judge.fault({"kind": "error", "provider": "glm", "status": 401, "code": "1000", "next": 1})
    refused = await speaker.call(prompt="Is this key good?", provider="glm")
    limited = {"kind": "error", "status": 429, "type": "rate_limit_reached_error", "retry_after_s": 1}
    await judge.fault({**limited, "provider": "kimi", "next": 1})
    return [refused, await speaker.call(prompt="Once more, please.", provider="kimi")]


async def _cut(speaker: Speaker, judge: Judge) -> Said:
    await judge.fault({"kind": "cut_stream", "provider": "glm", "chunks": 5, "next": 1})
    return await speaker.call(prompt=LONG, provider="glm", token="cut")


async def _cancelled(speaker: Speaker, judge: Judge) -> None:
    slow = {"kind": "drip", "slice_bytes": 100, "pause_seconds": 0.02, "next": 1}
    await judge.fault({**slow, "provider": "kimi"})
    number, _ = await speaker.begin(prompt=ENDLESS, provider="kimi", token="cancelled")
    await speaker.text_of("cancelled")
    await speaker.cancel(number)


async def _left(served: Served, judge: Judge) -> None:
    await judge.fault(
        {"kind": "latency", "seconds": 0.3, "provider": "glm", "next": 1},
        {"kind": "garbage", "provider": "kimi", "next": 1},
    )
    arrived = len(await judge.requests())

    async def both_arrived() -> bool:
        return arrived + 2 == len(await judge.requests())

    async with speaking(served.socket) as speaker:
        await speaker.begin(prompt="I will not wait.", provider="glm")
        await speaker.begin(prompt="Nor will I.", provider="kimi")
        await eventually(both_arrived)


def test_ledger_and_books_are_equal(load: Load) -> None:
    """Intents are the simulators' requests; per wallet and currency, settled is billed, to the last digit."""
    requests = load.books["requests"]
    agree(load.export, requests)
    assert CALLS == len(load.export.answers) == len(load.export.of("tool_call"))
    assert OUTCOMES == load.export.outcomes()
    assert len(requests) == OUTCOMES.total()
    books = {wallet["wallet"]: Decimal(wallet["spent"]) for wallet in load.books["wallets"]}
    assert books == {wallet: amount for (wallet, _), amount in billed(requests).items()}
    assert any(entry["usage"]["cached_input_tokens"] for entry in load.export.of("settlement"))


def test_receipts_and_ledger_are_equal(load: Load) -> None:
    """What a client was told in its answer stands in the ledger, at the index and under the hash it was told."""
    ends = load.export.ends
    for receipt in load.receipts:
        assert receipt["provider_calls"] == len(receipt["attempts"])
        answer = load.export.answers[receipt["tool_call_id"]]
        assert receipt["zero_reason"] == answer["zero_reason"]
        for attempt in receipt["attempts"]:
            end, place = ends[attempt["attempt_id"]], attempt["ledger"]
            assert (end["index"], end["origin"]) == (place["index"], place["origin"])
            assert load.export.leaves[place["index"]] == place["leaf_hash"]
            if attempt["outcome"] == "settled":
                assert end["cost"]["amount"] == attempt["cost"]["amount"]
                assert end["usage"] == attempt["usage"]


def _counted(text: str, *, is_open: bool) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    for family in (parse_open_metrics if is_open else parse_plain)(text):
        for sample in family.samples:
            if sample.value:
                labels = sample.labels
                values = tuple(labels[name] for name in LABELS if name in labels)
                found[sample.name][values] = sample.value
    return found


@pytest.mark.parametrize("accept", ["text/plain", _OPEN_METRICS])
def test_counters_and_ledger_are_equal(load: Load, accept: str) -> None:
    """Calls, attempts, tokens and spend of `/metrics`, in both formats, are those of the export."""
    text = load.shown["/metrics", accept]
    assert text.endswith("# EOF\n") == (accept == _OPEN_METRICS)
    counted = _counted(text, is_open=accept == _OPEN_METRICS)
    intents, told = load.export.intents, defaultdict[tuple[str, ...], int](int)
    spend, tokens = defaultdict[tuple[str, ...], Decimal](Decimal), defaultdict[tuple[str, ...], int](int)
    for attempt_id, end in load.export.ends.items():
        of = (intents[attempt_id]["provider"], intents[attempt_id]["model"])
        told[of] += 1
        if end["kind"] == "settlement":
            spend[*of, end["cost"]["currency"]] += Decimal(end["cost"]["amount"])
            for kind in ("uncached_input", "cached_input", "cache_write", "output"):
                tokens[*of, kind] += end["usage"][f"{kind}_tokens"]
    attempts = defaultdict[tuple[str, ...], float](float)
    for labels, count in counted["exai_attempts_total"].items():
        attempts[labels[:2]] += count
    assert dict(told) == dict(attempts)
    assert load.export.outcomes() == _by_last(counted["exai_attempts_total"])
    outcomes = Counter(answer["outcome"] for answer in load.export.answers.values())
    assert outcomes == _by_last(counted["exai_tool_calls_total"])
    assert {key: count for key, count in tokens.items() if count} == counted["exai_tokens_total"]
    shown = {key: pytest.approx(float(amount), rel=1e-9) for key, amount in spend.items() if amount}
    assert shown == counted["exai_spend_total"]
    assert {(): 3.0} == counted["exai_attempts_in_doubt"]


def _by_last(counted: dict[tuple[str, ...], float]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for labels, count in counted.items():
        sums[labels[-1]] += int(count)
    return sums


def test_pages_and_ledger_are_equal(load: Load) -> None:
    """The totals of the console, as JSON, as CSV and as a person reads them, are those of the export."""
    settled = load.export.settled()
    page = json.loads(load.shown["/console/calls.json", "*/*"])
    totals = page["totals"]
    assert settled == {(one["wallet"], one["currency"]): Decimal(one["cost"]) for one in totals}
    assert (CALLS, OUTCOMES.total()) == (page["call_count"], page["attempt_count"])
    assert OUTCOMES["in_doubt"] == sum(one["in_doubt"] for one in totals)

    text = load.shown["/console/calls.csv", "*/*"]
    rows = list(csv.DictReader(io.StringIO(text)))
    sums: Sums = defaultdict(Decimal)
    for row in rows:
        if row["cost"]:
            sums[row["wallet"], row["currency"]] += Decimal(row["cost"])
    assert settled == sums
    assert set(load.export.answers) == {row["tool_call_id"] for row in rows}
    assert OUTCOMES == Counter(row["attempt_outcome"] for row in rows if row["attempt_outcome"])

    text = load.shown["/console/calls", "text/html"]
    cards = {(card["wallet"], card["currency"]): Decimal(card["amount"]) for card in _CARD.finditer(text)}
    assert settled == cards
    assert "SIMULATED" in text


def test_spans_and_ledger_are_equal(load: Load) -> None:
    """A server span for each closed call and an HTTP span for each attempt arrive, in the client's own trace."""
    servers = [span for span in load.spans if span.kind == Span.SPAN_KIND_SERVER]
    opened = load.export.of("tool_call")
    assert sorted(call["trace_id"] for call in opened) == sorted(span.trace_id.hex() for span in servers)
    assert [PARENT] == [span.parent_span_id.hex() for span in servers if span.trace_id.hex() == TRACE]
    told = [_attributes(span) for span in load.spans if span.kind == Span.SPAN_KIND_CLIENT]
    asked = sorted(str(one["exai.attempt.id"]) for one in told if "http.request.method" in one)
    assert sorted(load.export.intents) == asked


def _attributes(span: Span) -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "") for one in span.attributes}


def test_health_finds_nothing_wrong(load: Load) -> None:
    """The service's own equations hold, and it says so."""
    health: dict[str, Any] = json.loads(load.shown["/health", "application/json"])
    assert "ok" == health["status"], health["reasons"]
    (conservation,) = (check for check in health["checks"] if check["name"] == "conservation")
    assert "Entries, counters and spans agree." == conservation["sentence"]


async def test_a_log_is_verified_whole_and_found_altered(load: Load, tmp_path: Path) -> None:
    """Folder and export verify; one digit changed in the export is reported with its entry's index."""
    status, said = await load.served.verify()
    assert 0 == status, said
    file = tmp_path / "export.jsonl"
    file.write_bytes(load.exported)
    status, said = await load.served.verify(str(file))
    assert 0 == status, said
    settlement = load.export.of("settlement")[0]
    lines = load.exported.splitlines(keepends=True)
    amount = json.dumps(settlement["cost"]["amount"]).encode()
    assert amount in lines[settlement["index"]]
    lines[settlement["index"]] = lines[settlement["index"]].replace(amount, b'"0"')
    file.write_bytes(b"".join(lines))
    status, said = await load.served.verify(str(file))
    assert 1 == status, said
    assert f"entry {settlement['index']}:" in said
