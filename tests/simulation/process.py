"""One process of a world: the service's own parts, put together over the doubles, and the clients that call it."""

import asyncio
import random
import tomllib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from service.calling.desk import Counter
from service.calling.routing import Router
from service.core.pricing import PriceTable, parse_rows
from service.core.times import utc_text
from service.core.wallet import wallet
from service.errors import ExaiError, LedgerError
from service.ledger.ledger import Ledger
from service.mcp.events import CallTool
from service.mcp.terms import KEY_META
from service.providers.glm import PROVIDER as GLM
from service.providers.kimi import PROVIDER as KIMI
from service.serving.auth import DEFAULT, LOCAL
from service.serving.calls import ToolCallRun, ToolCalls
from service.serving.idempotency import Keys
from service.serving.limits import Gate
from service.tools.chat import TOOL as CHAT
from tests.serving.running import NoBooks
from tests.simulation.clock import WorldClock
from tests.simulation.disk import Disk
from tests.simulation.judge import Judge
from tests.simulation.ledger import simulated_ledger
from tests.simulation.listening import StrangeError
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Network
from tests.simulation.operator import Operator
from tests.simulation.provider import FarSide
from tests.simulation.repeating import BoxOpened, Past

if TYPE_CHECKING:
    from service.calling.wire import Wire
    from service.ledger.working import Working

KEYS = {"kimi": "sim-canary-kimi-4Zx81Qq7Lm", "glm": "sim-canary-glm-9Yw52Pp3Kn"}
PROMPT = "prompt-canary-7Vt63"
_PROVIDERS = {"kimi": KIMI, "glm": GLM}
_PRICES = PriceTable(parse_rows(tomllib.loads(Path("service/prices.toml").read_text(encoding="utf-8"))))
_WALLETS = [wallet(one, KEYS[name], base_url="http://127.0.0.1:9") for name, one in _PROVIDERS.items()]
_MODELS = ("kimi-k2.6", "kimi-k3", "glm-5.3-flash", "glm-4.7-flash", "glm-4.7", "kimi-of-tomorrow")
_CONSOLE_URL = "http://127.0.0.1:8079"
_CLIENTS_MAX = 4
_CALLS_MAX = 4
_STOP_S = 15.0  # for what is written at the end, on the slowest disk here
_STOPPED_CHANCE = 0.4
_STEP_CHANCE = 0.3
_STEPS_S = (-3600.0, -30.0, 90.0, 20_000.0)  # never a day in all: for so long a key holds
_KEYS = 3
_KEY_CHANCE = 0.35
_BURST_CHANCE = 0.3
_MANNERS = {"waits": 50, "cancels": 20, "leaves": 30}


class Ordered(dict[ToolCallRun, None]):
    """The calls under way, in the order in which they came: addresses of objects must decide nothing."""

    def add(self, run: ToolCallRun) -> None:
        """Add one."""
        self[run] = None

    def discard(self, run: ToolCallRun) -> None:
        """Remove one."""
        self.pop(run, None)


