"""Findings: what a check has found wrong with a log, in the order it was met."""

import msgspec

PROBLEMS_MAX = 100


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong.

    Attributes:
        index: the entry's, or the first of a range in which it lies; None if it belongs to no entry.
        last: the range's last entry; None if the entry itself is known.
    """

    index: int | None
    sentence: str
    last: int | None = None

    @property
    def where(self) -> str:
        """The place in words."""
        if self.index is None:
            return "the log as a whole"
        if self.last is None or self.last == self.index:
            return f"entry {self.index}"
        return f"one of the entries {self.index} to {self.last}"


class Report(msgspec.Struct, frozen=True):
    """What a check found.

    Attributes:
        entries: how many were seen.
        problems: the first of them, in the order they were met.
        problems_total: how many there are, kept or not.
    """

    entries: int
    problems: tuple[Problem, ...]
    problems_total: int

    @property
    def first(self) -> Problem | None:
        """The first problem; None if nothing is wrong."""
        return self.problems[0] if self.problems else None


class Findings:
    """A list that grows to `PROBLEMS_MAX`, and counts on. What is noted a second time is passed over."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.total = 0
        self._known: set[Problem] = set()

    def note(self, index: int | None, sentence: str, *, last: int | None = None) -> None:
        """Count a problem, and keep it if it is among the first."""
        problem = Problem(index, sentence, last)
        if problem in self._known:
            return
        self.total += 1
        if len(self.problems) < PROBLEMS_MAX:
            self._known.add(problem)
            self.problems.append(problem)

    def report(self, entries: int) -> Report:
        """Say what was found so far."""
        return Report(entries, tuple(self.problems), self.total)
