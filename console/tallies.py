"""The tallies of a range: how many calls have which verdict, what they came to, and what needs a look.

Pure. Every call is in exactly one tally. Real and simulated amounts, and two currencies, never share a figure.
"""

from collections.abc import Iterable, Sequence

import msgspec

from console.figures import amount, counted
from service.core.words import VerdictWord
from service.ledger.verdicts import VerdictCount, VerdictSum

DOUBTED = ("U5", "U6")
UNPRICED = "U7"


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict's calls, how many of them are simulated, and the amounts of either kind."""

    word: VerdictWord
    calls: int
    simulated_calls: int
    real: tuple[str, ...]
    simulated: tuple[str, ...]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something to look at, and which calls: verdicts' words or codes, or open calls older than a UTC text."""

    said: str
    calls: int
    verdicts: tuple[str, ...] = ()
    open_until: str | None = None


def tallies(counts: Sequence[VerdictCount], sums: Sequence[VerdictSum]) -> tuple[Tally, ...]:
    """Count the calls of every verdict, in the order of the closed list, with their amounts."""
    return tuple(
        _tally(word, [one for one in counts if one.word is word], [one for one in sums if one.word is word])
        for word in VerdictWord
    )


def problems(counts: Sequence[VerdictCount], *, stuck: int, open_until: str) -> tuple[Problem, ...]:
    """List what needs a look, the gravest first.

    Args:
        counts: of the range.
        stuck: calls that were opened before `open_until` and have not ended.
        open_until: a UTC text.
    """
    found = []
    for verdicts, said in (
        ((VerdictWord.MISMATCH.value,), "where two sources disagree"),
        (DOUBTED, "in doubt: sent, and no usage came back"),
        ((UNPRICED,), "without a known price"),
    ):
        chosen = [one for one in counts if one.code in verdicts or one.word in verdicts]
        calls, simulated = _calls(chosen), _calls(one for one in chosen if one.simulated)
        if calls:
            note = f" ({simulated} SIMULATED)" if simulated else ""
            found.append(Problem(said=f"{counted(calls, 'call')} {said}{note}", calls=calls, verdicts=verdicts))
    if stuck:
        said = f"{counted(stuck, 'call')} open for longer than an attempt should take"
        found.append(Problem(said=said, calls=stuck, open_until=open_until))
    return tuple(found)


def spent_text(sums: Iterable[VerdictSum]) -> str:
    """Write what sums of one kind come to, per currency; empty where nothing was spent."""
    return " and ".join(_spent(sums))


def share_text(sums: Iterable[VerdictSum], word: VerdictWord) -> str:
    """Write how much of what was spent has a verdict, per currency; empty where nothing was spent."""
    listed = list(sums)
    part = dict(_spent_pico(one for one in listed if one.word is word))
    return " and ".join(
        f"{amount(part.get(currency, 0))} of {amount(whole)} {currency}" for currency, whole in _spent_pico(listed)
    )


def held_text(sums: Iterable[VerdictSum]) -> str:
    """Write what is held for attempts in doubt, per currency; empty where there are none."""
    held: dict[str, int] = {}
    unknown = False
    for one in sums:
        if one.in_doubt and one.currency is not None:
            held[one.currency] = held.get(one.currency, 0) + one.held_pico
        unknown = unknown or (one.in_doubt > 0 and one.currency is None)
    known = [f"≤ {amount(pico)} {currency}" for currency, pico in sorted(held.items())]
    return " and ".join([*known, *(["an unknown amount"] if unknown else [])])


def _tally(word: VerdictWord, counts: list[VerdictCount], sums: list[VerdictSum]) -> Tally:
    return Tally(
        word=word,
        calls=_calls(counts),
        simulated_calls=_calls(one for one in counts if one.simulated),
        real=_amounts([one for one in sums if not one.simulated]),
        simulated=_amounts([one for one in sums if one.simulated]),
    )


def _spent(sums: Iterable[VerdictSum]) -> list[str]:
    return [f"{amount(pico)} {currency}" for currency, pico in _spent_pico(sums)]


def _spent_pico(sums: Iterable[VerdictSum]) -> list[tuple[str, int]]:
    spent: dict[str, int] = {}
    for one in sums:
        if one.currency is not None and one.cost_pico:
            spent[one.currency] = spent.get(one.currency, 0) + one.cost_pico
    return sorted(spent.items())


def _amounts(sums: list[VerdictSum]) -> tuple[str, ...]:
    found = _spent(sums)
    unpriced = sum(one.unpriced for one in sums)
    if unpriced:
        found.append(f"unknown for {counted(unpriced, 'attempt')}")
    if held := held_text(sums):
        found.append(f"{held} held in doubt")
    return tuple(found)


def _calls(counts: Iterable[VerdictCount]) -> int:
    return sum(one.calls for one in counts)
