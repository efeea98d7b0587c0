"""The keeper of budgets: what each has left, admitted and counted in the log's own order.

It is derived from the tables and never a second truth: a window that it does not hold is read from them. It
belongs to the writer's thread; `states` alone may be called from any.

    batch ── draft ── change(None, intent) ──> the limit is checked, the worst case reserved, or BudgetStopError
               │      change(row, row)      ──> reserved becomes spent, or free
               └─ committed ── accept ──> the sums hold; warnings that are due now
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from service.core import budget
from service.core.budget import TOKENS, BudgetState, Cell, Cells, Use
from service.core.entries import BudgetEntry, BudgetTerms
from service.core.in_force import in_force
from service.core.periods import Window
from service.core.words import BudgetEvent
from service.errors import BudgetStopError
from service.ledger.store import AttemptRow
from service.ledger.used import use

_NOTHING = (0, 0)
WINDOWS_MAX = 2  # of one budget: the newest, and the one that an intent fell into last
Source = Callable[[BudgetTerms, Window], Cells]
"""Reads what is spent and reserved in one window of a budget, of everything that is committed."""
BY_SERVICE = "service"


class BrokenBudgetError(AssertionError):
    """Sums that cannot be: a fault of ours, after which nothing more may be admitted."""


class _Place(NamedTuple):
    """Where an amount counts."""

    name: str
    begins: str
    group: tuple[str, ...]
    simulated: bool
    unit: str

    @property
    def cell(self) -> Cell:
        """The place within its window."""
        return self.group, self.simulated, self.unit


@dataclass
class _Kept:
    """One window of one budget: its sums, and the highest percent that was warned of."""

    window: Window
    cells: dict[Cell, tuple[int, int]]
    warned: dict[Cell, int] = field(default_factory=dict)


@dataclass
class _Rule:
    """A budget in force, and its windows; the one that an intent fell into last stands last."""

    terms: BudgetTerms
    limits: dict[str, int]
    windows: dict[str, _Kept] = field(default_factory=dict)


class Standing(NamedTuple):
    """Where limits stand in the windows of one time that memory holds, and the budgets whose window it does not.

    Of these nothing is known here: the tables have it.
    """

    states: tuple[BudgetState, ...]
    unheld: tuple[BudgetTerms, ...]


class Draft:
    """What a batch changes, until it is committed. A nested one is an append's: dropped, it leaves no trace."""

    def __init__(self, budgets: "Budgets", outer: "Draft | None" = None) -> None:
        self._budgets = budgets
        self.outer = outer
        self.deltas: dict[_Place, tuple[int, int]] = {}

    def nested(self) -> "Draft":
        """Begin a draft that sees this one's changes."""
        return Draft(self._budgets, self)

    def merge(self, nested: "Draft") -> None:
        """Take the changes of a nested draft over."""
        for place, (spent, reserved) in nested.deltas.items():
            self._add(place, spent, reserved)

    def change(
        self, before: AttemptRow | None, after: AttemptRow, *, opened_at: str, client: str, tool: str
    ) -> None:
        """Count how an attempt changed; without a row before, it is an intent and must be admitted.

        Raises:
            BudgetStopError: a budget does not allow it; the draft is as it was.
            BrokenBudgetError: an intent states no bound of its tokens.
        """
        if not self._budgets.active or before == after:
            return
        now = use(after, opened_at=opened_at, client=client, tool=tool)
        governing = [rule for rule in self._budgets.rules() if budget.governs(rule.terms, now)]
        if before is None:
            self._admit(governing, now)
        else:
            self._count(governing, use(before, opened_at=opened_at, client=client, tool=tool), -1)
        self._count(governing, now, 1)

    def _admit(self, governing: Sequence[_Rule], intent: Use) -> None:
        """Check every limit; of several that stop the attempt, the one that stops it longest speaks."""
        stops: list[BudgetStopError] = []
        worst = budget.amounts(intent)
        for rule in governing:
            if (unbounded := budget.unbounded(rule.terms, intent)) is not None:
                stops.append(unbounded)
                continue
            if TOKENS in rule.limits and intent.held_tokens is None:
                raise BrokenBudgetError("an intent states no bound of its tokens")
            kept = self._budgets.kept(rule, intent.opened_at)
            who = budget.group(rule.terms, intent)
            for unit, limit in rule.limits.items():
                place = _Place(rule.terms.name, kept.window.begins, who, intent.simulated, unit)
                used, most = self._used(kept, place), sum(worst.get(unit, _NOTHING))
                if sum(used) + most > limit:
                    stops.append(budget.stop(_state_of(rule, kept, place.cell, used), most))
        if stops:
            raise max(stops, key=lambda one: (not one.retryable, one.resets_at is None, one.resets_at or ""))

    def _used(self, kept: _Kept, place: _Place) -> tuple[int, int]:
        """Say what is spent and reserved at a place, this draft's changes and those around it included."""
        spent, reserved = kept.cells.get(place.cell, _NOTHING)
        draft: Draft | None = self
        while draft is not None:
            more = draft.deltas.get(place, _NOTHING)
            spent, reserved, draft = spent + more[0], reserved + more[1], draft.outer
        return spent, reserved

    def _count(self, governing: Sequence[_Rule], of: Use, sign: int) -> None:
        amounts = budget.amounts(of)
        for rule in governing:
            begins, who = budget.window(rule.terms, of.opened_at).begins, budget.group(rule.terms, of)
            for unit in rule.limits:
                spent, reserved = amounts.get(unit, _NOTHING)
                if spent or reserved:
                    self._add(
                        _Place(rule.terms.name, begins, who, of.simulated, unit), sign * spent, sign * reserved
                    )

    def _add(self, place: _Place, spent: int, reserved: int) -> None:
        before = self.deltas.get(place, _NOTHING)
        self.deltas[place] = before[0] + spent, before[1] + reserved


