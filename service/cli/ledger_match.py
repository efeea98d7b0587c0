"""`exai ledger match`: a provider's statement, laid beside our attempts. It reads, and changes nothing."""

import sys
import tomllib
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

import msgspec

from service.cli._command import Command, add_settings, read_settings
from service.cli._matched import Compared, status_of, write
from service.core.legend import EXAMPLE, Legend
from service.core.matching import Ours, matched, ours_of
from service.core.ranges import find_zone, span
from service.core.statement import BODY_BYTES_MAX, TIME_NS_MAX, Statement, StatementRow, read_statement
from service.core.times import NS_PER_S, utc_ns, utc_text
from service.errors import StatementError
from service.ledger.choosing import CallFilter
from service.ledger.reading import PAGE_ROWS_MAX, Reading

_Kinds = dict[bool, set[str]]

TOLERANCE_S = 120.0
TOLERANCE_S_MAX = 86_400.0
LEGEND_BYTES_MAX = 64 * 1024
_CALL_NS_MAX = 3600 * NS_PER_S  # an attempt may begin as long after its call was opened
_NOTE = (
    "No real statement of either provider was at hand when this was written: which column holds what is yours to"
    " check. A pair by time and tokens is the likeliest one, not evidence."
)


def _arguments(parser: ArgumentParser) -> None:
    parser.epilog = f"{_NOTE} Exit status: 0 all matched, 3 gaps, 4 amounts or tokens differ, 1 error."
    add_settings(parser, "data_dir")
    parser.add_argument("file", nargs="?", metavar="FILE", help="the provider's statement, a CSV")
    parser.add_argument("--example", action="store_true", help="print an example of a file of columns, and end")
    parser.add_argument("--columns", metavar="FILE.toml", help="which column holds what; guessed if not given")
    parser.add_argument("--wallet", action="append", help="whose statement it is; may come again if shared")
    parser.add_argument("--since", metavar="TIME", help="compare from then on; from its first row if not given")
    parser.add_argument("--until", metavar="TIME", help="compare until before then; to its last row if not given")
    parser.add_argument("--zone", help="time zone of times that name none, as Asia/Shanghai")
    parser.add_argument("--currency", help="currency of its amounts where no column holds it, as CNY")
    parser.add_argument(
        "--tolerance-s",
        type=float,
        default=TOLERANCE_S,
        metavar="SECONDS",
        help=f"how far a row's time may lie outside its attempt; {TOLERANCE_S:g} if not given",
    )
    parser.add_argument("--format", choices=["table", "json", "csv"], default="table", help="how to write it")


def _run(arguments: Namespace) -> int:
    if arguments.example:
        sys.stdout.write(EXAMPLE)
        return 0
    if arguments.file is None:
        raise StatementError("no statement is named", remedy="exai ledger match FILE, or --example.")
    if not 0 <= arguments.tolerance_s <= TOLERANCE_S_MAX:
        raise StatementError(f"--tolerance-s must lie in 0..{TOLERANCE_S_MAX:g}", remedy="120 is the usual one.")
    statement = read_statement(_bytes(Path(arguments.file), BODY_BYTES_MAX), _legend(arguments))
    reading = Reading(read_settings(arguments).settings.data_dir)
    try:
        compared = _compared(arguments, statement, reading)
    finally:
        reading.close()
    sys.stdout.buffer.write(write(compared, arguments.format, note=_NOTE))
    sys.stdout.buffer.flush()
    return status_of(compared.pairs)


def _compared(arguments: Namespace, statement: Statement, reading: Reading) -> Compared:
    tolerance_ns = int(arguments.tolerance_s * NS_PER_S)
    since_ns, until_ns = _span(arguments, statement)
    attempts = list(_attempts(reading, since_ns, until_ns, tolerance_ns))
    wallets, is_played = _chosen(arguments, attempts, reading)

    def is_chosen(wallet: str, one: Ours) -> bool:
        return wallet in wallets and one.simulated == is_played

    ours = [_expected(one, since_ns, until_ns) for wallet, one in attempts if is_chosen(wallet, one)]
    others = {(wallet, one.simulated) for wallet, one in attempts if not is_chosen(wallet, one)}
    rows = [row for row in statement.rows if _is_meant(row, arguments, since_ns, until_ns)]
    pairs = matched(
        ours,
        rows,
        tolerance_ns=tolerance_ns,
        input_includes_cached=statement.meaning.input_includes_cached,
    )
    return Compared(
        encoding=statement.encoding,
        columns=statement.columns,
        wallets=tuple(sorted(wallets)),
        simulated=is_played,
        not_compared=tuple(_name(*other) for other in sorted(others)),
        by_its_rows=statement.span_ns is not None and None in (arguments.since, arguments.until),
        since=None if since_ns is None else utc_text(since_ns),
        until=None if until_ns is None else utc_text(until_ns),
        tolerance_s=arguments.tolerance_s,
        attempts=len(ours),
        rows=len(rows),
        rows_outside=len(statement.rows) - len(rows),
        steps_pico=statement.steps_pico,
        pairs=tuple(pairs),
    )


