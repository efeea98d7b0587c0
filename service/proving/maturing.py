"""Maturing: of a window that came short, the attempts that the provider's books must hold by now. Pure.

On a wallet in daily use the newest calls may always show later. What they add can only raise the counter:
if it moved less than the older ones alone must have been billed, no later reading mends that.
"""

from collections.abc import Sequence

import msgspec

from service.core.placing import Aside, put_aside
from service.core.times import utc_ns
from service.core.window import Ends, Found, Piece, Settling, judge

_SHORT_FOR_GOOD = "M2"


def matured(short: Found, ends: Ends, pieces: Sequence[Piece], settling: Settling) -> Found | None:
    """Judge a short window once more by the attempts alone whose books are final; None if that says nothing more.

    Args:
        short: what was found of the window.
        ends: its readings.
        pieces: as they were judged.
        settling: how the provider's books follow.
    """
    asked_ns = min(utc_ns(reading.asked_at) for reading in ends.closing)
    final = {
        piece.attempt_id: piece.end_index
        for piece in pieces
        if piece.ended_at is not None and settling.final_ns(utc_ns(piece.ended_at)) < asked_ns
    }
    decided = short.decided & final.keys()
    if not decided or decided == short.decided:
        return None
    left = [piece if piece.attempt_id in final else _open_ended(piece) for piece in pieces]
    found = judge(ends, left, settling)
    if found is None or found.verdict.code != _SHORT_FOR_GOOD:
        return None
    until = max(index for name, index in final.items() if name in decided and index is not None)
    verdict = msgspec.structs.replace(found.verdict, until=until)
    return Found(verdict=verdict, decided=decided, resolved={}, disputed=found.disputed)


def _open_ended(piece: Piece) -> Piece:
    """Let a metered attempt whose books are not final count for anything between nothing and its cost."""
    return put_aside(piece, Aside.NOT_FINAL) if piece.settled else piece
