"""`exai prove`: is credit really used? Both sides, the verdict, and a bundle to check it by; it exits by that."""

import asyncio
import contextlib
import os
import sys
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from service.actions.prove import ACTION, Prove
from service.app import running
from service.cli._acting import BETWEEN_S, act, knocked
from service.cli._bundle import ID_CHARS, NAME, SIMULATED, line_of, said_by, write_bundle
from service.cli._command import Command, add_settings, read_settings
from service.cli._simulators import simulators
from service.core import entries
from service.core.books import ReadingEntry, VerdictEntry
from service.core.entries import AnyEntry, DoubtEntry, RefusalEntry, SettlementEntry, ToolCallEntry
from service.core.proving import Proof, ours
from service.core.times import NS_PER_S, utc_ns
from service.core.words import ReadingCause, VerdictWord
from service.errors import ActionError, ExaiError
from service.ledger.checkpoints import Checkpoints
from service.ledger.reading import Reading
from service.ledger.store import Line
from service.logs import log_to_stderr
from service.serving.operator import OPERATOR, PROVE, Proved
from service.settings import Settings

SIMULATED_STATUS = 6
STATUS = {
    VerdictWord.PROVEN: 0,
    VerdictWord.UNVERIFIED: 3,
    VerdictWord.MISMATCH: 4,
    VerdictWord.NO_CREDIT_USED: 5,
}
_TAIL_S = 0.25
_UNCHANGED_S = 10  # a reading that says nothing new is told no more often
_WIDTH = 72
_GRACE_S = 2.0  # how long the end of a command of our own waits for a call under way
_INTERRUPTED = (
    "Interrupted. What was sent may have been billed; a service that runs elsewhere goes on with the proof.\n"
    "What became of it: exai ledger show ID, with the id of the tool call above.\n"
)
_LOST = "The ledger holds the proof: exai ledger show {id}; exai ledger prove {id}."
_Done = TypeVar("_Done")


def _arguments(parser: ArgumentParser) -> None:
    add_settings(parser)
    parser.add_argument("--config", type=Path, help="file to read settings from; exai.toml if it is there")
    parser.add_argument("--wallet", metavar="NAME", help="whose counter to watch; the first that can be proved")
    parser.add_argument(
        "--model", metavar="NAME", help="the model to ask; the default one of the wallet's provider"
    )
    parser.add_argument(
        "--max-cost",
        metavar="AMOUNT",
        help="the most that the calls may cost, as 0.05; in the wallet's currency, or in credits of its plan",
    )
    parser.add_argument("--wait", type=float, metavar="SECONDS", help="how long to wait for the provider's books")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"where to put the bundle; {NAME} here")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="how to write it")


def _run(arguments: Namespace) -> int:
    return asyncio.run(_prove(arguments))


async def _prove(arguments: Namespace) -> int:
    asked = Prove(
        wallet=arguments.wallet, model=arguments.model, max_cost=arguments.max_cost, wait_s=arguments.wait
    )
    _check_out(arguments.out)  # before anything is spent
    settings = read_settings(arguments).settings
    async with AsyncExitStack() as stack:
        alone = not await asyncio.to_thread(knocked, settings.data_dir)
        if alone:
            await stack.enter_async_context(_service(arguments))
        proved = await _ask(arguments, settings, asked)
        reading = Reading(settings.data_dir)
        stack.callback(reading.close)
        out = arguments.out or Path(NAME.format(id=proved.tool_call_id[:ID_CHARS]))
        lost = await asyncio.to_thread(_bundled, reading, settings, proved, out)
    status = status_of(proved.proof) if lost is None else 1
    if arguments.format == "json":
        bundle = None if lost else str(out)
        told = {**msgspec.to_builtins(proved), "bundle": bundle, "status": status}
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
    else:
        sys.stdout.write(_text(proved, None if lost else out, alone=alone))
    sys.stdout.flush()
    if lost is not None:
        sys.stderr.write(f"exai: no bundle was written: {lost}. {_LOST.format(id=proved.tool_call_id)}\n")
    return status


