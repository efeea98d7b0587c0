"""Movement: by how much a provider's counter was consumed between two readings, as far as it can be told."""

from collections.abc import Iterable, Sequence

import msgspec

from service.core.books import Figure, ReadingEntry
from service.core.money import PICO_PER_UNIT, decimal_text, pico
from service.core.words import ReadingOutcome

CREDITS = "credits"
TOKENS = "tokens"
PERCENT = "percent"
QUOTAS = ("credits_5h", "credits_week")
"""The plan's counters, the one that tells most first."""
PACKAGE = "package_tokens"
PAYMENT_MIN: int = PICO_PER_UNIT
PAYMENT_STEP: int = PICO_PER_UNIT // 100
"""What is paid in or given comes in whole cents and is one unit of the currency at least: our judgement, stated
nowhere. So a balance that fell short by another amount was not topped up unseen."""
FIGURES_PICO_MAX: int = 10**17 * PICO_PER_UNIT
"""What all numbers of one reading may add up to, signs aside: no account holds as much, and every sum or
difference of two readings is an amount still. One that holds more, or a text that is none, is read by nobody."""
_CONSUMED = frozenset({"spent", "available", "voucher", "cash", *QUOTAS})


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """By how much a counter was consumed between two readings, as far as it can be told.

    Attributes:
        counter: the reading's word for it.
        figure: which of its numbers tells.
        unit: ISO 4217 code, `credits` or `tokens`.
        least, most: pico-units; equal unless a top-up or a plan's cap hides some; `most` is None where no bound is
            known.
        resolution: pico-units of the counter's smallest step.
        opening, closing: the counter's numbers, for people.
        added: pico-units that were paid in or given meanwhile; None if nothing was.
        drawn_elsewhere: whether something else may pay before this counter does, such as a token package.
        payable: whether payments move the counter, so that one may lie in the movement unseen.
    """

    counter: str
    figure: str
    unit: str
    least: int
    most: int | None
    resolution: int
    opening: str
    closing: str
    added: int | None = None
    drawn_elsewhere: bool = False
    payable: bool = False


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider counted by itself between two readings: tokens by class."""

    counter: str
    classes: dict[str, int]


class Both(msgspec.Struct, frozen=True, kw_only=True):
    """One number at both ends; figures of one name at one end, such as several packages, are added up.

    Attributes:
        cap: what it may reach at most, by the second reading; None if that says none.
    """

    counter: str
    name: str
    unit: str
    opening: int
    closing: int
    resolution: int
    cap: int | None = None

    @property
    def rise(self) -> int:
        """By how much it grew; negative where it fell."""
        return self.closing - self.opening


def movements(
    opening: tuple[ReadingEntry, ...], closing: tuple[ReadingEntry, ...], *, unseen: bool = False
) -> tuple[Movement, ...]:
    """Compare the readings of a wallet's counters at two times; one movement for each unit that can be told.

    Only figures of one name, unit and `since` are compared: a counter that began anew tells nothing, and one that
    runs backwards tells as little.

    Args:
        opening: at the first time.
        closing: at the second one.
        unseen: whether packages may stand before the money that nobody could read.
    """
    numbers = compared(opening, closing)
    elsewhere = unseen or any(_left(readings) for readings in (opening, closing)) or _relisted(opening, closing)
    found = (_money(numbers, elsewhere=elsewhere), _quota(numbers), _packages(opening, closing))
    return tuple(movement for movement in found if movement is not None)


def counted(opening: tuple[ReadingEntry, ...], closing: tuple[ReadingEntry, ...]) -> Counted | None:
    """Compare the provider's own token counts at two times; None where it has none that can be compared."""
    numbers = compared(opening, closing)
    classes = {
        name.removesuffix("_tokens"): both
        for name, both in numbers.items()
        if both.unit == TOKENS and name != PACKAGE
    }
    if not classes or any(both.rise < 0 for both in classes.values()):
        return None
    return Counted(
        counter=next(iter(classes.values())).counter,
        classes={name: both.rise // PICO_PER_UNIT for name, both in classes.items()},
    )


def compared(opening: Sequence[ReadingEntry], closing: Sequence[ReadingEntry]) -> dict[str, Both]:
    """Give by name every figure that stands at both ends, in one unit and counted since one time."""
    before, after = _figures(opening), _figures(closing)
    return {
        key[1]: Both(
            counter=key[0],
            name=key[1],
            unit=key[2],
            opening=sum(pico(figure.amount) for figure in before[key]),
            closing=sum(pico(figure.amount) for figure in after[key]),
            resolution=max(pico(figure.resolution) for figure in before[key] + after[key]),
            cap=min((pico(figure.cap) for figure in after[key] if figure.cap is not None), default=None),
        )
        for key in before
        if key in after
    }


def tells(reading: ReadingEntry) -> bool:
    """Whether a reading holds a number that consumption moves, and none that is out of all bounds."""
    return sound(reading.figures) and any(
        figure.name in _CONSUMED or figure.unit == PERCENT for figure in reading.figures
    )


def speaks(reading: ReadingEntry) -> bool:
    """Whether a reading says what was spent or is left, be it that nothing was drawn from a plan's window yet.

    Such a window has no begin, so it is among what the reading tells and not among its figures: the counter can
    be read, though no window of ours may begin or end with it.
    """
    untouched = any(name in QUOTAS or name.startswith(PERCENT) for name in reading.tells)
    return reading.outcome is ReadingOutcome.READ and (untouched or tells(reading))


def read(readings: Iterable[ReadingEntry]) -> tuple[ReadingEntry, ...]:
    """Keep those that were read, and whose every number is one: a committed entry may be a stranger's."""
    return tuple(one for one in readings if one.outcome is ReadingOutcome.READ and sound(one.figures))


def sound(figures: Iterable[Figure]) -> bool:
    """Whether every text of a number is an amount, and together they are within FIGURES_PICO_MAX."""
    texts = [text for each in figures for text in (each.amount, each.resolution, each.cap) if text is not None]
    try:
        return sum(abs(pico(text)) for text in texts) < FIGURES_PICO_MAX
    except ValueError:
        return False


def _figures(readings: Iterable[ReadingEntry]) -> dict[tuple[str, str, str, str | None], list[Figure]]:
    found: dict[tuple[str, str, str, str | None], list[Figure]] = {}
    for reading in read(readings):
        for figure in reading.figures:
            found.setdefault((reading.counter, figure.name, figure.unit, figure.since), []).append(figure)
    return found


def _money(numbers: dict[str, Both], *, elsewhere: bool) -> Movement | None:
    spent, available = numbers.get("spent"), numbers.get("available")
    paid = [numbers[name].rise for name in ("recharged", "given") if name in numbers]
    added = sum(paid) if sum(paid) > 0 else None
    if spent is not None and spent.rise >= 0:
        return _moved(spent, spent.rise, spent.rise, added=added, elsewhere=elsewhere)
    if available is not None and len(paid) > 1 and sum(paid) >= max(0, available.rise):
        fell = sum(paid) - available.rise
        return _moved(available, fell, fell, added=added, elsewhere=elsewhere)
    return _balance(numbers, elsewhere=elsewhere)


def _balance(numbers: dict[str, Both], *, elsewhere: bool) -> Movement | None:
    """Tell consumption from a balance, which payments move, too.

    Vouchers are drawn before cash. `available` leaves debts out, so where both parts are stated they count. Where
    not one number moved, nothing was paid in: a payment would have to be what was drawn, to the last step.
    """
    available, voucher, cash = (numbers.get(name) for name in ("available", "voucher", "cash"))
    if voucher is not None and cash is not None:
        total = Both(
            counter=voucher.counter,
            name="available",
            unit=voucher.unit,
            opening=voucher.opening + cash.opening,
            closing=voucher.closing + cash.closing,
            resolution=max(voucher.resolution, cash.resolution),
        )
        least, most = _drawn(voucher, cash)
        added = max(0, voucher.rise) + max(0, cash.rise)
    elif available is not None:
        total, added = available, max(0, available.rise)
        least, most = max(0, -available.rise), None if added else -available.rise
    else:
        return None
    moved = any(one is not None and one.rise for one in (available, voucher, cash))
    return _moved(total, least, most, added=added or None, elsewhere=elsewhere, payable=moved)


def _drawn(voucher: Both, cash: Both) -> tuple[int, int | None]:
    """Give the bounds of what was drawn from both; None: no upper one."""
    if voucher.rise <= 0 and cash.rise <= 0:
        return -voucher.rise - cash.rise, -voucher.rise - cash.rise
    if voucher.rise <= 0 and voucher.closing > 0 and _is_payment(cash):
        return -voucher.rise, -voucher.rise  # with a voucher left no cash was drawn: its rise is the payment
    return max(0, -voucher.rise) + max(0, -cash.rise), None


def _is_payment(cash: Both) -> bool:
    """Whether a payment alone makes such a rise; else cash was drawn, too, before a voucher was given anew."""
    beyond = cash.rise % PAYMENT_STEP
    return min(beyond, PAYMENT_STEP - beyond) <= 2 * cash.resolution


def _quota(numbers: dict[str, Both]) -> Movement | None:
    """Tell consumption from a plan's counter; one that stands at its cap may have stopped there."""
    for name in QUOTAS:
        both = numbers.get(name)
        if both is not None and both.unit == CREDITS and both.rise >= 0:
            capped = both.cap is not None and both.closing >= both.cap
            return _moved(both, both.rise, None if capped else both.rise)
    return None


def _packages(opening: tuple[ReadingEntry, ...], closing: tuple[ReadingEntry, ...]) -> Movement | None:
    """Compare what is left in all packages; one that is used up may be listed no more."""
    counters = {reading.counter for reading in read(opening) for figure in _of_packages((reading,))}
    counter = min(counters, default="")
    if counter not in {reading.counter for reading in read(closing)}:
        return None
    before, after = _of_packages(read(opening)), _of_packages(read(closing))
    both = Both(
        counter=counter,
        name=PACKAGE,
        unit=TOKENS,
        opening=sum(pico(figure.amount) for figure in before),
        closing=sum(pico(figure.amount) for figure in after),
        resolution=max(pico(figure.resolution) for figure in before + after),
    )
    return _moved(both, -both.rise, -both.rise) if both.rise < 0 else None


def _of_packages(readings: Iterable[ReadingEntry]) -> list[Figure]:
    return [figure for reading in readings for figure in reading.figures if figure.name == PACKAGE]


def _relisted(opening: Iterable[ReadingEntry], closing: Iterable[ReadingEntry]) -> bool:
    """Whether packages came or went: one that was bought and used up meanwhile is nothing at both ends."""
    before, after = (
        [(one.tells, one.figures[0].cap) for one in read(readings) if _of_packages((one,))]
        for readings in (opening, closing)
    )
    return bool(before and after) and before != after


def _left(readings: Iterable[ReadingEntry]) -> bool:
    return any(pico(figure.amount) > 0 for figure in _of_packages(read(readings)))


def _moved(
    both: Both,
    least: int,
    most: int | None,
    *,
    added: int | None = None,
    elsewhere: bool = False,
    payable: bool = False,
) -> Movement:
    return Movement(
        counter=both.counter,
        figure=both.name,
        unit=both.unit,
        least=least,
        most=most,
        resolution=both.resolution,
        opening=decimal_text(both.opening),
        closing=decimal_text(both.closing),
        added=added,
        drawn_elsewhere=elsewhere,
        payable=payable,
    )
