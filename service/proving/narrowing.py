"""Narrowing: windows that end with one round, the widest judged first: what it finds counts in those inside it."""

from collections.abc import Sequence

from service.core.window import Found, judge
from service.proving.coverage import came_short, owing
from service.proving.holdings import Books, Holdings
from service.proving.maturing import matured
from service.proving.rounds import Round

SHORT = "U2"  # moved less than our calls come to, and may move yet
STOLEN = "U3"  # moved more than our calls explain


class Narrowing:
    """The windows of an account that end with one round.

    Args:
        holdings: what the log holds.
        group: the account's books.
        closing: the round.
    """

    def __init__(self, holdings: Holdings, group: Sequence[Books], closing: Round) -> None:
        self._holdings = holdings
        self._group = group
        self._closing = closing
        self._settling = holdings.settlings[group[-1].wallet.name]
        self._weighed = holdings.weighed(group)
        self._stolen: Round | None = None

    def judge(self, opening: Round) -> Found | None:
        """Judge the window that begins with a round; none that is wider may come after it."""
        found = judge(self._holdings.ends(self._group, opening, self._closing), self._weighed, self._settling)
        if found is not None and came_short(found.verdict):
            self._weighed = owing(self._weighed, found.decided)
        if found is not None and found.verdict.code == STOLEN:
            self._stolen = opening
        return found

    def is_apart(self, opening: Round) -> bool:
        """Tell whether what a wider window moved too much lies before a round, not in what its edges blur."""
        if self._stolen is None:
            return True
        before = judge(self._holdings.ends(self._group, self._stolen, opening), self._weighed, self._settling)
        return before is not None and before.verdict.code == STOLEN

    def matured(self, found: Found, opening: Round) -> Found:
        """Judge a window that came short by those attempts alone that must be in the books by now, if any."""
        if found.verdict.code != SHORT:
            return found
        ends = self._holdings.ends(self._group, opening, self._closing)
        return matured(found, ends, self._weighed, self._settling) or found
