"""A rig: a desk on a real ledger in memory, facing the simulator, whose books are the judge."""

import asyncio
import json
import secrets
import time
import tomllib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from service.calling.desk import CallDesk, Counter
from service.calling.journal import Journal
from service.calling.retry import RetryPolicy
from service.calling.routing import Router
from service.calling.wire import Deadlines, Wire
from service.core.budget import Cells
from service.core.entries import AnswerEntry, AnyEntry, BudgetTerms, ToolCallEntry
from service.core.evidence import SALT_BYTES, Commitment
from service.core.periods import Window
from service.core.pricing import PriceTable, parse_rows
from service.core.record import Step, ToolCall
from service.core.shapes import Ask, Completion, Message, Provider
from service.core.wallet import wallet
from service.core.words import ToolOutcome
from service.errors import CallError
from service.ledger.budgets import Budgets
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.memory import Memory, MemoryStore
from service.ledger.store import Line, Rows, Store, Tree
from service.ledger.used import use, used_of
from service.ledger.writer import Writer
from service.providers.glm import PROVIDER as GLM
from service.providers.kimi import PROVIDER as KIMI
from service.simulator.app import Simulator, start
from service.simulator.books import Entry
from service.simulator.faults import Fault
from service.simulator.rates import amount_text

WAIT_S = 20
BEGUN_NS = 1_795_364_460_000_000_000  # 2026-11-22T16:21:00Z
KEY = "sim-canary-4Zx81Qq7Lm"
PROVIDERS: dict[str, Provider] = {"kimi": KIMI, "glm": GLM}
PRICES = PriceTable(parse_rows(tomllib.loads(Path("service/prices.toml").read_text(encoding="utf-8"))))
_Kind = TypeVar("_Kind")


class FixedDay:
    """A clock whose day stands still and whose durations are real."""

    def now_ns(self) -> int:
        """Say the same time always."""
        return BEGUN_NS

    def monotonic_ns(self) -> int:
        """Say a time for durations."""
        return time.monotonic_ns()


class Counting:
    """A store around a store: it counts commits by the kinds they hold, and fails on a kind as told.

    `fault` = (kind, error, times): so many appends with an entry of that kind raise the error, unwritten.
    """

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.origin = inner.origin
        self.epoch = inner.epoch
        self.commits: list[tuple[str, ...]] = []
        self.fault: tuple[str, Exception, int] | None = None

    @property
    def next_index(self) -> int:
        """The inner store's."""
        return self.inner.next_index

    @next_index.setter
    def next_index(self, value: int) -> None:
        self.inner.next_index = value

    def append(self, lines: Sequence[Line], rows: Rows) -> None:
        """Append, or fail as told."""
        kinds = tuple(line.kind for line in lines)
        if self.fault is not None and self.fault[0] in kinds:
            kind, error, times = self.fault
            self.fault = (kind, error, times - 1) if times > 1 else None
            raise error
        self.inner.append(lines, rows)
        self.commits.append(kinds)

    def open_calls(self) -> Iterator[Line]:
        """The inner store's."""
        return self.inner.open_calls()

    def has_call(self, tool_call_id: str) -> bool:
        """Ask the inner store."""
        return self.inner.has_call(tool_call_id)

    @property
    def tree(self) -> Tree:
        """The inner store's."""
        return self.inner.tree

    @tree.setter
    def tree(self, value: Tree) -> None:
        self.inner.tree = value

    def call_lines(self, tool_call_id: str) -> Sequence[Line]:
        """Ask the inner store."""
        return self.inner.call_lines(tool_call_id)

    def of_ledger(self) -> Iterator[Line]:
        """Ask the inner store."""
        return self.inner.of_ledger()

    def close(self) -> None:
        """Close the inner store."""
        self.inner.close()


class Ear:
    """A client that hears text, and tells when the first piece has come."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.first = asyncio.Event()

    def hear(self, text: str) -> None:
        """Keep it."""
        self.heard.append(text)
        self.first.set()


class Watching:
    """A listener that keeps every step, and the log's bytes of a memory."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def take(self, steps: Sequence[Step]) -> None:
        """Keep them."""
        self.steps.extend(steps)


def no_reread(first: int, count: int) -> list[Step]:
    """Fail a test in which the feed forgot."""
    message = f"steps {first}, {count} were read again"
    raise AssertionError(message)


async def no_pause(_seconds: float) -> None:
    """Wait no time at all between attempts."""
    await asyncio.sleep(0)


