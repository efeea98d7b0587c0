"""A walk that follows the log while it grows, and compares what it reads with the tables.

A call's rows are compared as soon as nothing may follow it any more; those of the others in a snapshot, after the
walk has caught up with it.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from service.core.entries import OfBooks
from service.core.merkle import BLOCK
from service.ledger.findings import Findings
from service.ledger.notary import Signed
from service.ledger.reading import Reading
from service.ledger.shelving import Shelf
from service.ledger.store import Line, Tree
from service.ledger.verify import Walk, compare_call

CALLS_PER_SNAPSHOT = 100


class Following:
    """One walk over the whole log, from its first entry on; it may be gone on with later.

    Args:
        reading: the log and its tables.
        findings: what is wrong goes there.
        target: a checkpoint; where the walk passes it, the root must be the one that was signed.
    """

    def __init__(self, reading: Reading, findings: Findings, target: Signed | None) -> None:
        self.target = target
        self._reading = reading
        self._findings = findings
        self._walk = Walk(findings)
        self._shelf = Shelf(reading, findings)
        self._tree: Tree | None = Tree()  # None once it cannot be followed
        self._closed = 0  # calls that nothing may follow, and their attempts
        self._closed_attempts = 0

    @property
    def next_index(self) -> int:
        """The index of the entry that is read next."""
        return self._walk.next_index

    def take(self, lines: Sequence[Line]) -> None:
        """Read the next entries."""
        begin = self.next_index
        for line in lines:
            step = self._walk.take(line)
            call = step.call if step else None
            if step is not None and isinstance(step.entry, OfBooks):
                self._shelf.take(step.entry)
            if call is not None and call.answer is not None and not call.doubtful:
                self._closed += 1
                self._closed_attempts += len(call.attempts)
                compare_call(self._walk, call, self._reading)
        if self.next_index != begin + len(lines):
            self._tree = None
        if self._tree is not None:
            self._tree = self._grown(self._tree, [line.leaf_hash for line in lines])

    def compare_open(self) -> Iterator[None]:
        """Compare what may still change, and what belongs to the log as a whole."""
        waiting = [*self._walk.folding.open, *self._walk.folding.doubtful]
        while names := waiting[:CALLS_PER_SNAPSHOT]:
            del waiting[:CALLS_PER_SNAPSHOT]
            with self._reading.snapshot():
                self._catch_up()
                for name in names:  # one that was closed meanwhile has been compared
                    call = self._walk.folding.open.get(name) or self._walk.folding.doubtful.get(name)
                    if call is not None:
                        compare_call(self._walk, call, self._reading)
            yield
        with self._reading.snapshot():
            self._catch_up()
            self._compare_counts()
            self._shelf.compare_counts()
            self._compare_tree()

    def _catch_up(self) -> None:
        lines = self._reading.lines(self.next_index)
        while batch := list(islice(lines, CALLS_PER_SNAPSHOT)):
            self.take(batch)

    def _grown(self, tree: Tree, leaves: list[bytes]) -> Tree:
        """Add leaves; a signed root and whole blocks must be those that were stored."""
        signed, begin = self.target, tree.range.size
        if signed is not None and begin < signed.checkpoint.size <= begin + len(leaves):
            size = signed.checkpoint.size
            if tree.range.extended(leaves[: size - begin]).root != signed.checkpoint.root:
                self._findings.note(
                    0, f"the root that was signed over {size} entries is not theirs", last=size - 1
                )
        grown = tree.extended(leaves)
        for number, block in grown.blocks:
            self._compare_block(number, block)
        return grown

    def _compare_block(self, number: int, block: bytes) -> None:
        stored = self._reading.select("SELECT hash FROM blocks WHERE number = ?", (number,))
        if [(block,)] != stored:
            first, last = number * BLOCK, (number + 1) * BLOCK - 1
            self._findings.note(first, "the stored hash of these entries is not theirs", last=last)

    def _compare_counts(self) -> None:
        folding = self._walk.folding
        others = {**folding.open, **folding.doubtful}.values()
        found = self._closed + len(others), self._closed_attempts + sum(len(call.attempts) for call in others)
        stored = self._reading.row_counts()
        if found != stored:
            sentence = f"{found[0]} calls and {found[1]} attempts in the log, {stored[0]} and {stored[1]} as rows"
            self._findings.note(None, sentence)

    def _compare_tree(self) -> None:
        try:
            stored = self._reading.tree()
        except ValueError as error:
            self._findings.note(None, f"the stored tree cannot be read: {error}")
            return
        if self._tree is not None and stored != self._tree.range:
            self._findings.note(None, f"the stored tree of {stored.size} entries is not that of the log")
