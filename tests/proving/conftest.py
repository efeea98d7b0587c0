"""A lab: real parts on a ledger in a file, facing the simulator, and one clock for both that only a test moves."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from service.calling.desk import CallDesk, Counter
from service.calling.inquiring import Inquirer
from service.calling.journal import Journal
from service.calling.routing import Router
from service.calling.wire import Deadlines, Wire
from service.core.books import ReadingEntry, VerdictEntry
from service.core.entries import AnswerEntry, AnyEntry, ToolCallEntry
from service.core.evidence import SALT_BYTES, Commitment
from service.core.record import ToolCall
from service.core.shapes import Ask, Completion, Message
from service.core.times import NS_PER_S
from service.core.verdict import verdict
from service.core.wallet import Wallet, wallet
from service.core.words import ReadingCause, ToolOutcome
from service.errors import CallError
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore
from service.ledger.writer import Writer
from service.proving.activity import Activity
from service.proving.assembling import assembled
from service.proving.proving import Proving
from service.settings import Settings
from service.simulator.app import Simulator, start
from service.simulator.control import Movement
from service.simulator.faults import Fault
from tests.rig import BEGUN_NS, PRICES, PROVIDERS, WAIT_S, no_pause, no_reread

LONG = "word " * 6000  # dear enough for a counter of five decimals


class Moving:
    """A clock that a test moves; durations follow it."""

    def __init__(self) -> None:
        self.at_ns = BEGUN_NS
        self.set_back_s = 0  # by so much somebody set the machine's clock back

    def now_ns(self) -> int:
        """Say the time."""
        return self.at_ns - self.set_back_s * NS_PER_S

    def monotonic_ns(self) -> int:
        """Say the same, for durations, which no setting back moves."""
        return self.at_ns

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.at_ns += int(seconds * NS_PER_S)


@dataclass
class Lab:
    """A service's proving room and the way of calls, without the ports around them."""

    folder: Path
    simulator: Simulator
    clock: Moving
    wallets: tuple[Wallet, ...]
    ledger: Ledger
    reading: Reading
    feed: Feed
    wire: Wire
    counter: Counter
    proving: Proving

    @property
    def wallet(self) -> Wallet:
        """The first wallet."""
        return self.wallets[0]

    def named(self, name: str) -> Wallet:
        """Give a wallet by its name."""
        return next(one for one in self.wallets if one.name == name)

    async def call(self, *, text: str = LONG, wait_s: float = 1.0, **asked: Any) -> ToolCall:  # noqa: ANN401 - any field of an ask
        """Make a call with words that no cache holds, let time pass, close it, and give its record."""
        journal = Journal(self.ledger, opened(), salt=secrets.token_bytes(SALT_BYTES))
        fresh = f"{secrets.token_hex(8)} {text}"
        wishes: dict[str, Any] = {"wallet": self.wallet.name, "max_output_tokens": 200, **asked}
        ask = Ask(messages=(Message("user", fresh),), **wishes)
        try:
            done: Completion | None = await CallDesk(self.counter, journal).complete(ask)
        except CallError:
            done = None
        self.clock.pass_s(wait_s)
        call = await asyncio.wait_for(
            journal.close(answer(journal.opened.tool_call_id, ok=done is not None)), WAIT_S
        )
        await self.heard()
        return call

    async def read(
        self, name: str | None = None, cause: ReadingCause = ReadingCause.SCHEDULE
    ) -> VerdictEntry | None:
        """Read a wallet's counters now, then reconcile it."""
        one = self.wallet if name is None else self.named(name)
        await self.proving.readers.read(one, cause=cause)
        return await self.proving.reconciler.reconcile(one)

    async def later(self, seconds: float, name: str | None = None) -> VerdictEntry | None:
        """Let time pass, then read."""
        self.clock.pass_s(seconds)
        return await self.read(name)

    async def turn(self, seconds: float = 0) -> float:
        """Let time pass, then let the schedule do what is due."""
        self.clock.pass_s(seconds)
        return await self.proving.turn(self.wallet)

    async def heard(self) -> None:
        """Wait until listeners have what was committed."""
        assert await asyncio.to_thread(self.feed.wait, WAIT_S)

    def fault(self, *faults: Fault) -> None:
        """Switch the simulator's faults."""
        self.simulator.world.board.put(faults)

    def move(self, kind: Any, amount: str | None = None, **more: Any) -> None:  # noqa: ANN401 - as a movement takes it
        """Move money in the simulator's account of the first wallet, without a request."""
        account = self.account
        Movement(wallet=account.wallet, kind=kind, amount=amount, **more).apply(account, self.clock.now_ns())

    @property
    def account(self) -> Any:  # noqa: ANN401 - the simulator's own
        """The simulator's account of the first wallet."""
        return self.simulator.world.books.account(self.wallet.provider, self.wallet.key.reveal())

    @property
    def billed(self) -> Decimal:
        """What the simulator billed for requests, in all."""
        return Decimal(self.account.totals["billed"]) / 10**9

    def code(self, call: ToolCall) -> str:
        """Give the code of the verdict on a call, as it stands now."""
        record = self.reading.call(call.tool_call_id)
        assert record is not None
        return verdict(record, as_of="now", judged=self.reading.judged([call.tool_call_id])).code

    def entries(self, kind: type[Any]) -> list[Any]:
        """Give the log's entries of a kind."""
        head = self.reading.head().next_index
        found: list[AnyEntry] = [step.entry for step in self.reading.steps(0, head)]
        return [one for one in found if isinstance(one, kind)]

    @property
    def verdicts(self) -> list[str]:
        """The codes of every verdict that was written, oldest first."""
        return [one.code for one in self.entries(VerdictEntry)]

    @property
    def readings(self) -> list[ReadingEntry]:
        """Every reading, oldest first."""
        return self.entries(ReadingEntry)


