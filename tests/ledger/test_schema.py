"""The schema: a file of an earlier version becomes one of this in one step, whatever happens, or stays."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import msgspec
import pytest

from service import VERSION
from service.cli._main import FAILED, main
from service.core.entries import DoubtEntry, decode
from service.core.receipt import receipt
from service.core.words import AttemptOutcome, DoubtCause, ToolOutcome
from service.errors import StoreBrokenError, StoreError
from service.ledger.choosing import CallFilter
from service.ledger.reading import Reading
from service.ledger.schema import SCHEMA_VERSION
from service.ledger.sqlite import FILE_NAME, SqliteStore
from service.ledger.verify import compare_rows, verify

if TYPE_CHECKING:
    from tests.ledger.conftest import Lives, Opened

ROOT = Path(__file__).parents[2]
STORES = Path(__file__).parent / "stores"
ENTRIES = {1: 41, 2: 57}
"""How many entries the file of each earlier version has."""
WRITERS = {1: "0.1.0", 2: "0.2.0"}
RECEIPTS = {1: 7, 2: 10}
WAIT_S = 100
DERIVED = ("tree", "blocks", "calls", "attempts", "rollups", "readings", "windows", "owns", "judged")
Log = list[tuple[Any, ...]]


@pytest.fixture(params=ENTRIES, ids="schema {}".format)
def version(request: pytest.FixtureRequest) -> int:
    """Every earlier version of the schema."""
    found: int = request.param
    return found


@pytest.fixture
def old(tmp_path: Path, version: int) -> Path:
    """A data folder as a service of that version left it when it was killed."""
    folder = tmp_path / "old"
    folder.mkdir(mode=0o700)
    shutil.copyfile(STORES / f"schema-{version}.sqlite3", folder / FILE_NAME)
    return folder


def open_store(folder: Path) -> SqliteStore:
    """Open it as this version does."""
    return SqliteStore(folder, new_origin="exai/other")


def look(folder: Path) -> tuple[int, Log]:
    """Give a file's version and its log, as SQL shows them."""
    connection = apsw.Connection(str(folder / FILE_NAME))
    try:
        log = list(connection.execute('SELECT * FROM entries ORDER BY "index"'))
        return int(connection.pragma("user_version")), log
    finally:
        connection.close()


def change(folder: Path, *statements: str) -> None:
    """Change a file as no program of ours would."""
    connection = apsw.Connection(str(folder / FILE_NAME))
    for statement in statements:
        connection.execute(statement)
    connection.close()


def derived(folder: Path) -> dict[str, Log]:
    """Give all that this version derives from the log."""
    connection = apsw.Connection(str(folder / FILE_NAME))
    tables = (*DERIVED, "sqlite_schema ORDER BY name")
    try:
        return {table: list(connection.execute(f"SELECT * FROM {table}")) for table in tables}  # noqa: S608 - ours
    finally:
        connection.close()


def cut(told: Any, one: Any) -> Any:  # noqa: ANN401 - JSON
    """Leave out of a newer JSON what an older one could not know: fields that were added."""
    if isinstance(one, dict):
        return {name: cut(told[name], one[name]) for name in one}
    if isinstance(one, list):
        return [cut(*both) for both in zip(told, one, strict=True)]
    return told


