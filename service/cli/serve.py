"""`exai serve`: the service, until it is told to stop or its ledger fails."""

import asyncio
import logging
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from contextlib import AsyncExitStack
from pathlib import Path

from service.app import running
from service.cli._command import Command, add_settings, read_settings
from service.cli._memory import settle
from service.cli._simulators import books_url, simulators
from service.environment import Loaded
from service.logs import log_to_stderr
from service.mounting import Service

_FAILED = 1
_WIDTH = 72

_log = logging.getLogger(__name__)


def _arguments(parser: ArgumentParser) -> None:
    add_settings(parser)
    parser.add_argument("--config", type=Path, help="file to read settings from; exai.toml if it is there")


def _run(arguments: Namespace) -> int:
    return asyncio.run(_serve(arguments))


async def _serve(arguments: Namespace) -> int:
    loaded = read_settings(arguments, keys_needed=True)
    log_to_stderr(loaded.settings.log_level, loaded.settings.log_format)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # before anybody is told that we listen
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        environ: dict[str, str] = dict(os.environ)
        books: str | None = None
        if loaded.settings.simulators_wanted:
            variables = await stack.enter_async_context(simulators())
            environ |= variables
            books = books_url(variables)
            loaded = read_settings(arguments, environ=environ, keys_needed=True)
        service = await stack.enter_async_context(running(loaded.settings, environ=environ))
        settle()
        _tell(loaded, service, books)
        ended = [asyncio.create_task(event.wait()) for event in (stop, service.stopped)]
        await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.cancel()
        return _FAILED if service.stopped.is_set() else 0


def _tell(loaded: Loaded, service: Service, books: str | None) -> None:
    """Say where things are; and in large letters when nothing here is real."""
    for warning in loaded.warnings:
        _log.warning(warning)
    if any(wallet.simulated for wallet in service.wallets):
        sys.stdout.write(_banner(loaded, books))
    lines = [
        f"EXAI listens. MCP over WebSocket: {service.mcp_url}",
        f"Console: {service.console_url}/console/",
        f"Ledger: {loaded.settings.data_dir}",
        *(f"Wallet: {wallet.name} at {wallet.host}" for wallet in service.wallets),
    ]
    if loaded.settings.ws_token is None:
        lines.append("No EXAI_WS_TOKEN is set: every program on this machine may call.")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _banner(loaded: Loaded, books: str | None) -> str:
    rule = "#" * _WIDTH
    lines = ["S I M U L A T E D", "", "No real provider is asked, no money is spent, nothing here is proof."]
    if books is not None:
        why = "As asked for" if loaded.settings.simulate else "For want of a key"
        lines += [f"{why}, simulators of Kimi and GLM were started.", f"Their books: {books}"]
        lines += ["Set KIMI_API_KEY or GLM_API_KEY to ask a real provider."]
    body = "\n".join(line.center(_WIDTH).rstrip() for line in lines)
    return f"{rule}\n{body}\n{rule}\n"


COMMAND = Command(
    name="serve",
    summary="run the service; without a provider's key it starts simulators",
    arguments=_arguments,
    run=_run,
)
