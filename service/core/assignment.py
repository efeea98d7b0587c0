"""Assignment: which attempts in doubt were billed, where the counter leaves exactly one possibility."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import msgspec

from service.core.placing import Piece

DOUBTS_MAX = 10
"""More make more than a thousand assignments, and hardly ever only one that fits."""


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """The only set of attempts in doubt that explains the rest of a movement.

    Attributes:
        billed: their ids.
        amounts: what is known of each, in pico-units: 0 of those that were not billed, the rest of the movement
            if one alone was. Of several that were, nobody knows which one cost how much.
    """

    billed: frozenset[str]
    amounts: dict[str, int]


def assign(doubts: Sequence[Piece], rest: int, tolerance: int) -> Assignment | None:
    """Find the only assignment that fits; None where none or several do.

    Args:
        doubts: attempts in doubt, all surely inside the window.
        rest: pico-units that the counter moved beyond what is surely billed.
        tolerance: pico-units that the counter's steps may hide. An attempt that may have cost no more than that
            can never be told from one that was not billed.
    """
    if not 0 < len(doubts) <= DOUBTS_MAX or any(piece.floor <= tolerance for piece in doubts):
        return None
    fitting = [members for members in _subsets(doubts) if _fits(members, rest, tolerance)]
    if len(fitting) != 1:
        return None
    billed = frozenset(piece.attempt_id for piece in fitting[0])
    amounts = {piece.attempt_id: 0 for piece in doubts if piece.attempt_id not in billed}
    if len(billed) == 1:
        amounts |= dict.fromkeys(billed, rest)  # above 0, as every floor is above the tolerance
    return Assignment(billed=billed, amounts=amounts)


def _subsets(doubts: Sequence[Piece]) -> Iterator[tuple[Piece, ...]]:
    for size in range(len(doubts) + 1):
        yield from combinations(doubts, size)


def _fits(members: tuple[Piece, ...], rest: int, tolerance: int) -> bool:
    if sum(piece.floor for piece in members) - tolerance > rest:
        return False
    bounds = [piece.most for piece in members if piece.most is not None]
    return len(bounds) < len(members) or rest <= sum(bounds) + tolerance