class Budgets:
    """All budgets in force.

    Args:
        source: blocks; called on the writer's thread.
        entries: what was said of budgets so far, in the log's order.
        at: UTC text of the time; windows that hold it are read at once.
    """

    def __init__(
        self, source: Source = lambda _terms, _window: {}, *, entries: Iterable[BudgetEntry] = (), at: str = ""
    ) -> None:
        self._source = source
        self._guard = threading.Lock()  # between the writer's thread and those that ask for states
        stated = in_force(entries)
        self._rules = {terms.name: self._rule(terms, at) for terms in stated.terms}
        for entry in stated.warned:
            self._note(entry)

    @property
    def active(self) -> bool:
        """Whether there is any budget."""
        return bool(self._rules)

    def rules(self) -> Iterable[_Rule]:
        """Give the budgets in force; for drafts."""
        return self._rules.values()

    def draft(self) -> Draft:
        """Begin a batch."""
        return Draft(self)

    def kept(self, rule: _Rule, at: str) -> _Kept:
        """Find the window that an intent falls into; for drafts. One that is not held is read."""
        window = budget.window(rule.terms, at)
        found = rule.windows.get(window.begins)
        if found is None:
            found = _Kept(window, dict(self._source(rule.terms, window)))
            found.warned = {cell: _percent(rule, cell, amount) for cell, amount in found.cells.items()}
        with self._guard:
            rule.windows.pop(window.begins, None)
            rule.windows[window.begins] = found
        return found

    def accept(self, draft: Draft) -> tuple[BudgetEntry, ...]:
        """Take over what a committed batch changed; must follow its commit at once.

        Returns:
            Warnings that are due, to be written. None is given twice.

        Raises:
            BrokenBudgetError: less than nothing would be spent or reserved.
        """
        due: list[BudgetEntry] = []
        with self._guard:
            for place, more in draft.deltas.items():
                rule = self._rules[place.name]
                if (kept := rule.windows.get(place.begins)) is None:  # over; the tables have it
                    continue
                before = kept.cells.get(place.cell, _NOTHING)
                sums = before[0] + more[0], before[1] + more[1]
                if min(sums) < 0:
                    raise BrokenBudgetError(f"budget {place.name!r} would have {sums} spent and reserved")
                kept.cells[place.cell] = sums
                due += _due(rule, kept, place.cell)
                if sums == _NOTHING:
                    del kept.cells[place.cell]
            for rule in self._rules.values():
                newest = max(rule.windows, default="")
                while len(rule.windows) > WINDOWS_MAX:
                    del rule.windows[next(begins for begins in rule.windows if begins != newest)]
        return tuple(due)

    def take(self, entry: BudgetEntry) -> tuple[BudgetEntry, ...]:
        """Take up a committed entry: terms that were set hold from the next batch on.

        Returns:
            Warnings that are due under these terms at once.
        """
        if entry.event is BudgetEvent.WARNED:
            self._note(entry)
            return ()
        rules = {name: rule for name, rule in self._rules.items() if name != entry.name}
        if entry.terms is not None:
            rules[entry.name] = self._rule(entry.terms, entry.at)
        with self._guard:
            self._rules = dict(sorted(rules.items()))
        return self.due(entry.name)

    def due(self, *names: str) -> tuple[BudgetEntry, ...]:
        """Give the warnings that are due of these budgets, or of all: at a start those that a crash swallowed."""
        return tuple(
            entry
            for rule in self._rules.values()
            if not names or rule.terms.name in names
            for kept in rule.windows.values()
            for cell in kept.cells
            for entry in _due(rule, kept, cell)
        )

    def states(self, at: str) -> Standing:
        """Say where every limit stands, in the windows that hold `at`. May be called from any thread."""
        held, unheld = [], []
        with self._guard:
            for rule in self._rules.values():
                window = budget.window(rule.terms, at)
                kept = rule.windows.get(window.begins)
                if kept is None:
                    unheld.append(rule.terms)
                else:
                    held.append((rule.terms, window, dict(kept.cells)))
        return Standing(tuple(state for stated in held for state in budget.states(*stated)), tuple(unheld))

    def _rule(self, terms: BudgetTerms, at: str) -> _Rule:
        rule = _Rule(terms, budget.limits_of(terms))
        window = budget.window(terms, at)
        rule.windows[window.begins] = _Kept(window, dict(self._source(terms, window)))
        return rule

    def _note(self, entry: BudgetEntry) -> None:
        """Remember a warning that was written."""
        rule, said = self._rules.get(entry.name), entry.warning
        kept = rule.windows.get(said.window) if rule and said else None
        if kept is not None and said is not None:
            cell = said.group, said.simulated, said.unit
            kept.warned[cell] = max(said.percent, kept.warned.get(cell, 0))


def _due(rule: _Rule, kept: _Kept, cell: Cell) -> Iterator[BudgetEntry]:
    """Give the warning of the highest threshold, if none as high was given; it is given once."""
    amount = kept.cells[cell]
    reached = _percent(rule, cell, amount)
    if reached > kept.warned.get(cell, 0):
        kept.warned[cell] = reached
        yield BudgetEntry(
            event=BudgetEvent.WARNED,
            name=rule.terms.name,
            terms=None,
            warning=budget.warning(_state_of(rule, kept, cell, amount), reached),
            by=BY_SERVICE,
        )


def _percent(rule: _Rule, cell: Cell, amount: tuple[int, int]) -> int:
    *_, unit = cell
    return budget.percent(sum(amount), rule.limits[unit])


def _state_of(rule: _Rule, kept: _Kept, cell: Cell, amount: tuple[int, int]) -> BudgetState:
    who, simulated, unit = cell
    return BudgetState(
        terms=rule.terms,
        window=kept.window,
        group=who,
        simulated=simulated,
        unit=unit,
        limit=rule.limits[unit],
        spent=amount[0],
        reserved=amount[1],
    )
