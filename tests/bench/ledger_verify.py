"""`exai ledger verify --quick` against a bare loop that reads every entry and hashes it, in turns of one run.

The bare loop does what cannot be left out: it reads each entry's bytes from the same file, in order, and makes
their leaf hash. What verification does beyond that (indexes, the hashes beside the entries, the tree, the signed
root) is the ratio.
"""

import argparse
import hashlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from service.core.entries import SystemEntry
from service.ledger.checkpoints import Checkpoints
from service.ledger.judging import judge
from service.ledger.opening import open_store
from service.ledger.sources import open_store_source
from service.ledger.sqlite import FILE_NAME
from service.ledger.writer import Append, Writer
from tests.conftest import AT, Made
from tests.ledger.conftest import Lives

ENTRIES = 120_000
PAIRS = 7
_CALLS_PER_COMMIT = 128
_ENTRIES_PER_CALL = 4


def fill(folder: Path, checkpoints: Checkpoints, entries: int) -> None:
    """Write a log, and have it signed."""
    opened = open_store(folder, checkpoints, entropy=os.urandom)
    writer, lives = Writer(opened.store), Lives(Made())
    writer.write([Append((SystemEntry(event="start", detail={}),), AT)])
    calls = entries // _ENTRIES_PER_CALL
    for first in range(0, calls, _CALLS_PER_COMMIT):
        numbers = range(first, min(first + _CALLS_PER_COMMIT, calls))
        writer.write([Append((*lives.opening(number), *lives.ending(number)), AT) for number in numbers])
    opened.store.close()
    open_store(folder, checkpoints, entropy=os.urandom).store.close()


def bare(folder: Path) -> int:
    """Read and hash every entry."""
    connection = apsw.Connection(str(folder / FILE_NAME), flags=apsw.SQLITE_OPEN_READONLY)
    count = 0
    for (entry,) in connection.execute('SELECT entry FROM entries ORDER BY "index"'):
        hashlib.sha256(b"\x00" + entry).digest()
        count += 1
    connection.close()
    return count


def quick(folder: Path, checkpoints: Checkpoints) -> int:
    """Verify as far as the signed root."""
    with open_store_source(folder, checkpoints.folder) as source:
        found = judge(source, quick=True)
    if found.problems_total or found.covered != found.entries:
        sys.exit(f"the log is not whole: {found.problems}")
    return found.entries


def timed(work: Callable[[], int]) -> tuple[int, float]:
    """Do it; give the number of entries and the seconds."""
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def measure(folder: Path, entries: int, pairs: int) -> str:
    """Take turns, after one of each that is not counted; write the lines of the table."""
    data, checkpoints = folder / "data", Checkpoints(folder / "checkpoints")
    fill(data, checkpoints, entries)
    turns = [(timed(lambda: bare(data)), timed(lambda: quick(data, checkpoints))) for _ in range(pairs + 1)]
    found = [(floor_s, took_s) for (_, floor_s), (_, took_s) in turns[1:]]
    count = turns[0][1][0]
    bare_us, quick_us = (statistics.median(column) / count * 1e6 for column in zip(*found, strict=True))
    low, middle, high = statistics.quantiles([floor_s / took_s for floor_s, took_s in found], n=4)
    return f"{count:>9}{bare_us:>12.2f}{quick_us:>12.2f}{low:>12.2f}{middle:>10.2f}{high:>10.2f}\n"


HEADS = """\
           µs an entry (median)       verify's speed ÷ bare's, paired
  entries        bare      verify     lower q    median   upper q
"""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".cache"), help="where to write")
    parser.add_argument("--entries", type=int, default=ENTRIES, help="about how many entries the log has")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs of turns")
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="bench-") as folder:
        sys.stdout.write(HEADS + measure(Path(folder), arguments.entries, arguments.pairs))


if __name__ == "__main__":
    main()
