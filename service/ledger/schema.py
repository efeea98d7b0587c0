"""The schema: the tables of the embedded store, and how a file of an earlier version becomes one of this.

What is recorded is the log alone; all other tables derive from it. So a migration keeps the entries, byte for
byte, and makes the rest anew from them, in one transaction: a file is of the one version or of the other.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

import apsw
import msgspec

from service import VERSION
from service.errors import StoreBrokenError, StoreError
from service.ledger import deciding
from service.ledger import rows as views
from service.ledger.rebuilding import rebuilt
from service.ledger.store import NO_BOOKS, AttemptRow, CallRow, Line, RollupKey, RollupSums, Rows

SCHEMA_VERSION = 3
"""The tables hold codes of `core.verdict.RULE` 2: another rule is another schema."""
LINE = '"index", kind, tool_call_id, leaf_hash, entry'
_ROWS_PER_READ = 1000

OF_LEDGER = "tool_call_id IS NULL AND kind NOT IN ('reading', 'verification', 'verdict')"
"""The entries of no call, without those of the provider's books: there may be a million. As the index says it."""
_OF_LEDGER_INDEX = f'CREATE INDEX entries_of_ledger ON entries ("index") WHERE {OF_LEDGER};'
_INDEXES = f"""
CREATE INDEX resolutions ON entries ("index") WHERE kind = 'resolution';
{_OF_LEDGER_INDEX}
"""

_LOG = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE entries (
    "index" INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    tool_call_id TEXT,
    leaf_hash BLOB NOT NULL CHECK (length(leaf_hash) = 32),
    entry BLOB NOT NULL
) STRICT;
CREATE INDEX entries_of_call ON entries (tool_call_id, "index") WHERE tool_call_id IS NOT NULL;
CREATE TRIGGER entries_only_follow BEFORE INSERT ON entries -- REPLACE would not wake the triggers below
    WHEN NEW."index" IS NOT (SELECT coalesce(max("index") + 1, 0) FROM entries)
    BEGIN SELECT RAISE(ABORT, 'an entry only follows the last one'); END;
