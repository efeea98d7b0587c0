"""A scan: all entries of a ledger's file as they stood at one moment, read once and read-only."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import apsw

from service.core.merkle import CompactRange
from service.errors import StoreBrokenError, StoreError
from service.ledger.schema import refuse_other_schema
from service.ledger.seals import Row, Stored, as_bytes
from service.ledger.sqlite import FILE_NAME, unusable

CHECKPOINTED = "checkpointed"
_BUSY_TIMEOUT_MS = 5000
_COMPLAINTS_MAX = 10
_ROWS = """
    SELECT "index", CAST(leaf_hash AS BLOB), CAST(entry AS BLOB) FROM entries ORDER BY "index"
"""  # whatever a damaged file calls them: a text that is none would end the reading


class Scan:
    """A reader of a data folder that sees one moment of it until it is closed; used by one thread.

    Raises:
        StoreError: the folder holds no ledger; from every method, the file cannot be read or is of another
            version.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        if not self._path.exists():
            raise StoreError(
                f"{folder} holds no ledger",
                remedy="Name the folder with EXAI_DATA_DIR, or start the service once: `exai serve`.",
            )
        try:
            self._connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)
        except apsw.Error as error:
            raise unusable(self._path, error) from error
        try:
            self._connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
            refuse_other_schema(self._connection, self._path)
            self._connection.execute("BEGIN")  # the first read fixes the moment
            self._meta = dict(self._connection.execute("SELECT key, value FROM meta"))
        except apsw.Error as error:
            self._connection.close()
            raise unusable(self._path, error) from error
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def origin(self) -> str:
        """The log's name, as the file says it."""
        return str(self._meta.get("origin", ""))

    @property
    def was_signed(self) -> bool:
        """Whether the file says that a checkpoint of it was kept."""
        return bool(self._meta.get(CHECKPOINTED))

    def rows(self) -> Iterator[Row]:
        """Give every entry, in order."""
        yield from self._read(_ROWS)

    def stored(self) -> Stored:
        """Give the tree that is stored beside the entries.

        Raises:
            StoreBrokenError: what is stored is no tree.
        """
        blocks = list(self._read("SELECT number, hash FROM blocks ORDER BY number"))
        if [number for number, _ in blocks] != list(range(len(blocks))):
            raise self._broken("a block of the stored tree is missing")
        kept = next(iter(self._read("SELECT size, nodes FROM tree")), (0, b""))
        try:
            tree = CompactRange.unpack(int(kept[0]), as_bytes(kept[1]))
        except (TypeError, ValueError) as error:
            raise self._broken(f"the stored tree cannot be read: {error}") from error
        return Stored(tuple(as_bytes(block) for _, block in blocks), tree)

    def complaints(self) -> list[str]:
        """Give SQLite's own on the file's structure and its indexes: pages, orders, what an index leaves out."""
        said = self._read(f"PRAGMA integrity_check({_COMPLAINTS_MAX})")
        return [str(sentence) for (sentence,) in said if sentence != "ok"]

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _read(self, query: str) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._connection.execute(query)
        except apsw.Error as error:
            raise unusable(self._path, error) from error

    def _broken(self, why: str) -> StoreBrokenError:
        return StoreBrokenError(f"{self._path}: {why}", remedy="Restore the data folder from a backup.")