def _check_out(out: Path | None) -> None:
    """Refuse a bundle that could not be written.

    Raises:
        ActionError: it is there already, or its folder takes no file.
    """
    try:
        is_there = out is not None and out.exists()
    except OSError as error:  # a name that no file can have
        raise ActionError(
            f"{out} cannot be written: {error.strerror}", remedy="Name a new file with --out."
        ) from error
    if is_there:
        raise ActionError(f"{out} is there already", remedy="Name a new file with --out.")
    folder = Path() if out is None else out.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ActionError(
            f"no file can be written to {folder.absolute()}", remedy="Name a file elsewhere with --out."
        )


def _bundled(reading: Reading, settings: Settings, proved: Proved, out: Path) -> str | None:
    """Write the bundle; say why not if it cannot be: the proof was paid for and must still be shown."""
    try:
        write_bundle(reading, Checkpoints(settings.checkpoints), proved, out)
    except (OSError, ExaiError) as error:
        return str(error)
    return None


def status_of(proof: Proof) -> int:
    """Say a proof as an exit status; one of a simulator proves nothing, whatever it found."""
    return SIMULATED_STATUS if proof.simulated else STATUS[proof.word]


@asynccontextmanager
async def _service(arguments: Namespace) -> AsyncIterator[None]:
    """Run the service while the proof lasts, on a free port of loopback; with simulators where no key is set."""
    log_to_stderr("ERROR", "text")
    async with AsyncExitStack() as stack:
        environ: dict[str, str] = dict(os.environ)
        if read_settings(arguments, keys_needed=True).settings.simulators_wanted:
            environ |= await stack.enter_async_context(simulators())
        settings = read_settings(arguments, environ=environ, keys_needed=True).settings
        alone = msgspec.structs.replace(
            settings,
            host="127.0.0.1",
            port=0,
            console_port=None,
            health_port=None,
            metrics_port=None,
            public_url=None,
            grace_s=min(settings.grace_s, _GRACE_S),
        )
        service = await stack.enter_async_context(running(alone, environ=environ))
        if any(wallet.simulated for wallet in service.wallets):
            sys.stderr.write(_banner())
        sys.stderr.write(f"No service runs in {settings.data_dir}: this command runs one for the proof.\n")
        yield


async def _ask(arguments: Namespace, settings: Settings, asked: Prove) -> Proved:
    """Have the running service make the proof, and show meanwhile what it writes down."""
    reading = Reading(settings.data_dir)
    showing = asyncio.create_task(_show(reading))
    try:
        proved, _ = await _on_daemon(lambda: act(arguments, ACTION, asked, between_s=BETWEEN_S))
        await asyncio.sleep(_TAIL_S)
    except asyncio.CancelledError:
        sys.stderr.write(_INTERRUPTED)
        raise
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        reading.close()
    return proved


