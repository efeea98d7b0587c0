"""The writer: what may follow is folded, bounded, hashed and put into one transaction. It owns the store.

It is synchronous and knows no thread, loop or clock: whoever drives it must call it from one place at a time.
"""

import re
from collections.abc import Iterable, Sequence

import msgspec

from service.core import entries, merkle, record
from service.core.canonical import canonical
from service.core.entries import AnyEntry, BudgetEntry, OfLedger, ResolutionEntry, ToolCallEntry
from service.core.record import BrokenRecordError, Step, ToolCall
from service.core.token import PREFIX, is_token
from service.core.words import BudgetEvent
from service.errors import BudgetStopError, StoreBrokenError, StoreFullError
from service.ledger import sweep
from service.ledger.ballast import Ballast, begins
from service.ledger.budgets import Budgets, Draft
from service.ledger.rows import attempt_row, joined, rows
from service.ledger.store import AttemptRow, Line, Rows, Store

_TOKEN = re.compile(PREFIX.encode() + rb"[0-9A-Za-z]{36}")
REFUSED = (ValueError, BudgetStopError, StoreFullError)
"""What is wrong with one append alone; whatever else was written with it stands."""


class SecretInEntryError(ValueError):
    """An entry holds the text of a key or token; it must not be written."""

    remedy = "Leave the key or token out: what is written stays readable for ever."


class Append(msgspec.Struct, frozen=True):
    """Entries that one caller wants written together, and the UTC text of their time."""

    entries: tuple[AnyEntry, ...]
    at: str


class _Folded(msgspec.Struct, frozen=True):
    """An append that its calls' histories allow: what to write, and what is true once it is written."""

    lines: Sequence[Line]
    steps: tuple[Step, ...]
    calls: dict[str, ToolCall]
    rows: Rows


Outcome = tuple[Step, ...] | Exception