@dataclass
class Process:
    """One start of the service, from its first entry to its last, or to its death."""

    loop: VirtualLoop
    dice: random.Random
    disk: Disk
    far: FarSide
    judge: Judge
    clock: WorldClock
    is_calm: bool
    begun: list[ToolCallRun] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.network = Network(self.dice, self.far, self.clock, self.judge.seen, self.is_calm)

    async def main(self) -> None:
        """Start, serve until the clients have gone or the end is asked for, drain, close."""
        ended = asyncio.Event()
        ledger = simulated_ledger(
            self.loop,
            self.disk,
            self.dice,
            clock=self.clock,
            canaries=[key.encode() for key in KEYS.values()],
            is_calm=self.is_calm,
            on_failure=partial(self._failed, ended),
            wrong=self.judge.wrong,
        )
        try:
            await ledger.start({})
        except LedgerError:
            await ledger.close()
            return
        gate = Gate()
        calls = self._calls(ledger, gate)
        clients = [
            self.loop.create_task(self._client(calls, n)) for n in range(self.dice.randint(0, _CLIENTS_MAX))
        ]
        if not self.is_calm:
            clients.append(self.loop.create_task(Operator(self.dice, ledger, self.judge).work()))
        self._plan(ended)
        over = self.loop.create_task(ended.wait())
        served = self.loop.create_task(_all_of(clients))
        await asyncio.wait({over, served}, return_when=asyncio.FIRST_COMPLETED)
        grace_s, began_s = self.dice.choice((0.0, 0.5, 30.0)), self.loop.time()
        await calls.drain(grace_s)
        if self.loop.time() - began_s > grace_s + _STOP_S:
            self.judge.wrong.append(f"I2: a drain of {grace_s} s took {self.loop.time() - began_s:.0f} s")
        left = [run for run in self.begun if not run.done.done()]
        if left or calls.open or gate.in_flight:
            self.judge.wrong.append(f"I2: {len(left)} calls have no reply, {calls.open} are open, after the drain")
        for task in (*clients, served, over):
            task.cancel()
        await asyncio.wait({*clients, served, over})
        if not ledger.failed and not ledger.waiting:
            self.judge.stands(ledger.writer.budgets.states(utc_text(self.clock.now_ns())).states)
        await ledger.close()

    def _calls(self, ledger: Ledger, gate: Gate) -> ToolCalls:
        counter = Counter(
            router=Router(_PROVIDERS, _WALLETS, _PRICES),
            wire=cast("Wire", self.network),
            clock=self.clock,
            entropy=self.dice.randbytes,
        )
        calls = ToolCalls(
            {"chat": CHAT},
            ledger=ledger,
            counter=counter,
            gate=gate,
            clock=self.clock,
            entropy=self.dice.randbytes,
            books=NoBooks,
            console_url=_CONSOLE_URL,
            keys=Keys(
                Past(self.disk.memory),
                cast("Working", BoxOpened(self.disk.box, self.clock, self.is_calm)),
                clock=self.clock,
                console_url=_CONSOLE_URL,
            ),
        )
        calls._running = Ordered()  # type: ignore[assignment] # a set, as far as it is used as one
        return calls

    def _plan(self, ended: asyncio.Event) -> None:
        """Set a time for a signal to stop, and for somebody who sets the clock."""
        if not self.is_calm and self.dice.random() < _STOPPED_CHANCE:
            self.loop.call_later(self.dice.expovariate(1), ended.set)
        if not self.is_calm and self.dice.random() < _STEP_CHANCE:
            self.loop.call_later(self.dice.expovariate(1), self.clock.step, self.dice.choice(_STEPS_S))

    def _failed(self, ended: asyncio.Event, error: Exception) -> None:
        if not isinstance(error, OSError):
            self.judge.wrong.append(f"the ledger failed: {error!r}")
        self.loop.call_soon_threadsafe(ended.set)

    async def _client(self, calls: ToolCalls, number: int) -> None:
        """Make some calls, and wait for them, cancel them or leave them."""
        for _ in range(self.dice.randint(1, _CALLS_MAX)):
            if self.dice.random() > _BURST_CHANCE:
                await asyncio.sleep(self.dice.expovariate(2))
            try:
                run = self._begin(calls, number)
            except ExaiError:
                continue
            (manner,) = self.dice.choices([*_MANNERS], [*_MANNERS.values()])
            if manner == "leaves":
                continue
            if manner == "cancels":
                await asyncio.sleep(self.dice.expovariate(5))
                run.cancel()
            await asyncio.wait({run.done})

    def _begin(self, calls: ToolCalls, number: int) -> ToolCallRun:
        dice = self.dice
        caller = dice.choice((DEFAULT, LOCAL))
        key = f"{caller.name}/{dice.randrange(_KEYS)}" if dice.random() < _KEY_CHANCE else ""
        arguments = self._repeated(key) if key else self._arguments()
        call = CallTool(
            request_id=1,
            name="chat",
            arguments=arguments,
            meta={KEY_META: key} if key else {},
            progress_token=None,
            wants_text=False,
        )
        run = calls.begin(
            call,
            caller=caller,
            session=f"s-{number}",
            transport="websocket",
            protocol="2025-11-25",
            on_text=dice.choice((None, self._hear)),
        )
        self.begun.append(run)
        run.done.add_done_callback(lambda done: self.judge.told(done.result(), key))
        return run

    def _repeated(self, key: str) -> dict[str, Any]:
        """Ask the same under the same key; now and then something else, by mistake."""
        words = 7 if self.dice.random() < 1 / 8 else 3
        return {"prompt": f"sim:words={words} sim:reasoning=2 key={key} {PROMPT}"}

    def _arguments(self) -> dict[str, Any]:
        dice = self.dice
        arguments: dict[str, Any] = {"prompt": f"sim:words={dice.randrange(9)} sim:reasoning=2 {PROMPT}"}
        if dice.random() < 1 / 2:
            arguments["model"] = dice.choice(_MODELS)
        if dice.random() < 1 / 4:
            arguments["max_output_tokens"] = dice.choice((1, 5, 100))
        if dice.random() < 1 / 8:
            arguments["thinking"] = False
        if dice.random() < 1 / 32:
            arguments["temperature"] = "warm"
        return arguments

    def _hear(self, _text: str) -> None:
        if self.dice.random() < 1 / 32:
            raise StrangeError


async def _all_of(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        await asyncio.wait({task})
