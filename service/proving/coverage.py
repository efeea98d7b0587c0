"""Coverage: which attempts the committed verdicts of windows decide, and what still waits for one. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from service.core.books import VerdictEntry
from service.core.verdict import UNDECIDED
from service.core.words import AttemptOutcome, VerdictWord
from service.ledger.store import AttemptRow


def covered(rows: Sequence[AttemptRow], verdicts: Iterable[VerdictEntry]) -> dict[str, VerdictEntry]:
    """Find for each attempt the first of these verdicts on windows that decides it.

    Args:
        rows: of one wallet, by the index of their intents.
        verdicts: on its windows.
    """
    found: dict[str, VerdictEntry] = {}
    left = list(rows)
    for verdict in verdicts:
        intents = [row.intent_index for row in left]
        first, last = bisect_right(intents, verdict.after), bisect_left(intents, verdict.until)
        decided = {row.attempt_id for row in left[first:last] if _ends_inside(row, verdict)}
        if decided:
            found.update(dict.fromkeys(decided, verdict))
            left = [row for row in left if row.attempt_id not in decided]
    return found


def _ends_inside(row: AttemptRow, verdict: VerdictEntry) -> bool:
    return row.end_index is not None and row.end_index <= verdict.until


def holding(rows: Sequence[AttemptRow], verdicts: Sequence[VerdictEntry]) -> dict[str, VerdictEntry]:
    """Find for each attempt the verdict of a window that holds: the newest, but one that is PROVEN stays.

    Args:
        rows: of one wallet, by the index of their intents.
        verdicts: on its windows, newest first.
    """
    proven = covered(rows, (one for one in verdicts if one.word is VerdictWord.PROVEN))
    rest = [row for row in rows if row.attempt_id not in proven]
    return proven | covered(rest, verdicts)


def waiting(
    rows: Iterable[AttemptRow], held: dict[str, VerdictEntry], verdicts: Sequence[VerdictEntry]
) -> list[AttemptRow]:
    """Name the attempts that wait for a better verdict: settled ones that nothing has decided for good.

    What stands before a MISMATCH is left as it is: a wider window must not cover it up.

    Args:
        rows: of one wallet.
        held: as `holding` gives it.
        verdicts: on its windows.
    """
    last_mismatch = max((one.until for one in verdicts if one.word is VerdictWord.MISMATCH), default=-1)
    return [
        row
        for row in rows
        if row.outcome is AttemptOutcome.SETTLED
        and row.code == UNDECIDED
        and row.intent_index > last_mismatch
        and not is_final(held.get(row.attempt_id))
    ]


def is_final(verdict: VerdictEntry | None) -> bool:
    """Tell whether a window's verdict is the last word on the attempts that it decides."""
    return verdict is not None and verdict.word in (VerdictWord.PROVEN, VerdictWord.MISMATCH)
