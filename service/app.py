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

from console.live import Live
from otel.collector import destination
from otel.counts import unbalanced
from otel.exporting import ExportQueue, ExportState
from otel.listening import MetricsListener, SpanListener
from otel.metrics import Labels, Metrics
from otel.sending import HttpSender
from otel.series import SIMULATED
from otel.source import source
from service import VERSION
from service.calling.desk import Counter
from service.calling.retry import RetryPolicy
from service.calling.routing import Router
from service.calling.wire import Deadlines, Wire
from service.checks import own
from service.checks.watching import watched
from service.clock import SystemClock, refuse_absurd, refuse_step_back
from service.core.pricing import PriceTable
from service.core.shapes import Clock, Provider, Tool
from service.core.wallet import Wallet
from service.entropy import Entropy
from service.equipment import load_providers, load_tools, open_wallets
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.reading import CallFilter, Reading
from service.ledger.sqlite import SqliteStore
from service.mcp.catalogue import catalogue_of
from service.mcp.opening import open_conversation
from service.mcp.terms import Limits, Server
from service.mounting import MAIN, MOVABLE, Kept, Numbers, Service, mount
from service.pricelist import load_prices
from service.serving.auth import Tokens
from service.serving.books import ReadBooks
from service.serving.calls import ToolCalls
from service.serving.limits import Connections, Gate
from service.serving.ports import REJECTIONS, Parts
from service.serving.problems import refusal
from service.settings import Settings
from service.transports.site import BoundedSite, listen, make_runner
from service.transports.websocket import WebSockets
from service.web import health
from service.web.guard import REASONS as GUARD_REASONS
from service.web.guard import guard
from service.web.hosts import Hosts
from service.web.problems import problems

INSTRUCTIONS = (
    "Tools here ask GLM or Kimi. Every answer carries a receipt under _meta['exai/receipt']: which provider was"
    " asked, what it metered, what it cost, and a URL where a person can check it."
)
EXPORT_CLOSE_S = 2.0
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
    async with AsyncExitStack() as stack:
        listeners = _listen(settings, stack)  # first: a port that is taken must not cost an epoch
        ports = {part: int(listener.getsockname()[1]) for part, listener in listeners.items()}
        url, console_url = settings.url(ports[MAIN]), settings.url(ports.get("console", ports[MAIN]))
        stopped = asyncio.Event()
        labels = _labels(offered, known, prices, wallets)
        kept = await _keep(stack, settings, environ, clock, labels, stopped, _start_detail(prices, wallets))
        wire = Wire(_deadlines(settings), body_bytes_max=settings.body_bytes_max)
        stack.push_async_callback(wire.close)
        entropy = Entropy(os.urandom)
        counter = Counter(
            router=Router(known, wallets, prices),
            wire=wire,
            clock=clock,
            entropy=entropy,
            retry=RetryPolicy(attempts_max=settings.attempts_max),
            max_output_tokens=settings.max_output_tokens,
        )
        calls = ToolCalls(
            offered,
            ledger=kept.ledger,
            counter=counter,
            gate=_gate(settings),
            clock=clock,
            entropy=entropy,
            books=partial(ReadBooks, kept.reading, clock),
            console_url=console_url,
        )
        service = Service(url, console_url, url.replace("http", "ws", 1) + "/mcp", wallets, calls, kept, stopped)
        tokens = Tokens(settings.ws_token)
        parts = _pump_parts(settings, calls, tokens, kept.metrics, offered)
        sockets = WebSockets(parts, frame_bytes_max=settings.frame_bytes_max)
        stand = guard(
            Hosts(ports.values, settings.allowed_hosts),
            tokens,
            is_bound_to_loopback=settings.loopback,
            count_rejection=kept.metrics.rejected,
        )
        connections = Connections(total=settings.connections_max)
        for part, listener in listeners.items():
            app = web.Application(middlewares=[problems(_new_id), stand])
            for mounted in (part, *(name for name in MOVABLE if part == MAIN and name not in listeners)):
                mount(app, mounted, service, sockets, clock)
            runner = make_runner(app)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await BoundedSite(runner, listener=listener, connections=connections).start()
        # Closing begins here: no new call, the open ones end and are answered, then the goodbye.
        stack.push_async_callback(sockets.goodbye)
        stack.push_async_callback(calls.drain, settings.grace_s)
        yield service