async def _on_daemon(work: Callable[[], _Done]) -> _Done:
    """Wait for work on a thread that an interrupt leaves behind; `to_thread` would wait for its end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_Done] = loop.create_future()

    def settle(found: _Done | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast("_Done", found))

    def run() -> None:
        found, error = None, None
        try:
            found = work()
        except Exception as raised:  # noqa: BLE001 - it is raised where it is waited for
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(settle, found, error)

    threading.Thread(target=run, name="exai-prove", daemon=True).start()
    return await done


async def _show(reading: Reading) -> None:
    """Follow the log and tell on standard error what a proof does; until cancelled."""
    index = await asyncio.to_thread(lambda: reading.head().next_index)
    live = Live()
    while True:
        lines = await asyncio.to_thread(_lines, reading, index)
        for line in lines:
            index = line.index + 1
            said = live.told(entries.decode(line.entry))
            if said is not None:
                sys.stderr.write(f"{said}\n")
                sys.stderr.flush()
        await asyncio.sleep(_TAIL_S)


def _lines(reading: Reading, first: int) -> list[Line]:
    return list(reading.lines(first))


class Live:
    """What is told of a proof while it is made: each entry in a line, but rarely a reading that is not new."""

    def __init__(self) -> None:
        self._calls = set[str]()
        self._read: dict[str, tuple[str, int]] = {}  # by counter: what it said last, and when that was told

    def told(self, entry: AnyEntry) -> str | None:
        """Show an entry of a proof; None for any other, and for one that says nothing new."""
        match entry:
            case ToolCallEntry(tool=tool, client=client) if (tool, client) == (PROVE, OPERATOR.name):
                self._calls.add(entry.tool_call_id)
                return f"tool call {entry.tool_call_id}"
            case ReadingEntry(cause=ReadingCause.PROOF):
                return self._reading(entry)
            case SettlementEntry(tool_call_id=call) if call in self._calls:
                cost = entry.cost
                amount = cost.status if cost.amount is None else f"{cost.amount} {cost.currency}"
                return f"call settled: {amount}, id {next(iter(entry.provider_ids.values()), 'none')}"
            case RefusalEntry(tool_call_id=call) | DoubtEntry(tool_call_id=call) if call in self._calls:
                return f"call {entries.kind(entry)}: {entry.message}"
            case VerdictEntry():
                return (
                    f"{SIMULATED if entry.simulated else ''}{entry.word} ({entry.code}): {_plain(entry.sentence)}"
                )
            case _:
                return None

    def _reading(self, entry: ReadingEntry) -> str | None:
        said, at_ns = said_by(entry), utc_ns(entry.at)
        before, told_ns = self._read.get(entry.counter, ("", 0))
        if said == before and at_ns - told_ns < _UNCHANGED_S * NS_PER_S:
            return None
        self._read[entry.counter] = (said, at_ns)
        mark = SIMULATED if entry.simulated else ""
        return f"{mark}{line_of(entry)}{' (unchanged: waiting)' if said == before else ''}"


def _text(proved: Proved, out: Path | None, *, alone: bool) -> str:
    proof, call = proved.proof, proved.tool_call_id
    after = f"exai ledger show {call}, or /console/calls/{call} once `exai serve` runs"
    lines = [_banner()] if proof.simulated else []
    lines += [f"{SIMULATED if proof.simulated else ''}{proof.word} ({proof.code})", _plain(proof.sentence), ""]
    calls = "1 call" if proof.calls == 1 else f"{proof.calls} calls"
    lines.append(f"Ours:   {calls} of {proof.model} with {proof.wallet}, {ours(proof)}")
    for reading in (proof.opening, proof.closing):
        if reading is not None:
            lines.append(f"Theirs: {line_of(reading)}")
    lines.append("")
    for attempt in proved.receipt["attempts"]:
        ids = ", ".join(f"{name} {value}" for name, value in attempt["provider_request_ids"].items())
        cost = attempt["cost"]
        amount = "" if cost["amount"] is None else f", {cost['amount']} {cost['currency']}"
        lines.append(f"Attempt {attempt['attempt_id']}: {attempt['outcome'].replace('_', ' ')}{amount}; {ids}")
    lines.append(f"Receipt: {after if alone else proved.receipt['url']}")
    lines += [] if out is None else [f"Bundle:  {out}"]
    return "\n".join(lines) + "\n"


def _plain(sentence: str) -> str:
    """Give a sentence without the mark that stands before its word already."""
    return sentence.removeprefix(SIMULATED)


def _banner() -> str:
    rule = "#" * _WIDTH
    lines = ["S I M U L A T E D", "No real provider is asked, no money is spent, nothing here is proof."]
    return "\n".join([rule, *(line.center(_WIDTH).rstrip() for line in lines), rule]) + "\n"


COMMAND = Command(
    name="prove",
    summary="prove that calls use the provider's credit, and write a bundle that anybody can check",
    arguments=_arguments,
    run=_run,
)
