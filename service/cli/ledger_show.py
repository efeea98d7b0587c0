"""`exai ledger show`: the entries of a tool call or an attempt, or the one at an index, with their leaf hashes."""

import sys
from argparse import ArgumentParser, Namespace

import msgspec

from service.cli._command import Command, add_settings, read_settings
from service.ledger.finding import find
from service.ledger.reading import Reading
from service.ledger.store import Line


class _Shown(msgspec.Struct, frozen=True):
    """An entry as it is shown. Raw keeps its bytes as they stand in the log, which the leaf hash is of."""

    index: int
    leaf_hash: str
    entry: msgspec.Raw


def _arguments(parser: ArgumentParser) -> None:
    add_settings(parser, "data_dir")
    parser.add_argument("id", help="of a tool call or an attempt, or the index of an entry")
    parser.add_argument(
        "--format",
        choices=["text", "jsonl"],
        default="text",
        help="text: for people; jsonl: one object a line, the entry by its exact bytes",
    )


def _run(arguments: Namespace) -> int:
    reading = Reading(read_settings(arguments).settings.data_dir)
    try:
        lines = find(reading, arguments.id)
    finally:
        reading.close()
    write = _text if arguments.format == "text" else _jsonl
    sys.stdout.buffer.write(b"".join(map(write, lines)))
    sys.stdout.buffer.flush()
    return 0


def _jsonl(line: Line) -> bytes:
    return msgspec.json.encode(_Shown(line.index, line.leaf_hash.hex(), msgspec.Raw(_json(line.entry)))) + b"\n"


def _text(line: Line) -> bytes:
    head = f"entry {line.index}: {line.kind}, leaf hash {line.leaf_hash.hex()}\n"
    return head.encode() + msgspec.json.format(_json(line.entry), indent=2) + b"\n"


def _json(entry: bytes) -> bytes:
    """Give an entry as it stands; what is no JSON any more as a text, so that it can be looked at."""
    try:
        msgspec.json.decode(entry)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return msgspec.json.encode(entry.decode("utf-8", "backslashreplace"))
    return entry


COMMAND = Command(
    name="ledger-show",
    summary="show the entries of a tool call or an attempt, or the one at an index",
    arguments=_arguments,
    run=_run,
)