async def _keep(
    stack: AsyncExitStack,
    settings: Settings,
    environ: Mapping[str, str],
    clock: Clock,
    labels: Labels,
    stopped: asyncio.Event,
    detail: dict[str, str],
) -> Kept:
    """Open the ledger and attach its listeners before the epoch's first entry."""
    collector = destination(environ)  # first: a wrong variable must not cost an epoch
    store = SqliteStore(settings.data_dir, new_origin=f"exai/{_new_id()}")
    stack.callback(store.close)  # closed by the ledger too, once there is one
    speaks = source(version=VERSION, instance_id=f"{store.origin}#{store.epoch}")
    spans = ExportQueue(None if collector is None else HttpSender(collector, speaks))
    stack.callback(spans.close, EXPORT_CLOSE_S)
    reading = Reading(settings.data_dir)
    stack.callback(reading.close)
    watching = watched(reading, next_index=store.next_index)
    if watching.last_at is not None:
        refuse_step_back(clock.now_ns(), watching.last_at)
    in_doubt = [(wallet.simulated, wallet.in_doubt) for wallet in reading.sums(CallFilter())]
    metrics = Metrics(labels, version=VERSION, in_doubt=in_doubt, export=spans.counts)
    counted = MetricsListener(metrics)
    traced = SpanListener(spans)

    def broken() -> tuple[str, ...]:
        return unbalanced(counted.counts(), traced.counts())

    metrics.audit(broken)
    live = Live(clock)
    feed = Feed([counted, traced, live, watching], reread=reading.steps, next_index=store.next_index)
    feed.start()
    ledger = Ledger(store, feed, clock=clock, on_failure=_setter(stopped))
    stack.push_async_callback(ledger.close)
    if swept := await ledger.start(detail):
        _log.warning("an earlier start left tool calls open; they are closed now", extra={"tool_calls": swept})
    return Kept(
        settings.data_dir,
        ledger,
        reading,
        feed,
        metrics,
        spans,
        live,
        watching=watching,
        spans_check=partial(_spans_check, spans),
        unbalanced=broken,
    )


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
    offered: Mapping[str, Tool], known: Mapping[str, Provider], prices: PriceTable, wallets: tuple[Wallet, ...]
) -> Labels:
    models = {(row.provider, row.model) for row in prices.rows}
    models |= {(provider.name, provider.default_model) for provider in known.values()}
    return Labels(
        tools=tuple(sorted(offered)),
        models=tuple(sorted(models)),
        currencies=tuple(sorted({row.currency for row in prices.rows})),
        rejections=tuple(sorted({*REJECTIONS, *GUARD_REASONS})),
        simulated=any(wallet.simulated for wallet in wallets),
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


def _spans_check(spans: ExportQueue) -> health.Check:
    counts = spans.counts()
    if counts.state is ExportState.ON:
        state = health.State.OK if counts.exported else health.State.UNKNOWN
    else:
        state = health.State.OFF if counts.state is ExportState.OFF else health.State.DEGRADED
    return own.spans(state, exported=counts.exported, dropped=counts.dropped)


def _setter(event: asyncio.Event) -> Callable[[Exception], None]:
    """Set an event of this loop from another thread."""
    loop = asyncio.get_running_loop()

    def set_it(_error: Exception) -> None:
        loop.call_soon_threadsafe(event.set)

    return set_it


def _new_id() -> str:
    return secrets.token_hex(_ID_BYTES)
