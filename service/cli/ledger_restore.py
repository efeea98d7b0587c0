"""`exai ledger restore`: a ledger again, from a backup, an archive or an export, into a folder that has none."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

import msgspec

from service.cli._command import Command, add_settings, read_settings
from service.cli._copying import FORGOTTEN
from service.core.note import VerifierKey
from service.errors import StoreError
from service.ledger.checkpoints import Checkpoints
from service.ledger.restoring import Restored, restore
from service.ledger.sources import read_text


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="the folder of a backup, an archive, or an export")
    add_settings(parser, "data_dir", "checkpoints_dir")
    parser.add_argument(
        "--key",
        metavar="KEY",
        help="the public key that its checkpoint must hold by, or @FILE; the one that came with it if not given",
    )
    parser.add_argument("--format", choices=["text", "json"], default="text", help="how to write it")


def _run(arguments: Namespace) -> int:
    settings = read_settings(arguments).settings
    key = None if arguments.key is None else _key(arguments.key)
    restored = restore(arguments.source, settings.data_dir, Checkpoints(settings.checkpoints), key=key)
    if arguments.format == "json":
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(restored), indent=2) + b"\n")
    else:
        sys.stdout.write(_told(restored, settings.data_dir))
    sys.stdout.flush()
    return 0


def _key(text: str) -> VerifierKey:
    text = read_text(Path(text[1:])).strip() if text.startswith("@") else text
    try:
        return VerifierKey.parse(text)
    except ValueError as error:
        raise StoreError(
            f"{text[:80]!r} is no public key: {error}",
            remedy="It has the form name+id+key; `exai ledger backup` told it, and @FILE reads it from a file.",
        ) from error


def _told(restored: Restored, folder: Path) -> str:
    whose = "by the key that you gave" if restored.key_given else "by the key that came with it"
    later = restored.entries - restored.covered
    beyond = f"; the last {later} were not signed yet" if later else ""
    lines = [
        f"Restored into {folder}: {restored.entries} entries of {restored.origin}.",
        f"  {restored.covered} of them are as they were signed, {whose}{beyond}.",
        f"  {restored.public_key}",
    ]
    if not restored.key_given:
        lines.append("  That key came from the same place: compare it with one that was noted down elsewhere.")
    if restored.refused_until_adopted is None:
        lines.append("Next: exai serve")
    else:
        lines.append(f"The next start will refuse it: {restored.refused_until_adopted}.")
        lines.append(
            "If that is as it must be, take it as it is, under a new origin: exai ledger adopt --why TEXT"
        )
    return "\n".join([*lines, FORGOTTEN, ""])


COMMAND = Command(
    name="ledger-restore",
    summary="make a ledger again from a backup, an archive or an export",
    arguments=_arguments,
    run=_run,
)
