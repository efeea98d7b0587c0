"""`exai demo`: simulators in another process, this service, a dozen calls over a real WebSocket, and the proof."""

import asyncio
import os
import signal
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.app import running
from service.cli._client import Client, call_as_predecessor, connect
from service.cli._command import Command
from service.cli._conservation import Account, Check, against_books, against_views
from service.cli._simulators import books_url, simulators
from service.cli._sink import Sink, sink
from service.core.money import decimal_text
from service.core.words import AttemptOutcome
from service.environment import load
from service.equipment import load_providers
from service.ledger.choosing import CallFilter
from service.ledger.reading import Reading
from service.ledger.store import AttemptRow
from service.mounting import Service

_SETTLE_TIMEOUT_S = 30.0
_PIPED_WIDTH = 140
_LONG = "Tell me a long story. sim:words=120"


class Demo:
    """The calls of the demo, one after the other."""

    def __init__(self, http: aiohttp.ClientSession, service: Service, simulators_url: str) -> None:
        self._http = http
        self._service = service
        self._faults_url = simulators_url.replace("/_sim/books", "/_sim/faults")
        self.labels: list[str] = []  # what each call shows, in the order the calls were opened
        self.proofs: list[str] = []  # what each proof found, in its own words

    async def run(self) -> None:
        """Make every call."""
        async with connect(self._http, self._service.url) as client:
            await self._plain(client)
            await self._refused(client)
            await self._cut(client)
            await self._cancelled(client)
            await self._proven(client)
        self.labels.append("the predecessor's protocol")
        await call_as_predecessor(self._http, self._service.url, {"prompt": "Are you there?"})

    async def _plain(self, client: Client) -> None:
        for label, arguments, stream in (
            ("Kimi", {"prompt": "What is a receipt?", "provider": "kimi"}, False),
            ("GLM", {"prompt": "What is a ledger?", "provider": "glm"}, False),
            ("Kimi, streamed", {"prompt": _LONG, "provider": "kimi"}, True),
            ("GLM, streamed", {"prompt": _LONG, "provider": "glm"}, True),
            ("Kimi, cached input", {"prompt": _LONG, "provider": "kimi"}, False),
            ("GLM, free model", {"prompt": "What does this cost?", "model": "glm-4.7-flash"}, False),
            ("GLM, thinking", {"prompt": "Think.", "model": "glm-4.7", "thinking": True}, False),
            ("a model nobody offers", {"prompt": "Hello?", "model": "nobody-1"}, False),
        ):
            self.labels.append(label)
            await client.call(arguments, stream=stream)

    async def _refused(self, client: Client) -> None:
        self.labels.append("refused key")
        await self._fault("kimi", kind="error", status=401)
        await client.call({"prompt": "Is this key good?", "provider": "kimi"})
        self.labels.append("retry after 429")
        await self._fault("kimi", kind="error", status=429, type="rate_limit_reached_error")
        await client.call({"prompt": "Once more, please.", "provider": "kimi"})

    async def _cut(self, client: Client) -> None:
        self.labels.append("cut stream")
        await self._fault("glm", kind="cut_stream", chunks=5)
        await client.call({"prompt": _LONG, "provider": "glm"}, stream=True)

    async def _cancelled(self, client: Client) -> None:
        self.labels.append("cancelled")
        await self._fault("kimi", kind="drip", slice_bytes=200, pause_seconds=0.05)
        client.first_text.clear()
        number, _ = await client.begin({"prompt": _LONG, "provider": "kimi"}, stream=True)
        await client.first_text.wait()
        await client.cancel(number)

    async def _proven(self, client: Client) -> None:
        for provider in ("kimi", "glm"):
            self.labels.append(f"prove, {provider}")
            answer = await client.prove(provider)
            text: str = answer["result"]["content"][0]["text"]
            self.proofs.append(text.partition("\n")[0])

    async def _fault(self, provider: str, **fault: object) -> None:
        """Let the simulators' next request to a provider go wrong."""
        faults = {"faults": [{**fault, "provider": provider, "next": 1}]}
        async with self._http.put(self._faults_url, json=faults) as answer:
            answer.raise_for_status()


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--once", action="store_true", help="check conservation and exit: 0 if it holds, else 1")
    parser.add_argument("--port", type=int, default=0, help="of the service; a free one if not given")


def _run(arguments: Namespace) -> int:
    return asyncio.run(_demo(once=arguments.once, port=arguments.port))


