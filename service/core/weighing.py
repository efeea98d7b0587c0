"""Weighing: what our attempts explain of a movement, as bounds in whole pico-units, beside what the counter says.

surely billed ≤ moved ≤ surely billed + straddling + in doubt, widened by what the counter's steps may hide
"""

from collections.abc import Sequence

import msgspec

from service.core.books import TokenClass, WindowSums
from service.core.money import PICO_PER_UNIT, decimal_text
from service.core.movement import PAYMENT_MIN, PAYMENT_STEP, Counted, Movement
from service.core.placing import Aside, Piece, Placed

CLASSES = ("uncached_input", "cached_input", "cache_write", "output")
"""The classes of tokens that do not overlap."""
AT_EDGES, NOT_FINAL, BETWEEN_RATES = "edges", "not final", "rates"
"""Why metered attempts may have added to a movement, or not."""
SHARE = 20
"""One part in so many of a movement may be uncertain at most, or one step of its counter."""


class Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides of a window. Amounts are pico-units.

    Attributes:
        surely: what attempts inside come to at least.
        straddling: the most that metered and priced attempts may have added beside.
        straddles: why they may have.
        disputed: the most that attempts judged MISMATCH before may have added; None: no bound.
        in_doubt: the most that all others may have added, as far as it has a bound.
        unbounded: whether one of them has none.
        late: the most that attempts before the window may have added, if their bills came later than usual.
        owed: of that, what attempts may have that an earlier window was short of.
        attempts: how many `surely` adds up.
        tolerance: two steps of the counter, and half a step of each attempt that it may have rounded.
        classes: tokens, ours and the provider's.
        same_tokens: whether the provider counted exactly our tokens; None where that cannot be compared.
        contradicted: whether it counted fewer than its own answers told, or others in as many requests.
        disagreed: whether it did so before of attempts inside, and cannot be compared any more.
    """

    movement: Movement
    surely: int
    straddling: int
    in_doubt: int
    unbounded: bool
    late: int
    attempts: int
    tolerance: int
    classes: tuple[TokenClass, ...]
    straddles: tuple[str, ...] = ()
    disputed: int | None = 0
    owed: int = 0
    same_tokens: bool | None = None
    contradicted: bool = False
    disagreed: bool = False

    @property
    def over(self) -> bool:
        """Whether the counter moved more than all of ours explain."""
        return self._bounded and self.movement.least > self._upper

    @property
    def short(self) -> bool:
        """Whether it moved less than what was surely billed."""
        return self.movement.most is not None and self.movement.most < self.surely - self.tolerance

    @property
    def exact(self) -> bool:
        """Whether the movement is known."""
        return self.movement.least == self.movement.most

    @property
    def may_hide(self) -> bool:
        """Whether a payment into the wallet, unseen, would fit as well, bills later than usual included."""
        if not self.movement.payable or not self._bounded:
            return self.movement.payable
        lacking = self.surely - self.tolerance - self.movement.least
        payment = -(-max(lacking, PAYMENT_MIN) // PAYMENT_STEP) * PAYMENT_STEP
        return payment <= self._upper + self.late - self.movement.least

    @property
    def sharp(self) -> bool:
        """Whether all that is uncertain is small beside the movement; nothing is proven around a dispute."""
        if self.disputed != 0:
            return False
        uncertain = self.straddling + self.in_doubt + self.owed + self.tolerance
        return not self.coarse and not self.unbounded and SHARE * uncertain <= self._allowed

    @property
    def coarse(self) -> bool:
        """Whether the counter's steps alone may hide too much of the movement."""
        return self.movement.least <= 0 or SHARE * self.tolerance > self._allowed

    @property
    def sums(self) -> WindowSums:
        """Both sides, as they are written down."""
        movement = self.movement
        return WindowSums(
            unit=movement.unit,
            opening=movement.opening,
            closing=movement.closing,
            moved=decimal_text(movement.least) if self.exact else None,
            added=None if movement.added is None else decimal_text(movement.added),
            surely=decimal_text(self.surely),
            straddling=decimal_text(self.straddling),
            in_doubt=decimal_text(self.in_doubt),
            tolerance=decimal_text(self.tolerance),
            attempts=self.attempts,
            classes=self.classes,
            unbounded=self.unbounded,
            disputed=None if self.disputed is None else decimal_text(self.disputed),
            contradicted=self.contradicted or self.disagreed,
        )

    @property
    def _allowed(self) -> int:
        return max(self.movement.least, SHARE * self.movement.resolution)

    @property
    def _bounded(self) -> bool:
        return not self.unbounded and self.disputed is not None

    @property
    def _upper(self) -> int:
        return self.surely + self.straddling + self.in_doubt + (self.disputed or 0) + self.tolerance


