"""`exai token list`: which named tokens were made, what they are worth now, and how much they were used."""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.cli._command import Command, add_settings, read_settings
from service.core.sheet import cell, sheet
from service.core.token import NamedToken, TokenState, tokens_after
from service.ledger.choosing import CallFilter
from service.ledger.reading import Reading

_PIPED_WIDTH = 140
_EMPTY = "No named token was made in this ledger. To make one: exai token create --name NAME --scopes call,read"


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """One token as it is shown. `calls` were made under its name while it was the one in force."""

    name: str
    scopes: tuple[str, ...]
    state: TokenState
    created_at: str
    created_by: str
    expires_at: str | None
    revoked_at: str | None
    fingerprint: str
    calls: int


def _arguments(parser: ArgumentParser) -> None:
    add_settings(parser, "data_dir")
    parser.add_argument("--format", choices=["table", "json", "csv"], default="table", help="how to write it")


def _run(arguments: Namespace) -> int:
    reading = Reading(read_settings(arguments).settings.data_dir)
    try:
        now_ns = time.time_ns()
        with reading.snapshot():
            tokens = tokens_after(reading.of_ledger()).values()
            rows = [_row(token, reading, now_ns) for token in tokens]
    finally:
        reading.close()
    if arguments.format == "table":
        _show(rows)
    else:
        sys.stdout.buffer.write(_json(rows) if arguments.format == "json" else _csv(rows))
        sys.stdout.buffer.flush()
    return 0


def _row(token: NamedToken, reading: Reading, now_ns: int) -> _Row:
    ends = [at for at in (token.expires_at, token.revoked_at) if at is not None]
    only = CallFilter(client=(token.name,), since=token.created_at, until=min(ends, default=None))
    return _Row(
        name=token.name,
        scopes=token.scopes,
        state=token.state(now_ns),
        created_at=token.created_at,
        created_by=token.by,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
        fingerprint=token.fingerprint,
        calls=reading.count(only),
    )


def _json(rows: Iterable[_Row]) -> bytes:
    return msgspec.json.format(msgspec.json.encode({"tokens": list(rows)}), indent=2) + b"\n"


def _csv(rows: Iterable[_Row]) -> bytes:
    names = _Row.__struct_fields__
    return sheet([names, *([cell(_cell(getattr(row, name))) for name in names] for row in rows)])


def _cell(value: object) -> object:
    return " ".join(value) if isinstance(value, tuple) else value


def _show(rows: list[_Row]) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=_PIPED_WIDTH)
    if not rows:
        console.print(_EMPTY, markup=False, soft_wrap=True)
        return
    table = Table(title=Text("Named tokens; their texts are kept nowhere"))
    for column in ("name", "scopes", "state", "fingerprint", "created", "expires", "revoked"):
        table.add_column(column, overflow="fold")
    table.add_column("calls", justify="right")
    for row in rows:
        times = (row.created_at, row.expires_at or "never", row.revoked_at or "")
        cells = (row.name, ", ".join(row.scopes), row.state.value, row.fingerprint, *map(_to_the_second, times))
        table.add_row(*map(Text, (*cells, f"{row.calls:,}")))
    console.print(table)


def _to_the_second(text: str) -> str:
    """Cut a UTC text's fraction off; leave a word as it is."""
    return f"{text.partition('.')[0]}Z" if "." in text else text


COMMAND = Command(
    name="token-list",
    summary="show the named tokens: rights, state, calls so far",
    arguments=_arguments,
    run=_run,
)