class Writer:
    """The only one that appends to a store.

    Args:
        store: where the log is kept; owned from now on.
        budgets: what bounds intents; none if not given.
        canaries: texts that no entry may hold, such as keys; named tokens are known by their form.
        ballast: room for the ends of open calls on a full disk; none if not given.

    Attributes:
        due: warnings of budgets that wait to be written by `warn`; a crash loses none of those that still hold.
    """

    def __init__(
        self,
        store: Store,
        *,
        budgets: Budgets | None = None,
        canaries: Iterable[bytes] = (),
        ballast: Ballast | None = None,
    ) -> None:
        self.store = store
        self.ballast = ballast
        self.budgets = budgets or Budgets()
        self.due = self.budgets.due()
        self.counted = store.next_index  # entries that the budgets have heard of; another thread may read it
        self._canaries = tuple({form for canary in canaries for form in (canary, _escaped(canary))})
        self._open: dict[str, ToolCall] = {}

    def load(self) -> tuple[ToolCall, ...]:
        """Take up the calls that an earlier epoch left open, and give them.

        Raises:
            StoreBrokenError: the open calls in the store contradict themselves.
        """
        self._open = sweep.folded(self.store.open_calls())
        return tuple(self._open.values())

    def write(self, batch: Sequence[Append]) -> list[Outcome]:
        """Write what may be written, in one transaction.

        On a full disk the ballast is given up and the batch tried once more: what would begin is refused then.

        Returns:
            For each append its committed steps, or why it was refused: of these nothing was written.

        Raises:
            StoreFullError: there was no room; nothing was written.
            Exception: anything else; what was written is unknown, and nothing more must be.
        """
        try:
            return self._write(batch)
        except StoreFullError:
            if self.ballast is None or not self.ballast.release():
                raise
            return self._write(batch)

    def warn(self, at: str) -> Outcome:
        """Write the warnings that are due. It makes no further ones due, for it changes no attempt.

        Args:
            at: UTC text of their time.

        Returns:
            The committed steps, or why they may not be written; they are not tried again then.

        Raises:
            Exception: as `write`; on a full disk they stay due.
        """
        due, self.due = self.due, ()
        try:
            (outcome,) = self._write([Append(due, at)])  # the ballast is not there for warnings
        except StoreFullError:
            self.due = due
            raise
        return outcome

    @property
    def cramped(self) -> bool:
        """Whether no call begins for want of room; another thread may read it."""
        return self.ballast is not None and not self.ballast.present

    def _write(self, batch: Sequence[Append]) -> list[Outcome]:
        draft = self.budgets.draft()
        folded = self._fold_all(batch, draft)
        written = [one for one in folded if isinstance(one, _Folded)]
        if written:
            lines = [line for one in written for line in one.lines]
            tree = self.store.tree.extended([line.leaf_hash for line in lines])
            self.store.append(lines, joined([one.rows for one in written], tree))
            if self.store.next_index != lines[-1].index + 1 or self.store.tree.range.size != self.store.next_index:
                raise StoreBrokenError(
                    f"the store stands at index {self.store.next_index}, not {lines[-1].index + 1}"
                )
            self.due += self.budgets.accept(draft)
            for one in written:
                self._remember(one)
            self.counted = self.store.next_index
        return [one.steps if isinstance(one, _Folded) else one for one in folded]

    def _fold_all(self, batch: Sequence[Append], draft: Draft) -> list["_Folded | Exception"]:
        """Fold a batch in order; an append that is refused leaves no trace in those after it."""
        changed: dict[str, ToolCall] = {}
        folded: list[_Folded | Exception] = []
        index = self.store.next_index
        for append in batch:
            nested = draft.nested()
            try:
                if self.ballast is not None and begins(append.entries):
                    self.ballast.refuse_beginning()
                one = self._fold(append, changed, index, nested)
            except REFUSED as error:
                folded.append(error)
                continue
            draft.merge(nested)
            changed |= one.calls
            index += len(one.lines)
            folded.append(one)
        return folded

    def _fold(self, append: Append, changed: dict[str, ToolCall], first: int, draft: Draft) -> _Folded:
        """Stamp, encode and fold one append, without touching what others see.

        Raises:
            ValueError, BudgetStopError: one of its entries may not be written, so none of them is.
        """
        lines: list[Line] = []
        steps: list[Step] = []
        calls: dict[str, ToolCall] = {}
        for index, stated in enumerate(append.entries, first):
            entry = msgspec.structs.replace(
                stated, origin=self.store.origin, epoch=self.store.epoch, index=index, at=append.at
            )
            written = entries.encode(entry)
            self._refuse_secrets(written)
            leaf = merkle.leaf_hash(written)
            call_id, call = None, None
            if not isinstance(entry, OfLedger):
                call_id = entry.tool_call_id
                before = calls.get(call_id) or changed.get(call_id) or self._open.get(call_id) or self._past(entry)
                call = calls[call_id] = record.after(before, entry, leaf)
                self._count(before, entry, call, draft)
            lines.append(Line(index, entries.kind(entry), call_id, leaf, written))
            steps.append(Step(entry, call))
        return _Folded(lines, tuple(steps), calls, rows(steps))

    def _past(self, entry: entries.OfCall) -> ToolCall | None:
        """Find the record of a call that is not open: only its resolution may follow, and no second opening.

        Raises:
            BrokenRecordError: the call was opened before.
        """
        if isinstance(entry, ToolCallEntry) and self.store.has_call(entry.tool_call_id):
            raise BrokenRecordError(f"tool call {entry.tool_call_id} was opened twice")
        if isinstance(entry, ResolutionEntry):
            return sweep.folded(self.store.call_lines(entry.tool_call_id)).get(entry.tool_call_id)
        return None

    def _count(self, before: ToolCall | None, entry: entries.OfCall, call: ToolCall, draft: Draft) -> None:
        """Let the budgets know how an attempt changed; an intent that they do not allow is refused here."""
        attempt_id: str | None = getattr(entry, "attempt_id", None)
        if attempt_id is None or not self.budgets.active:
            return
        was = _row(before, attempt_id)
        opened = call.opened
        row = attempt_row(call.attempt(attempt_id))
        draft.change(was, row, opened_at=opened.at, client=opened.client, tool=opened.tool)

    def _refuse_secrets(self, written: bytes) -> None:
        if any(canary in written for canary in self._canaries) or _holds_token(written):
            raise SecretInEntryError("an entry held the text of a secret")

    def _remember(self, one: _Folded) -> None:
        for call_id, call in one.calls.items():
            if call.answer is None:
                self._open[call_id] = call
            else:
                self._open.pop(call_id, None)
        for step in one.steps:
            if isinstance(step.entry, BudgetEntry):
                self._take(step.entry)

    def _take(self, entry: BudgetEntry) -> None:
        """Let new terms hold; what was due under the old ones is due no more."""
        if entry.event is not BudgetEvent.WARNED:
            self.due = tuple(warning for warning in self.due if warning.name != entry.name)
        self.due += self.budgets.take(entry)


def _escaped(canary: bytes) -> bytes:
    """Write a text as it stands within an entry's JSON."""
    return canonical(canary.decode(errors="replace"))[1:-1]


def _holds_token(written: bytes) -> bool:
    """Tell whether an entry holds the text of a named token; what looks like one and is none passes."""
    if PREFIX.encode() not in written:  # nearly always, and much cheaper
        return False
    return any(is_token(found.decode()) for found in _TOKEN.findall(written))


def _row(call: ToolCall | None, attempt_id: str) -> AttemptRow | None:
    for attempt in call.attempts if call else ():
        if attempt.intent.attempt_id == attempt_id:
            return attempt_row(attempt)
    return None
