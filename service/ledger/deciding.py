"""Deciding: the tables of the provider's books, and how a verdict reaches the attempts that it decides, in SQL.

A batch's verdicts are put after its attempts, in the log's order, and every condition is of indexes. So an
attempt is decided by the same verdicts whether the log is written bit by bit or read again by the thousand.
"""

import apsw
import msgspec

from service.core.words import AttemptOutcome
from service.ledger.booking import MISMATCH_LETTER, PROVEN_LETTER, UNVERIFIED_LETTER
from service.ledger.store import BookRows

TABLES = """
CREATE TABLE readings (
    "index" INTEGER PRIMARY KEY,
    wallet TEXT NOT NULL,
    counter TEXT NOT NULL,
    outcome TEXT NOT NULL,
    at TEXT NOT NULL,
    simulated INTEGER NOT NULL
) STRICT;
CREATE INDEX readings_of_counter ON readings (wallet, counter, "index");
CREATE INDEX readings_of_wallet ON readings (wallet, "index");

CREATE TABLE windows (
    "index" INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    provider TEXT NOT NULL,
    wallet TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    after INTEGER NOT NULL,
    until INTEGER NOT NULL,
    word TEXT NOT NULL,
    code TEXT NOT NULL
) STRICT;
CREATE INDEX windows_of_wallet ON windows (wallet, "index");

CREATE TABLE owns (
    attempt_id TEXT NOT NULL,
    "index" INTEGER NOT NULL,
    code TEXT NOT NULL,
    PRIMARY KEY (attempt_id, "index")
) STRICT, WITHOUT ROWID;

CREATE TABLE judged (
    tool_call_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    own_index INTEGER,
    own_code TEXT,
    window_index INTEGER,
    window_code TEXT,
    last_index INTEGER,
    verification_index INTEGER,
    verified TEXT,
    tries INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tool_call_id, number)
) STRICT, WITHOUT ROWID;
"""

_PUT_READING = "INSERT INTO readings VALUES (?, ?, ?, ?, ?, ?)"
_PUT_WINDOW = "INSERT INTO windows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PUT_OWN = "INSERT INTO owns VALUES (?, ?, ?)"
_HOLDS = (
    f"coalesce(window_code LIKE '{PROVEN_LETTER}%' OR (window_code LIKE '{MISMATCH_LETTER}%'"
    f" AND excluded.window_code LIKE '{UNVERIFIED_LETTER}%'), 0)"
)
_DECIDE = f"""
    INSERT INTO judged (tool_call_id, number, window_index, window_code, last_index)
    SELECT tool_call_id, number, :index, :code, :index FROM attempts INDEXED BY attempts_ended
    WHERE wallet = :wallet AND simulated = :simulated AND outcome = '{AttemptOutcome.SETTLED}'
    AND end_index IS NOT NULL AND end_index > :after AND end_index <= min(:until, :index - 1)
    AND intent_index > :after
    ON CONFLICT (tool_call_id, number) DO UPDATE SET
    window_index = CASE WHEN {_HOLDS} THEN window_index ELSE excluded.window_index END,
    window_code = CASE WHEN {_HOLDS} THEN window_code ELSE excluded.window_code END,
    last_index = excluded.last_index
"""  # noqa: S608 - our own words; values are bound
_OWN = """
    INSERT INTO judged (tool_call_id, number, own_index, own_code)
    SELECT tool_call_id, number, :index, :code FROM attempts INDEXED BY attempts_by_id
    WHERE attempt_id = :attempt_id AND intent_index < :index
    ON CONFLICT (tool_call_id, number) DO UPDATE SET own_index = excluded.own_index, own_code = excluded.own_code
"""
_VERIFY = """
    INSERT INTO judged (tool_call_id, number, verification_index, verified, tries)
    SELECT tool_call_id, number, :index, :outcome, 1 FROM attempts
    WHERE tool_call_id = :tool_call_id AND attempt_id = :attempt_id AND intent_index < :index
    ON CONFLICT (tool_call_id, number) DO UPDATE SET
    verification_index = excluded.verification_index, verified = excluded.verified, tries = tries + 1
"""


def put(connection: apsw.Connection, books: BookRows) -> None:
    """Write what a batch changes in these tables, in the open transaction; its attempts stand there by now."""
    executemany = connection.executemany
    executemany(_PUT_READING, map(msgspec.structs.astuple, books.readings))
    executemany(_PUT_WINDOW, map(msgspec.structs.astuple, books.windows))
    executemany(_PUT_OWN, ((row.attempt_id, row.index, row.code) for row in books.owns))
    executemany(_DECIDE, map(msgspec.structs.asdict, books.windows))
    executemany(_OWN, map(msgspec.structs.asdict, books.owns))
    executemany(_VERIFY, map(msgspec.structs.asdict, books.verifications))
