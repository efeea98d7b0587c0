"""What an action is, and where it stands: the same deed whether a running service does it or a command alone."""

import os
import pwd
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from service import actions, plugs
from service.core.proving import ProofAsked
from service.core.record import Step
from service.core.shapes import Clock
from service.core.wallet import Wallet
from service.errors import PlugError
from service.ledger.ledger import Ledger
from service.ledger.reading import Reading
from service.serving.operator import Proved

Asked = TypeVar("Asked", bound=msgspec.Struct)
Reply = TypeVar("Reply", bound=msgspec.Struct)


@dataclass(frozen=True, kw_only=True)
class Stand:
    """What actions work with.

    Attributes:
        ledger: takes entries; open for as long as the action runs.
        reading: reads them; its methods block, so they belong on a thread.
        folder: the data folder.
        heard: must be given the steps of what an action wrote, if it changes who may come in, before the action
            answers; the feed tells everybody else, in its own time.
        connections: counts the open connections of a client; None while no service runs.
        wallets: says who pays, as the settings have it.
        prove: makes a proof, given what is asked and by whom; None while no service runs.
    """

    ledger: Ledger
    reading: Reading
    clock: Clock
    entropy: Callable[[int], bytes]
    folder: Path
    heard: Callable[[Sequence[Step]], None] = lambda _steps: None
    connections: Callable[[str], int] | None = None
    wallets: Callable[[], Sequence[Wallet]] = tuple
    prove: Callable[[ProofAsked, str], Awaitable[Proved]] | None = None


@dataclass(frozen=True, kw_only=True)
class Action(Generic[Asked, Reply]):
    """One action. Its file bears its name, with underscores.

    Attributes:
        name: with dashes; the last part of its address.
        request: what is asked; a struct that forbids unknown fields.
        reply: what is answered.
        run: does it, given what was asked, the stand, and by whom. It must raise errors of the service's family
            where a person can do something about them.
        is_long: whether it may take minutes; such an action is not held to a deadline, nor waited for by others.
    """

    name: str
    request: type[Asked]
    reply: type[Reply]
    run: Callable[[Asked, Stand, str], Awaitable[Reply]]
    is_long: bool = False


AnyAction = Action[Any, Any]


def load_actions() -> Mapping[str, AnyAction]:
    """Find the actions, by name.

    Raises:
        PlugError: a file is malformed, or what it asks for lets unknown fields pass: an older service would
            then do half of what a newer command meant.
    """
    found: dict[str, AnyAction] = plugs.load(actions, "ACTION", "request", "reply", "run")
    for action in found.values():
        if not action.request.__struct_config__.forbid_unknown_fields:
            raise PlugError(
                f"the action {action.name} lets unknown fields pass",
                remedy=f"Define {action.request.__name__} with forbid_unknown_fields=True.",
            )
    return found


def somebody(uid: int | None = None) -> str:
    """Name a user of this machine, for `by` of an entry; whoever runs this program if not given."""
    uid = os.geteuid() if uid is None else uid
    try:
        name = f"{pwd.getpwuid(uid).pw_name} "
    except KeyError:
        return f"user {uid} on this machine"
    return f"user {name}(uid {uid}) on this machine"
