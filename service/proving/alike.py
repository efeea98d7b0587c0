"""Alike: do two wallets state the same money to the last digit? Then their keys are likely of one account. Pure.

A provider that tells no name of an account leaves it at that: they are named to a person, and never judged
together for it.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations

from service.core.books import Figure, ReadingEntry
from service.core.money import PICO_PER_UNIT, pico
from service.core.movement import read, sound
from service.core.times import NS_PER_S, utc_ns
from service.core.wallet import Wallet

APART_S_MAX = 60
"""How far readings of two wallets may be apart to be compared."""
_MONEY = frozenset({"spent", "available", "voucher", "cash"})
_CENT = PICO_PER_UNIT // 100


def same_money(one: Iterable[Figure], other: Iterable[Figure]) -> bool:
    """Tell whether both state the same amounts, and not only whole cents, as a new account has."""
    first, second = _money(one), _money(other)
    return first == second and any(pico(amount) % _CENT for _, _, amount in first)


def alike(wallet: Wallet, found: Sequence[ReadingEntry], other: Wallet, last: Sequence[ReadingEntry]) -> bool:
    """Tell whether readings of two keys at one host, taken within a minute, state the same money."""
    kinds = [(one.provider, one.host, one.plan, one.currency, one.simulated) for one in (wallet, other)]
    if kinds[0] != kinds[1] or wallet.fingerprint == other.fingerprint:
        return False
    first, second = read(found), read(last)
    times = [utc_ns(one.asked_at) for one in (*first, *second)]
    near = bool(times) and max(times) - min(times) <= APART_S_MAX * NS_PER_S
    return near and same_money(_figures(first), _figures(second))


def pairs(names: Sequence[str], figures: Sequence[Sequence[Figure]]) -> list[tuple[str, str]]:
    """Name the wallets, two by two, whose figures state the same money."""
    return [
        (names[one], names[other])
        for one, other in combinations(range(len(names)), 2)
        if same_money(figures[one], figures[other])
    ]


def _figures(readings: Iterable[ReadingEntry]) -> list[Figure]:
    return [figure for one in readings for figure in one.figures]


def _money(figures: Iterable[Figure]) -> set[tuple[str, str, str]]:
    return {(each.name, each.unit, each.amount) for each in figures if each.name in _MONEY and sound((each,))}
