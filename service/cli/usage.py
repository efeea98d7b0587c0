"""`exai usage`: what calls consumed and cost, from the ledger; the service may run meanwhile or not."""

import sys
import time
from argparse import ArgumentParser, Namespace

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.cli._command import Command, add_settings, read_settings
from service.core.account import (
    FILTERS,
    Account,
    Asked,
    held_text,
    span_text,
    spent_text,
    told,
    told_row,
)
from service.core.ranges import RANGES
from service.core.sheet import cell, sheet
from service.core.spending import BY, Spending
from service.ledger.account import account
from service.ledger.choosing import CallFilter
from service.ledger.reading import Reading

_PIPED_WIDTH = 140
_FIGURES = ("calls", "attempts", "tokens in", "cached", "tokens out", "reasoning", "spent", "held in doubt")
_MEANING = (
    "tokens in: with the cached; tokens out: with the reasoning; held: the worst case of attempts in doubt, not"
    " spend. Currencies are never added. A call with attempts in several rows counts in each."
)
_EMPTY = (
    "This ledger ({origin}) holds no call. What was used before it began, or elsewhere, it cannot show.\n"
    "Connect an MCP client to `exai serve` and ask it to use the tool `chat`.\n"
    "To see a dozen simulated calls: `exai demo`."
)


def _arguments(parser: ArgumentParser) -> None:
    add_settings(parser, "data_dir")
    parser.add_argument("--by", default="", metavar="WORDS", help=f"group by any of {','.join(BY)}, with commas")
    parser.add_argument("--range", metavar="RANGE", help=f"{', '.join(RANGES)}; all of the ledger if not given")
    parser.add_argument("--from", dest="since", metavar="TIME", help="calls opened then or later; a day or a time")
    parser.add_argument("--to", dest="until", metavar="TIME", help="calls opened before then")
    parser.add_argument("--zone", default="UTC", help="time zone of days, as Asia/Kolkata; UTC if not given")
    for name in FILTERS:
        of = "of this" if name in ("tool", "client") else "with an attempt of this"
        parser.add_argument(f"--{name}", action="append", help=f"only calls {of} {name}; may come again")
    parser.add_argument("--format", choices=["table", "json", "csv"], default="table", help="how to write it")


def _run(arguments: Namespace) -> int:
    asked = Asked(
        by=tuple(filter(None, (word.strip() for word in arguments.by.split(",")))),
        range=arguments.range,
        since=arguments.since,
        until=arguments.until,
        zone=arguments.zone,
        **{name: tuple(getattr(arguments, name) or ()) for name in FILTERS},
    )
    reading = Reading(read_settings(arguments).settings.data_dir)
    try:
        found = account(reading, asked, now_ns=time.time_ns())
        if arguments.format == "table":
            if found.totals or reading.count(CallFilter()):
                _show(found)
            else:
                _terminal().print(_EMPTY.format(origin=reading.head().origin), markup=False, soft_wrap=True)
        else:
            write = _json if arguments.format == "json" else _csv
            sys.stdout.buffer.write(write(found))
            sys.stdout.buffer.flush()
    finally:
        reading.close()
    return 0


def _json(found: Account) -> bytes:
    return msgspec.json.format(msgspec.json.encode(told(found)), indent=2) + b"\n"


def _csv(found: Account) -> bytes:
    """Write the rows; without groups these are the totals."""
    by = found.asked.by
    names = list(told_row(Spending(), by))
    rows = [told_row(row, by) for row in found.rows]
    return sheet([names, *([cell(row[name]) for name in names] for row in rows)])


def _terminal() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=_PIPED_WIDTH)


def _show(found: Account) -> None:
    console = _terminal()
    if found.simulated:
        console.print(
            "[bold red]SIMULATED[/bold red]: rows that say so asked a simulator. No real money moved there."
        )
    chosen = "; ".join(f"{name} {' or '.join(values)}" for name, values in found.asked.filters.items())
    title = ", ".join(filter(None, (f"Usage, {span_text(found)}", chosen)))
    if not found.totals:
        console.print(f"{title}: this ledger holds no such call.", markup=False, soft_wrap=True)
        return
    console.print(_table(found, title))
    console.print(f"As of {found.as_of}. {_MEANING}", markup=False, highlight=False)


def _table(found: Account, title: str) -> Table:
    by = found.asked.by
    table = Table(title=Text(title))
    for name in by:
        table.add_column(name, overflow="fold")
    for name in _FIGURES:
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("to know", overflow="fold")
    if by:
        for row in found.rows:
            table.add_row(*(Text(getattr(row, name) or "none") for name in by), *_figures(row))
        table.add_section()
    for row in found.totals:
        label = ("total", *("" for _ in by[1:])) if by else ()
        table.add_row(*label, *_figures(row))
    return table


def _figures(row: Spending) -> tuple[Text, ...]:
    figures = (
        f"{row.calls:,}",
        f"{row.attempts:,}",
        f"{row.input_tokens:,}",
        f"{row.cached_input_tokens:,}",
        f"{row.output_tokens:,}",
        f"{row.reasoning_tokens:,}",
        spent_text(row),
        held_text(row),
        _to_know(row),
    )
    return tuple(Text(figure) for figure in figures)


def _to_know(row: Spending) -> str:
    counted = {
        "in doubt": row.in_doubt,
        "not ended": row.open,
        "refused": row.refused,
        "unsent": row.unsent,
        "free": row.free,
        "paid by a plan": row.plan,
        "without a known price": row.unpriced,
        "of the calls asked no provider": row.calls_without_attempt,
    }
    parts = ["SIMULATED"] if row.simulated else []
    return ", ".join(parts + [f"{count:,} {what}" for what, count in counted.items() if count])


COMMAND = Command(
    name="usage",
    summary="add up calls, tokens and spend by provider, wallet, model, tool, client, day or hour",
    arguments=_arguments,
    run=_run,
)
