"""The disk: what survives a process, and the ways in which it may fail under one."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from service.core.merkle import CompactRange
from service.errors import StoreFullError
from service.ledger.memory import Memory, MemoryStore
from service.ledger.store import Line, Rows
from tests.simulation.repeating import Box

ORIGIN = "exai/simulated"
_CHANCES = {
    "good": 950,
    "power_cut_before": 10,
    "power_cut_after": 14,
    "full": 20,
    "failed_before": 3,
    "failed_after": 3,
}
_ROOM_CHANCE = 0.2
_FULL_WRITES = (1, 1, 3, 12)  # how many in a row find no room


class PowerCutError(BaseException):
    """The machine is off from here on; no code of the service may catch this."""


class _Intended(msgspec.Struct):
    attempt_id: str
    nonce: str | None
    client_request_id: str | None


_intended = msgspec.json.Decoder(_Intended)


@dataclass
class Disk:
    """What outlives every process of a simulation.

    Attributes:
        intents: attempt ids by what makes their requests unique, of intents that are durable.
        trees: the tree after each commit.
        notes: signed checkpoints, in the order in which they were kept.
        box: kept answers.
    """

    dice: random.Random
    memory: Memory = field(default_factory=Memory)
    intents: dict[str, str] = field(default_factory=dict)
    trees: list[CompactRange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.box = Box(self.dice)

    def committed(self, lines: Sequence[Line], rows: Rows) -> None:
        """Note what became durable."""
        self.trees.append(rows.tree.range)
        for line in lines:
            if line.kind == "intent":
                intent = _intended.decode(line.entry)
                self.intents[intent.nonce or str(intent.client_request_id)] = intent.attempt_id


class StormyStore(MemoryStore):
    """One opening of a disk that may fail.

    Args:
        disk: outlives this opening.
        dice: decide what becomes of each append.
        is_calm: no faults any more.
    """

    def __init__(self, disk: Disk, dice: random.Random, *, is_calm: bool) -> None:
        super().__init__(disk.memory, new_origin=ORIGIN)
        self._disk = disk
        self._dice = dice
        self._is_calm = is_calm
        self._full_writes_left = 0

    def append(self, lines: Sequence[Line], rows: Rows) -> None:
        """Make lines and rows durable, or fail."""
        fate = "good" if self._is_calm else self._dice.choices([*_CHANCES], [*_CHANCES.values()])[0]
        if fate == "full":
            self._full_writes_left = self._dice.choice(_FULL_WRITES)
        if self._full_writes_left:
            self._full_writes_left -= 1
            raise StoreFullError("the disk is full", remedy="Free space in the data folder.")
        if fate == "power_cut_before":
            raise PowerCutError
        if fate == "failed_before":
            raise OSError(5, "Input/output error")
        super().append(lines, rows)
        self._disk.committed(lines, rows)
        if fate == "power_cut_after":
            raise PowerCutError
        if fate == "failed_after":
            raise OSError(5, "Input/output error")

    def make_room(self) -> None:
        """Have the disk take writes again, for a while."""
        self._full_writes_left = 0


@dataclass
class Room:
    """A ballast: room on a store's disk that is given up when that is full, and kept again when dice find some."""

    store: StormyStore
    dice: random.Random
    present: bool = True

    def release(self) -> bool:
        """Give the room up; say whether there was any."""
        was, self.present = self.present, False
        if was:
            self.store.make_room()
        return was

    def refuse_beginning(self) -> None:
        """Let nothing begin while it is away."""
        self.present = self.present or self.dice.random() < _ROOM_CHANCE
        if not self.present:
            raise StoreFullError("no call is begun that could not be ended", remedy="Free space.")
