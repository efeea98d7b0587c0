"""Coverage: which attempts the committed verdicts of windows decide, and what still waits for one. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from service.core.books import VerdictEntry
from service.core.placing import Aside, Piece, put_aside
from service.core.verdict import UNDECIDED
from service.core.words import AttemptOutcome, VerdictWord
from service.ledger.store import AttemptRow

_SHORT_FOR_GOOD = "M2"
_SHORT = frozenset({"U2", "U15", _SHORT_FOR_GOOD})


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
    """Find for each attempt the verdict of a window that holds, as `Judged.window` does.

    Args:
        rows: of one wallet, by the index of their intents.
        verdicts: on its windows, newest first.
    """
    proven = covered(rows, (one for one in verdicts if one.word is VerdictWord.PROVEN))
    rest = [row for row in rows if row.attempt_id not in proven]
    contradicted = covered(rest, (one for one in verdicts if one.word is VerdictWord.MISMATCH))
    rest = [row for row in rest if row.attempt_id not in contradicted]
    return proven | contradicted | covered(rest, verdicts)


def waiting(rows: Iterable[AttemptRow], held: dict[str, VerdictEntry]) -> list[AttemptRow]:
    """Name the attempts that wait for a better verdict: settled ones that nothing has decided for good.

    Args:
        rows: of one wallet.
        held: as `holding` gives it.
    """
    return [
        row
        for row in rows
        if row.outcome is AttemptOutcome.SETTLED
        and row.code == UNDECIDED
        and not is_final(held.get(row.attempt_id))
    ]


def last_mismatch(verdicts: Iterable[VerdictEntry]) -> int:
    """Give the index up to which the last MISMATCH speaks; -1 if there is none."""
    return max((one.until for one in verdicts if one.word is VerdictWord.MISMATCH), default=-1)


def is_final(verdict: VerdictEntry | None) -> bool:
    """Tell whether a window's verdict is the last word on the attempts that it decides."""
    return verdict is not None and verdict.word in (VerdictWord.PROVEN, VerdictWord.MISMATCH)


def disputed(weighed: Iterable[Piece], held: Mapping[str, VerdictEntry]) -> tuple[Piece, ...]:
    """Put those aside that were judged MISMATCH: what was lacking there must not be laid to others as well.

    Where less moved than they come to they may have been billed anything up to that; else nobody knows.

    Args:
        weighed: attempts.
        held: by attempt, the verdict of a window that holds.
    """
    return tuple(
        put_aside(piece, Aside.DISPUTED, bounded=one.code == _SHORT_FOR_GOOD)
        if (one := held.get(piece.attempt_id)) is not None and one.word is VerdictWord.MISMATCH and piece.settled
        else piece
        for piece in weighed
    )


def followed(
    weighed: Iterable[Piece], proven: Mapping[str, VerdictEntry], held: Mapping[str, VerdictEntry]
) -> tuple[Piece, ...]:
    """Say of attempts whether their bills were seen, or may be yet to come.

    Args:
        weighed: attempts.
        proven: by attempt, the first verdict that is PROVEN with it.
        held: by attempt, the verdict of a window that holds.
    """
    found = owing(weighed, (name for name, one in held.items() if came_short(one)))
    return tuple(
        msgspec.structs.replace(piece, proven_at=one.closed)
        if (one := proven.get(piece.attempt_id)) is not None
        else piece
        for piece in found
    )


def disagreed(
    weighed: Iterable[Piece], rows: Sequence[AttemptRow], verdicts: Iterable[VerdictEntry]
) -> tuple[Piece, ...]:
    """Note of attempts that the provider's own counts contradicted them once, in whatever window.

    Args:
        weighed: attempts.
        rows: of one wallet, by the index of their intents.
        verdicts: on its windows.
    """
    found = covered(rows, (one for one in verdicts if one.sums is not None and one.sums.contradicted))
    return tuple(
        msgspec.structs.replace(piece, contradicted=True) if piece.attempt_id in found else piece
        for piece in weighed
    )


def first_proven(rows: Sequence[AttemptRow], verdicts: Sequence[VerdictEntry]) -> dict[str, VerdictEntry]:
    """Find for each attempt the first verdict on a window that is PROVEN with it.

    Args:
        rows: of one wallet, by the index of their intents.
        verdicts: on its windows, newest first.
    """
    return covered(rows, (one for one in reversed(verdicts) if one.word is VerdictWord.PROVEN))


def owing(weighed: Iterable[Piece], names: Iterable[str]) -> tuple[Piece, ...]:
    """Note of attempts, by their ids, that a window came short which holds them."""
    short = frozenset(names)
    return tuple(
        msgspec.structs.replace(piece, owing=True) if piece.attempt_id in short and not piece.owing else piece
        for piece in weighed
    )


def came_short(verdict: VerdictEntry) -> bool:
    """Tell whether a window moved less than its calls come to, whatever may explain that."""
    return verdict.code in _SHORT