@dataclass
class Rig:
    """A desk's surroundings."""

    simulator: Simulator
    memory: Memory
    store: Counting
    ledger: Ledger
    wire: Wire
    counter: Counter
    watching: Watching
    journals: list[Journal] = field(default_factory=list)

    def journal(self, **changed: Any) -> Journal:  # noqa: ANN401 - any argument of a journal
        """Open the journal of a new call."""
        opened = ToolCallEntry(
            tool_call_id=secrets.token_hex(16),
            client="owner",
            session="s-1",
            transport="websocket",
            protocol="2025-11-25",
            request_id="1",
            tool="chat",
            arguments=Commitment("0" * 64, 20),
            trace_id=secrets.token_hex(16),
            parent_span_id=None,
            parent_sampled=None,
        )
        self.journals.append(Journal(self.ledger, opened, salt=secrets.token_bytes(SALT_BYTES), **changed))
        return self.journals[-1]

    async def complete(self, asked: Ask, journal: Journal | None = None) -> Completion | CallError:
        """Ask within a call of its own and give what came, error or not."""
        try:
            return await CallDesk(self.counter, journal or self.journal()).complete(asked)
        except CallError as error:
            return error

    async def close(self, journal: Journal | None = None) -> ToolCall:
        """Close a call (the last one's) and give its record."""
        journal = journal or self.journals[-1]
        answer = AnswerEntry(
            tool_call_id=journal.opened.tool_call_id,
            outcome=ToolOutcome.OK,
            zero_reason=None,
            error_code=None,
            response=None,
            duration_us=1,
        )
        return await asyncio.wait_for(journal.close(answer), WAIT_S)

    async def end_of(self, kind: type[_Kind], asked: Ask | None = None) -> _Kind:
        """Ask once, close the call, and give the end of its last attempt, which must be of this kind."""
        await self.complete(asked or ask())
        end = (await self.close()).attempts[-1].end
        assert isinstance(end, kind), end
        return end

    def fault(self, *faults: Fault) -> None:
        """Switch the simulator's faults."""
        self.simulator.world.board.put(faults)

    @property
    def books(self) -> list[Entry]:
        """The simulator's own requests."""
        return self.simulator.world.books.requests

    def billed(self, number: int = -1) -> Decimal:
        """Say what the simulator billed for a request."""
        return Decimal(amount_text(self.books[number].billed_nano))

    @property
    def entries(self) -> list[AnyEntry]:
        """Every entry listeners have got. Only complete once the ledger is closed."""
        return [step.entry for step in self.watching.steps]

    def written(self, kind: str) -> list[dict[str, Any]]:
        """Read the log's entries of a kind, as JSON."""
        return [json.loads(line.entry) for line in self.memory.lines if line.kind == kind]

    @property
    def log(self) -> bytes:
        """Every byte that was written."""
        return b"\n".join(line.entry for line in self.memory.lines)


def used(memory: Memory, terms: BudgetTerms, within: Window) -> Cells:
    """Read what a budget's window has used, from rows in memory."""
    found = ((row, memory.calls[row.tool_call_id]) for row in memory.attempts.values())
    uses = (use(row, opened_at=call.opened_at, client=call.client, tool=call.tool) for row, call in found)
    return used_of(uses, terms, within)


def ask(text: str = "hello", **changed: Any) -> Ask:  # noqa: ANN401 - any field of an ask
    """Ask for little."""
    return Ask(messages=(Message("user", text),), **{"max_output_tokens": 500, **changed})


@asynccontextmanager
async def rig(
    *,
    key: str = KEY,
    deadlines: Deadlines | None = None,
    retry: RetryPolicy | None = None,
    body_bytes_max: int = 16 * 2**20,
) -> AsyncIterator[Rig]:
    """Put a rig up, and take it down."""
    simulator = await start(seed="rig")
    memory = Memory()
    store = Counting(MemoryStore(memory, new_origin="exai/test"))
    watching = Watching()
    feed = Feed((watching,), reread=no_reread, next_index=store.next_index)
    feed.start()
    ledger = Ledger(Writer(store, budgets=Budgets(partial(used, memory))), feed, clock=FixedDay())
    await ledger.start({})
    store.commits.clear()
    wire = Wire(deadlines or Deadlines(), body_bytes_max=body_bytes_max)
    urls = simulator.urls
    wallets = [wallet(one, key, base_url=urls[one.base_url_variable]) for one in PROVIDERS.values()]
    counter = Counter(
        router=Router(PROVIDERS, wallets, PRICES),
        wire=wire,
        clock=FixedDay(),
        entropy=secrets.token_bytes,
        pause=no_pause,
        retry=retry or RetryPolicy(),
    )
    try:
        yield Rig(simulator, memory, store, ledger, wire, counter, watching)
    finally:
        await wire.close()
        await asyncio.wait_for(ledger.close(), WAIT_S)
        await asyncio.wait_for(simulator.close(), WAIT_S)


if TYPE_CHECKING:
    _: type[Store] = Counting
