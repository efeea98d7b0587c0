"""Finding: which entries a person means by the id of a tool call, the id of an attempt, or an index."""

import re

from service.core import entries
from service.errors import ActionError
from service.ledger.reading import Reading
from service.ledger.store import Line

_ID = re.compile(r"[0-9a-f]{32}")
_INDEX = re.compile(r"[0-9]{1,18}")
_WORD_CHARS_MAX = 64  # of what was asked, in an error


def find(reading: Reading, word: str) -> list[Line]:
    """Give the lines that are meant, in order; at least one. It sees the ledger at one moment.

    Raises:
        ActionError: there are none.
    """
    if _ID.fullmatch(word):
        with reading.snapshot():
            lines = reading.call_lines(word) or _of_attempt(reading, word)
        if lines:
            return lines
    elif _INDEX.fullmatch(word):
        line = reading.line(int(word))
        if line is not None:
            return [line]
        raise ActionError(
            f"the log has no entry {word}; its last one is {reading.head().next_index - 1}",
            remedy="Name an index up to that one, or the id of a tool call or an attempt.",
        )
    raise ActionError(
        f"there is no tool call, attempt or entry {word[:_WORD_CHARS_MAX]!r}",
        remedy="Ids have 32 hex digits and stand in every receipt, on the ledger page and in the export.",
    )


def _of_attempt(reading: Reading, attempt_id: str) -> list[Line]:
    call_id = reading.call_of_attempt(attempt_id)
    lines = [] if call_id is None else reading.call_lines(call_id)
    return [line for line in lines if _attempt_id(line) == attempt_id]


def _attempt_id(line: Line) -> str | None:
    try:
        return getattr(entries.decode(line.entry), "attempt_id", None)
    except entries.UnreadableEntryError:  # damaged: it is found by its call and its index
        return None
