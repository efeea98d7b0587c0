"""Shelving: whatever is changed in the tables of the provider's books is found, by the audit and by `verify`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest

from service.core.entries import AnyEntry
from service.core.words import VerificationOutcome
from service.ledger import shelving
from service.ledger.findings import Findings
from service.ledger.following import Following
from service.ledger.reading import Reading
from service.ledger.sqlite import FILE_NAME, SqliteStore
from service.ledger.verify import compare_rows
from service.ledger.writer import Append, Writer
from tests.ledger import shelf

if TYPE_CHECKING:
    from tests.conftest import Made

AT = "2026-11-22T16:21:00.000000Z"
CALL, OTHER = "c" * 32, "d" * 32


@pytest.fixture
def folder(tmp_path: Path, made: "Made") -> Path:
    """A ledger of two attempts, of one of which all is known that can be."""
    store = SqliteStore(tmp_path, new_origin="exai/test")
    writer = Writer(store)
    attempt, other = made.attempt_id(), "e" * 32
    entries: list[AnyEntry] = [
        *(made.tool_call(), made.intent(), made.settlement(), made.answer()),
        made.tool_call(tool_call_id=OTHER),
        made.intent(tool_call_id=OTHER, attempt_id=other),
        made.settlement(tool_call_id=OTHER, attempt_id=other),
        shelf.reading(),
        shelf.window(0, 2),
        shelf.own(attempt),
        shelf.verification(CALL, attempt, VerificationOutcome.UNAVAILABLE),
        shelf.verification(CALL, attempt),
        shelf.verification("0" * 32, "0" * 32),  # of no attempt: it decides nothing
        shelf.window(3, 6, "U2"),
    ]
    (outcome,) = writer.write([Append(tuple(entries), AT)])
    assert isinstance(outcome, tuple), outcome
    store.close()
    return tmp_path


@pytest.fixture
def reading(folder: Path) -> Iterator[Reading]:
    """A reader of it."""
    found = Reading(folder)
    yield found
    found.close()


def walked(reading: Reading) -> list[str]:
    """Walk as the audit does; give what is wrong."""
    findings = Findings()
    walk = Following(reading, findings, None)
    walk.take(list(reading.lines()))
    for _ in (*walk.compare_open(), *shelving.compare(reading, findings)):
        pass
    return [f"{one.where}: {one.sentence}" for one in findings.problems]


def test_nothing_is_found_where_nothing_was_changed(reading: Reading) -> None:
    """All is as the log says."""
    assert [] == walked(reading)
    assert () == compare_rows(reading).problems


FORGERIES = {
    "UPDATE readings SET outcome = 'refused'": "entry 7: the reading's row differs in outcome",
    "DELETE FROM readings": "entry 7: the reading has no row",
    "INSERT INTO readings VALUES (99, 'w', 'c', 'read', '', 0)": "1 readings in the log, 2 as rows",
    "UPDATE windows SET until = 9 WHERE code = 'P1'": "entry 8: the verdict's row differs in until",
    "DELETE FROM windows": "entry 8: the verdict has no row",
    "UPDATE owns SET code = 'N4'": "entry 9: the verdict's row differs in code",
    "DELETE FROM owns": "entry 9: the verdict has no row",
    "UPDATE judged SET window_code = 'P1' WHERE number = 1": "what decides it: window_code",
    "UPDATE judged SET window_index = 3": "what decides it: window_index",
    "UPDATE judged SET last_index = 3": "what decides it: last_index",
    "UPDATE judged SET own_index = NULL, own_code = NULL": "what decides it: own_index, own_code",
    "UPDATE judged SET verified = 'invalid'": "does not know the verification",
    "UPDATE judged SET verified = 'invalid', verification_index = 12": "what was said of its signature",
    "UPDATE judged SET verified = 'valid', verification_index = 99": "what was said of its signature",
    "UPDATE judged SET tries = 1": "what was said of its signature",
    "UPDATE judged SET tries = 1 WHERE tries": "2 answers about signatures in the log, 1 as rows",
    "DELETE FROM judged": "does not know the verification",
    "INSERT INTO judged (tool_call_id, number) VALUES ('x', 1)": "0 decisions on no attempt in the log, 1 as rows",
    "UPDATE judged SET number = 2 WHERE window_code = 'U2'": "what decides it: window_index, window_code",
    "UPDATE attempts SET outcome = 'nonsense'": "cannot be compared",
}


@pytest.mark.parametrize("statement", FORGERIES)
def test_what_was_changed_is_found(folder: Path, reading: Reading, statement: str) -> None:
    """Each row and each decision, by either way of looking."""
    with apsw.Connection(str(folder / FILE_NAME)) as connection:
        connection.execute(statement)
        assert connection.changes()
    assert [one for one in walked(reading) if FORGERIES[statement] in one]
    said = [f"{one.where}: {one.sentence}" for one in compare_rows(reading).problems]
    assert [one for one in said if FORGERIES[statement] in one]
