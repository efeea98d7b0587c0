"""The one straight line that puts the parts together. What was opened is closed in reverse, whatever happens."""

import asyncio
import logging
import os
import platform
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import apsw
from aiohttp import web

from otel.metrics import Labels
from otel.series import SIMULATED
from otel.wallets import WalletLabels
from service import VERSION
from service.actions._action import Stand, load_actions
from service.calling.desk import Counter
from service.calling.inquiring import Inquirer
from service.calling.retry import RetryPolicy
from service.calling.routing import Router
from service.calling.wire import Deadlines, Wire
from service.checks.proving import STALE_INTERVALS
from service.clock import SystemClock, refuse_absurd
from service.core.pricing import PriceTable
from service.core.shapes import Clock, Prover, Provider, Tool
from service.core.wallet import Wallet
from service.entropy import Entropy
from service.equipment import load_providers, load_tools, open_budgets, open_wallets
from service.ledger.limiting import follow_file
from service.ledger.working import Working, swept
from service.mcp.catalogue import catalogue_of
from service.mcp.opening import open_conversation
from service.mcp.terms import Limits, Server
from service.mounting import MAIN, MOVABLE, Kept, Numbers, Service, mount
from service.pricelist import load_prices
from service.proving.activity import Activity
from service.proving.assembling import assembled
from service.proving.means import Means
from service.proving.prover import CallProver
from service.proving.proving import Proving
from service.recording import recording
from service.serving.auth import Caller, Tokens
from service.serving.books import ReadBooks
from service.serving.calls import ToolCalls
from service.serving.idempotency import Keys
from service.serving.limits import Connections, Gate
from service.serving.operator import Operator
from service.serving.ports import REJECTIONS, Parts
from service.serving.problems import refusal
from service.settings import Settings
from service.transports.control import controlled
from service.transports.site import BoundedSite, listen, make_runner
from service.transports.websocket import WebSockets
from service.web.guard import REASONS as GUARD_REASONS
from service.web.guard import guard
from service.web.hosts import Hosts
from service.web.problems import problems

INSTRUCTIONS = (
    "Tools here ask GLM or Kimi. Every answer carries a receipt under _meta['exai/receipt']: which provider was"
    " asked, what it metered, what it cost, and a URL where a person can check it. To repeat a request without"
    " paying twice, send the same _meta['exai/idempotency_key'] with it."
)
_ID_BYTES = 16

_log = logging.getLogger(__name__)


