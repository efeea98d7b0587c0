"""Acting: a command's deed, done by the service that has the data folder, or here if none has it."""

import asyncio
import http.client
import os
import socket
import time
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec

from service import VERSION
from service.actions import _door
from service.actions._action import Action, Asked, Reply, Stand, somebody
from service.actions._door import BODY_BYTES_MAX, ROOT, Problem
from service.cli._command import add_settings, read_settings
from service.clock import SystemClock, refuse_absurd, refuse_step_back
from service.core.entries import decode
from service.core.times import utc_text
from service.core.wallet import Wallet
from service.equipment import load_providers, open_wallets
from service.errors import ActionError, StoreLockedError
from service.ledger.ballast import Ballast
from service.ledger.checkpoints import Checkpoints
from service.ledger.equipping import equipped
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.opening import open_store
from service.ledger.reading import Reading
from service.ledger.writer import SecretInEntryError
from service.settings import Settings

BETWEEN_S = 5.0
"""How long a service may have the folder without a door: while it starts, and while it stops."""
_POLL_S = 0.1
_HOST = "exai"  # a request must name one


def add_place(parser: ArgumentParser) -> None:
    """Let the command line say which ledger is meant."""
    add_settings(parser, "data_dir", "checkpoints_dir", "witness_file")


def act(
    arguments: Namespace, action: Action[Asked, Reply], asked: Asked, *, between_s: float = BETWEEN_S
) -> tuple[Reply, bool]:
    """Have an action done; say also whether a running service did it.

    Raises:
        ActionError: it was refused, or nobody can tell whether it was done; the remedy says what to do.
        ExaiError: the folder cannot be used.
    """
    settings = read_settings(arguments).settings
    ends_at = time.monotonic() + between_s
    while True:
        caller = _knock(settings.data_dir)
        if caller is not None:
            with caller:
                return _ask(caller, action, asked), True
        try:
            return asyncio.run(_act_alone(settings, action, asked, wallets=partial(_wallets, arguments))), False
        except StoreLockedError as error:
            if time.monotonic() >= ends_at:
                raise ActionError(
                    f"{error.message} and does not answer at {settings.data_dir / _door.FILE_NAME}",
                    remedy="If it is a service that starts or stops, wait; else end that process. Then try again.",
                    retryable=True,
                ) from error
        time.sleep(_POLL_S)


def knocked(folder: Path) -> bool:
    """Whether a service runs that has a folder, and answers to us.

    Raises:
        ActionError: there is one, and it is not to be reached by us.
    """
    caller = _knock(folder)
    if caller is None:
        return False
    caller.close()
    return True


def _knock(folder: Path) -> socket.socket | None:
    """Reach the service that has a folder; None if there is none.

    Raises:
        ActionError: there is one, and it is not to be reached by us.
    """
    try:
        return _door.connect(folder)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return None
    except OSError as error:
        raise ActionError(
            f"{folder / _door.FILE_NAME} cannot be reached: {error.strerror or error}",
            remedy="Run the command as the user that runs the service, or as root.",
        ) from error


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket that is connected already."""

    def __init__(self, caller: socket.socket) -> None:
        super().__init__(_HOST)
        self.sock = caller


def _ask(caller: socket.socket, action: Action[Asked, Reply], asked: Asked) -> Reply:
    connection = _Connection(caller)
    try:
        connection.request("POST", ROOT + action.name, msgspec.json.encode(asked))
        with connection.getresponse() as answer:
            said = answer.read(BODY_BYTES_MAX + 1)
        if answer.status == http.client.OK:
            return msgspec.json.decode(said, type=action.reply)
        problem = msgspec.json.decode(said, type=Problem)
    except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
        raise ActionError(
            f"the running service gave no answer that can be read: {str(error) or type(error).__name__}",
            remedy="It may have been done all the same: look before you ask again.",
        ) from error
    raise ActionError(problem.message, remedy=problem.remedy, retryable=problem.retryable)


def _wallets(arguments: Namespace) -> tuple[Wallet, ...]:
    """Say who pays, for the few actions that ask: only then must the keys be within reach.

    Raises:
        SettingsError: a key is not.
    """
    return open_wallets(read_settings(arguments, keys_needed=True).settings, load_providers())


async def _act_alone(
    settings: Settings,
    action: Action[Asked, Reply],
    asked: Asked,
    *,
    wallets: Callable[[], tuple[Wallet, ...]],
) -> Reply:
    async with _alone(settings, wallets) as stand:
        try:
            return await action.run(asked, stand, somebody())
        except SecretInEntryError as error:
            raise ActionError(f"{action.name}: {error}", remedy=error.remedy) from error


@asynccontextmanager
async def _alone(settings: Settings, wallets: Callable[[], tuple[Wallet, ...]]) -> AsyncIterator[Stand]:
    """Open the ledger for one action, as a service would, and nothing else.

    Raises:
        StoreLockedError: another process has it.
        StoreError: it cannot be used.
        ClockError: no entry may bear this machine's time.
    """
    clock = SystemClock()
    refuse_absurd(clock.now_ns())
    checkpoints = Checkpoints(settings.checkpoints, witness=settings.witness_file)
    async with AsyncExitStack() as stack:
        ballast = Ballast(settings.data_dir)
        opened = ballast.opened(lambda: open_store(settings.data_dir, checkpoints, entropy=os.urandom))
        stack.callback(opened.store.close)
        feed = Feed((), reread=lambda _first, _count: (), next_index=opened.store.next_index)
        feed.start()
        opened.notary.start()
        writer = equipped(opened.store, settings, at=utc_text(clock.now_ns()), ballast=ballast)
        ledger = Ledger(writer, feed, clock=clock, notary=opened.notary)
        stack.push_async_callback(ledger.close)
        reading = Reading(settings.data_dir)
        stack.callback(reading.close)  # before the store: who closes the file last tidies it, and may write
        for line in reading.lines(opened.store.next_index - 1):
            refuse_step_back(clock.now_ns(), decode(line.entry).at)
        await ledger.start({"version": VERSION, "public_key": opened.notary.key.verifier.text})
        yield Stand(
            ledger=ledger,
            reading=reading,
            clock=clock,
            entropy=os.urandom,
            folder=settings.data_dir,
            wallets=wallets,
        )
