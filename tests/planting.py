"""Planting: a whole service, a simulator beside it, and one clock for both that a test moves."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from service.app import running
from service.core.times import NS_PER_S, utc_ns
from service.core.wallet import Wallet
from service.core.words import ReadingCause
from service.mounting import Service
from service.secret import Secret
from service.settings import Settings, WalletSource
from service.simulator.app import Simulator, start
from service.simulator.faults import read_faults
from service.simulator.rates import NANO
from tests.accounts import Said
from tests.processes import eventually
from tests.speaking import Speaker, receipt_of, speaking

BEGUN = "2027-03-01T03:05:00Z"  # a Monday, 11:05 in UTC+8: no peak hour, and no plan's counter begins anew soon
SETTLED_S = 5  # beyond a simulator's usual lag of 2 s
FINAL_S = 40  # beyond the 30 s after which a simulator's books are final
AGAIN_S = 6  # a real wallet's counter is asked every 5 s at most

LONG = "sim:words=400"
"""Asks for an answer that moves a counter of money by far more than its steps hide."""
REAL_KEY = "sk-Zq81vTn4LmXcP0aa7eWd93RkYb52uHgJ"  # of nobody: it only looks like one


class MovingClock:
    """Real time from a fixed begin, and what the test adds."""

    def __init__(self) -> None:
        self._zero_ns = time.monotonic_ns()
        self._ahead_ns = 0

    def now_ns(self) -> int:
        """Say the UTC wall time."""
        return utc_ns(BEGUN) - self._zero_ns + self.monotonic_ns()

    def monotonic_ns(self) -> int:
        """Say a time that never goes back."""
        return time.monotonic_ns() + self._ahead_ns

    def move(self, seconds: float) -> None:
        """Let time pass for everybody who asks this clock."""
        self._ahead_ns += int(seconds * NS_PER_S)


@dataclass(frozen=True)
class Paying:
    """A wallet to begin with: provider, key, and where its requests go, behind the simulator's root."""

    provider: str
    key: str
    path: str

    def source(self, root: str) -> WalletSource:
        """Say it as an operator does."""
        return WalletSource(provider=self.provider, name="main", key=Secret(self.key), base_url=root + self.path)


KIMI = Paying("kimi", "sim-field", "/v1")
GLM = Paying("glm", "sim-field", "/api/paas/v4")
PLAN = Paying("glm", "sim-plan-planted", "/api/coding/paas/v4")
USED_BEFORE_S = 100  # something was drawn from the plan, in the same five hours: no window begins with a fresh one
MISPLACED = Paying("glm", "sim-plan-planted", "/api/paas/v4")
REAL = Paying("kimi", REAL_KEY, "/v1")
REAL_PLAN = Paying("glm", REAL_KEY, "/api/coding/paas/v4")


