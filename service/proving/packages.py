"""Packages: were those that stand before a wallet's money read at both ends of a window? Unseen ones may pay."""

from collections.abc import Sequence

from service.core.books import ReadingEntry
from service.core.movement import read
from service.core.wallet import Wallet
from service.core.words import ReadingOutcome
from service.ledger.reading import Reading
from service.proving.pieces import Measure


def unseen(
    reading: Reading,
    wallet: Wallet,
    by: Measure,
    opening: Sequence[ReadingEntry],
    closing: Sequence[ReadingEntry],
) -> bool:
    """Say whether packages were not read at an end, although they are offered as far as is known. It may block.

    Args:
        reading: the log, for what was said of them around an end.
        wallet: whose money is watched.
        by: knows which counter of the provider's tells packages.
        opening: readings at the window's begin.
        closing: at its end.
    """
    counter = by.provider.counters.packages
    if counter is None or by.plan is not None:
        return False
    first, last = _index(opening, counter), _index(closing, counter)
    if first is not None and last is not None and first < last:
        return False
    ends = [one for one, seen in ((opening, first), (closing, last)) if one and (seen is None or first == last)]
    return not all(_is_not_offered(reading, wallet, counter, one) for one in ends)


def _index(readings: Sequence[ReadingEntry], counter: str) -> int | None:
    return next((one.index for one in read(readings) if one.counter == counter), None)


def _is_not_offered(reading: Reading, wallet: Wallet, counter: str, end: Sequence[ReadingEntry]) -> bool:
    """Look at what the counter said last before an end, and first after: it is not asked every time."""
    index = end[-1].index
    near = [
        *reading.readings(wallet.name, counter=counter, before=index + 1, newest=True, limit=1),
        *reading.readings(wallet.name, counter=counter, after=index, limit=1),
    ]
    return any(one.outcome is ReadingOutcome.NOT_OFFERED for one in near)