def _legend(arguments: Namespace) -> Legend:
    legend = Legend()
    if arguments.columns is not None:
        try:
            text = _bytes(Path(arguments.columns), LEGEND_BYTES_MAX).decode()
            legend = msgspec.convert(tomllib.loads(text), Legend)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            raise StatementError(
                f"{arguments.columns} says nothing of columns that can be read: {error}",
                remedy="`exai ledger match --example` shows what it may hold.",
            ) from error
    said = {
        name: getattr(arguments, name) for name in ("zone", "currency") if getattr(arguments, name) is not None
    }
    return msgspec.structs.replace(legend, meaning=msgspec.structs.replace(legend.meaning, **said))


def _bytes(path: Path, bytes_max: int) -> bytes:
    """Read a file, one byte more than is allowed at most."""
    try:
        with path.open("rb") as file:
            found = file.read(bytes_max + 1)
    except OSError as error:
        raise StatementError(f"{path} cannot be read: {error.strerror}", remedy="Name a file.") from error
    if len(found) > bytes_max:
        raise StatementError(f"{path} is larger than {bytes_max} bytes", remedy="Split it by days.")
    return found


def _span(arguments: Namespace, statement: Statement) -> tuple[int | None, int | None]:
    """Say of which time both sides are compared; None is unbounded, where the statement holds no times."""
    zone = find_zone(statement.meaning.zone or "UTC")
    said = span(since=arguments.since, until=arguments.until, now_ns=0, zone=zone)
    first, last = statement.span_ns or (None, None)
    since_ns = first if said.since is None else utc_ns(said.since)
    return since_ns, last if said.until is None else utc_ns(said.until)


def _attempts(
    reading: Reading, since_ns: int | None, until_ns: int | None, tolerance_ns: int
) -> Iterator[tuple[str, Ours]]:
    """Give (wallet, attempt) of all that ended, of calls that the statement may show."""
    since = None if since_ns is None else utc_text(max(0, since_ns - tolerance_ns - _CALL_NS_MAX))
    until = None if until_ns is None else utc_text(min(until_ns + tolerance_ns + 1000, TIME_NS_MAX))
    before: int | None = None
    while True:
        page = reading.calls(CallFilter(since=since, until=until), before=before, limit=PAGE_ROWS_MAX)
        for line in page:
            call = reading.call(line.call.tool_call_id) if line.attempts else None
            if call is not None:
                of = {attempt.intent.attempt_id: attempt.intent.wallet for attempt in call.attempts}
                yield from ((of[one.attempt_id], one) for one in ours_of(call))
        if len(page) < PAGE_ROWS_MAX:
            return
        before = page[-1].call.opened_index


def _chosen(
    arguments: Namespace, attempts: list[tuple[str, Ours]], reading: Reading
) -> tuple[frozenset[str], bool]:
    """Choose whose attempts are meant, and whether the simulated ones: a statement is of the one or of the other.

    Meant are the wallets that were named, else the only one of this time; real attempts before simulated.
    """
    now = {is_played: {of for of, one in attempts if one.simulated == is_played} for is_played in (False, True)}
    named = frozenset(arguments.wallet or ())
    if named:
        sums = reading.sums(CallFilter())
        ever = {is_played: {of.wallet for of in sums if of.simulated == is_played} for is_played in (False, True)}
        is_played = next((kind for of in (now, ever) for kind in (False, True) if named & of[kind]), False)
        _refuse_unknown(named, ever, is_played=is_played)
        return named, is_played
    is_played = not now[False] and bool(now[True])
    found = sorted(now[is_played])
    if len(found) > 1:
        each = " or ".join(f"--wallet {name}" for name in found)
        raise StatementError(
            f"attempts of several wallets may be meant: {', '.join(found)}",
            remedy=f"Say whose statement it is: {each}; all of them, if one account pays.",
        )
    return frozenset(found), is_played


def _refuse_unknown(named: frozenset[str], ever: _Kinds, *, is_played: bool) -> None:
    """Refuse a wallet that no attempt of this kind was ever of."""
    unknown = sorted(named - ever[is_played])
    if unknown:
        kind = ("simulated " if is_played else "real ") if named & (ever[False] | ever[True]) else ""
        known = ", ".join(_name(name, of) for of in (False, True) for name in sorted(ever[of]))
        raise StatementError(
            f"no {kind}attempt has the wallet {', '.join(unknown)}",
            remedy=f"There are: {known}."
            if known
            else "There are none: name the ledger's folder with --data-dir.",
        )


def _name(wallet: str, is_played: bool) -> str:  # noqa: FBT001 - half of a pair
    return f"{wallet} (simulated)" if is_played else wallet


def _expected(one: Ours, since_ns: int | None, until_ns: int | None) -> Ours:
    """Miss nothing on a statement that may lie outside its time."""
    early = since_ns is not None and one.ended_ns < since_ns
    late = until_ns is not None and one.began_ns > until_ns
    return msgspec.structs.replace(one, is_expected=False) if early or late else one


def _is_meant(row: StatementRow, arguments: Namespace, since_ns: int | None, until_ns: int | None) -> bool:
    """Leave rows out that somebody said are not meant."""
    if row.at_ns is None:
        return True
    ends_ns = row.at_ns + row.lasts_ns
    early = arguments.since is not None and since_ns is not None and row.at_ns < since_ns and ends_ns <= since_ns
    return not early and (arguments.until is None or until_ns is None or row.at_ns < until_ns)


COMMAND = Command(
    name="ledger-match",
    summary="lay a provider's statement beside our attempts: what matches, what only one side has, what differs",
    arguments=_arguments,
    run=_run,
)
