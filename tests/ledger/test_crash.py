"""A process killed while it appends loses nothing that it promised."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from service.core.words import AttemptOutcome, ToolOutcome
from service.ledger.choosing import CallFilter
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore
from service.ledger.verify import compare_rows, verify

if TYPE_CHECKING:
    from tests.ledger.conftest import Opened

ROOT = Path(__file__).parents[2]
PROMISES = (1, 40, 173)  # the process is killed after so many


def killed(folder: Path, first: int, promises: int) -> list[str]:
    """Let a process append, kill it after a number of promises, and give all that it managed to say."""
    command = [sys.executable, "-m", "tests.ledger.appending", str(folder), str(first)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(promises)]
        process.kill()
        said += process.stdout.readlines()
    return [line.strip() for line in said if line.endswith("\n")]


async def test_what_was_promised_is_there(folder: Path, opened: "Opened") -> None:
    """After each kill every promised entry is there, the log has no gap, and the tables agree with it."""
    promised: set[str] = set()
    for round_, promises in enumerate(PROMISES):
        promised |= set(killed(folder, 10_000 * round_, promises))
        reading = Reading(folder)
        assert verify(reading.lines()).problems == ()
        for line in promised:
            word, number = line.split()
            call = reading.call(f"{int(number):032x}")
            assert call is not None
            assert call.attempts
            assert word == "opened" or call.answer is not None
        reading.close()
    async with opened(SqliteStore(folder, new_origin="exai/test")) as ledger:
        assert len(PROMISES) + 1 == ledger.epoch
    reading = Reading(folder)
    assert verify(reading.lines()).problems == ()
    assert compare_rows(reading).problems == ()
    assert reading.count(CallFilter(outcome=("open",))) == 0
    assert len(promised) >= sum(PROMISES)
    outcomes = {(one.call.outcome, one.attempts[0].outcome) for one in reading.calls(CallFilter(), limit=500)}
    assert outcomes <= {
        (ToolOutcome.OK, AttemptOutcome.SETTLED),
        (ToolOutcome.FAILED, AttemptOutcome.IN_DOUBT),
    }
    reading.close()
