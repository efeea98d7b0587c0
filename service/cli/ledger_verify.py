"""`exai ledger verify`: whether a log is whole, from its bytes alone; the exit status is the answer."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console

from service.cli._command import Command, add_settings, read_settings
from service.errors import StoreError
from service.ledger.export import read_export
from service.ledger.reading import Reading
from service.ledger.verify import Report, compare_rows, verify

_BROKEN = 1
_LIMIT = "Not shown by this: entries cut off at the end, or a log rewritten as a whole."


def _arguments(parser: ArgumentParser) -> None:
    add_settings(parser, "data_dir")
    parser.add_argument("file", nargs="?", type=Path, help="an export; without it the data folder is verified")


def _run(arguments: Namespace) -> int:
    console = Console()
    if arguments.file is not None:
        try:
            with arguments.file.open("rb") as file:
                return _say_log(console, verify(read_export(file)), f"{arguments.file}")
        except OSError as error:
            raise StoreError(
                f"{arguments.file} cannot be read: {error.strerror}",
                remedy="Name a file that `exai ledger export` wrote, or none for the data folder.",
            ) from error
    folder = read_settings(arguments).settings.data_dir
    reading = Reading(folder)
    try:
        status = _say_log(console, verify(reading.lines()), f"the log in {folder}")
        if status == 0:
            tables = compare_rows(reading)
            status = _say(
                console, tables, "its tables", f"calls, attempts and sums agree with {tables.entries} entries"
            )
    finally:
        reading.close()
    return status


def _say_log(console: Console, report: Report, what: str) -> int:
    if not report.entries:  # every log begins with the start that made it
        console.print(f"{what}: no entry at all; this is no log", markup=False, soft_wrap=True)
        return _BROKEN
    whole = f"{report.entries} entries, indexes contiguous, leaf hashes right"
    status = _say(console, report, what, whole)
    if status == 0:
        console.print(_LIMIT, markup=False, soft_wrap=True)
    return status


def _say(console: Console, report: Report, what: str, whole: str) -> int:
    if report.first is None:
        console.print(f"{what}: {whole}", markup=False, soft_wrap=True)
        return 0
    console.print(f"{what}: {report.problems_total} problems in {report.entries} entries", markup=False)
    for problem in report.problems:
        where = "the tables" if problem.index is None else f"entry {problem.index}"
        console.print(f"  {where}: {problem.sentence}", markup=False, soft_wrap=True)
    return _BROKEN


COMMAND = Command(
    name="ledger-verify",
    summary="check that the log is whole: indexes, leaf hashes, grammar, tables",
    arguments=_arguments,
    run=_run,
)
