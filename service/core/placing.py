"""Placing: which attempts lie surely inside a window, which touch its edges, and when the books on them are final.

opening answered                            closing asked      closing answered
       |--- inside: began … ended + usual ---------|                 |
outside|                            at the edge: ...                 |outside
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from service.core.books import ReadingEntry
from service.core.times import NS_PER_S, dated_ns, utc_ns

DAY_NS = 86_400 * NS_PER_S
FINAL_AT_NS = 7 * 3600 * NS_PER_S
"""The hour of the next day at which a day's bill is final (source: Kimi help centre, balance and usage)."""
FINAL_ZONES_NS = (0, 8 * 3600 * NS_PER_S)
"""The zone of that hour is not stated: it may be UTC or the provider's own, UTC+8; the later one counts."""
CLOCKS_APART_S_MAX = 300
"""How far this machine's clock may be from the provider's where it is said that books are final."""


class Settling(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider's books follow its answers.

    Attributes:
        usual_s: after this long a call usually shows.
        final_s: after this long it must; None: with the daily bill.
    """

    usual_s: float
    final_s: float | None = None

    @property
    def usual_ns(self) -> int:
        """The usual lag in nanoseconds."""
        return round(self.usual_s * NS_PER_S)

    def final_ns(self, ended_ns: int) -> int:
        """Give the moment from which the books must hold a call that ended at a time."""
        if self.final_s is not None:
            return ended_ns + round(self.final_s * NS_PER_S)
        days = ((ended_ns + zone) // DAY_NS * DAY_NS - zone for zone in FINAL_ZONES_NS)
        return max(days) + DAY_NS + FINAL_AT_NS


class Aside(StrEnum):
    """Why a metered attempt is not counted on: it may have been billed anything up to its cost."""

    NOT_FINAL = "its books are not final"
    DISPUTED = "a window was judged MISMATCH for it"


class Piece(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One attempt as a window sees it. Amounts are whole pico-units of the window's unit.

    Attributes:
        began_at, ended_at: UTC texts of intent and end; None while it is open.
        intent_index, end_index: where the log holds them.
        least, most: what it may have been billed; equal where it was settled at a known cost. `most` is None where
            no bound is known.
        floor: the least that it cost if it was billed at all; of attempts in doubt.
        settled: whether the provider metered it.
        classes: tokens by class name, as metered; empty where it was not.
        aside: why it is not counted on although it was metered; it is not `settled` then.
        proven_at: index of the reading that closed the first window that was PROVEN with it: its bill came before.
        owing: whether a window that holds it came short: its bill may be yet to come.
        contradicted: whether the provider's own counts disagreed in a window that holds it.
    """

    attempt_id: str
    began_at: str
    ended_at: str | None
    intent_index: int
    end_index: int | None
    least: int
    most: int | None
    floor: int = 0
    settled: bool
    classes: dict[str, int] = {}
    aside: Aside | None = None
    proven_at: int | None = None
    owing: bool = False
    contradicted: bool = False

    @property
    def certain(self) -> bool:
        """Whether the provider's own meter tells what it cost; an amount that was stated later is no evidence."""
        return self.settled and self.least == self.most

    @property
    def in_doubt(self) -> bool:
        """Whether it ended, and nobody has said what it cost."""
        unknown = not self.settled and self.aside is None and self.least != self.most
        return unknown and self.ended_at is not None

    @property
    def billable(self) -> bool:
        """Whether it may have cost anything."""
        return self.most != 0


def put_aside(piece: Piece, why: Aside, *, bounded: bool = True) -> Piece:
    """Let a metered attempt count for anything between nothing and its cost, or without a bound."""
    most = piece.most if bounded else None
    return msgspec.structs.replace(piece, least=0, most=most, settled=False, classes={}, aside=why)


class Edges(msgspec.Struct, frozen=True, kw_only=True):
    """The readings of one counter at both ends of a window."""

    opening: ReadingEntry
    closing: ReadingEntry

    @property
    def clocks_agree(self) -> bool:
        """Whether the answers' own dates are those of this machine, where they bear one."""
        return all(_is_dated(one) for one in (self.opening, self.closing))


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """The attempts that a window may hold.

    Attributes:
        inside: began after the opening reading, and usually billed before the closing one was asked for.
        edge: may be billed inside, or not.
        late: ended so long before that it was usually billed, and yet its bill may have come inside.
    """

    inside: tuple[Piece, ...]
    edge: tuple[Piece, ...]
    late: tuple[Piece, ...] = ()

    @property
    def disputed(self) -> bool:
        """Whether attempts may have been billed here of which it is in dispute what they were billed."""
        return any(piece.aside is Aside.DISPUTED for piece in (*self.inside, *self.edge))

    @property
    def doubts(self) -> tuple[Piece, ...]:
        """Those inside that are in doubt."""
        return tuple(piece for piece in self.inside if piece.in_doubt)


def place(pieces: Sequence[Piece], edges: Edges, settling: Settling) -> Placed:
    """Sort attempts by where they lie; those that cannot have been billed inside are left out.

    Begin is told by the log's order, which no clock can move; the lag can only be told by the clock. Where both
    contradict each other (a clock was set back) an attempt may be billed inside or not.
    """
    opened_ns, asked_ns = utc_ns(edges.opening.asked_at), utc_ns(edges.closing.asked_at)
    closed_ns = utc_ns(edges.closing.at)
    inside: list[Piece] = []
    edge: list[Piece] = []
    late: list[Piece] = []
    for piece in pieces:
        ended_ns = None if piece.ended_at is None else utc_ns(piece.ended_at)
        shown_ns = None if ended_ns is None else ended_ns + settling.usual_ns
        if piece.intent_index > edges.closing.index:
            continue
        if piece.intent_index > edges.opening.index and not opened_ns <= utc_ns(piece.began_at) <= closed_ns:
            edge.append(piece)
            continue
        if ended_ns is not None and shown_ns is not None and shown_ns <= opened_ns:
            late += [piece] if _owes(piece, edges) and settling.final_ns(ended_ns) > opened_ns else []
            continue
        surely = piece.intent_index > edges.opening.index and shown_ns is not None and shown_ns <= asked_ns
        (inside if surely else edge).append(piece)
    return Placed(inside=tuple(inside), edge=tuple(edge), late=tuple(late))


def _is_dated(reading: ReadingEntry) -> bool:
    said_ns, apart_ns = dated_ns(reading.date), CLOCKS_APART_S_MAX * NS_PER_S
    return said_ns is None or utc_ns(reading.asked_at) - apart_ns <= said_ns <= utc_ns(reading.at) + apart_ns


def _owes(piece: Piece, edges: Edges) -> bool:
    """Whether nobody saw the bill of an attempt before the window begins."""
    return piece.proven_at is None or piece.proven_at > edges.opening.index


def final_ns(pieces: Sequence[Piece], settling: Settling) -> int | None:
    """Give the moment from which the books must hold all of these; None if none of them has ended."""
    ends = [utc_ns(piece.ended_at) for piece in pieces if piece.ended_at is not None]
    return settling.final_ns(max(ends)) if ends else None


def decided(placed: Placed, edges: Edges) -> tuple[int, frozenset[str]]:
    """Give the index up to which the window decides attempts, and the ids of those it decides.

    Whoever reads the verdict finds its attempts by indexes alone, so an attempt at the edge that ended before one
    inside did (a clock was set back) cuts the window short. Where nothing ended at all, the window reaches to its
    closing reading.
    """
    touching = [
        (piece.end_index, piece)
        for piece in (*placed.inside, *placed.edge)
        if piece.end_index is not None and piece.intent_index > edges.opening.index
    ]
    within = frozenset(piece.attempt_id for piece in placed.inside)
    until = edges.opening.index if touching else edges.closing.index
    ids: set[str] = set()
    for index, piece in sorted(touching, key=lambda each: each[0]):
        if piece.attempt_id not in within:
            break
        until = index
        if piece.settled:
            ids.add(piece.attempt_id)
    return until, frozenset(ids)