@asynccontextmanager
async def running(
    settings: Settings, *, environ: Mapping[str, str], clock: Clock | None = None
) -> AsyncIterator[Service]:
    """Run the service while the context lasts.

    Args:
        settings: all that the operator decided.
        environ: where OpenTelemetry's own `OTEL_*` variables are read from.
        clock: the machine's if not given.

    Raises:
        StartError: it must not or cannot start; the message holds the remedy.
    """
    clock = clock or SystemClock()
    refuse_absurd(clock.now_ns())
    offered, known = load_tools(), load_providers()
    prices, wallets = load_prices(settings.prices), open_wallets(settings, known)
    stated, actions = open_budgets(settings, wallets, known), load_actions()
    async with AsyncExitStack() as stack:
        listeners = _listen(settings, stack)  # first: a port that is taken must not cost an epoch
        ports = {part: int(listener.getsockname()[1]) for part, listener in listeners.items()}
        url, console_url = settings.url(ports[MAIN]), settings.url(ports.get("console", ports[MAIN]))
        stopped = asyncio.Event()
        labels = _labels(offered, known, prices, wallets, settings)
        activity, detail = Activity(), _start_detail(prices, wallets)
        kept = await recording(stack, settings, environ, clock, labels, stopped, detail, heard=[activity])
        await follow_file(
            kept.ledger, kept.reading, stated.budgets, has_file=settings.has_file, warnings=stated.warnings
        )
        wire = Wire(_deadlines(settings), body_bytes_max=settings.body_bytes_max)
        stack.push_async_callback(wire.close)
        entropy = Entropy(os.urandom)
        inquirer = Inquirer(wire, now_ns=clock.now_ns)
        proving = assembled(settings, inquirer, kept.ledger, kept.reading, clock, activity, wallets, known, prices)
        prover = _prover(proving, kept, prices, entropy, console_url)
        calls = ToolCalls(
            offered,
            ledger=kept.ledger,
            counter=_counter(settings, Router(known, wallets, prices), wire, clock, entropy),
            gate=_gate(settings),
            clock=clock,
            entropy=entropy,
            books=partial(ReadBooks, kept.reading, clock),
            keys=Keys(kept.reading, _working(stack, settings, clock), clock=clock, console_url=console_url),
            console_url=console_url,
            prover=prover,
        )
        mcp_url, operator = url.replace("http", "ws", 1) + "/mcp", Operator(calls, prover)
        service = Service(url, console_url, mcp_url, wallets, calls, kept, proving, operator, stopped)
        parts = _pump_parts(settings, calls, kept.tokens, kept.metrics, offered)
        sockets = WebSockets(parts, frame_bytes_max=settings.frame_bytes_max)
        stand = guard(
            Hosts(ports.values, settings.allowed_hosts),
            kept.tokens,
            is_bound_to_loopback=settings.loopback,
            count_rejection=kept.metrics.rejected,
        )
        connections = Connections(total=settings.connections_max)
        for part, listener in listeners.items():
            app = web.Application(middlewares=[problems(_new_id), stand])
            for mounted in (part, *(name for name in MOVABLE if part == MAIN and name not in listeners)):
                mount(app, mounted, service, sockets, clock)
            await _reached(stack, app, listener, connections)
        await stack.enter_async_context(controlled(settings.data_dir, actions, _acting(service, sockets, clock)))
        stack.enter_context(kept.patrol)
        await stack.enter_async_context(proving.running())
        # Closing begins here: no new call, the open ones end and are answered, then the goodbye.
        stack.push_async_callback(sockets.goodbye)
        stack.push_async_callback(calls.drain, settings.grace_s)
        yield service


def _acting(service: Service, sockets: WebSockets, clock: Clock) -> Stand:
    kept = service.kept
    return Stand(
        ledger=kept.ledger,
        reading=kept.reading,
        clock=clock,
        entropy=os.urandom,
        folder=kept.folder,
        heard=kept.tokens.take,
        connections=sockets.count_of,
        wallets=lambda: service.wallets,
        prove=service.operator.prove,
    )


def _prover(
    proving: Proving, kept: Kept, prices: PriceTable, entropy: Entropy, console_url: str
) -> Callable[[Caller, str], Prover]:
    """Open the providers' own books for a caller and its tool call."""
    means = Means(
        wallets=proving.wallets,
        providers=proving.providers,
        prices=prices,
        readers=proving.readers,
        reconciler=proving.reconciler,
        reading=proving.reading,
        measures=proving.measures,
        settlings=proving.settlings,
        clock=proving.clock,
        entropy=entropy,
        console_url=console_url,
        checkpoint=lambda: kept.ledger.checkpoint,
    )
    return lambda caller, tool_call_id: CallProver(
        means, owner=None if caller.sees_all else caller.name, tool_call_id=tool_call_id
    )


async def _reached(
    stack: AsyncExitStack, app: web.Application, listener: socket.socket, connections: Connections
) -> None:
    """Answer on a port until the stack closes."""
    runner = make_runner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await BoundedSite(runner, listener=listener, connections=connections).start()


def _working(stack: AsyncExitStack, settings: Settings, clock: Clock) -> Working:
    """Open what is kept for a while only, and let it forget."""
    working = Working(settings.data_dir, clock=clock)
    stack.callback(working.close)
    sweeping = asyncio.create_task(swept(working))
    stack.callback(sweeping.cancel)
    return working