class Until:
    """A tracer that lets a number of statements run and stops the next."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, _cursor: object, _sql: str, _bindings: object) -> bool:
        """Tell SQLite whether to run one more."""
        self.left -= 1
        return self.left >= 0


@contextmanager
def watched(hook: Callable[[apsw.Connection], None]) -> Iterator[None]:
    """Show every connection that is opened meanwhile to a hook."""
    apsw.connection_hooks.append(hook)
    try:
        yield
    finally:
        apsw.connection_hooks.remove(hook)


def failing(number: int) -> Callable[[apsw.Connection], None]:
    """Make the statement of a number fail."""
    until = Until(number)
    return lambda connection: setattr(connection, "exec_trace", until)


def test_entries_stay_and_all_else_is_made_anew(old: Path, version: int) -> None:
    """Not a byte of the log changes; rows and tree are what the log says; origin and epoch go on."""
    written, before = look(old)
    length = ENTRIES[version]
    assert (version, length) == (written, len(before))
    store = open_store(old)
    assert (version, length, length) == (store.migrated_from, store.next_index, store.tree.range.size)
    assert 3 == store.epoch
    assert store.origin == decode(before[0][-1]).origin
    store.close()
    assert (SCHEMA_VERSION, before) == look(old)
    again = open_store(old)
    assert again.migrated_from is None
    again.close()
    reading = Reading(old)
    assert () == verify(reading.lines()).problems
    assert () == compare_rows(reading).problems
    reading.close()


def test_a_migrated_file_is_as_a_new_one(old: Path, tmp_path: Path) -> None:
    """It has the tables, indexes and triggers that this version makes, by the same words, and no others."""
    open_store(old).close()
    open_store(tmp_path / "new").close()
    schemas = [
        {row[1]: row[4] for row in derived(folder)["sqlite_schema ORDER BY name"]}
        for folder in (old, tmp_path / "new")
    ]
    assert schemas[0] == schemas[1]


async def test_the_ledger_goes_on(old: Path, version: int, opened: "Opened", lives: "Lives") -> None:
    """What was open at the kill is swept as after any crash; new calls follow the old ones."""
    async with opened(open_store(old)) as ledger:
        await ledger.append(*lives.opening(1))
        await ledger.append(*lives.ending(1))
    reading = Reading(old)
    assert 0 == reading.count(CallFilter(outcome=("open",)))
    (swept,) = (
        entry
        for line in reading.lines(ENTRIES[version])
        if isinstance(entry := decode(line.entry), DoubtEntry) and entry.cause is DoubtCause.CRASH
    )
    (attempt,) = (
        row for one in reading.calls(CallFilter()) for row in one.attempts if row.attempt_id == swept.attempt_id
    )
    assert AttemptOutcome.IN_DOUBT is attempt.outcome
    assert attempt.held_pico
    assert attempt.held_tokens
    outcomes = [one.call.outcome for one in reading.calls(CallFilter(), limit=2)]
    assert [ToolOutcome.OK, ToolOutcome.FAILED] == outcomes
    assert () == verify(reading.lines()).problems
    assert () == compare_rows(reading).problems
    reading.close()


def test_old_receipts_are_read(old: Path, version: int) -> None:
    """What a client was given then is what is shown now: attempts, sums, and its place in the log.

    The verdict is judged by a later rule, which may give another reason; its word is the one it was.
    """
    open_store(old).close()
    given = json.loads((STORES / f"schema-{version}.receipts.json").read_text())
    assert RECEIPTS[version] == len(given)
    reading = Reading(old)
    for one in given:
        resolved = [line.index for line in reading.call_lines(one["tool_call_id"]) if line.kind == "resolution"]
        call = reading.call(one["tool_call_id"], before=resolved[0] if resolved else None)
        assert call is not None
        salts = {attempt["request_commitment"]["salt"] for attempt in one["attempts"]}
        url = one["url"].partition("/console/")[0]
        shown = receipt(
            call,
            as_of=one["verdict"]["as_of"],
            console_url=url,
            salt=next(iter(salts), None),
            checkpoint=one.get("checkpoint"),
        )
        told = json.loads(msgspec.json.encode(shown))
        for part in (told, one):
            del part["verdict"]["code"], part["verdict"]["sentence"]
        assert one == cut(told, one)
    reading.close()


def test_a_failure_anywhere_leaves_the_one_or_the_other(old: Path, version: int, tmp_path: Path) -> None:
    """Each statement of the first opening fails in turn: the log is untouched, and the next opening migrates."""
    before = look(old)[1]
    open_store(Path(shutil.copytree(old, tmp_path / "model"))).close()
    expected = derived(tmp_path / "model")
    versions: list[int] = []
    refusals: set[type[StoreError]] = set()
    while True:
        folder = Path(shutil.copytree(old, tmp_path / str(len(versions))))
        try:
            with watched(failing(len(versions))):
                open_store(folder).close()
        except StoreError as error:
            refusals.add(type(error))
        else:
            break
        found, log = look(folder)
        assert before == log
        versions.append(found)
        open_store(folder).close()
        assert expected == derived(folder), folder
    assert {StoreError} == refusals  # not one of them calls the file broken
    assert versions == sorted(versions)
    assert {version, SCHEMA_VERSION} == set(versions)
    assert versions.count(version) > 40


def test_a_kill_anywhere_leaves_the_one_or_the_other(old: Path, version: int, tmp_path: Path) -> None:
    """As above, by SIGKILL: nobody rolls anything back but the next process."""
    before = look(old)[1]
    command = [sys.executable, "-m", "tests.ledger.migrating", str(old), str(tmp_path)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=WAIT_S).stdout
    expected = None
    versions = []
    for number in range(int(said)):
        folder = tmp_path / str(number)
        versions.append(look(folder)[0])
        open_store(folder).close()
        expected = expected or derived(folder)
        assert (SCHEMA_VERSION, before) == look(folder), number
        assert expected == derived(folder), number
    assert {version, SCHEMA_VERSION} == set(versions)
    assert versions.count(version) > 40


def test_a_full_disk_leaves_it_as_it_was(old: Path, version: int) -> None:
    """There is no room for the new tables: the start says so, calls nothing broken, and the next one migrates."""
    before = look(old)

    def fill(connection: apsw.Connection) -> None:
        connection.pragma("max_page_count", connection.pragma("page_count"))

    with watched(fill), pytest.raises(StoreError, match="full") as caught:
        open_store(old)
    assert not isinstance(caught.value, StoreBrokenError)
    assert before == look(old)
    store = open_store(old)
    assert version == store.migrated_from
    store.close()


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE entries SET entry = x'7b7d' WHERE \"index\" = 4", "entry 4 is not the one that was written"),
        ('DELETE FROM entries WHERE "index" = 4', "entry 4 is missing: 5 stands in its place"),
        (
            'UPDATE entries SET tool_call_id = NULL WHERE "index" = 4',
            "entry 4: it says that it is .* and is filed",
        ),
        ("UPDATE entries SET kind = 'answer' WHERE \"index\" = 4", "entry 4: it says that it is .* and is filed"),
    ],
)
def test_a_damaged_log_is_refused_and_left(old: Path, statement: str, sentence: str) -> None:
    """The first bad entry is named; the file stays of its version, for the program that wrote it."""
    triggers = [f"DROP TRIGGER {name}" for name in ("entries_never_change", "entries_never_go")]
    change(old, *triggers, statement)
    before = look(old)
    for _ in range(2):
        with pytest.raises(StoreBrokenError, match=sentence) as caught:
            open_store(old)
        assert "It is as it was" in caught.value.remedy
    assert before == look(old)


@pytest.mark.parametrize(
    "words",
    [("usage",), ("ledger", "verify"), ("ledger", "export"), ("token", "list"), ("ledger", "show", "0")],
    ids=" ".join,
)
def test_who_reads_an_old_file_is_told_what_to_do(
    old: Path, version: int, words: tuple[str, ...], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A reader cannot migrate; it names both versions and the one command that does, and changes nothing."""
    before = look(old)
    assert FAILED == main([*words, "--data-dir", str(old)])
    out, err = capfdbinary.readouterr()
    assert b"" == out
    said = f"schema version {version}, written by version {WRITERS[version]} of this program"
    assert f"{said}; this one, {VERSION}, knows".encode() in err
    assert b"exai serve" in err
    assert before == look(old)


def test_a_later_version_is_refused_by_writer_and_reader(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither migrates downwards, guesses, or says that it would."""
    change(
        old, f"PRAGMA user_version = {SCHEMA_VERSION + 1}", "UPDATE meta SET value = '9.9.9' WHERE key = 'program'"
    )
    before = look(old)
    with pytest.raises(StoreError, match=f"version {SCHEMA_VERSION + 1}, written by version 9.9.9") as caught:
        open_store(old)
    assert "Start the version that wrote it" in caught.value.remedy
    assert FAILED == main(["usage", "--data-dir", str(old)])
    said = capsys.readouterr().err
    assert caught.value.message in said
    assert caught.value.remedy in said
    assert before == look(old)
