"""What a match found, written as table, JSON or CSV; and the exit status that it means."""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.core.legend import Columns
from service.core.matching import Pair, Status, Sums, difference_pico, sums
from service.core.money import decimal_text
from service.core.sheet import cell, sheet
from service.core.times import utc_text

VERSION = 1
ALL_MATCHED, GAPS, DIFFERENT = 0, 3, 4
SHOWN_MAX = 200
_WIDTH = 160
_AMOUNTS = ("ours", "theirs", "matched_ours", "matched_theirs", "missing_there", "missing_here")
_WORDS = {
    Status.MATCHED: "on both sides, with one amount where both state it",
    Status.DIFFERS: "on both sides, and the amounts differ",
    Status.TOKENS_DIFFER: "on both sides, and the counts of tokens differ",
    Status.AMBIGUOUS: "cannot be told from others that are as near, so left open",
    Status.MISSING_THERE: "ours, missing in the statement",
    Status.MISSING_HERE: "in the statement, missing here",
}


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What was laid side by side.

    Attributes:
        not_compared: wallets of attempts of that time that are not meant.
        by_its_rows: whether an end of the time is that of the statement's rows, for nobody said another.
        since, until: UTC texts of the time that is compared; None: unbounded, for the statement holds no times.
        attempts: how many of ours may be in the statement.
        rows, rows_outside: how many rows of the statement are meant, and how many lie outside that time.
        steps_pico: the last digit of its amounts, by currency.
    """

    encoding: str
    columns: Columns
    wallets: tuple[str, ...]
    simulated: bool
    not_compared: tuple[str, ...]
    by_its_rows: bool
    since: str | None
    until: str | None
    tolerance_s: float
    attempts: int
    rows: int
    rows_outside: int
    steps_pico: Mapping[str, int]
    pairs: tuple[Pair, ...]


def status_of(pairs: Iterable[Pair]) -> int:
    """Give the exit status: an amount or a count that differs is graver than a gap."""
    found = {pair.status for pair in pairs}
    if found & {Status.DIFFERS, Status.TOKENS_DIFFER}:
        return DIFFERENT
    return GAPS if found - {Status.MATCHED} else ALL_MATCHED


def write(compared: Compared, form: str, *, note: str) -> bytes:
    """Write it as `table`, `json` or `csv`."""
    if form == "json":
        return msgspec.json.format(msgspec.json.encode(_told(compared, note)), indent=2) + b"\n"
    if form == "csv":
        names = list(_row(Pair(status=Status.MATCHED, ours=None, row=None)))
        return sheet([names, *([cell(value) for value in _row(pair).values()] for pair in compared.pairs)])
    out = io.StringIO()
    _show(Console(file=out, width=_WIDTH, no_color=True), compared, note)
    return out.getvalue().encode()


def _told(compared: Compared, note: str) -> dict[str, Any]:
    return {
        "version": VERSION,
        "note": note,
        "wallets": compared.wallets,
        "simulated": compared.simulated,
        "not_compared": compared.not_compared,
        "by_its_rows": compared.by_its_rows,
        "since": compared.since,
        "until": compared.until,
        "tolerance_s": compared.tolerance_s,
        "attempts": compared.attempts,
        "statement": {
            "encoding": compared.encoding,
            "columns": compared.columns,
            "rows": compared.rows,
            "rows_outside": compared.rows_outside,
            "steps": {of: decimal_text(step) for of, step in sorted(compared.steps_pico.items())},
        },
        "counts": _counts(compared),
        "sums": [_sums(one) for one in sums(compared.pairs)],
        "pairs": [_row(pair) for pair in compared.pairs],
    }


def _counts(compared: Compared) -> dict[str, int]:
    counted = Counter(pair.status for pair in compared.pairs)
    return {status.value: counted[status] for status in Status}


def _sums(one: Sums) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else decimal_text(value)
        for name, value in msgspec.structs.asdict(one).items()
    }


def _row(pair: Pair) -> dict[str, Any]:
    """Tell a pair; what one side does not have, or does not say, is null."""
    ours, row, difference = pair.ours, pair.row, difference_pico(pair)
    return {
        "status": pair.status.value,
        "by": pair.by,
        "lines": None if row is None else " ".join(map(str, row.lines)),
        "request_id": None if row is None else row.request_id,
        "tool_call_id": None if ours is None else ours.tool_call_id,
        "attempt_id": None if ours is None else ours.attempt_id,
        "outcome": None if ours is None else ours.outcome,
        "our_time": None if ours is None else utc_text(ours.began_ns),
        "their_time": None if row is None or row.at_ns is None else utc_text(row.at_ns),
        "our_model": None if ours is None else ours.models[0],
        "their_model": None if row is None else row.model,
        "our_currency": None if ours is None else ours.currency,
        "their_currency": None if row is None else row.currency,
        "ours": None if ours is None else _amount(ours.amount_pico),
        "theirs": None if row is None else _amount(row.amount_pico),
        "difference": _amount(difference),
        "tokens": "; ".join(pair.tokens) or None,
    }


def _amount(pico: int | None) -> str | None:
    return None if pico is None else decimal_text(pico)


def _show(console: Console, compared: Compared, note: str) -> None:
    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    if compared.simulated:
        say("SIMULATED: these attempts asked a simulator. No real money moved there.")
    since, until = compared.since or "the ledger's begin", compared.until or "its end"
    outside = f"; {compared.rows_outside} rows lie outside" if compared.rows_outside else ""
    sides = f"{compared.attempts} attempts, {compared.rows} rows{outside}"
    say(f"Wallet {', '.join(compared.wallets) or 'none'}, {since} to {until}; {sides}.")
    _say_limits(say, compared)
    named = {name: value for name, value in msgspec.structs.asdict(compared.columns).items() if value is not None}
    say(
        f"Columns: {', '.join(f'{name} = {value!r}' for name, value in named.items())}; text: {compared.encoding}."
    )
    for status, count in _counts(compared).items():
        if count:
            say(f"{count:8,}  {status}: {_WORDS[Status(status)]}")
    console.print(_table_of_sums(compared))
    gaps = [pair for pair in compared.pairs if pair.status is not Status.MATCHED]
    if gaps:
        console.print(_table_of_gaps(gaps[:SHOWN_MAX]))
    if len(gaps) > SHOWN_MAX:
        say(f"{len(gaps) - SHOWN_MAX} more are not shown here; --format csv writes all.")
    say(note)


def _say_limits(say: Callable[[str], None], compared: Compared) -> None:
    """Say what this comparison cannot show."""
    if compared.not_compared:
        say(f"Not compared: {', '.join(compared.not_compared)}.")
    if compared.by_its_rows:
        say(
            "An end of that time is the statement's own: a row that is missing before its first or after its last"
            " is not seen. --since and --until say a time."
        )
    if not compared.attempts:
        say(
            "No attempt of ours is near this time. If there should be: --zone, --since or --data-dir may be wrong."
        )
    if compared.steps_pico:
        steps = ", ".join(f"{of} {decimal_text(step)}" for of, step in sorted(compared.steps_pico.items()))
        say(f"Amounts are compared to the last digit: {steps}.")


def _table_of_sums(compared: Compared) -> Table:
    table = Table(title="Sums, by currency")
    table.add_column("currency")
    for name in _AMOUNTS:
        table.add_column(name.replace("_", " "), justify="right", overflow="fold")
    for one in sums(compared.pairs):
        table.add_row(Text(one.currency), *(Text(decimal_text(getattr(one, name))) for name in _AMOUNTS))
    return table


def _table_of_gaps(gaps: list[Pair]) -> Table:
    table = Table(title="What does not match")
    names = (
        "status",
        "lines",
        "request_id",
        "attempt_id",
        "our_time",
        "their_time",
        "ours",
        "theirs",
        "difference",
        "tokens",
    )
    for name in names:
        table.add_column(name.replace("_", " "), overflow="fold")
    for pair in gaps:
        row = _row(pair)
        for side, currency in (("ours", row["our_currency"]), ("theirs", row["their_currency"])):
            row[side] = None if row[side] is None else f"{row[side]} {currency or ''}".strip()
        table.add_row(*(_shown(row[name]) for name in names))
    return table


def _shown(value: str | None) -> Text:
    """Show a stranger's text without what would steer a terminal."""
    return Text("" if value is None else "".join(char if char.isprintable() else "�" for char in value))
