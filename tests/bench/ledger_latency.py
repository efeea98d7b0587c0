"""What the ledger adds to a call, beside what bare group commits add, with 1, 64 and 1,000 calls at once.

Each call waits twice: before it is sent, and before its answer leaves. Between the two it waits for a provider, a
tenth of a second to half of one, so that appends come as calls make them come: not all together, not in turn.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from contextlib import AbstractAsyncContextManager
from itertools import count
from pathlib import Path

from tests.bench.ledger_appends import Append, bare_appends, ledger_appends
from tests.conftest import Made
from tests.ledger.conftest import Lives

CALLERS = (1, 64, 1000)
PAIRS = 5
WINDOW_S = 4.0
_PROVIDER_S = (0.1, 0.5)


async def window(
    append: Append, lives: Lives, numbers: "count[int]", callers: int, window_s: float
) -> list[float]:
    """Keep calls in flight for a while; give what was added to each, in ms."""
    began, added_ms = time.monotonic(), list[float]()
    dice = random.Random(callers)  # noqa: S311 - moments, not secrets

    async def caller() -> None:
        await asyncio.sleep(dice.uniform(0, _PROVIDER_S[1]))  # they do not come all at once
        while time.monotonic() - began < window_s:
            number, waited_s = next(numbers), 0.0
            for part in (lives.opening(number), lives.ending(number)):
                at = time.perf_counter()
                await append(part)
                waited_s += time.perf_counter() - at
                await asyncio.sleep(dice.uniform(*_PROVIDER_S))
            added_ms.append(waited_s * 1e3)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return added_ms


async def measure(folder: Path, callers: int, pairs: int, window_s: float) -> tuple[list[float], list[float]]:
    """Run both sides in turn; give what each added to calls."""
    lives, numbers = Lives(Made()), count()
    opened: AbstractAsyncContextManager[Append] = bare_appends(folder)
    floor, ours = list[float](), list[float]()
    async with opened as bare, ledger_appends(folder) as ledger:
        for _ in range(pairs):
            floor += await window(bare, lives, numbers, callers, window_s)
            ours += await window(ledger, lives, numbers, callers, window_s)
    return floor, ours


def row(callers: int, floor: list[float], ours: list[float]) -> str:
    """Write one line of the table."""
    cells = []
    for place in (49, 98):
        bare, ledger = (statistics.quantiles(side, n=100)[place] for side in (floor, ours))
        cells.append(f"{bare:>10.2f}{ledger:>10.2f}{ledger / bare:>8.2f}")
    return f"{callers:>8}{''.join(cells)}{len(ours):>10}"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".cache"), help="where to write; its disk is measured")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs of windows for each number of callers")
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    sys.stdout.write("         added a call, p50 ms           p99 ms\n")
    sys.stdout.write(" callers      bare    ledger   ratio      bare    ledger   ratio     calls\n")
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="bench-") as folder:
        for callers in CALLERS:
            place = Path(folder) / str(callers)
            place.mkdir()
            found = asyncio.run(measure(place, callers, arguments.pairs, WINDOW_S))
            sys.stdout.write(row(callers, *found) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
