"""Spans: which verdicts speak of the same part of the log, and which attempts lie in it. Places, never times.

A verdict on a window spans the entries after `after`, up to `until`. What looks for others of its wallet begins at
the first entry that it spans, for no verdict is written before the entries that it decides, and reads on as far as
`LATER_ROWS_MAX`: what is judged anew is so within days.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from service.core.books import VerdictEntry
from service.core.own import UNDECIDED
from service.ledger.booking import MISMATCH_LETTER, PROVEN_LETTER, UNVERIFIED_LETTER
from service.ledger.choosing import CallFilter, conditions, where_clause
from service.ledger.listed import page, row_of
from service.ledger.rows import columns
from service.ledger.store import AttemptRow

TOUCHING_MAX = 50
LATER_ROWS_MAX = 100_000
_LAST = 2**62
_NAMES = ", ".join(columns(AttemptRow))
Select = Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]


class _Cover:
    """The spans of some verdicts, without those that lie in another one: the further down a list, the earlier.

    Places are kept as negative numbers: both lists grow, and what is met last, the earliest, goes to the end.
    """

    def __init__(self) -> None:
        self._afters: list[int] = []
        self._untils: list[int] = []
        self._indexes: list[int] = []

    def over(self, after: int, until: int) -> int | None:
        """Give the verdict whose span holds this one; None if none does."""
        place = bisect_left(self._afters, -after)
        return self._indexes[place] if place < len(self._untils) and self._untils[place] <= -until else None

    def add(self, index: int, after: int, until: int) -> None:
        """Take a verdict in, and leave out those that lie in it."""
        if self.over(after, until) is not None:
            return
        lying = slice(bisect_left(self._untils, -until), bisect_right(self._afters, -after))
        self._afters[lying], self._untils[lying], self._indexes[lying] = [-after], [-until], [index]


def touching(select: Select, window: VerdictEntry) -> list[int]:
    """List the other verdicts on windows of the same wallet that share a part of a span, the newest first."""
    query = f"""
        SELECT "index" FROM (
            SELECT "index", simulated, after, until FROM windows
            WHERE wallet = ? AND "index" > ? ORDER BY "index" LIMIT {LATER_ROWS_MAX}
        ) WHERE "index" <> ? AND simulated = ? AND after < ? AND until > ?
        ORDER BY "index" DESC LIMIT {TOUCHING_MAX}
    """  # noqa: S608 - our own numbers; values are bound
    span = window.wallet, window.after, window.index, window.simulated, window.until, window.after
    return [int(index) for (index,) in select(query, span)]


def replaced(select: Select, windows: Iterable[VerdictEntry]) -> dict[int, int]:
    """Give by index a later verdict on all of a window's span that takes its place; only where there is one.

    As with attempts, one that is PROVEN stays, and one that is MISMATCH is not covered by one that is UNVERIFIED.
    """
    wanted = {one.index for one in windows if not one.attempts}
    if not wanted:
        return {}
    query = f"""
        SELECT "index", wallet, simulated, after, until, code FROM windows
        WHERE "index" >= ? ORDER BY "index" LIMIT {LATER_ROWS_MAX}
    """  # noqa: S608 - as above
    found: dict[int, int] = {}
    covers: defaultdict[tuple[str, int, str], _Cover] = defaultdict(_Cover)  # by what they take the place of
    for index, wallet, simulated, after, until, code in reversed(select(query, (min(wanted),))):
        letter = code[0]
        if index in wanted and letter != PROVEN_LETTER:
            later = covers[wallet, simulated, letter].over(after, until)
            found |= {} if later is None else {index: later}
        taken = (UNVERIFIED_LETTER,) if letter == UNVERIFIED_LETTER else (MISMATCH_LETTER, UNVERIFIED_LETTER)
        for each in taken:
            covers[wallet, simulated, each].add(index, after, until)
    return found


def resting(select: Select, only: CallFilter, code: str) -> list[int]:
    """List the windows whose verdicts, for one reason, are those of calls: what these verdicts rest on now.

    Args:
        select: runs a query.
        only: which calls.
        code: the reason; calls with a graver one, and verdicts whose place others took, are left out.
    """
    where, values = conditions(msgspec.structs.replace(only, verdict=(code,)))
    query = f"""
        SELECT DISTINCT judged.window_index FROM calls CROSS JOIN attempts USING (tool_call_id)
        CROSS JOIN judged USING (tool_call_id, number)
        {where_clause([*where, "judged.window_code = ?", "judged.own_code IS NULL", "attempts.code = ?"])}
        ORDER BY 1 DESC LIMIT ?
    """  # noqa: S608 - our own words; values are bound
    return [int(index) for (index,) in select(query, (*values, code, UNDECIDED, page(_LAST)))]


def inside(select: Select, window: VerdictEntry, *, before: int | None, limit: int) -> list[AttemptRow]:
    """List the attempts whose intent and end both lie in a window's span, the one that ended last first.

    Args:
        select: runs a query.
        window: a verdict on one.
        before: an `end_index`; only attempts that ended before it are listed.
        limit: at most this many, and never more than PAGE_ROWS_MAX.
    """
    query = f"""
        SELECT {_NAMES} FROM attempts INDEXED BY attempts_ended
        WHERE wallet = ? AND end_index IS NOT NULL AND end_index > ? AND end_index <= ? AND end_index < ?
        AND intent_index > ? AND simulated = ? ORDER BY end_index DESC LIMIT ?
    """  # noqa: S608 - our own names; values are bound
    last = _LAST if before is None else before
    span = window.wallet, window.after, window.until, last, window.after, window.simulated, page(limit)
    return [row_of(AttemptRow, row) for row in select(query, span)]
