"""The entry: finds the commands, reads the words, runs one, and turns errors into a sentence and a status."""

import sys
from argparse import ArgumentParser

from service import cli, plugs
from service.cli._command import Command
from service.errors import ExaiError

FAILED = 1
_INTERRUPTED = 130


def main(words: list[str] | None = None) -> int:
    """Run `exai` with words of the command line; give the exit status."""
    words = sys.argv[1:] if words is None else words
    try:
        arguments = _parser(_commands(words)).parse_args(words)
        run: Command = arguments.command
        return run.run(arguments)
    except ExaiError as error:
        sys.stderr.write(f"exai: {error.message}\n")
        if error.remedy:
            sys.stderr.write(f"      {error.remedy}\n")
        return FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; nothing is left to say
        return FAILED


def _commands(words: list[str]) -> dict[str, Command]:
    """Load the command that is meant, or all if none is: most need little of what `serve` imports."""

    def loaded(only: set[str] | None) -> dict[str, Command]:
        return plugs.load(cli, "COMMAND", "summary", "arguments", "run", only=only)

    return loaded({"_".join(words[:1]), "_".join(words[:2])}) or loaded(None)


def _parser(commands: dict[str, Command]) -> ArgumentParser:
    parser = ArgumentParser(prog="exai", description="An MCP server that proves what it spends.")
    top = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    groups = {}
    for name, command in commands.items():
        group, _, word = name.partition("-")
        if not word:
            _add(top, name, command)
            continue
        if group not in groups:
            summary = f"{', '.join(_words(commands, group))}: see exai {group} --help"
            inner = top.add_parser(group, help=summary, description=summary)
            groups[group] = inner.add_subparsers(title="commands", metavar="COMMAND", required=True)
        _add(groups[group], word, command)
    return parser


def _words(commands: dict[str, Command], group: str) -> list[str]:
    return [name.partition("-")[2] for name in commands if name.startswith(f"{group}-")]


def _add(parsers: object, word: str, command: Command) -> None:
    parser: ArgumentParser = parsers.add_parser(word, help=command.summary, description=command.summary)  # type: ignore[attr-defined] # argparse keeps the type of its sub-parsers private
    command.arguments(parser)
    parser.set_defaults(command=command)
