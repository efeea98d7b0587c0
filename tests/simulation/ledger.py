"""The real ledger without its threads: its writer and its notary take turns between the loop's callbacks."""

import queue
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from service.core import entries
from service.core.budget import Cells
from service.core.entries import BudgetEntry, BudgetTerms
from service.core.merkle import CompactRange
from service.core.note import SigningKey
from service.core.periods import Window
from service.core.record import Step
from service.core.shapes import Clock
from service.core.times import utc_text
from service.ledger.budgets import Budgets
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.notary import Notary
from service.ledger.used import use, used_of
from service.ledger.writer import Writer
from tests.simulation.disk import ORIGIN, Disk, PowerCutError, Room, StormyStore
from tests.simulation.loop import VirtualLoop

_TURN_MEANS_S = (0.001, 0.01, 0.1)  # of a quick disk and of slow ones
_CUT_CHANCE = 0.25
_BALLAST_CHANCE = 0.7
_SIGN_CHANCE = 0.15
KEY = SigningKey(ORIGIN, bytes(range(32)))

if TYPE_CHECKING:
    import threading

    from service.ledger.ballast import Ballast


class Turns:
    """What the ledger takes for its queue and its thread: what was put is worked on when dice say so.

    A turn ends where `get` gives None; a batch ends where `get_nowait` finds nothing, there or not.
    """

    def __init__(self, loop: VirtualLoop, dice: random.Random, work: Callable[[], None]) -> None:
        self.ident: int | None = None
        self._loop = loop
        self._dice = dice
        self._work = work
        self._mean_s = dice.choice(_TURN_MEANS_S)
        self._waiting: deque[object] = deque()
        self._is_armed = False
        self._began = False  # whether this turn has taken its batch

    def put(self, item: object | None) -> None:
        """Take what is to be written; None, the end, needs no place: `join` works off what waits."""
        if item is not None:
            self._waiting.append(item)
            self._arm()

    def get(self) -> object | None:
        """Give the first of a batch, once a turn."""
        if self._began or not self._waiting:
            return None
        self._began = True
        return self._waiting.popleft()

    def get_nowait(self) -> object:
        """Give the next of a batch, unless dice cut it here."""
        if not self._waiting or self._dice.random() < _CUT_CHANCE:
            raise queue.Empty
        return self._waiting.popleft()

    def start(self) -> None:
        """Begin to take turns."""
        self.ident = 1

    def is_alive(self) -> bool:
        """Say whether turns are taken."""
        return self.ident is not None

    def join(self) -> None:
        """Work off what waits."""
        while self._waiting and not self._loop.is_dead:
            self._turn()

    def _arm(self) -> None:
        if not self._is_armed:
            self._is_armed = True
            self._loop.call_later(self._dice.expovariate(1 / self._mean_s), self._due)

    def _due(self) -> None:
        self._is_armed = False
        self._turn()
        if self._waiting:
            self._arm()

    def _turn(self) -> None:
        self._began = False
        try:
            self._work()
        except PowerCutError:
            self._loop.die()


class Told:
    """A feed without listeners: every committed step must be offered once, in the log's order."""

    lag = 0

    def __init__(self, next_index: int, wrong: list[str]) -> None:
        self._next_index = next_index
        self._wrong = wrong

    def offer(self, steps: Sequence[Step]) -> None:
        """Take committed steps."""
        found = [step.entry.index for step in steps]
        if found != list(range(self._next_index, self._next_index + len(found))):
            self._wrong.append(f"I6: listeners were told of {found}, not of {self._next_index} and on")
        self._next_index += len(found)

    def close(self, _timeout_s: float) -> bool:
        """End at once."""
        return True


class CalmNotary(Notary):
    """The notary without a thread: it signs when dice say so, and at the end."""

    def __init__(self, disk: Disk, dice: random.Random) -> None:
        super().__init__(KEY, disk.notes.append)
        self._dice = dice
        self._last: CompactRange | None = None

    def offer(self, tree: CompactRange) -> None:
        """Sign, or wait for the next one."""
        self._last = tree
        if self._dice.random() < _SIGN_CHANCE:
            self._sign(tree)

    def close(self, timeout_s: float = 0) -> bool:
        """Sign the last one."""
        del timeout_s
        if self._last is not None:
            self._sign(self._last)
        return True


def budgets_of(disk: Disk, clock: Clock) -> Budgets:
    """Take up the budgets in force, as a start does, with the rows in the place of tables."""
    memory = disk.memory

    def read(terms: BudgetTerms, within: Window) -> Cells:
        calls = memory.calls
        found = ((row, calls[row.tool_call_id]) for row in memory.attempts.values())
        uses = (use(row, opened_at=call.opened_at, client=call.client, tool=call.tool) for row, call in found)
        return used_of(uses, terms, within)

    said = [entries.decode(line.entry) for line in memory.lines if line.kind == "budget"]
    stated = [entry for entry in said if isinstance(entry, BudgetEntry)]
    return Budgets(read, entries=stated, at=utc_text(clock.now_ns()))


def simulated_ledger(
    loop: VirtualLoop,
    disk: Disk,
    dice: random.Random,
    *,
    clock: Clock,
    canaries: Sequence[bytes],
    is_calm: bool,
    on_failure: Callable[[Exception], None],
    wrong: list[str],
) -> Ledger:
    """Open the disk and put a ledger before it."""
    store = StormyStore(disk, dice, is_calm=is_calm)
    ballast = cast("Ballast", Room(store, dice)) if dice.random() < _BALLAST_CHANCE else None
    ledger = Ledger(
        Writer(store, budgets=budgets_of(disk, clock), canaries=canaries, ballast=ballast),
        cast("Feed", Told(store.next_index, wrong)),
        clock=clock,
        notary=CalmNotary(disk, dice),
        on_failure=on_failure,
    )
    turns = Turns(loop, dice, ledger._run)
    ledger._queue = turns  # type: ignore[assignment] # it is one, as far as the ledger uses one
    ledger._thread = cast("threading.Thread", turns)
    return ledger
