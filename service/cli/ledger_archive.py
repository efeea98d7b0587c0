"""`exai ledger archive`: the log in one compressed file, to be kept away from this machine for years."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from service.actions.ledger_archive import ACTION
from service.cli._command import Command
from service.cli._copying import add_arguments, copied
from service.ledger.keeping import archive

_NEXT = """\
It is an export, compressed: any program can read it. The same entries and checkpoint always make the same bytes.
  to check it:    exai ledger verify {0} --key KEY
  to restore it:  exai ledger restore {0} --data-dir A_NEW_FOLDER
"""


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, help="a new file for it, as ledger.jsonl.gz; nothing is ever overwritten"
    )
    add_arguments(parser)


def _run(arguments: Namespace) -> int:
    return copied(arguments, archive, arguments.file, ACTION, _NEXT.format(arguments.file))


COMMAND = Command(
    name="ledger-archive",
    summary="write all signed entries to one compressed file",
    arguments=_arguments,
    run=_run,
)
