"""`exai doctor`: what each key spends from, what can be read of it, and what must be mended; it exits by that."""

import asyncio
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from service.calling.inquiring import Inquirer
from service.calling.wire import Deadlines, Wire
from service.cli._command import Command, add_settings, read_settings
from service.clock import SystemClock
from service.equipment import load_providers, open_wallets
from service.pricelist import load_prices
from service.proving.doctor import CounterSeen, Finding, Severity, WalletSeen, examine, no_wallets, of_one_account

MEND, WARNED = 1, 3
_WIDTH = 72


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of all wallets.

    Attributes:
        status: the command's exit status.
        findings: those that are of no wallet.
    """

    status: int
    simulated: bool
    wallets: tuple[WalletSeen, ...]
    findings: tuple[Finding, ...]


def _arguments(parser: ArgumentParser) -> None:
    add_settings(parser)
    parser.add_argument("--config", type=Path, help="file to read settings from; exai.toml if it is there")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="how to write it")


def _run(arguments: Namespace) -> int:
    found = asyncio.run(_examine(arguments))
    if arguments.format == "json":
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    else:
        sys.stdout.write("\n".join(_text(found)) + "\n")
    sys.stdout.flush()
    return found.status


async def _examine(arguments: Namespace) -> Diagnosis:
    settings = read_settings(arguments, environ=os.environ, keys_needed=True).settings
    known, prices, clock = load_providers(), load_prices(settings.prices), SystemClock()
    wallets = open_wallets(settings, known)
    async with AsyncExitStack() as stack:
        wire = Wire(Deadlines())
        stack.push_async_callback(wire.close)
        inquirer = Inquirer(wire)
        seen = [examine(inquirer, one, known[one.provider], prices, clock) for one in wallets]
        examined = tuple(await asyncio.gather(*seen))
    findings = of_one_account(examined) if wallets else (no_wallets(known),)
    return Diagnosis(
        status=status_of([*findings, *(one for wallet in examined for one in wallet.findings)]),
        simulated=any(wallet.simulated for wallet in wallets),
        wallets=examined,
        findings=findings,
    )


def status_of(findings: Sequence[Finding]) -> int:
    """Sum findings up: 0 fine, 3 there are warnings, 1 something must be mended."""
    severities = {finding.severity for finding in findings}
    if Severity.MEND in severities:
        return MEND
    return WARNED if Severity.WARNING in severities else 0


def _text(found: Diagnosis) -> Iterator[str]:
    if found.simulated:
        yield "#" * _WIDTH
        yield "S I M U L A T E D".center(_WIDTH).rstrip()
        yield "#" * _WIDTH
    for wallet in found.wallets:
        yield from _wallet(wallet)
        yield ""
    for finding in found.findings:
        yield from _finding(finding)
    yield {0: "Nothing is wrong.", WARNED: "There are warnings.", MEND: "Something must be mended."}[found.status]


def _wallet(wallet: WalletSeen) -> Iterator[str]:
    yield f"{'SIMULATED: ' if wallet.simulated else ''}{wallet.name}: {wallet.provider} at {wallet.host}"
    plan = "pay as you go" if wallet.plan is None else f"plan {wallet.plan}"
    yield f"  {plan}, currency {wallet.currency or 'not known'}; key {wallet.fingerprint}…: {wallet.key}"
    if wallet.tells:
        yield f"  {', '.join(f'{name} {value}' for name, value in wallet.tells.items())}"
    yield f"  default model {wallet.default_model}: {wallet.default_price}"
    for counter in wallet.counters:
        yield f"  {_counter(counter)}"
    for finding in wallet.findings:
        yield from (f"  {line}" for line in _finding(finding))


def _counter(seen: CounterSeen) -> str:
    said = ", ".join(f"{one.name} {one.amount} {one.unit}" for one in seen.figures) or seen.message
    status = "" if seen.status is None else f" (HTTP {seen.status})"
    return f"counter {seen.counter}: {seen.outcome.replace('_', ' ')}{status}{': ' if said else ''}{said}"


def _finding(finding: Finding) -> Iterator[str]:
    yield f"{finding.severity.upper()}: {finding.what}"
    if finding.remedy:
        yield f"  {finding.remedy}"


COMMAND = Command(
    name="doctor",
    summary="look at every wallet: key, host, plan, counters, clock; say what must be mended",
    arguments=_arguments,
    run=_run,
)
