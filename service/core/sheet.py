"""A sheet: lines of comma-separated cells, of which no spreadsheet makes a formula."""

import csv
from collections.abc import Iterable, Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet runs a text that begins so."""


class _Parts(list[str]):
    """What a CSV writer writes to."""

    def write(self, text: str) -> None:
        self.append(text)


def cell(value: object) -> str:
    """Write a value as a cell: nothing for None, and an apostrophe before what would be run."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str() if value.startswith(FORMULA):
            return f"'{value}"
        case _:
            return str(value)


def sheet(lines: Iterable[Sequence[str]]) -> bytes:
    """Write lines of cells, each ended as RFC 4180 ends it."""
    parts = _Parts()
    csv.writer(parts, lineterminator="\r\n").writerows(lines)
    return "".join(parts).encode()