CREATE TRIGGER entries_never_change BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'an entry is never changed'); END;
CREATE TRIGGER entries_never_go BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'an entry is never removed'); END;
"""

_DERIVED = """
CREATE TABLE tree (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    size INTEGER NOT NULL,
    nodes BLOB NOT NULL
) STRICT;
CREATE TABLE blocks (
    number INTEGER PRIMARY KEY,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER blocks_never_change BEFORE UPDATE ON blocks
    BEGIN SELECT RAISE(ABORT, 'a block is never changed'); END;
CREATE TRIGGER blocks_never_go BEFORE DELETE ON blocks
    BEGIN SELECT RAISE(ABORT, 'a block is never removed'); END;

CREATE TABLE calls (
    tool_call_id TEXT PRIMARY KEY,
    opened_index INTEGER NOT NULL UNIQUE,
    opened_at TEXT NOT NULL,
    client TEXT NOT NULL,
    tool TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    simulated INTEGER NOT NULL,
    outcome TEXT,
    zero_reason TEXT,
    error_code TEXT,
    closed_at TEXT,
    duration_us INTEGER,
    idempotency_key TEXT,
    replay_of TEXT,
    rolled_up INTEGER NOT NULL,
    needs_model INTEGER NOT NULL
) STRICT;
CREATE INDEX calls_in_time ON calls (opened_at);
CREATE INDEX calls_apart ON calls (opened_at) WHERE rolled_up = 0;
CREATE INDEX calls_of_key ON calls (client, idempotency_key, opened_index)
    WHERE idempotency_key IS NOT NULL AND replay_of IS NULL;
CREATE INDEX calls_open ON calls (opened_index) WHERE outcome IS NULL;

CREATE TABLE attempts (
    tool_call_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    attempt_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    wallet TEXT NOT NULL,
    model TEXT NOT NULL,
    started_at TEXT NOT NULL,
    outcome TEXT NOT NULL,
    http_status INTEGER,
    provider_request_id TEXT,
    simulated INTEGER NOT NULL,
    currency TEXT,
    cost_status TEXT,
    cost_pico INTEGER,
    held_pico INTEGER,
    estimate_pico INTEGER,
    uncached_input_tokens INTEGER,
    cached_input_tokens INTEGER,
    cache_write_tokens INTEGER,
    output_tokens INTEGER,
    reasoning_tokens INTEGER,
    held_tokens INTEGER,
    stated_tokens INTEGER,
    duration_us INTEGER,
    intent_index INTEGER NOT NULL,
    end_index INTEGER,
    ended_at TEXT,
    signed INTEGER NOT NULL,
    code TEXT NOT NULL,
    PRIMARY KEY (tool_call_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_by_id ON attempts (attempt_id);
CREATE INDEX attempts_ended ON attempts (wallet, end_index) WHERE end_index IS NOT NULL;
CREATE INDEX attempts_of_provider_id ON attempts (provider_request_id) WHERE provider_request_id IS NOT NULL;

CREATE TABLE rollups (
    bucket TEXT NOT NULL,
    client TEXT NOT NULL,
    tool TEXT NOT NULL,
    provider TEXT NOT NULL,
    wallet TEXT NOT NULL,
    model TEXT NOT NULL,
    currency TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    calls_without_attempt INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    unsent INTEGER NOT NULL,
    in_doubt INTEGER NOT NULL,
    reconciled INTEGER NOT NULL,
    written_off INTEGER NOT NULL,
    free INTEGER NOT NULL,
    plan INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    uncached_input_tokens INTEGER NOT NULL,
    cached_input_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_pico INTEGER NOT NULL,
    held_pico INTEGER NOT NULL,
    held_tokens INTEGER NOT NULL,
    stated_tokens INTEGER NOT NULL,
    last_at TEXT NOT NULL,
    PRIMARY KEY (bucket, client, tool, provider, wallet, model, currency, simulated)
) STRICT, WITHOUT ROWID;
"""
_DERIVED += deciding.TABLES

_DERIVED_BEFORE = {1: ("calls", "attempts", "rollups"), 2: ("tree", "blocks", "calls", "attempts", "rollups")}
"""By version: the tables that were derived then, and are made anew."""

_TO_LOG = {
    1: _INDEXES,
    2: f"DROP INDEX entries_of_ledger;\n{_OF_LEDGER_INDEX}",
}
"""By version: what makes the log's own tables those of the next version."""

READABLE = frozenset({*_TO_LOG, SCHEMA_VERSION})


def create(connection: apsw.Connection) -> None:
    """Make the tables of a new file."""
    with connection:
        connection.execute(_LOG)
        connection.execute(_INDEXES)
        connection.execute(_DERIVED)
        connection.pragma("user_version", SCHEMA_VERSION)


def migrate(connection: apsw.Connection, path: Path) -> int | None:
    """Bring a file of an earlier version to this one, in one transaction; give the version that it had.

    Raises:
        StoreError: it is of a later version.
        StoreBrokenError: its log cannot be read; it is left as it was.
    """
    found = int(connection.pragma("user_version"))
    if found == SCHEMA_VERSION:
        return None
    if found not in _TO_LOG:
        raise other_version(connection, path)
    with connection:
        for version in range(found, SCHEMA_VERSION):
            connection.execute(_TO_LOG[version])
        for table in _DERIVED_BEFORE[found]:
            connection.execute(f"DROP TABLE {table}")
        connection.execute(_DERIVED)
        try:
            for changed in rebuilt(_lines(connection)):
                put(connection, changed)
        except ValueError as error:
            raise StoreBrokenError(
                f"{path} is of schema version {found} and cannot be brought to {SCHEMA_VERSION}: {error}",
                remedy="It is as it was. Run `exai ledger verify` with the version that wrote it.",
            ) from error
        connection.pragma("user_version", SCHEMA_VERSION)
    return found


def refuse_other_schema(connection: apsw.Connection, path: Path) -> None:
    """Refuse a file whose tables may mean something else than ours.

    Raises:
        StoreError: another version wrote it, or it has no tables yet.
    """
    if connection.pragma("user_version") != SCHEMA_VERSION:
        raise other_version(connection, path)


def other_version(connection: apsw.Connection, path: Path) -> StoreError:
    """Say of which version a file is, who wrote it, and what to do."""
    version = int(connection.pragma("user_version"))
    if version == 0:
        return StoreError(f"{path} holds no ledger", remedy="Start the service once: `exai serve`.")
    try:
        writer = connection.execute("SELECT value FROM meta WHERE key = 'program'").get
    except apsw.SQLError:  # another schema may keep it elsewhere
        writer = None
    named = f"version {writer} of this program" if writer else "another version of this program"
    said = f"{path} has schema version {version}, written by {named}; this one, {VERSION}, knows {SCHEMA_VERSION}"
    if version in _TO_LOG:
        return StoreError(said, remedy="Start the service once (`exai serve`): it brings the file to its version.")
    return StoreError(said, remedy="Start the version that wrote it, or set EXAI_DATA_DIR to a new folder.")


def put(connection: apsw.Connection, changed: Rows) -> None:
    """Write what a batch of lines changes in the derived tables, within the transaction that is open."""
    executemany = connection.executemany
    executemany(_PUT_CALL, map(msgspec.structs.astuple, changed.calls))
    executemany(_PUT_ATTEMPT, map(msgspec.structs.astuple, changed.attempts))
    if changed.books is not NO_BOOKS:
        deciding.put(connection, changed.books)
    executemany(_ADD_ROLLUP, (_values(*rollup) for rollup in changed.rollups))
    executemany(_SEEN_LAST, (msgspec.structs.astuple(key) for key, sums in changed.rollups if sums.calls < 0))
    executemany(_PUT_BLOCK, changed.tree.blocks)
    connection.execute(_PUT_TREE, (changed.tree.range.size, changed.tree.range.packed()))


def _lines(connection: apsw.Connection) -> Iterator[Line]:
    """Give every line, a batch at a time: what is read must not stay open while other tables are written."""
    query, next_index = f'SELECT {LINE} FROM entries WHERE "index" >= ? ORDER BY "index" LIMIT ?', 0  # noqa: S608
    while batch := [Line(*row) for row in connection.execute(query, (next_index, _ROWS_PER_READ))]:
        yield from batch
        next_index = batch[-1].index + 1


def _insert(table: str, row: tuple[str, ...], on_conflict: str) -> str:
    marks = ", ".join("?" * len(row))
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks}) ON CONFLICT {on_conflict}"  # noqa: S608 - our own names


def _put(table: str, row: type[msgspec.Struct], *key: str, fixed: Collection[str] = ()) -> str:
    """Write the statement that puts a row in place of the one with the same key; any other clash must fail.

    Args:
        table: its name.
        row: what is put.
        key: the columns that tell rows apart.
        fixed: columns that no later state of a row changes; an index over them alone is then left alone, too.
    """
    fresh = ", ".join(f"{name} = excluded.{name}" for name in views.columns(row) if name not in (*key, *fixed))
    return _insert(table, views.columns(row), f"({', '.join(key)}) DO UPDATE SET {fresh}")


def _add() -> str:
    keys, sums = views.columns(RollupKey), views.SUMMED
    # SQLite adds beyond 64 bits as a float, which is the greater of the two and so never chosen.
    more = [f"{name} = min({name} + excluded.{name}, {views.SUM_MAX})" for name in sums]
    more.append("last_at = max(last_at, excluded.last_at)")
    return _insert("rollups", (*keys, *sums, "last_at"), f"({', '.join(keys)}) DO UPDATE SET {', '.join(more)}")


def _values(key: RollupKey, sums: RollupSums) -> tuple[object, ...]:
    return (*msgspec.structs.astuple(key), *msgspec.structs.astuple(sums))


PUT_LINE = f"INSERT INTO entries ({LINE}) VALUES (?, ?, ?, ?, ?)"  # noqa: S608 - our own names
_PUT_CALL = _put("calls", CallRow, "tool_call_id")
_PUT_ATTEMPT = _put(
    "attempts", AttemptRow, "tool_call_id", "number", fixed=("attempt_id", "wallet", "intent_index")
)
_ADD_ROLLUP = _add()
_SEEN_LAST = f"""
    UPDATE rollups SET last_at = coalesce((
        SELECT max(opened_at) FROM calls
        LEFT JOIN attempts ON attempts.tool_call_id = calls.tool_call_id AND attempts.number = 1
        WHERE calls.rolled_up = 1 AND calls.opened_at >= substr(rollups.bucket, 1, 16)
        AND calls.opened_at < substr(rollups.bucket, 1, 14) || printf('%02d:~', substr(rollups.bucket, 15, 2) + 14)
        AND calls.client = rollups.client AND calls.tool = rollups.tool
        AND coalesce(attempts.provider, '{views.NOTHING}') = rollups.provider
        AND coalesce(attempts.wallet, '{views.NOTHING}') = rollups.wallet
        AND coalesce(attempts.model, '{views.NOTHING}') = rollups.model
        AND coalesce(attempts.currency, '{views.NOTHING}') = rollups.currency
        AND coalesce(attempts.simulated, 0) = rollups.simulated
    ), '{views.NOTHING}') WHERE {" AND ".join(f"{name} = ?" for name in views.columns(RollupKey))}
"""  # noqa: S608 - our own names; values are bound
_PUT_BLOCK = "INSERT INTO blocks (number, hash) VALUES (?, ?)"
_PUT_TREE = (
    "INSERT INTO tree VALUES (1, ?, ?)"
    " ON CONFLICT (one) DO UPDATE SET size = excluded.size, nodes = excluded.nodes"
)
