"""Processes that open a folder's store and are killed at one statement each, from the first to the last."""

import os
import shutil
import signal
import sys
from pathlib import Path

import apsw

from service.ledger.sqlite import SqliteStore

STATEMENTS_MAX = 500


def die_at(number: int) -> None:
    """Have this process killed where SQLite is about to run its statement of a number, from zero."""
    left = number

    def count(_cursor: object, _sql: str, _bindings: object) -> bool:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return True

    def hook(connection: apsw.Connection) -> None:
        connection.exec_trace = count

    apsw.connection_hooks.append(hook)


def open_and_die(source: Path, work: Path, number: int) -> bool:
    """Open a copy of a folder in a child that dies at a statement; tell whether it did."""
    folder = work / str(number)
    shutil.copytree(source, folder)
    child = os.fork()
    if child == 0:
        die_at(number)
        SqliteStore(folder, new_origin="exai/other").close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def kill_everywhere(source: Path, work: Path) -> int:
    """Do so for every statement that there is; give their number."""
    for number in range(STATEMENTS_MAX):
        if not open_and_die(source, work, number):
            return number
    raise AssertionError


if __name__ == "__main__":
    sys.stdout.write(f"{kill_everywhere(Path(sys.argv[1]), Path(sys.argv[2]))}\n")