def weigh(movement: Movement, placed: Placed, not_billed: frozenset[str] = frozenset()) -> Weighed:
    """Add up what attempts may have been billed, beside a movement.

    Args:
        movement: what the counter says.
        placed: the attempts.
        not_billed: ids of those in doubt of which it is known that they were not.
    """
    inside = [piece for piece in placed.inside if piece.billable and piece.attempt_id not in not_billed]
    edge = [piece for piece in placed.edge if piece.billable]
    spans = [(piece, AT_EDGES if piece.aside is None else NOT_FINAL, piece.most) for piece in edge]
    spans += [(piece, _why_inside(piece), _span(piece)) for piece in inside]
    metered = [(why, span) for piece, why, span in spans if span and _metered(piece)]
    others = [span for piece, _, span in spans if not _metered(piece) and piece.aside is not Aside.DISPUTED]
    rounded = len(inside) + len(edge)
    return Weighed(
        movement=movement,
        surely=sum(map(_least, inside)),
        straddling=sum(span for _, span in metered),
        straddles=tuple(dict.fromkeys(why for why, _ in metered)),
        disputed=_disputed(inside + edge),
        in_doubt=sum(span for span in others if span is not None),
        unbounded=None in others,
        late=sum(piece.most or 0 for piece in placed.late),
        owed=sum(piece.most or 0 for piece in placed.late if piece.owing),
        attempts=sum(_least(piece) > 0 for piece in inside),
        tolerance=2 * movement.resolution + (rounded * movement.resolution + 1) // 2,
        classes=beside(placed, None),
        disagreed=any(piece.contradicted for piece in placed.inside),
    )


def _metered(piece: Piece) -> bool:
    """Whether it was metered, and what that costs has a bound."""
    return piece.most is not None and (piece.settled or piece.aside is Aside.NOT_FINAL)


def _why_inside(piece: Piece) -> str:
    return BETWEEN_RATES if piece.aside is None else NOT_FINAL


def _span(piece: Piece) -> int | None:
    return None if piece.most is None else piece.most - _least(piece)


def _disputed(pieces: Sequence[Piece]) -> int | None:
    found = [piece.most for piece in pieces if piece.aside is Aside.DISPUTED]
    return None if None in found else sum(most for most in found if most is not None)


def _least(piece: Piece) -> int:
    """Give what a provider metered at least; what was stated later bounds an attempt from above only."""
    return piece.least if piece.settled else 0


def beside(placed: Placed, theirs: Counted | None) -> tuple[TokenClass, ...]:
    """Put both sides' tokens beside each other; nothing where nobody counted any."""
    ours = tokens(placed)
    counts = {} if theirs is None else theirs.classes
    return tuple(
        TokenClass(name=name, ours=ours.get(name, 0), theirs=counts.get(name))
        for name in CLASSES
        if ours.get(name) or name in counts
    )


def tokens(placed: Placed) -> dict[str, int]:
    """Add up by class what the attempts inside metered; of free ones nothing, which providers may leave out."""
    found: dict[str, int] = {}
    for piece in placed.inside:
        for name, count in piece.classes.items() if piece.billable else ():
            short = name.removesuffix("_tokens")
            found[short] = found.get(short, 0) + count
    return found


def compare(weighed: Weighed, placed: Placed, theirs: Counted) -> Weighed:
    """Judge by the provider's own token counts, too.

    More tokens than ours in more requests than ours are somebody else's; fewer tokens than its answers told, or
    others in just as many requests, contradict them.
    """
    classes = [each for each in beside(placed, theirs) if each.theirs is not None]
    same = all(each.ours == each.theirs for each in classes)
    fewer = any(each.ours > (each.theirs or 0) for each in classes)
    as_many = theirs.requests == sum(piece.billable for piece in placed.inside)
    return msgspec.structs.replace(
        weighed,
        same_tokens=same,
        contradicted=fewer or (as_many and not same),
        disagreed=False,
        classes=beside(placed, theirs),
    )


def in_tokens(piece: Piece) -> Piece:
    """Restate an attempt in tokens, as a package counts them; one that was not metered has no bound."""
    if not piece.billable:
        return piece
    if not piece.settled:
        return msgspec.structs.replace(piece, least=0, most=None, floor=0)
    count = sum(piece.classes.get(name, piece.classes.get(f"{name}_tokens", 0)) for name in CLASSES)
    return msgspec.structs.replace(piece, least=count * PICO_PER_UNIT, most=count * PICO_PER_UNIT)
