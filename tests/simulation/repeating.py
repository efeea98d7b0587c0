"""What repeated requests meet: the past as the disk has it, and a box of kept answers that loses some."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.core.record import ToolCall
from service.core.shapes import Clock
from service.ledger import sweep
from service.ledger.memory import Memory
from service.ledger.working import Kind

_REFUSED_CHANCE = 0.05
_EMPTIED_CHANCE = 0.1


@dataclass
class Past:
    """The ledger, read: what `Reading` answers to the same questions."""

    memory: Memory

    def call_of_key(self, client: str, key_sha256: str, since: str) -> str | None:
        """Find a key's newest original that was opened at or after a time."""
        rows = [
            row
            for row in self.memory.calls.values()
            if (row.client, row.idempotency_key, row.replay_of) == (client, key_sha256, None)
            and row.opened_at >= since
        ]
        return max(rows, key=lambda row: row.opened_index).tool_call_id if rows else None

    def call(self, tool_call_id: str) -> ToolCall | None:
        """Fold the record of one call."""
        lines = [line for line in self.memory.lines if line.tool_call_id == tool_call_id]
        return sweep.folded(lines).get(tool_call_id)


@dataclass
class Box:
    """The working texts of a disk. It may refuse a text, and a crash may empty it: it is never money."""

    dice: random.Random
    texts: dict[tuple[str, str, str], tuple[bytes, int]] = field(default_factory=dict)


@dataclass
class BoxOpened:
    """One process's use of the box."""

    box: Box
    clock: Clock
    is_calm: bool

    def __post_init__(self) -> None:
        if not self.is_calm and self.box.dice.random() < _EMPTIED_CHANCE:
            self.box.texts.clear()

    def put(self, kind: Kind, client: str, key: str, content: bytes, *, expires_at_ns: int) -> bool:
        """Keep a text; False if that cannot be."""
        if not self.is_calm and self.box.dice.random() < _REFUSED_CHANCE:
            return False
        self.box.texts[kind, client, key] = content, expires_at_ns
        return True

    def get(self, kind: Kind, client: str, key: str) -> bytes | None:
        """Give a text to its client, while it lasts."""
        content, expires_at_ns = self.box.texts.get((kind, client, key), (None, 0))
        return content if expires_at_ns > self.clock.now_ns() else None


@dataclass
class Heard:
    """What clients were told for a key; all of it must be the same.

    Attributes:
        answers: the first good answer of each key, with its number of provider calls.
    """

    wrong: list[str]
    answers: dict[str, Sequence[str]] = field(default_factory=dict)

    def take(self, key: str, content: Sequence[str], provider_calls: int, *, is_replay: bool) -> None:
        """Compare a good answer with those before."""
        first = self.answers.setdefault(key, content)
        if first != content:
            self.wrong.append(f"I10: key {key} was answered {first} and {content}")
        if is_replay and provider_calls:
            self.wrong.append(f"I10: a repetition of key {key} made {provider_calls} provider calls")
