"""Windows: both sides of each, as its verdict entry holds them, worked out to the last digit and drawn."""

from collections.abc import Iterable

import msgspec

from console.words import plain
from service.core.books import VerdictEntry, WindowSums
from service.core.money import decimal_text, pico
from service.core.verdict import CODES, word_of
from service.core.weighing import bounds_of
from service.core.words import VerdictWord
from service.ledger.reading import Reading

_PARTS = 10_000
_ROOM = 4  # a quarter of what is drawn stays free at each side
_BATCH = 200
_LOOKED_AT_MAX = 4000


class TokenLine(msgspec.Struct, frozen=True, kw_only=True):
    """One class of tokens, by both sides; `theirs` and `difference` are None where the provider counts none."""

    name: str
    ours: int
    theirs: int | None
    difference: int | None


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What may have moved, and what did, as exact decimals; and their places on a line from `begins` to `ends`."""

    least: str
    most: str
    begins: str
    ends: str
    left: str
    width: str
    at: str


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict entry, for people.

    Attributes:
        at: when it was judged.
        opened_at, closed_at: when the readings at its ends were had; None without them.
        difference: what moved beyond what was surely billed; None where the movement cannot be told.
        bounds: None where the movement cannot be told.
        attempts: ids, where it is on single ones.
        replaced_by: a later verdict on all of its span that takes its place; None while there is none.
    """

    index: int
    at: str
    rule: int
    provider: str
    wallet: str
    simulated: bool
    word: VerdictWord
    code: str
    sentence: str
    opened_at: str | None
    closed_at: str | None
    sums: WindowSums | None
    difference: str | None
    bounds: Bounds | None
    tokens: tuple[TokenLine, ...]
    due_at: str | None
    attempts: tuple[str, ...]
    shared_with: tuple[str, ...]
    replaced_by: int | None


class Page(msgspec.Struct, frozen=True):
    """Verdicts of a list, newest first, and the index from which older ones go on; None where there are none."""

    windows: tuple[Window, ...]
    older: int | None


def fetch(reading: Reading, *, wallet: str | None, verdict: str | None, before: int | None, limit: int) -> Page:
    """List verdicts on windows, newest first. Blocks.

    Args:
        reading: the ledger.
        wallet: of this one alone.
        verdict: of this word or code alone.
        before: an index; only older ones.
        limit: at most so many. Where few of many match, a list may be shorter and still go on.
    """
    found: list[VerdictEntry] = []
    words = () if verdict is None else (word_of(verdict) if verdict in CODES else verdict,)
    looked = 0
    while looked < _LOOKED_AT_MAX:
        batch = reading.verdicts(wallet=wallet, before=before, words=words, limit=_BATCH)
        for entry in batch:
            if verdict in (None, entry.word.value, entry.code):
                if len(found) == limit:
                    return Page(told(reading, found), found[-1].index)
                found.append(entry)
        looked += len(batch)
        if len(batch) < _BATCH:
            return Page(told(reading, found), None)
        before = batch[-1].index
    return Page(told(reading, found), before)


def told(reading: Reading, entries: Iterable[VerdictEntry]) -> tuple[Window, ...]:
    """Write verdicts, with the times of the readings at their ends, and what took their place."""
    listed = tuple(entries)
    replaced = reading.replaced(listed)
    return tuple(_window(reading, entry, replaced.get(entry.index)) for entry in listed)


def ends(reading: Reading, entry: VerdictEntry) -> tuple[str | None, str | None]:
    """Say when the readings at both ends of a verdict's window were had; None without them."""
    return _at(reading, entry.opened), _at(reading, entry.closed)


def _window(reading: Reading, entry: VerdictEntry, replaced_by: int | None) -> Window:
    opened_at, closed_at = ends(reading, entry)
    sums = entry.sums
    return Window(
        index=entry.index,
        at=entry.at,
        rule=entry.rule,
        provider=entry.provider,
        wallet=entry.wallet,
        simulated=entry.simulated,
        word=entry.word,
        code=entry.code,
        sentence=entry.sentence,
        opened_at=opened_at,
        closed_at=closed_at,
        sums=sums,
        difference=None if sums is None or sums.moved is None else _difference(sums.moved, sums.surely),
        bounds=None if sums is None else bounds(sums),
        tokens=() if sums is None else _tokens(sums),
        due_at=entry.due_at,
        attempts=entry.attempts,
        shared_with=entry.shared_with,
        replaced_by=replaced_by,
    )


def bounds(sums: WindowSums) -> Bounds | None:
    """Place the amounts between which the counter must have moved, and the movement, on one line.

    None where the movement is not known, or has no upper bound.
    """
    least, most = bounds_of(sums)
    if sums.moved is None or most is None:
        return None
    moved, least = pico(sums.moved), max(0, least)
    low, high = min(least, moved), max(most, moved)
    room = max(1, (high - low) // _ROOM)
    begins, ends = (max(0, low - room) if low >= 0 else low - room), high + room
    whole = ends - begins
    return Bounds(
        least=decimal_text(least),
        most=decimal_text(most),
        begins=decimal_text(begins),
        ends=decimal_text(ends),
        left=_place(least - begins, whole),
        width=_place(most - least, whole),
        at=_place(moved - begins, whole),
    )


def _tokens(sums: WindowSums) -> tuple[TokenLine, ...]:
    return tuple(
        TokenLine(
            name=plain(one.name),
            ours=one.ours,
            theirs=one.theirs,
            difference=None if one.theirs is None else one.theirs - one.ours,
        )
        for one in sums.classes
    )


def _difference(moved: str, surely: str) -> str:
    found = pico(moved) - pico(surely)
    return f"+{decimal_text(found)}" if found > 0 else decimal_text(found)


def _place(part: int, whole: int) -> str:
    parts = part * _PARTS // whole
    return f"{parts // 100}.{parts % 100:02d}%"


def _at(reading: Reading, index: int | None) -> str | None:
    found = None if index is None else reading.reading(index)
    return None if found is None else found.at
