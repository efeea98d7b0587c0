"""`exai simulate`: both providers on this machine, with books of their own."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from service.cli._command import Command
from service.errors import StartError
from service.simulator.app import run

DEFAULT_PORT = 9100


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--books", type=Path, help="file that gets one JSON line for every request")
    parser.add_argument("--until-eof", action="store_true", help="also stop when standard input ends")


def _run(arguments: Namespace) -> int:
    try:
        run(arguments.port, books_file=arguments.books, until_eof=arguments.until_eof)
    except (OSError, OverflowError) as error:
        raise StartError(
            f"the simulators cannot listen on port {arguments.port} of 127.0.0.1: {error}",
            remedy="Stop what listens there, or name another port with --port; 0 takes a free one.",
        ) from error
    return 0


COMMAND = Command(
    name="simulate",
    summary="run simulators of Kimi and GLM, with books of their own",
    arguments=_arguments,
    run=_run,
)
