"""`exai ledger backup`: the ledger in a folder of its own, to be restored from; the service goes on meanwhile."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from service.actions.ledger_backup import ACTION
from service.cli._command import Command
from service.cli._copying import add_arguments, copied
from service.ledger.keeping import back_up

_NEXT = """\
It holds neither the signing key nor any text. Copy the folder off this machine; keep the key above elsewhere.
  to check it:    exai ledger verify {0} --key KEY
  to restore it:  exai ledger restore {0} --data-dir A_NEW_FOLDER
"""


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("dir", type=Path, help="a new folder for it; nothing is ever overwritten")
    add_arguments(parser)


def _run(arguments: Namespace) -> int:
    return copied(arguments, back_up, arguments.dir, ACTION, _NEXT.format(arguments.dir))


COMMAND = Command(
    name="ledger-backup",
    summary="copy the ledger, its checkpoint and its public key into a new folder",
    arguments=_arguments,
    run=_run,
)
