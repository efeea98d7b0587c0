"""Rounds: the readings that were taken together, and which of them a window may begin with. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from math import inf

from service.core.books import ReadingEntry
from service.core.movement import tells
from service.core.times import NS_PER_S, utc_ns
from service.core.words import ReadingOutcome

OPENINGS_MAX = 24
APART_S_MAX = 120  # readings of one round follow each other: four questions with their deadlines

Round = tuple[ReadingEntry, ...]


def decides(reading: ReadingEntry) -> bool:
    """Tell whether a reading says what was or may be spent: money, or a plan's quota."""
    return reading.outcome is ReadingOutcome.READ and tells(reading)


def rounds(readings: Iterable[ReadingEntry]) -> list[Round]:
    """Put the readings of one wallet, in the log's order, into rounds; those that decide nothing are left out.

    A round ends where a counter comes again, where the cause changes, or after a pause.
    """
    found: list[list[ReadingEntry]] = []
    for reading in readings:
        if not found or not _belongs(found[-1], reading):
            found.append([])
        found[-1].append(reading)
    return [tuple(one) for one in found if any(map(decides, one))]


def _belongs(begun: Sequence[ReadingEntry], reading: ReadingEntry) -> bool:
    last = begun[-1]
    return (
        reading.counter not in {one.counter for one in begun}
        and reading.cause is last.cause
        and utc_ns(reading.asked_at) - utc_ns(last.at) <= APART_S_MAX * NS_PER_S
    )


def openings(found: Sequence[Round], intents: Iterable[int], *, at_most: int = OPENINGS_MAX) -> list[Round]:
    """Choose the rounds that a window may begin with, the widest window first.

    Args:
        found: rounds in the log's order; the last one closes the window and begins none.
        intents: indexes of the attempts' intents that wait for a verdict.
        at_most: how many; two at least.

    Returns:
        For each attempt the last round that came before it; of many the first and the last one, and between them
        the fewer the older. The first round of all, where an attempt has none before it.
    """
    ends = [max(reading.index for reading in one) for one in found[:-1]]
    if not ends:
        return []
    places = sorted({max(0, bisect_left(ends, intent) - 1) for intent in intents})
    return [found[place] for place in _thinned(places, at_most)]


def _thinned(places: Sequence[int], at_most: int) -> list[int]:
    """Keep so many, the distance from the last one growing by a factor: whatever blurs a window lies near one."""
    if len(places) <= at_most:
        return list(places)
    farthest, steps = len(places) - 1, at_most - 2
    distances = {0, farthest, *(round(farthest ** (step / steps)) for step in range(steps))}
    return [places[-1 - distance] for distance in sorted(distances, reverse=True)]


def calm(found: Iterable[Round], bills: Iterable[tuple[int, int | None]]) -> list[Round]:
    """Keep the rounds at which all earlier attempts were usually billed: there no window's edge is blurred.

    Args:
        found: rounds in the log's order.
        bills: of each attempt, in the log's order, the index of its intent and the UTC nanoseconds at which it is
            usually billed; None while it is open.
    """
    intents: list[int] = []
    latest: list[float] = [-inf]
    for intent, billed_ns in bills:
        intents.append(intent)
        latest.append(max(latest[-1], inf if billed_ns is None else billed_ns))
    return [one for one in found if latest[bisect_left(intents, one[0].index)] <= utc_ns(one[0].asked_at)]
