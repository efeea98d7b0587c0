"""A start that must not be: refused with one message and its remedy, and nothing is left behind."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from service import RELEASED, VERSION
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.reading import Reading
from service.ledger.schema import SCHEMA_VERSION
from service.ledger.sqlite import FILE_NAME, SqliteStore
from service.ledger.writer import Writer
from tests.processes import ROOT, WAIT_S, Serving
from tests.rig import no_reread

NS_PER_S = 1_000_000_000
AHEAD_S = 3600
AT_ANOTHER_TIME = (
    "import sys, time; time.time_ns = lambda: {}; from service.__main__ import main; sys.exit(main())"
)
NO_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
NOBODY = "http://127.0.0.1:9"
KEYS = {
    "KIMI_API_KEY": "sim-start",
    "KIMI_BASE_URL": f"{NOBODY}/v1",
    "GLM_API_KEY": "sim-start",
    "GLM_BASE_URL": f"{NOBODY}/api/paas/v4",
}


class Refused:
    """Starts in a folder of their own, each of which must be refused."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"

    async def start(
        self,
        *words: str,
        prefix: tuple[str, ...] = (),
        program: tuple[str, ...] = ("-m", "service"),
        environ: dict[str, str] | None = None,
    ) -> tuple[str, str]:
        """Start, see that it ends as a refusal should, and give message and remedy."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            free_port = free.getsockname()[1]
        usual = {"EXAI_PORT": str(free_port), "EXAI_DATA_DIR": str(self.data), **KEYS}
        variables = {name: text for name, text in {**usual, **(environ or {})}.items() if text}
        child = await asyncio.create_subprocess_exec(
            *(*prefix, sys.executable, *program, "serve", *words),
            cwd=self.folder,
            env={
                "HOME": str(self.folder),
                "PYTHONPATH": str(ROOT),
                "PATH": os.environ["PATH"],
                **variables,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complaint = await asyncio.wait_for(child.communicate(), WAIT_S)  # its simulators are gone, too
        message, remedy, *more = complaint.decode().splitlines()
        assert (1, b"", []) == (child.returncode, said, more), complaint.decode()
        assert message.startswith("exai: ")
        assert remedy.startswith("      ")
        with socket.create_server(("127.0.0.1", free_port)):
            pass
        return message.removeprefix("exai: "), remedy.strip()

    def write(self, name: str, text: str) -> None:
        """Write a file of the folder."""
        (self.folder / name).write_text(text)

    def ledger(self) -> tuple[bytes, ...]:
        """Give every entry that there is; the folder's lock must be free."""
        SqliteStore(self.data, new_origin="never").close()
        reading = Reading(self.data)
        lines = tuple(line.entry for line in reading.lines())
        reading.close()
        return lines


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Start in an empty folder."""
    return Refused(tmp_path)


class Shifted:
    """A clock that is off."""

    def __init__(self, ahead_s: int) -> None:
        self._ahead_ns = ahead_s * NS_PER_S

    def now_ns(self) -> int:
        """Say the wrong time."""
        return time.time_ns() + self._ahead_ns

    def monotonic_ns(self) -> int:
        """Say a time for durations."""
        return time.monotonic_ns()


async def write_ledger(folder: Path, *, ahead_s: int = 0) -> None:
    """Run an epoch by a clock that is ahead."""
    feed = Feed([], reread=no_reread, next_index=0)
    feed.start()
    ledger = Ledger(Writer(SqliteStore(folder, new_origin="exai/test")), feed, clock=Shifted(ahead_s))
    await ledger.start({})
    await ledger.close()


def change(data: Path, *statements: str) -> None:
    """Change a ledger's file as no program of ours would."""
    connection = apsw.Connection(str(data / FILE_NAME))
    for statement in statements:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("toml", "said", "remedy"),
    [
        ("# ports\n\nprot = 80\n", "exai.toml line 3: unknown key 'prot'", "Did you mean port?"),
        ("\ngrace_s = 'long'\n", "exai.toml line 2: grace_s is 'long': expected a number", "grace_s: "),
        ("attempts_max = 11\n", "exai.toml line 1: attempts_max is 11: expected a whole number <= 10", "attempts"),
        (
            "log_level = 'loud'\n",
            "exai.toml line 1: log_level is 'loud': expected debug or info or",
            "log_level: ",
        ),
        ("host = \n", "exai.toml is no TOML: Invalid value (at line 1, column 8)", "Repair"),
        ("[[wallet]]\nprovider = 'kimi'\nkey = 'x'\n", "exai.toml line 3: unknown key 'key'", "key_env"),
        ("[[wallet]]\nprovider = 'kino'\nkey_env = 'K'\n", "has the provider 'kino'", "kimi"),
    ],
)
async def test_a_file_that_is_wrong_is_refused_with_its_line(
    refused: Refused, toml: str, said: str, remedy: str
) -> None:
    """The file, the line, the key, what was expected, and the nearest right word."""
    refused.write("exai.toml", toml)
    told = await refused.start()
    assert said in told[0]
    assert remedy in told[1]
    assert not refused.data.exists()


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        ((), {"EXAI_HEALTH_PORT": "many"}, "EXAI_HEALTH_PORT is 'many': expected a whole number"),
        (("--grace-s", "0"), {}, "--grace-s is '0': expected a number > 0.0"),
        ((), {"EXAI_CONFIG": "absent.toml"}, "absent.toml cannot be read: No such file"),
        ((), {"KIMI_BASE_URL": "ftp://a"}, "kimi"),
    ],
    ids=str,
)
async def test_a_value_that_is_wrong_is_refused_with_its_source(
    refused: Refused, words: tuple[str, ...], variables: dict[str, str], said: str
) -> None:
    """The variable or flag is named as the operator wrote it."""
    message, _ = await refused.start(*words, environ=variables)
    assert said in message
    assert not refused.data.exists()


