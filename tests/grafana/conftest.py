"""A real Prometheus that watches a real service, by the project's own configuration and rules."""

import asyncio
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.accounts import Export
from tests.equipping import prometheus
from tests.grafana.asking import GRAFANA, RULES, rules
from tests.processes import Judge, Served, end, eventually, get, serve, simulators
from tests.speaking import Speaker, speaking

SCRAPE_S = 0.25
STEP_S = 1
KEYS = {"KIMI_API_KEY": "sim-rich-grafana", "GLM_API_KEY": "sim-rich-grafana"}
OFTEN = {"EXAI_READING_INTERVAL_S": "1"}
LONG = "Tell me a long story. sim:words=60"
CALLS = 9
RECORDS = tuple(rule["record"] for path in RULES for rule in rules(path) if "record" in rule)
_ONLY_READ = ("rules", "alerts")
_READY = "Server is ready to receive web requests."
_LISTENING = re.compile(r'msg="Listening on".* address=(\S+)')


@dataclass(frozen=True)
class Watched:
    """A Prometheus that has seen calls, and what the service itself says of them.

    Attributes:
        url: of Prometheus.
        metrics_url: of the service.
        begun_s, ended_s: the time in which everything happened, since 1970.
        export: the service's ledger.
    """

    url: str
    metrics_url: str
    begun_s: float
    ended_s: float
    export: Export

    def ask(self, path: str, **parameters: object) -> Any:  # noqa: ANN401 - each address answers in its own shape
        """Ask Prometheus' API; an error fails the test."""
        return asyncio.run(_ask(self.url, path, **parameters))

    def over_time(self, expression: str) -> list[dict[str, Any]]:
        """Run a query over the whole time."""
        span = {"start": self.begun_s, "end": self.ended_s, "step": STEP_S}
        found: list[dict[str, Any]] = self.ask("query_range", query=expression, **span)["result"]
        return found

    def now(self, expression: str) -> list[dict[str, Any]]:
        """Run a query at the end of that time."""
        found: list[dict[str, Any]] = self.ask("query", query=expression, time=self.ended_s)["result"]
        return found

    def scraped(self) -> str:
        """Read the metrics as a scrape does."""
        status, text = asyncio.run(get(self.metrics_url))
        assert 200 == status
        return text


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Let a service that is watched from its start make some calls of each kind."""
    folder = tmp_path_factory.mktemp("watched")
    with simulators(folder) as judge:
        served = serve(folder / "service", {**KEYS, **OFTEN, **judge.base_urls})
        try:
            with _watching(folder, served) as url:
                yield asyncio.run(_called(url, served, judge))
        finally:
            end(served.child)


async def _called(url: str, served: Served, judge: Judge) -> Watched:
    begun_s = time.time()

    async def first_scrape() -> bool:
        return bool((await _ask(url, "query", query="exai_tool_calls_total"))["result"])

    async def last_scrape() -> bool:
        found = (await _ask(url, "query", query="sum(exai_tool_calls_total)"))["result"]
        return bool(found) and CALLS == float(found[0]["value"][1])

    await eventually(first_scrape)
    await _call(served, judge)

    async def recorded() -> bool:
        return all([(await _ask(url, "query", query=name))["result"] for name in RECORDS])

    async def judged() -> bool:
        counted = [f"sum({name}) > 0" for name in ("exai_windows_total", "exai_wallet_consumed_total")]
        moved = (*counted, "sum(exai_verifications_total) > 0", "exai_window_difference")
        at_s = time.time() - STEP_S  # as the last step of a range sees it
        asked = [await _ask(url, "query", query=one, time=at_s) for one in moved]
        return all(one["result"] for one in asked)

    await eventually(last_scrape)
    await eventually(judged)
    await eventually(recorded)
    return Watched(url, f"{served.url}/metrics", begun_s, time.time(), Export(await served.export()))


async def _call(served: Served, judge: Judge) -> None:
    async with speaking(served.socket) as speaker:
        await speaker.provoke("{")
        await _well(speaker)
        await judge.fault({"kind": "error", "provider": "glm", "status": 401, "code": "1000", "next": 1})
        await speaker.call(prompt="Is this key good?", provider="glm")
        limited = {"kind": "error", "status": 429, "type": "rate_limit_reached_error", "retry_after_s": 1}
        await judge.fault({**limited, "provider": "kimi", "next": 1})
        await speaker.call(prompt="Once more, please.", provider="kimi")
        await judge.fault({"kind": "cut_stream", "provider": "glm", "chunks": 5, "next": 1})
        await speaker.call(prompt=LONG, provider="glm", token="cut")


async def _well(speaker: Speaker) -> None:
    await speaker.call(prompt="What is a receipt?", provider="kimi")
    await speaker.call(prompt="What is a ledger?", provider="glm")
    await speaker.call(prompt=LONG, provider="kimi", token="kimi")
    await speaker.call(prompt="again " * 200, provider="kimi")
    await speaker.call(prompt="What does this cost?", model="glm-4.7-flash")
    await speaker.call(prompt="Hello?", model="nobody-1")


@contextmanager
def _watching(folder: Path, served: Served) -> Iterator[str]:
    """Run Prometheus with the project's configuration, turned to a service on this machine."""
    configuration = yaml.safe_load((GRAFANA / "prometheus.yml").read_text(encoding="utf-8"))
    (scrape,) = configuration["scrape_configs"]
    scrape["static_configs"] = [{"targets": [served.url.removeprefix("http://")]}]
    (folder / "ws_token").touch()
    scrape["authorization"]["credentials_file"] = str(folder / "ws_token")
    configuration["global"] = dict.fromkeys(("scrape_interval", "evaluation_interval"), f"{SCRAPE_S * 1000:g}ms")
    configuration["global"]["scrape_timeout"] = configuration["global"]["scrape_interval"]
    configuration["rule_files"] = [str(path) for path in RULES]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    said = folder / "prometheus.log"
    with said.open("wb") as log:
        child = subprocess.Popen(
            [
                prometheus(),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                "--web.listen-address=127.0.0.1:0",
                "--enable-feature=exemplar-storage",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://{asyncio.run(_address(child, said))}/api/v1"
    finally:
        end(child)


async def _address(child: subprocess.Popen[bytes], said: Path) -> str:
    async def listening() -> re.Match[str] | None:
        text = await asyncio.to_thread(said.read_text, encoding="utf-8")
        assert child.poll() is None, text
        return _LISTENING.search(text) if _READY in text else None

    found = await eventually(listening)
    assert found is not None
    return found[1]


async def _ask(url: str, path: str, **parameters: object) -> Any:  # noqa: ANN401 - as above
    method = "GET" if path in _ONLY_READ else "POST"
    form = {name: str(value) for name, value in parameters.items()}
    async with aiohttp.ClientSession() as http:
        async with http.request(method, f"{url}/{path}", data=form or None) as answer:
            told = await answer.json()
        assert "success" == told["status"], (parameters, told)
        return told["data"]