class Plot:
    """A service with one wallet, the provider behind it, and a client."""

    def __init__(
        self,
        service: Service,
        simulator: Simulator,
        clock: MovingClock,
        speaker: Speaker,
        http: aiohttp.ClientSession,
    ) -> None:
        self.service = service
        self.simulator = simulator
        self.clock = clock
        self.called: list[str] = []  # ids of calls, in order
        self._speaker = speaker
        self._http = http

    @property
    def wallet(self) -> Wallet:
        """The only one."""
        (one,) = self.service.wallets
        return one

    async def call(
        self,
        prompt: str = LONG,
        *,
        key: str | None = None,
        tool: str = "chat",
        **arguments: Any,  # noqa: ANN401 - a tool's arguments
    ) -> Said:
        """Call a tool; give its result."""
        said = {"prompt": prompt, **arguments} if tool == "chat" else arguments
        meta = {} if key is None else {"_meta": {"exai/idempotency_key": key}}
        answer = await self._speaker.ask("tools/call", {"name": tool, "arguments": said, **meta})
        result: Said = answer["result"]
        self.called.append(receipt_of(result)["tool_call_id"])
        return result

    async def read(self, *, after_s: float = SETTLED_S) -> None:
        """Let time pass, read the wallet's counters, and let the windows be judged."""
        self.clock.move(after_s)
        await self.service.proving.readers.read(self.wallet, cause=ReadingCause.DEMAND)
        await self.service.proving.reconciler.reconcile(self.wallet)

    def fault(self, *faults: Said) -> None:
        """Replace the provider's faults."""
        self.simulator.world.board.put(read_faults(json.dumps({"faults": faults}).encode()))

    async def move(self, kind: str, **much: Any) -> None:  # noqa: ANN401 - an amount or tokens
        """Move what the account holds without a request of ours."""
        (wallet,) = self.simulator.world.books.accounts
        body = {"wallet": wallet, "kind": kind, **much}
        async with self._http.post(f"{self.simulator.url}/_sim/move", json=body) as answer:
            assert 200 == answer.status, await answer.text()

    async def receipt(self, tool_call_id: str) -> Said:
        """Ask the console for a call's receipt."""
        return await self._json(f"/console/calls/{tool_call_id}.json")

    async def codes(self) -> list[str]:
        """Say the code of each call's verdict, in the order of calls."""
        return [(await self.receipt(one))["verdict"]["code"] for one in self.called]

    async def coded(self, *codes: str) -> None:
        """Wait until the calls bear these codes: what is verified in the background takes a moment."""

        async def look() -> bool:
            return list(codes) == await self.codes()

        await eventually(look)

    async def reconciled(self) -> Said:
        """Ask the console for the windows and wallets."""
        return await self._json("/console/reconcile.json")

    async def page(self, path: str) -> str:
        """Ask the console for a page as a browser does."""
        async with self._http.get(self.service.console_url + path, headers={"Accept": "text/html"}) as answer:
            assert 200 == answer.status, await answer.text()
            return await answer.text()

    def entries(self) -> list[Said]:
        """Read the log, in order, as JSON."""
        return [json.loads(line.entry) for line in self.service.kept.reading.lines()]

    async def _json(self, path: str) -> Said:
        async with self._http.get(self.service.console_url + path) as answer:
            assert 200 == answer.status, await answer.text()
            said: Said = await answer.json(content_type=None)
            return said


@asynccontextmanager
async def planted(
    folder: Path,
    paying: Paying,
    *,
    clock: MovingClock | None = None,
    root: str | None = None,
    prices: Path | None = None,
) -> AsyncIterator[Plot]:
    """Run a service and its simulator; nothing is read unless the test says so, and one reading is had.

    Args:
        folder: for the ledger.
        paying: the only wallet.
        clock: of everybody.
        root: of another server than the simulator.
        prices: rows on top of ours.
    """
    clock = clock or MovingClock()
    async with AsyncExitStack() as stack:
        simulator = await start(seed="planted", clock=clock.now_ns)
        stack.push_async_callback(simulator.close)
        if paying is PLAN:
            account = simulator.world.books.account(PLAN.provider, PLAN.key)
            account.draw_credits(clock.now_ns() - USED_BEFORE_S * NS_PER_S, NANO)
        settings = Settings(
            port=0,
            data_dir=folder,
            wallets=(paying.source(root or simulator.url),),
            readings=False,
            prices=prices,
            attempts_max=1,
        )
        service = await stack.enter_async_context(running(settings, environ={}, clock=clock))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        speaker = await stack.enter_async_context(speaking(service.mcp_url))
        plot = Plot(service, simulator, clock, speaker, http)
        await plot.read(after_s=0)
        yield plot


@asynccontextmanager
async def stubbing(simulator_key: str, clock: MovingClock) -> AsyncIterator[str]:
    """Serve the providers' paths, honest to the last digit, and be neither of them; give the root.

    It takes any key, and hides that a simulator with another one answers behind it.
    """
    simulator = await start(seed="stub", clock=clock.now_ns)

    async def relay(request: web.Request) -> web.Response:
        headers = {"Authorization": f"Bearer {simulator_key}", "Content-Type": "application/json"}
        nonce = request.headers.get("X-Msh-Request-Nonce")
        headers |= {} if nonce is None else {"X-Msh-Request-Nonce": nonce}
        async with (
            aiohttp.ClientSession() as http,
            http.request(
                request.method, simulator.url + request.path_qs, data=await request.read(), headers=headers
            ) as answer,
        ):
            kept = {name: text for name, text in answer.headers.items() if name.lower().startswith("msh-")}
            return web.Response(
                body=await answer.read(), status=answer.status, headers=kept, content_type=answer.content_type
            )

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", relay)
    runner = web.AppRunner(app)
    try:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
        await simulator.close()