@pytest.mark.parametrize("simulate", [False, True])
async def test_a_port_that_is_taken_is_refused(refused: Refused, *, simulate: bool) -> None:
    """No ledger is begun for it; simulators that were started for it end with it."""
    keys = dict.fromkeys(KEYS, "") if simulate else {}
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        message, remedy = await refused.start(environ={"EXAI_PORT": str(port), **keys})
    assert f"127.0.0.1:{port} is taken" in message
    assert "EXAI_PORT" in remedy
    assert f"sport = :{port}" in remedy
    assert not refused.data.exists()


async def test_a_part_whose_port_is_taken_frees_the_others(refused: Refused) -> None:
    """The setting to change is the part's own; the main port, taken first, is given back."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        _, remedy = await refused.start(environ={"EXAI_METRICS_PORT": str(other.getsockname()[1])})
    assert "EXAI_METRICS_PORT" in remedy
    assert not refused.data.exists()


@pytest.mark.parametrize(
    ("place", "why"), [("file", "it is no folder"), ("file/below", "Not a directory"), ("/proc/below", "No such")]
)
async def test_a_place_that_is_no_folder_is_refused(refused: Refused, place: str, why: str) -> None:
    """A file where the folder should be, or above it, stays as it was."""
    refused.write("file", "mine")
    folder = refused.folder / place
    message, remedy = await refused.start(environ={"EXAI_DATA_DIR": str(folder)})
    assert f"the data folder {folder} cannot be written: {why}" in message
    assert "EXAI_DATA_DIR" in remedy
    assert "mine" == (refused.folder / "file").read_text()


@pytest.mark.parametrize("below", [".", "below"])
async def test_a_folder_that_may_not_be_written_is_refused(refused: Refused, below: str) -> None:
    """Neither a lock nor a file is made in it."""
    refused.data.mkdir(mode=0o500)
    message, _ = await refused.start(prefix=NO_RIGHTS, environ={"EXAI_DATA_DIR": str(refused.data / below)})
    assert "cannot be written: Permission denied" in message
    assert [] == list(refused.data.iterdir())


async def test_a_second_process_is_refused_and_told_who_is_first(serving: Serving, refused: Refused) -> None:
    """The first goes on undisturbed; its ledger has no entry of the second."""
    served = serving()
    before = await served.export()
    message, remedy = await refused.start(environ={"EXAI_DATA_DIR": str(served.data)})
    assert f"another process (process {served.child.pid}) writes to {served.data}" in message
    assert "EXAI_DATA_DIR" in remedy
    assert before == await served.export()
    assert 0 == await served.stop()


async def test_a_price_override_that_is_broken_is_refused(refused: Refused) -> None:
    """The file is named, and the setting that names it."""
    refused.write("mine.toml", '[[price]]\nprovider = "kimi"\n')
    message, remedy = await refused.start(environ={"EXAI_PRICES": "mine.toml"})
    assert "mine.toml" in message
    assert "EXAI_PRICES" in remedy
    refused.write("mine.toml", "[[price]\n")
    message, _ = await refused.start(environ={"EXAI_PRICES": "mine.toml"})
    assert "line 1" in message
    assert not refused.data.exists()


async def test_a_store_of_a_later_version_is_refused(refused: Refused) -> None:
    """Who wrote it is told, if it says so; not a byte of it is changed."""
    await write_ledger(refused.data)
    change(refused.data, "UPDATE meta SET value = '9.9.9' WHERE key = 'program'", "PRAGMA user_version = 99")
    content = (refused.data / FILE_NAME).read_bytes()
    message, remedy = await refused.start()
    assert "schema version 99, written by version 9.9.9" in message
    assert f"this one, {VERSION}, knows {SCHEMA_VERSION}" in message
    assert "Start the version that wrote it" in remedy
    assert content == (refused.data / FILE_NAME).read_bytes()
    change(refused.data, "DROP TABLE meta")
    message, _ = await refused.start()
    assert "written by another version" in message


def rubbish(data: Path) -> None:
    """Put something else in place of the ledger's file."""
    (data / FILE_NAME).write_bytes(os.urandom(8192))


