"""`exai ledger adopt`: take a log as it is where the start refuses it, under a new origin, and write that down."""

import asyncio
import os
import sys
from argparse import ArgumentParser, Namespace
from contextlib import AsyncExitStack

import msgspec

from service import VERSION
from service.actions._action import somebody
from service.cli._acting import add_place
from service.cli._command import Command, read_settings
from service.cli._copying import FORGOTTEN
from service.clock import SystemClock, refuse_absurd
from service.core.entries import ADOPT, ActionEntry
from service.core.times import utc_text
from service.errors import StoreError, StoreLockedError
from service.ledger.ballast import Ballast
from service.ledger.checkpoints import Checkpoints
from service.ledger.equipping import equipped
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.opening import adopt
from service.ledger.resolving import reason
from service.ledger.sqlite import FILE_NAME
from service.settings import Settings


class Adopted(msgspec.Struct, frozen=True, kw_only=True):
    """What was adopted.

    Attributes:
        size: how many entries the log had.
        root: of their tree, hex.
        checkpoint_before: the note that was newest under the origin before; `none` if none was kept.
        public_key: of the new origin.
        tool_calls_swept: how many calls had been left open.
    """

    origin_before: str
    size: int
    root: str
    checkpoint_before: str
    origin: str
    public_key: str
    by: str
    why: str
    tool_calls_swept: int


def _arguments(parser: ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument("--why", required=True, metavar="TEXT", help="what happened; written down with your name")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="how to write it")


def _run(arguments: Namespace) -> int:
    settings = read_settings(arguments).settings
    why = reason(arguments.why)
    if not (settings.data_dir / FILE_NAME).exists():
        raise StoreError(
            f"{settings.data_dir} holds no ledger",
            remedy="Name the folder with EXAI_DATA_DIR, or restore a backup first: `exai ledger restore`.",
        )
    try:
        adopted = asyncio.run(_adopt(settings, why))
    except StoreLockedError as error:
        raise StoreLockedError(
            error.message, remedy="Stop the service first: a log is adopted at rest."
        ) from error
    if arguments.format == "json":
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(adopted), indent=2) + b"\n")
    else:
        sys.stdout.write(_told(adopted))
    sys.stdout.flush()
    return 0


async def _adopt(settings: Settings, why: str) -> Adopted:
    clock, by = SystemClock(), somebody()
    refuse_absurd(clock.now_ns())
    checkpoints = Checkpoints(settings.checkpoints, witness=settings.witness_file)
    async with AsyncExitStack() as stack:
        ballast = Ballast(settings.data_dir)
        opened, detail = ballast.opened(lambda: adopt(settings.data_dir, checkpoints, entropy=os.urandom))
        stack.callback(opened.store.close)
        feed = Feed((), reread=lambda _first, _count: (), next_index=opened.store.next_index)
        feed.start()
        opened.notary.start()
        writer = equipped(opened.store, settings, at=utc_text(clock.now_ns()), ballast=ballast)
        ledger = Ledger(writer, feed, clock=clock, notary=opened.notary)
        stack.push_async_callback(ledger.close)
        key = opened.notary.key.verifier.text
        said = ActionEntry(action=ADOPT, by=by, detail={**detail, "why": why})
        swept = await ledger.start({"version": VERSION, "public_key": key}, said)
        return Adopted(
            origin_before=detail["origin_before"],
            size=int(detail["size"]),
            root=detail["root"],
            checkpoint_before=detail["checkpoint_before"],
            origin=opened.store.origin,
            public_key=key,
            by=by,
            why=why,
            tool_calls_swept=swept,
        )


def _told(adopted: Adopted) -> str:
    origin, size, *_ = [*adopted.checkpoint_before.splitlines(), ""]
    signed = f"{size} entries were signed last" if size else f"no checkpoint of it was found ({origin})"
    swept = (
        f"{adopted.tool_calls_swept} calls that were open are closed now.\n" if adopted.tool_calls_swept else ""
    )
    return (
        f"Adopted, and written down: {adopted.size} entries, root {adopted.root}\n"
        f"  before: {adopted.origin_before}; {signed}\n"
        f"  now:    {adopted.origin}, which continues it\n"
        f"  by {adopted.by}: {adopted.why}\n"
        f"{swept}"
        "Note this public key down where nobody can change it; this log's checkpoints are verified with it:\n"
        f"{adopted.public_key}\n"
        "What was signed under the origin before stays signed: whoever holds it can still show it.\n"
        f"{FORGOTTEN}\n"
    )


COMMAND = Command(
    name="ledger-adopt",
    summary="take a log as it is, under a new origin, where the start refuses it",
    arguments=_arguments,
    run=_run,
)