def opened() -> ToolCallEntry:
    """Open a call."""
    return ToolCallEntry(
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


def answer(tool_call_id: str, *, ok: bool) -> AnswerEntry:
    """Close a call."""
    return AnswerEntry(
        tool_call_id=tool_call_id,
        outcome=ToolOutcome.OK if ok else ToolOutcome.FAILED,
        zero_reason=None,
        error_code=None,
        response=None,
        duration_us=1,
    )


@dataclass
class Played:
    """A simulator that outlives labs, and its clock."""

    simulator: Simulator
    clock: Moving


Laboratory = Callable[..., AbstractAsyncContextManager[Lab]]


@asynccontextmanager
async def laboratory(
    folder: Path,
    *,
    keys: Sequence[tuple[str, str, str]] = (("kimi", "kimi", "sim-lab"),),
    played: Played | None = None,
    **settings: Any,  # noqa: ANN401 - any setting
) -> AsyncIterator[Lab]:
    """Open a lab.

    Args:
        folder: of the ledger.
        keys: name, provider and key of each wallet; a key that begins with sim-plan is of the plan's host path.
        played: a simulator that goes on; a new one, closed with the lab, if not given.
        settings: of readings.
    """
    own = None if played is not None else await _play()
    playing = played or own
    assert playing is not None
    clock, simulator = playing.clock, playing.simulator
    wallets = tuple(_wallet(name, provider, key, simulator) for name, provider, key in keys)
    store = SqliteStore(folder, new_origin="exai/test")
    activity = Activity()
    feed = Feed((activity,), reread=no_reread, next_index=store.next_index)
    feed.start()
    ledger = Ledger(Writer(store), feed, clock=clock)
    await ledger.start({})
    reading = Reading(folder)
    wire = Wire(Deadlines(idle_s=1.0))
    counter = Counter(
        router=Router(PROVIDERS, wallets, PRICES),
        wire=wire,
        clock=clock,
        entropy=secrets.token_bytes,
        pause=no_pause,
    )
    proving = assembled(
        Settings(data_dir=folder, **settings),
        Inquirer(wire, now_ns=clock.now_ns),
        ledger,
        reading,
        clock,
        activity,
        wallets,
        PROVIDERS,
        PRICES,
    )
    try:
        yield Lab(folder, simulator, clock, wallets, ledger, reading, feed, wire, counter, proving)
    finally:
        await wire.close()
        await asyncio.wait_for(ledger.close(), WAIT_S)
        reading.close()
        if own is not None:
            await asyncio.wait_for(own.simulator.close(), WAIT_S)


async def _play() -> Played:
    clock = Moving()
    return Played(await start(seed="lab", clock=clock.now_ns), clock)


def _wallet(name: str, provider: str, key: str, simulator: Simulator) -> Wallet:
    one = PROVIDERS[provider]
    url = simulator.urls[one.base_url_variable]
    if key.startswith("sim-plan"):
        url = url.replace("/api/paas", "/api/coding/paas")
    return wallet(one, key, base_url=url, name=name)


@pytest.fixture
def open_lab(tmp_path: Path) -> Laboratory:
    """Open labs in one folder, one after the other."""

    def opening(**how: Any) -> AbstractAsyncContextManager[Lab]:  # noqa: ANN401 - as `laboratory` takes it
        return laboratory(tmp_path, **how)

    return opening


@pytest.fixture
async def played() -> AsyncIterator[Played]:
    """A simulator that outlives labs."""
    one = await _play()
    yield one
    await asyncio.wait_for(one.simulator.close(), WAIT_S)


@pytest.fixture
async def lab(open_lab: Laboratory) -> AsyncIterator[Lab]:
    """A lab with one wallet at Kimi, read once."""
    async with open_lab() as opened_lab:
        await opened_lab.read(cause=ReadingCause.START)
        yield opened_lab
