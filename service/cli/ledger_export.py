"""`exai ledger export`: the whole log on standard output, every entry by its exact bytes."""

import sys
from argparse import ArgumentParser, Namespace

from service.cli._command import Command, add_settings, read_settings
from service.ledger.export import export_line
from service.ledger.reading import Reading


def _arguments(parser: ArgumentParser) -> None:
    add_settings(parser, "data_dir")
    parser.add_argument("--format", choices=["jsonl"], default="jsonl", help="one JSON object a line")


def _run(arguments: Namespace) -> int:
    reading = Reading(read_settings(arguments).settings.data_dir)
    try:
        for line in reading.lines():
            sys.stdout.buffer.write(export_line(line))
        sys.stdout.buffer.flush()
    finally:
        reading.close()
    return 0


COMMAND = Command(
    name="ledger-export",
    summary="write every entry to standard output, one JSON object a line",
    arguments=_arguments,
    run=_run,
)
