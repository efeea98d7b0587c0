"""Weighing: what our attempts explain of a movement, as bounds in whole pico-units, beside what the counter says.

surely billed ≤ moved ≤ surely billed + straddling + in doubt, widened by what the counter's steps may hide
"""

from collections.abc import Iterable, Sequence

import msgspec

from service.core.books import TokenClass, WindowSums
from service.core.money import PICO_PER_UNIT, decimal_text, pico
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
        late: the most that attempts before the window may have added, if their bills came later than usual, and
            half a step of each; None: no bound.
        owed: of that, what attempts may have that an earlier window was short of.
        attempts: how many `surely` adds up.
        tolerance: two steps of the counter, and half a step of each attempt that it may have rounded.
        classes: tokens, ours and the provider's.
        same_tokens: whether the provider counted exactly our tokens; None where that cannot be compared.
        contradicted: whether it counted fewer tokens than its own answers told.
        disagreed: whether it did so before of attempts inside, and cannot be compared any more.
        fewer: whether it counted fewer than its own answers told, where others may only have added to its counts.
    """

    movement: Movement
    surely: int
    straddling: int
    in_doubt: int
    unbounded: bool
    late: int | None
    attempts: int
    tolerance: int
    classes: tuple[TokenClass, ...]
    straddles: tuple[str, ...] = ()
    disputed: int | None = 0
    owed: int = 0
    same_tokens: bool | None = None
    contradicted: bool = False
    disagreed: bool = False
    fewer: bool = False

    @property
    def over(self) -> bool:
        """Whether the counter moved more than all of ours explain."""
        return self._bounded and self.movement.least > self._upper

    @property
    def late_explains(self) -> bool:
        """Whether the movement is within what ours come to, bills later than usual included."""
        return self.late is None or self.movement.least <= self._upper + self.late

    @property
    def short(self) -> bool:
        """Whether it moved less than what was surely billed."""
        return self.movement.most is not None and self.movement.most < self._lower

    @property
    def exact(self) -> bool:
        """Whether the movement is known."""
        return self.movement.least == self.movement.most

    @property
    def may_hide(self) -> bool:
        """Whether a payment into the wallet, unseen, would fit as well, bills later than usual included."""
        if not self.movement.payable or not self._bounded or self.late is None:
            return self.movement.payable
        lacking = self._lower - self.movement.least
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
            contradicted=self.contradicted or self.disagreed or self.fewer,
        )

    @property
    def _allowed(self) -> int:
        return max(self.movement.least, SHARE * self.movement.resolution)

    @property
    def _bounded(self) -> bool:
        return not self.unbounded and self.disputed is not None

    @property
    def _lower(self) -> int:
        return _bounds(self.surely, (), self.tolerance)[0]

    @property
    def _upper(self) -> int:
        more = self.straddling, self.in_doubt, self.disputed or 0
        return _bounds(self.surely, more, self.tolerance)[1]


def bounds_of(sums: WindowSums) -> tuple[int, int | None]:
    """Give between which amounts a counter had to move, by what a verdict wrote down of both sides.

    Returns:
        The least and the most in pico-units, as `Weighed` judges by; the least may be below zero, and the most is
        None where something has no bound.
    """
    more = sums.straddling, sums.in_doubt, sums.disputed or "0"
    least, most = _bounds(pico(sums.surely), map(pico, more), pico(sums.tolerance))
    return least, None if sums.unbounded or sums.disputed is None else most


def _bounds(surely: int, more: Iterable[int], tolerance: int) -> tuple[int, int]:
    """Give the least and the most that must have moved, as far as all that may have added to it has a bound."""
    return surely - tolerance, surely + sum(more) + tolerance


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
    late = [piece.most for piece in placed.late if piece.billable]
    known = [most for most in late if most is not None]
    return Weighed(
        movement=movement,
        surely=sum(map(_least, inside)),
        straddling=sum(span for _, span in metered),
        straddles=tuple(dict.fromkeys(why for why, _ in metered)),
        disputed=_disputed(inside + edge),
        in_doubt=sum(span for span in others if span is not None),
        unbounded=None in others,
        late=sum(known) + _halves(len(late), movement.resolution) if len(known) == len(late) else None,
        owed=sum(piece.most or 0 for piece in placed.late if piece.owing),
        attempts=sum(_least(piece) > 0 for piece in inside),
        tolerance=hidden_max(movement.resolution, len(inside) + len(edge)),
        classes=beside(placed, None),
        disagreed=any(piece.contradicted for piece in placed.inside),
    )


def hidden_max(resolution: int, attempts: int) -> int:
    """Say the most that a counter's steps may hide: two of them, and half a one for each attempt."""
    return 2 * resolution + _halves(attempts, resolution)


def _halves(attempts: int, resolution: int) -> int:
    """Give half a step of the counter for each of so many attempts, that it may have rounded."""
    return (attempts * resolution + 1) // 2


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

    More tokens than ours may be somebody else's; fewer than its answers told contradict them.
    """
    classes = beside(placed, theirs)
    same = all(each.ours == each.theirs for each in classes if each.theirs is not None)
    return msgspec.structs.replace(
        weighed,
        same_tokens=same,
        contradicted=_fewer(classes),
        disagreed=False,
        classes=classes,
    )


def compare_fewer(weighed: Weighed, placed: Placed, theirs: Counted) -> Weighed:
    """Judge by the provider's counts where others than ours may be in them: these only add tokens, and take none.

    Args:
        weighed: the window.
        placed: the attempts between the readings of the provider's counts.
        theirs: these counts.
    """
    classes = beside(placed, theirs)
    return msgspec.structs.replace(weighed, fewer=_fewer(classes), classes=classes)


def _fewer(classes: Sequence[TokenClass]) -> bool:
    return any(each.theirs is not None and each.theirs < each.ours for each in classes)


def in_tokens(piece: Piece) -> Piece:
    """Restate an attempt in tokens, as a package counts them; one that was not metered has no bound."""
    if not piece.billable:
        return piece
    if not piece.settled:
        return msgspec.structs.replace(piece, least=0, most=None, floor=0)
    count = sum(piece.classes.get(name, piece.classes.get(f"{name}_tokens", 0)) for name in CLASSES)
    return msgspec.structs.replace(piece, least=count * PICO_PER_UNIT, most=count * PICO_PER_UNIT)