def _listen(settings: Settings, stack: AsyncExitStack) -> dict[str, socket.socket]:
    """Take the main port, and one for each part that was moved."""
    found = {}
    for part in (MAIN, *MOVABLE):
        name = "port" if part == MAIN else f"{part}_port"
        port: int | None = getattr(settings, name)
        if port is not None:
            found[part] = listen(settings.host, port, setting=f"EXAI_{name.upper()}")
            stack.callback(found[part].close)
    return found


def _pump_parts(
    settings: Settings,
    calls: ToolCalls,
    tokens: Tokens,
    metrics: Numbers,
    offered: Mapping[str, Tool],
) -> Parts:
    server = Server(
        name="exai",
        title="EXAI",
        version=VERSION,
        instructions=INSTRUCTIONS,
        call_timeout_s=settings.total_timeout_s * settings.attempts_max,
    )
    return Parts(
        calls=calls,
        tokens=tokens,
        open_conversation=partial(
            open_conversation,
            catalogue=catalogue_of(offered.values()),
            server=server,
            new_id=_new_id,
            now_s=time.time,
            limits=Limits(frame_bytes_max=settings.frame_bytes_max),
        ),
        refusal=refusal,
        count_rejection=metrics.rejected,
        new_id=_new_id,
    )


def _labels(
    offered: Mapping[str, Tool],
    known: Mapping[str, Provider],
    prices: PriceTable,
    wallets: tuple[Wallet, ...],
    settings: Settings,
) -> Labels:
    models = {(row.provider, row.model) for row in prices.rows}
    models |= {(one.provider, known[one.provider].model_for(one.plan)) for one in wallets}
    models |= {(provider.name, provider.default_model) for provider in known.values()}
    return Labels(
        tools=tuple(sorted(offered)),
        models=tuple(sorted(models)),
        currencies=tuple(sorted({row.currency for row in prices.rows})),
        rejections=tuple(sorted({*REJECTIONS, *GUARD_REASONS})),
        simulated=any(wallet.simulated for wallet in wallets),
        wallets=tuple(
            WalletLabels(
                name=one.name,
                provider=one.provider,
                currency=one.currency,
                simulated=one.simulated,
                is_read=settings.readings,
                age_s_max=STALE_INTERVALS * settings.reading_interval_s,
                idle_age_s_max=STALE_INTERVALS * settings.reading_idle_s,
            )
            for one in wallets
        ),
        counters=tuple((one.name, counter) for one in known.values() for counter in one.counters.names),
    )


def _counter(settings: Settings, router: Router, wire: Wire, clock: Clock, entropy: Entropy) -> Counter:
    return Counter(
        router=router,
        wire=wire,
        clock=clock,
        entropy=entropy,
        retry=RetryPolicy(attempts_max=settings.attempts_max),
        max_output_tokens=settings.max_output_tokens,
    )


def _deadlines(settings: Settings) -> Deadlines:
    return Deadlines(
        connect_s=settings.connect_timeout_s,
        first_byte_s=settings.first_byte_timeout_s,
        idle_s=settings.idle_timeout_s,
        total_s=settings.total_timeout_s,
    )


def _gate(settings: Settings) -> Gate:
    return Gate(
        per_session=settings.session_calls_in_flight_max,
        per_client=settings.client_calls_in_flight_max,
        total=settings.calls_in_flight_max,
    )


def _start_detail(prices: PriceTable, wallets: tuple[Wallet, ...]) -> dict[str, str]:
    return {
        "version": VERSION,
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "price_version": prices.version,
        "wallets": ", ".join(f"{wallet.name} at {wallet.host}" for wallet in wallets),
        SIMULATED: str(any(wallet.simulated for wallet in wallets)).lower(),
    }


def _new_id() -> str:
    return secrets.token_hex(_ID_BYTES)