def damaged_entry(data: Path) -> None:
    """Spoil the last entry."""
    change(data, "DROP TRIGGER entries_never_change", """UPDATE entries SET entry = x'7b' WHERE "index" = 1""")


def no_table(data: Path) -> None:
    """Lose a table."""
    change(data, "DROP TABLE calls")


@pytest.mark.parametrize("spoil", [rubbish, damaged_entry, no_table])
async def test_a_store_that_is_damaged_is_refused(refused: Refused, spoil: Callable[[Path], None]) -> None:
    """It is called damaged, a backup is asked for, and nothing is written over it."""
    await write_ledger(refused.data)
    spoil(refused.data)
    message, remedy = await refused.start()
    assert "cannot be read" in message
    assert "backup" in remedy


@pytest.mark.parametrize("now_ns", [0, (int(time.time()) + 50 * 366 * 86_400) * NS_PER_S])
async def test_a_clock_that_cannot_be_right_is_refused(refused: Refused, now_ns: int) -> None:
    """1970 and half a century from now are no times of this version; no ledger is begun."""
    message, remedy = await refused.start(program=("-c", AT_ANOTHER_TIME.format(now_ns)))
    assert "clock says" in message
    assert RELEASED in message
    assert "Set the clock" in remedy
    assert not refused.data.exists()


async def test_a_clock_behind_the_ledger_is_refused(refused: Refused) -> None:
    """An hour before the last entry is too much: by how much is told, and no entry is written."""
    await write_ledger(refused.data, ahead_s=AHEAD_S)
    before = refused.ledger()
    message, remedy = await refused.start()
    assert "before the ledger's last entry" in message
    assert "Set the clock" in remedy
    assert before == refused.ledger()
