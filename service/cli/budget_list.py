"""`exai budget list`: the budgets in force, what of each is used and when it begins anew."""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from console.limits import Limit, sentence, told
from service.cli._command import Command, add_settings, read_settings
from service.core.budget import BudgetState
from service.core.entries import BudgetEntry, BudgetTerms
from service.core.in_force import in_force
from service.core.periods import shown
from service.core.sheet import cell, sheet
from service.core.times import utc_text
from service.ledger.limiting import BY_FILE
from service.ledger.reading import Reading

_PIPED_WIDTH = 140
_EMPTY = (
    "No budget is set: nothing stops a call for what it costs."
    ' To set one: exai budget set daily --limit "5 USD" --per day'
)
_MEANING = (
    "spent: settled or stated; reserved: the worst case of attempts under way or in doubt. What could pass a limit"
    " is not sent."
)


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of one group. Amounts are exact decimals of `unit`, or whole tokens.

    Attributes:
        group: whose share it is; empty where it is everybody's.
        used_percent: spent and reserved, of the limit, rounded down.
        resets_at: UTC text; None for never.
        source: `command` or `exai.toml`.
    """

    budget: str
    group: str
    unit: str
    simulated: bool
    limit: str
    spent: str
    reserved: str
    left: str
    used_percent: int
    resets_at: str | None
    source: str


class _Budget(msgspec.Struct, frozen=True, kw_only=True):
    """One budget, in words and as it was set; one of groups may have no limit in use."""

    name: str
    sentence: str
    terms: BudgetTerms
    source: str
    set_by: str
    set_at: str
    limits: tuple[_Row, ...]


def _arguments(parser: ArgumentParser) -> None:
    add_settings(parser, "data_dir")
    parser.add_argument("--format", choices=["table", "json", "csv"], default="table", help="how to write it")


def _run(arguments: Namespace) -> int:
    reading = Reading(read_settings(arguments).settings.data_dir)
    try:
        as_of = utc_text(time.time_ns())
        with reading.snapshot():
            said = (entry for entry in reading.of_ledger() if isinstance(entry, BudgetEntry))
            standing, states = in_force(said).entries, reading.budgets(as_of)
    finally:
        reading.close()
    budgets = [_budget(entry, entry.terms, states) for entry in standing if entry.terms is not None]
    if arguments.format == "table":
        _show(budgets, as_of)
        return 0
    write = _json if arguments.format == "json" else _csv
    sys.stdout.buffer.write(write(budgets, as_of))
    sys.stdout.buffer.flush()
    return 0


def _budget(entry: BudgetEntry, terms: BudgetTerms, states: Iterable[BudgetState]) -> _Budget:
    source = BY_FILE if entry.by == BY_FILE else "command"
    return _Budget(
        name=entry.name,
        sentence=sentence(terms),
        terms=terms,
        source=source,
        set_by=entry.by,
        set_at=entry.at,
        limits=tuple(_row(told(state, {}), source) for state in states if state.terms.name == entry.name),
    )


def _row(limit: Limit, source: str) -> _Row:
    return _Row(
        **{name: getattr(limit, name) for name in ("budget", "group", "unit", "simulated", "limit", "left")},
        spent=limit.spent,
        reserved=limit.reserved,
        used_percent=limit.percent,
        resets_at=limit.ends,
        source=source,
    )


def _json(budgets: list[_Budget], as_of: str) -> bytes:
    return msgspec.json.format(msgspec.json.encode({"as_of": as_of, "budgets": budgets}), indent=2) + b"\n"


def _csv(budgets: list[_Budget], _as_of: str) -> bytes:
    names = _Row.__struct_fields__
    rows = [row for one in budgets for row in one.limits]
    return sheet([names, *([cell(getattr(row, name)) for name in names] for row in rows)])


def _show(budgets: list[_Budget], as_of: str) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=_PIPED_WIDTH)
    if not budgets:
        console.print(_EMPTY, markup=False, soft_wrap=True)
        return
    table = Table(title=Text(f"Budgets, as of {as_of[:19]}Z"))
    for column in ("budget", "for"):
        table.add_column(column, overflow="fold")
    for column in ("limit", "spent", "reserved", "used"):
        table.add_column(column, justify="right", overflow="fold")
    for column in ("begins anew", "set by"):
        table.add_column(column, overflow="fold")
    for one in budgets:
        for row in one.limits:
            table.add_row(*map(Text, _cells(row, one.terms.zone)))
        if not one.limits:
            table.add_row(*map(Text, (one.name, "nobody yet", "", "", "", "", "", one.source)))
    console.print(table)
    for one in budgets:
        console.print(f"{one.name}: {one.sentence}", markup=False, highlight=False, soft_wrap=True)
    console.print(_MEANING, markup=False, highlight=False, soft_wrap=True)


def _cells(row: _Row, zone: str) -> tuple[str, ...]:
    whose = row.group or "all"
    return (
        row.budget,
        f"{whose}, SIMULATED" if row.simulated else whose,
        f"{row.limit} {row.unit}",
        row.spent,
        row.reserved,
        f"{row.used_percent} %",
        "never" if row.resets_at is None else shown(row.resets_at, zone),
        row.source,
    )


COMMAND = Command(
    name="budget-list",
    summary="show the budgets: what is spent, reserved and left, and when each begins anew",
    arguments=_arguments,
    run=_run,
)
