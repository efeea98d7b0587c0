"""`exai ledger export`: the log on standard output, by its exact bytes, and the checkpoint that covers it."""

import sys
from argparse import ArgumentParser, Namespace
from itertools import takewhile

from service.cli._command import Command, add_settings, read_settings
from service.errors import StoreError
from service.ledger.checkpoints import Checkpoints
from service.ledger.export import Closing, closing_line, export_line
from service.ledger.proving import Vouched, covering
from service.ledger.reading import Reading

_INCOMPLETE = 1


def _arguments(parser: ArgumentParser) -> None:
    add_settings(parser, "data_dir", "checkpoints_dir")
    parser.add_argument("--format", choices=["jsonl"], default="jsonl", help="one JSON object a line")


def _run(arguments: Namespace) -> int:
    settings = read_settings(arguments).settings
    reading = Reading(settings.data_dir)
    write = sys.stdout.buffer.write
    try:
        head = reading.head()
        vouched, why = covering(Checkpoints(settings.checkpoints), head.origin, head.next_index)
        if why is not None:
            _warn(vouched, head.next_index, why)
        size = None if vouched is None else vouched.checkpoint.size
        for line in takewhile(lambda line: size is None or line.index < size, reading.lines()):
            write(export_line(line))
        if vouched is not None:
            write(closing_line(Closing(vouched.note, vouched.verifier.text)))
        sys.stdout.buffer.flush()
    finally:
        reading.close()
    return 0 if why is None else _INCOMPLETE


def _warn(vouched: Vouched | None, entries: int, why: StoreError) -> None:
    """Say what the export lacks, beside it: its reader must not take it for more."""
    if vouched is None:
        lacks = "no checkpoint covers this export: it ends without one"
    else:
        covered = vouched.checkpoint.size
        lacks = f"{entries - covered} entries are left out: the newest checkpoint covers the first {covered}"
    sys.stderr.write(f"exai: {lacks}, because {why.message}\n")
    if why.remedy:
        sys.stderr.write(f"      {why.remedy}\n")


COMMAND = Command(
    name="ledger-export",
    summary="write every entry to standard output, one JSON object a line, and the checkpoint that covers them",
    arguments=_arguments,
    run=_run,
)
