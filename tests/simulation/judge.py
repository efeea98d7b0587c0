"""The judge: what must hold whatever happened, read from the log's bytes and the far side's bill alone.

I1 every request that left has a durable intent from before     I5 spent + reserved ≤ limit at each admission
I2 every answer that was given has durable ends                 I6 indexes, leaves, roots and checkpoints agree
I3 an attempt ends once                                         I7 in doubt are exactly the doubts not resolved
I4 reserved and spent are the sums of what was written          I8 no secret and no prompt in any byte
I9 all that the far side bills is settled to the last digit, or held at no less
I10 requests with one idempotency key make a model work once, and are given one answer
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from service.core.budget import TOKENS, BudgetState
from service.core.merkle import CompactRange, leaf_hash
from service.core.note import NoteError, opened
from service.ledger.verify import verify
from service.mcp.events import ToolReply
from tests.simulation.disk import Disk
from tests.simulation.ledger import KEY
from tests.simulation.naive import Attempt, Naive
from tests.simulation.provider import Bill, FarSide
from tests.simulation.repeating import Heard

_PICO = 10**12
_NANO_PICO = 1000


@dataclass
class Judge:
    """Whoever compares what the service wrote and said with what happened.

    Attributes:
        secrets: texts that must stand nowhere.
        wrong: sentences, each naming an invariant; empty is well.
    """

    disk: Disk
    far: FarSide
    secrets: tuple[bytes, ...]
    wrong: list[str] = field(default_factory=list)
    _commits: int = 0

    def __post_init__(self) -> None:
        self._log = Naive(self.wrong)
        self.heard = Heard(self.wrong)

    @property
    def log(self) -> Naive:
        """What is written so far."""
        trees, lines = self.disk.trees, self.disk.memory.lines
        for number in range(self._commits, len(trees)):
            begin = trees[number - 1].size if number else 0
            for line in lines[begin : trees[number].size]:
                self._log.take(json.loads(line.entry))
            self._log.commit()
        self._commits = len(trees)
        return self._log

    def seen(self, unique: str) -> None:
        """Look at a request whose first byte is about to leave."""
        if unique not in self.disk.intents:
            self.wrong.append(f"I1: request {unique} left without a durable intent")

    def told(self, reply: ToolReply, key: str) -> None:
        """Look at a reply that is about to leave, to a request with a key or with none."""
        log = self.log
        said = json.dumps([reply.content, reply.structured, reply.receipt, str(reply.error)]).encode()
        if any(secret in said for secret in self.secrets[:2]):
            self.wrong.append("I8: a reply holds a secret")
        if reply.error is not None and reply.error.code == "not_recorded":
            return
        if reply.receipt is None:
            self.wrong.append(f"I2: a reply without a receipt: {reply.error}")
            return
        call = log.calls.get(reply.receipt["tool_call_id"])
        if call is None or call.answer is None:
            self.wrong.append(f"I2: the call of {reply.receipt['tool_call_id']} was answered and is not closed")
            return
        said_of = [attempt["attempt_id"] for attempt in reply.receipt["attempts"]]
        if said_of != call.attempts or any(log.attempts[name].end is None for name in call.attempts):
            self.wrong.append(f"I2: the receipt's attempts {said_of} are not the log's {call.attempts}")
        if key and not reply.is_error:
            self.heard.take(key, reply.content, len(said_of), is_replay=reply.replay is not None)
        kinds = {log.attempts[name].kind for name in call.attempts}
        if not reply.is_error and reply.replay is None and "settlement" not in kinds:
            self.wrong.append("I2: an answer was given without a settlement")

    def stands(self, states: Iterable[BudgetState]) -> None:
        """Look at what the keeper of budgets says is spent and reserved, when nobody writes."""
        log = self.log
        for state in states:
            counted = log.counted(state.terms.name, state.group, state.window.begins, state.unit)
            scale = 1 if state.unit == TOKENS else _PICO
            said = [Decimal(amount) / scale for amount in (state.spent, state.reserved)]
            if said != counted:
                self.wrong.append(f"I4: {state.terms} for {state.group} has {counted}; its keeper says {said}")

    def closed(self) -> None:
        """Judge everything, once the last process has ended well."""
        log = self.log
        self._judge_tree()
        self.wrong += [f"I3: tool call {name} was left open" for name, one in log.calls.items() if not one.answer]
        self.wrong += [f"I3: attempt {name} was left open" for name, one in log.attempts.items() if not one.end]
        self._judge_rows(log)
        self._judge_bills(log)
        written = b"\n".join(line.entry for line in self.disk.memory.lines)
        self.wrong += [f"I8: the log holds {secret!r}" for secret in self.secrets if secret in written]
        self.wrong += self.far.wrong

    def _judge_tree(self) -> None:
        lines = self.disk.memory.lines
        report = verify(lines)
        self.wrong += [f"I6: entry {problem.index}: {problem.sentence}" for problem in report.problems]
        roots = {0: CompactRange().root}
        tree = CompactRange()
        for line in lines:
            tree = tree.extended([leaf_hash(line.entry)])
            roots[tree.size] = tree.root
        for kept in self.disk.trees:
            if kept.root != roots[kept.size]:
                self.wrong.append(f"I6: the root at size {kept.size} is another")
        try:
            checkpoints = [opened(note, KEY.verifier) for note in self.disk.notes]
        except NoteError as error:
            self.wrong.append(f"I6: a checkpoint cannot be opened: {error}")
            return
        self.wrong += [f"I6: checkpoint {one.size}" for one in checkpoints if roots.get(one.size) != one.root]
        sizes = [one.size for one in checkpoints]
        if sizes != sorted(set(sizes)) or (sizes and sizes[-1] != len(lines)):
            self.wrong.append(f"I6: checkpoints of sizes {sizes} for {len(lines)} entries")

    def _judge_rows(self, log: Naive) -> None:
        """Compare the rows, and the sums of the quarter hours, with what a naive reader adds up."""
        memory = self.disk.memory
        rows = {row.attempt_id: row for row in memory.attempts.values()}
        if rows.keys() != log.attempts.keys() or memory.calls.keys() != log.calls.keys():
            self.wrong.append("I4: the rows are not of the calls and attempts in the log")
            return
        for name, one in log.attempts.items():
            row = rows[name]
            if (one.spent, one.held) != (_whole(row.cost_pico), _whole(row.held_pico)):
                self.wrong.append(f"I4: attempt {name} costs {one.spent}, held {one.held}; its row says {row}")
        rolled = memory.rollups.values()
        summed = [sum(_whole(getattr(sums, name)) for sums in rolled) for name in ("cost_pico", "held_pico")]
        added = [sum(getattr(one, name) for one in log.attempts.values()) for name in ("spent", "held")]
        if added != summed:
            self.wrong.append(f"I4: spent and held are {added}; the sums say {summed}")
        doubts = len(log.doubtful())
        counted = (sum(row.outcome == "in_doubt" for row in rows.values()), sum(sums.in_doubt for sums in rolled))
        if counted != (doubts, doubts):
            self.wrong.append(f"I7: {doubts} attempts are in doubt; the rows and the sums say {counted}")

    def _judge_bills(self, log: Naive) -> None:
        worked: Counter[str] = Counter()
        for bill in self.far.bills.values():
            worked[bill.key] += bill.is_worked
            attempt = log.attempts.get(self.disk.intents.get(bill.unique, ""))
            if attempt is None:
                self.wrong.append(f"I1: request {bill.unique} arrived, and nothing is written of it")
            else:
                self._judge_bill(bill, attempt)
        for key, times in worked.items():
            if key and times > 1:
                self.wrong.append(f"I10: key {key} made a model work {times} times")

    def _judge_bill(self, bill: Bill, attempt: Attempt) -> None:
        billed = Decimal(bill.nano * _NANO_PICO) / _PICO
        what = f"attempt {attempt.intent['attempt_id']} ({attempt.kind}) was billed {billed}"
        if attempt.kind == "settlement" and attempt.spent != billed:
            self.wrong.append(f"I9: {what} and settled at {attempt.spent}")
        elif attempt.kind == "doubt" and attempt.held + attempt.spent < billed:
            self.wrong.append(f"I9: {what}, held at {attempt.held}, resolved at {attempt.spent}")
        elif attempt.kind in {"refusal", "unsent"} and billed:
            self.wrong.append(f"I9: {what}")


def _whole(amount_pico: int | None) -> Decimal:
    return Decimal(amount_pico or 0) / _PICO