async def _demo(*, once: bool, port: int) -> int:
    console = Console() if sys.stdout.isatty() else Console(width=_PIPED_WIDTH)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="exai-demo-")))
        spans = await stack.enter_async_context(sink())
        variables = await stack.enter_async_context(simulators())
        environ = {
            "HOME": os.environ.get("HOME", str(folder)),
            "OTEL_EXPORTER_OTLP_ENDPOINT": spans.url,
            "EXAI_DATA_DIR": str(folder / "data"),
            "EXAI_PORT": str(port),
            **variables,
        }
        settings = load(environ, None, {}, load_providers().values()).settings
        service = await stack.enter_async_context(running(settings, environ=environ))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        console.print("[bold]SIMULATED[/bold]: every call below goes to a simulator. No real provider is asked.\n")
        demo = Demo(http, service, books_url(variables))
        await demo.run()
        await service.calls.settled(_SETTLE_TIMEOUT_S)
        reading = Reading(settings.data_dir)
        stack.callback(reading.close)
        console.print(_receipts(reading, demo.labels, ids=console.width >= _PIPED_WIDTH))
        for proof in demo.proofs:
            console.print(f"[bold]Proof[/bold]: {escape(proof)}\n")
        checks = await _checks(http, service, reading, spans, books_url(variables))
        console.print(_verdicts(checks))
        held = all(check.holds for check in checks)
        console.print("Conservation holds." if held else "[bold red]Conservation is broken.[/bold red]")
        if not once:
            await _stay(console, service)
        return 0 if held else 1


async def _checks(
    http: aiohttp.ClientSession, service: Service, reading: Reading, spans: Sink, books: str
) -> list[Check]:
    async with http.get(f"{service.url}/metrics") as answer:
        metrics = await answer.text()
    async with http.get(f"{service.url}/console/calls.json") as answer:
        page: dict[str, Any] = msgspec.json.decode(await answer.read())
    async with http.get(books) as answer:
        account_of_others: dict[str, Any] = msgspec.json.decode(await answer.read())
    await asyncio.to_thread(service.kept.feed.wait, _SETTLE_TIMEOUT_S)
    await asyncio.to_thread(service.kept.spans.flush, _SETTLE_TIMEOUT_S)
    account = Account(reading.lines())
    return [
        *against_books(account, account_of_others),
        *against_views(account, metrics=metrics, page=page, server_spans=spans.tool_calls),
    ]


def _receipts(reading: Reading, labels: list[str], *, ids: bool) -> Table:
    """List every attempt; with the provider's own ids where there is room, and the console has them all."""
    caption = "in doubt: held at its worst case, not spend; SIMULATED, all of it"
    table = Table(title="Receipts", caption=caption, expand=True)
    columns = ["call", "model", "outcome", "HTTP", "in", "cached", "out", "cost"]
    for name in (*columns, *(["provider's request id"] if ids else [])):
        table.add_column(name, overflow="fold")
    for line, label in zip(reversed(reading.calls(CallFilter())), labels, strict=True):
        if not line.attempts:
            reason = f"no attempt: {line.call.zero_reason}".replace("_", " ")
            table.add_row(label, reason, _plain(line.call.outcome or "open"), "", "", "", "", "0")
        for attempt in line.attempts:
            cells = [
                label if attempt.number == 1 else "  tried again",
                attempt.model,
                _plain(attempt.outcome),
                _text(attempt.http_status),
                _text(attempt.uncached_input_tokens),
                _text(attempt.cached_input_tokens),
                _text(attempt.output_tokens),
                _cost(attempt),
            ]
            table.add_row(*cells, *([attempt.provider_request_id or ""] if ids else []))
    return table


def _plain(word: str) -> str:
    return word.replace("_", " ")


def _text(number: int | None) -> str:
    return "" if number is None else str(number)


def _cost(attempt: AttemptRow) -> str:
    if attempt.cost_pico is not None:
        return f"{decimal_text(attempt.cost_pico)} {attempt.currency}"
    if attempt.outcome is AttemptOutcome.IN_DOUBT:
        return "≤ " + decimal_text(attempt.held_pico) if attempt.held_pico is not None else "unknown"
    return "unknown" if attempt.outcome is AttemptOutcome.SETTLED else "0"


def _verdicts(checks: list[Check]) -> Table:
    table = Table(title="Conservation", expand=True)
    for name in ("", "what", "ours", "theirs"):
        table.add_column(name, overflow="fold")
    for check in checks:
        table.add_row("✓" if check.holds else "≠", check.what, check.ours, check.theirs)
    return table


async def _stay(console: Console, service: Service) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    console.print(f"\nConsole: {service.url}/console/    (Ctrl-C ends the demo)")
    await stop.wait()


COMMAND = Command(
    name="demo",
    summary="make a dozen simulated calls and show their receipts; --once also checks the books",
    arguments=_arguments,
    run=_run,
)
