"""What a long log costs: appends to a million entries against appends to few, `usage` over a million attempts.

Appends are measured at several lengths of one log, each beside windows of a small log that is written at the same
time, so that a machine's own drift falls out of the ratio. For `usage` the derived tables alone are filled.
"""

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import apsw
import msgspec

from service.core.account import Asked
from service.core.entries import SystemEntry
from service.core.record import Step
from service.core.times import utc_text
from service.ledger import schema
from service.ledger.account import account
from service.ledger.reading import Reading
from service.ledger.rows import joined, rows
from service.ledger.sqlite import FILE_NAME, SqliteStore
from service.ledger.store import Tree
from service.ledger.writer import Append, Writer
from tests.conftest import Made
from tests.ledger.conftest import Lives

SIZES = (10_000, 100_000, 1_000_000)
ATTEMPTS = (10_000, 1_000_000)
WINDOWS = 9
_CALLS_PER_COMMIT = 16
_COMMITS_PER_WINDOW = 40
_ENTRIES_PER_CALL = 4
_ROWS_PER_BATCH = 2_000
_NOW_NS = 1_795_450_860_000_000_000  # 2026-11-23T16:21:00Z
_DAY_NS = 86_400_000_000_000
_AT = "2026-11-22T{:02d}:{:02d}:00.000000Z"


class Log:
    """A log that grows by whole calls."""

    def __init__(self, folder: Path) -> None:
        self.writer = Writer(SqliteStore(folder, new_origin="exai/bench"))
        self._lives, self._numbers = Lives(Made()), itertools.count()
        self.writer.write([Append((SystemEntry(event="start", detail={}),), _at(0))])

    def commit(self, calls: int) -> None:
        """Write calls, opened and closed, in one transaction."""
        numbers = list(itertools.islice(self._numbers, calls))
        self.writer.write(
            [
                Append((*self._lives.opening(number), *self._lives.ending(number)), _at(number // 1000))
                for number in numbers
            ]
        )

    def grow(self, entries: int) -> None:
        """Write until the log has that many entries."""
        while self.writer.store.next_index < entries:
            self.commit(256)

    def window(self) -> float:
        """Say how many seconds of the clock an entry took, over some commits of usual size."""
        began = time.monotonic()
        for _ in range(_COMMITS_PER_WINDOW):
            self.commit(_CALLS_PER_COMMIT)
        return (time.monotonic() - began) / (_COMMITS_PER_WINDOW * _CALLS_PER_COMMIT * _ENTRIES_PER_CALL)


def _at(minute: int) -> str:
    return _AT.format(minute // 60 % 24, minute % 60)


def appends(folder: Path, sizes: Iterable[int], windows: int) -> None:
    """Print what an entry costs at each length of the log, against a log that is short."""
    sys.stdout.write("   entries   µs an entry   ÷ of a short log: lower q   median   upper q\n")
    grown = Log(folder / "grown")
    for size in sizes:
        grown.grow(size)
        short = Log(folder / f"short-{size}")
        pairs = [(short.window(), grown.window()) for _ in range(windows + 1)][1:]
        low, middle, high = statistics.quantiles([long / brief for brief, long in pairs], n=4)
        cost_us = statistics.median(long for _, long in pairs) * 1e6
        sys.stdout.write(f"{size:>10}{cost_us:>14.1f}{low:>28.2f}{middle:>9.2f}{high:>10.2f}\n")
        sys.stdout.flush()
        short.writer.store.close()
    grown.writer.store.close()


def fill(folder: Path, attempts: int) -> None:
    """Fill the derived tables as a log of that many calls would: by the same code that writes them."""
    folder.mkdir(parents=True)
    SqliteStore(folder, new_origin="exai/bench").close()
    connection = apsw.Connection(str(folder / FILE_NAME))
    connection.execute("PRAGMA synchronous = OFF")
    made = Made()
    pattern = made.call(made.intent(), made.settlement(), made.answer())
    ((attempt,), answer) = pattern.attempts, pattern.answer
    assert answer is not None
    for first in range(0, attempts, _ROWS_PER_BATCH):
        steps = []
        for number in range(first, first + _ROWS_PER_BATCH):
            after_ns = 30 * _DAY_NS * number // attempts  # a month, evenly
            of = {"tool_call_id": Lives.call_id(number)}
            place = {**of, "at": _time(after_ns), "index": number * _ENTRIES_PER_CALL}
            intent = msgspec.structs.replace(attempt.intent, **of, attempt_id=Lives.call_id(number))
            call = msgspec.structs.replace(
                pattern,
                opened=msgspec.structs.replace(pattern.opened, **place),
                attempts=(msgspec.structs.replace(attempt, intent=intent),),
            )
            steps += [Step(intent, call), Step(msgspec.structs.replace(answer, **of), call)]
        with connection:
            schema.put(connection, joined([rows(steps)], Tree()))
    connection.close()


def _time(after_ns: int) -> str:
    return utc_text(_NOW_NS - 30 * _DAY_NS + after_ns)


def usage(folder: Path, sizes: Iterable[int], rounds: int) -> None:
    """Print how long the sums of the whole ledger and of a day take."""
    sys.stdout.write("  attempts   all by model ms   30 days by day ms   24 h ms\n")
    for size in sizes:
        place = folder / f"usage-{size}"
        fill(place, size)
        reading = Reading(place)
        columns = []
        for asked in (
            Asked(by=("model",)),
            Asked(by=("day",), range="30d"),
            Asked(range="24h"),
        ):
            took = []
            for _ in range(rounds):
                began = time.monotonic()
                account(reading, asked, now_ns=_NOW_NS, owner=None)
                took.append(time.monotonic() - began)
            columns.append(statistics.median(took) * 1e3)
        sys.stdout.write(f"{size:>10}{columns[0]:>18.1f}{columns[1]:>20.1f}{columns[2]:>11.1f}\n")
        sys.stdout.flush()
        reading.close()


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".cache"), help="where to write")
    parser.add_argument("--entries-max", type=int, default=SIZES[-1], help="the longest log")
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="bench-") as folder:
        usage(Path(folder), [size for size in ATTEMPTS if size <= arguments.entries_max], WINDOWS)
        appends(Path(folder), [size for size in SIZES if size <= arguments.entries_max], WINDOWS)


if __name__ == "__main__":
    main()
