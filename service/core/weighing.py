"""Weighing: what our attempts explain of a movement, as bounds in whole pico-units, beside what the counter says.

surely billed ≤ moved ≤ surely billed + straddling + in doubt, widened by what the counter's steps may hide
"""

import msgspec

from service.core.books import TokenClass, WindowSums
from service.core.money import PICO_PER_UNIT, decimal_text
from service.core.movement import PAYMENT_MIN, PAYMENT_STEP, Counted, Movement
from service.core.placing import Piece, Placed

CLASSES = ("uncached_input", "cached_input", "cache_write", "output")
"""The classes of tokens that do not overlap."""
SHARE = 20
"""One part in so many of a movement may be uncertain at most, or one step of its counter."""


class Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides of a window. Amounts are pico-units.

    Attributes:
        surely: what attempts inside come to at least.
        straddling: the most that attempts at the edges may have added that were metered and priced.
        in_doubt: the most that all others may have added, as far as it has a bound.
        unbounded: whether one of them has none.
        late: the most that attempts before the window may have added, if their bills came later than usual.
        attempts: how many `surely` adds up.
        tolerance: two steps of the counter, and half a step of each attempt that it may have rounded.
        classes: tokens, ours and the provider's.
        same_tokens: whether the provider counted exactly our tokens; None where that cannot be compared.
        contradicted: whether it counted fewer than its own answers told, or others in as many requests.
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
    same_tokens: bool | None = None
    contradicted: bool = False

    @property
    def over(self) -> bool:
        """Whether the counter moved more than all of ours explain."""
        return not self.unbounded and self.movement.least > self._upper

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
        if not self.movement.payable or self.unbounded:
            return self.movement.payable
        lacking = self.surely - self.tolerance - self.movement.least
        payment = -(-max(lacking, PAYMENT_MIN) // PAYMENT_STEP) * PAYMENT_STEP
        return payment <= self._upper + self.late - self.movement.least

    @property
    def sharp(self) -> bool:
        """Whether all that is uncertain is small beside the movement."""
        uncertain = self.straddling + self.in_doubt + self.tolerance
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
        )

    @property
    def _allowed(self) -> int:
        return max(self.movement.least, SHARE * self.movement.resolution)

    @property
    def _upper(self) -> int:
        return self.surely + self.straddling + self.in_doubt + self.tolerance


def weigh(movement: Movement, placed: Placed, not_billed: frozenset[str] = frozenset()) -> Weighed:
    """Add up what attempts may have been billed, beside a movement.

    Args:
        movement: what the counter says.
        placed: the attempts.
        not_billed: ids of those in doubt of which it is known that they were not.
    """
    inside = [piece for piece in placed.inside if piece.billable and piece.attempt_id not in not_billed]
    edge = [piece for piece in placed.edge if piece.billable]
    spans = [None if piece.most is None else piece.most - _least(piece) for piece in inside]
    spans += [piece.most for piece in edge if not _priced(piece)]
    rounded = len(inside) + len(edge)
    return Weighed(
        movement=movement,
        surely=sum(map(_least, inside)),
        straddling=sum(piece.most or 0 for piece in edge if _priced(piece)),
        in_doubt=sum(span for span in spans if span is not None),
        unbounded=None in spans,
        late=sum(piece.most or 0 for piece in placed.late),
        attempts=sum(_least(piece) > 0 for piece in inside),
        tolerance=2 * movement.resolution + (rounded * movement.resolution + 1) // 2,
        classes=beside(placed, None),
    )


def _priced(piece: Piece) -> bool:
    """Whether it was metered, and what that costs has a bound."""
    return piece.settled and piece.most is not None


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
        weighed, same_tokens=same, contradicted=fewer or (as_many and not same), classes=beside(placed, theirs)
    )


def in_tokens(piece: Piece) -> Piece:
    """Restate an attempt in tokens, as a package counts them; one that was not metered has no bound."""
    if not piece.billable:
        return piece
    if not piece.settled:
        return msgspec.structs.replace(piece, least=0, most=None, floor=0)
    count = sum(piece.classes.get(name, piece.classes.get(f"{name}_tokens", 0)) for name in CLASSES)
    return msgspec.structs.replace(piece, least=count * PICO_PER_UNIT, most=count * PICO_PER_UNIT)
