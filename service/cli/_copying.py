"""Copying: what `exai ledger backup` and `archive` share. This process copies; the ledger's writer notes it."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from service.actions._action import Action
from service.actions._copying import Copied, Noted
from service.cli._acting import act, add_place
from service.cli._command import read_settings
from service.errors import ExaiError
from service.ledger.checkpoints import Checkpoints
from service.ledger.keeping import Kept

Keep = Callable[[Path, Checkpoints, Path], Kept]
_Asked = TypeVar("_Asked", bound=Copied)
_BYTES_PER_KB = 1000

FORGOTTEN = (
    "What came after its last entry is forgotten: tokens that were revoked since count again, what was spent\n"
    "since is in no budget, and what was paid under a key may be paid again. Look at `exai token list` and\n"
    "`exai budget list` first."
)
"""What whoever takes an older ledger up must know."""


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """A copy, and where it is written down; None if it could not be."""

    copy: Kept
    noted: Noted | None


def add_arguments(parser: ArgumentParser) -> None:
    """Let the command line say which ledger, and how to tell what was done."""
    add_place(parser)
    parser.add_argument("--format", choices=["text", "json"], default="text", help="how to write it")


def copied(arguments: Namespace, keep: Keep, target: Path, action: Action[_Asked, Noted], further: str) -> int:
    """Make a copy, have it written down, and tell; give the exit status.

    Raises:
        StoreError: there is no copy.
    """
    settings = read_settings(arguments).settings
    copy = keep(settings.data_dir, Checkpoints(settings.checkpoints), target.absolute())
    asked = action.request(entries=copy.entries, root=copy.root, size_bytes=copy.size_bytes, where=copy.where)
    try:
        noted, _ = act(arguments, action, asked)
    except ExaiError as error:  # the copy is there, and good: a script must not throw it away
        noted = None
        sys.stderr.write(f"exai: the copy is there, but the ledger does not mention it: {error.message}\n")
        sys.stderr.write(f"      {error.remedy}\n")
    if arguments.format == "json":
        told = msgspec.json.encode(_Told(copy=copy, noted=noted))
        sys.stdout.buffer.write(msgspec.json.format(told, indent=2) + b"\n")
    else:
        sys.stdout.write(_text(copy, noted, target) + further)
    sys.stdout.flush()
    return 0


def _text(copy: Kept, noted: Noted | None, target: Path) -> str:
    lines = [
        f"{target}: {copy.entries} entries, {copy.size_bytes / _BYTES_PER_KB:,.1f} kB; read again, it is whole.",
        f"  log   {copy.origin}",
        f"  root  {copy.root}",
        f"  key   {copy.public_key}",
    ]
    if copy.covered < copy.entries:
        lines.append(f"  The last {copy.entries - copy.covered} entries are covered by no checkpoint yet.")
    if copy.left_out:
        lines.append(f"  Left out: {copy.left_out} newer entries, which no checkpoint covered yet.")
    if noted is not None:
        lines.append(f"  Entry {noted.index} of the ledger says so.")
    return "\n".join([*lines, ""])
