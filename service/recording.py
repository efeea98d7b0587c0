"""Recording: what keeps the record, and everything that derives from it, put together before the first entry."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial

from console.live import Live
from otel.accounts import Evidence
from otel.collector import Destination, destination
from otel.counts import unbalanced
from otel.exporting import ExportQueue, ExportState
from otel.listening import MetricsListener, SpanListener
from otel.metrics import Labels, Metrics
from otel.sending import HttpSender
from otel.source import source
from otel.wallets import BooksBefore
from service import VERSION
from service.checks import own
from service.checks.proving import last_read
from service.checks.watching import Watching, watched
from service.clock import refuse_step_back
from service.core.budget import BudgetState
from service.core.shapes import Clock, Listener
from service.core.times import NS_PER_S, utc_ns, utc_text
from service.errors import StoreError
from service.ledger.assurance import Assuring, assuring
from service.ledger.auditing import Audit, Doubts, Held
from service.ledger.ballast import Ballast
from service.ledger.checkpoints import Checkpoints
from service.ledger.choosing import CallFilter
from service.ledger.equipping import equipped
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.notary import Notary
from service.ledger.opening import Opened, open_store
from service.ledger.patrol import Patrol
from service.ledger.reading import Reading
from service.ledger.used import states_of
from service.ledger.writer import Writer
from service.mounting import Kept
from service.serving.auth import Tokens
from service.settings import Settings
from service.web import health

EXPORT_CLOSE_S = 2.0
_VERDICTS_BEFORE = 20

_log = logging.getLogger(__name__)


async def recording(
    stack: AsyncExitStack,
    settings: Settings,
    environ: Mapping[str, str],
    clock: Clock,
    labels: Labels,
    stopped: asyncio.Event,
    detail: dict[str, str],
    heard: Sequence[Listener],
) -> Kept:
    """Open the ledger, attach its listeners, and begin the epoch. What was opened is closed by the stack.

    Args:
        stack: closes all of it.
        settings: where it is kept.
        environ: where OpenTelemetry's own variables are read from.
        clock: gives entries their time.
        labels: the closed sets of metrics.
        stopped: set when the ledger's disk fails.
        detail: of the epoch's first entry.
        heard: further listeners.

    Raises:
        StartError: the ledger must not or cannot be written.
    """
    collector = destination(environ)  # first: a wrong variable must not cost an epoch
    checkpoints = Checkpoints(settings.checkpoints, witness=settings.witness_file)
    ballast = Ballast(settings.data_dir)
    opened = _opened(settings, checkpoints, ballast)
    store, notary = opened.store, opened.notary
    stack.callback(store.close)  # closed by the ledger too, once there is one
    spans = _spans(collector, f"{store.origin}#{store.epoch}")
    stack.callback(spans.close, EXPORT_CLOSE_S)
    reading = Reading(settings.data_dir)
    stack.callback(reading.close)
    watching = _watched(reading, store.next_index, clock)
    metrics = _metrics(reading, labels, spans, clock)
    counted = MetricsListener(metrics)
    traced = SpanListener(spans)
    broken = partial(_unbalanced, counted, traced)
    metrics.audit(broken)
    live = Live(clock)
    tokens = Tokens(settings.ws_token, entries=reading.of_ledger(), now_ns=clock.now_ns)
    listeners: list[Listener] = [tokens, counted, traced, live, watching, *heard]
    feed = Feed(listeners, reread=reading.steps, next_index=store.next_index)
    feed.start()
    notary.start()
    writer = equipped(store, settings, at=utc_text(clock.now_ns()), ballast=ballast)
    ledger = Ledger(writer, feed, clock=clock, notary=notary, on_failure=_setter(stopped))
    stack.push_async_callback(ledger.close)
    await _begin(ledger, detail | {"public_key": notary.key.verifier.text})
    limits, audit = partial(_limits, writer, reading, clock), _audit(reading, writer, notary, counted, clock)
    assure = assuring(reading, notary, checkpoints, lambda: audit.audited)
    metrics.assure(partial(_evidence, assure, clock), limits)
    return Kept(
        settings.data_dir,
        ledger,
        reading,
        feed,
        metrics,
        spans,
        live,
        tokens=tokens,
        watching=watching,
        spans_check=partial(_spans_check, spans),
        unbalanced=broken,
        assure=assure,
        limits=limits,
        patrol=Patrol(audit),
    )


def _watched(reading: Reading, next_index: int, clock: Clock) -> Watching:
    watching = watched(reading, next_index=next_index)
    if watching.last_at is not None:
        refuse_step_back(clock.now_ns(), watching.last_at)
    return watching


def _metrics(reading: Reading, labels: Labels, spans: ExportQueue, clock: Clock) -> Metrics:
    in_doubt = [(wallet.simulated, wallet.in_doubt) for wallet in reading.sums(CallFilter())]
    metrics = Metrics(labels, version=VERSION, in_doubt=in_doubt, export=spans.counts)
    metrics.follow(_before(reading, labels), clock.now_ns)
    return metrics


def _before(reading: Reading, labels: Labels) -> BooksBefore:
    """Read what was known of this start's wallets, so that no consumption is lost or counted twice.

    The verdict that was written last may be on an old window that was judged again, so some are read.
    """
    wallets = labels.wallets
    newest = [
        reading.verdicts(wallet=one.name, simulated=one.simulated, limit=_VERDICTS_BEFORE) for one in wallets
    ]
    return BooksBefore(
        readings=tuple(found for one in wallets for found in last_read(reading, one.name)),
        verdicts=tuple(one for found in newest for one in found),
    )


def _opened(settings: Settings, checkpoints: Checkpoints, ballast: Ballast) -> Opened:
    opened = ballast.opened(lambda: open_store(settings.data_dir, checkpoints, entropy=os.urandom))
    if opened.store.migrated_from is not None:
        before = {"schema_before": opened.store.migrated_from}
        _log.warning("the ledger was brought to a newer schema", extra=before)
    return opened


def _spans(collector: Destination | None, instance_id: str) -> ExportQueue:
    speaks = source(version=VERSION, instance_id=instance_id)
    return ExportQueue(None if collector is None else HttpSender(collector, speaks))


async def _begin(ledger: Ledger, detail: dict[str, str]) -> None:
    if swept := await ledger.start(detail):
        _log.warning("an earlier start left tool calls open; they are closed now", extra={"tool_calls": swept})


def _unbalanced(counted: MetricsListener, traced: SpanListener) -> tuple[str, ...]:
    return unbalanced(counted.counts(), traced.counts())


def _spans_check(spans: ExportQueue) -> health.Check:
    counts = spans.counts()
    if counts.state is ExportState.ON:
        state = health.State.OK if counts.exported else health.State.UNKNOWN
    else:
        state = health.State.OFF if counts.state is ExportState.OFF else health.State.DEGRADED
    return own.spans(state, exported=counts.exported, dropped=counts.dropped)


def _audit(reading: Reading, writer: Writer, notary: Notary, counted: MetricsListener, clock: Clock) -> Audit:
    held = Held(
        key=notary.key.verifier,
        signed=lambda: notary.latest,
        budgets=writer.budgets.states,
        counted=lambda: writer.counted,
        doubts=lambda: Doubts(*counted.in_doubt()),
        now=lambda: utc_text(clock.now_ns()),
    )
    return Audit(reading, held)


def _limits(writer: Writer, reading: Reading, clock: Clock) -> tuple[BudgetState, ...]:
    """Say where every limit stands; the tables speak for windows that memory does not hold."""
    at = utc_text(clock.now_ns())
    states, unheld = writer.budgets.states(at)
    if not unheld:
        return states
    try:
        return (*states, *states_of(reading.select, unheld, at))
    except StoreError:  # `/health` says so
        return states


def _evidence(assure: Assuring, clock: Clock) -> Evidence | None:
    try:
        found = assure()
    except StoreError:  # `/health` says so
        return None
    at = found.signed_at
    return Evidence(
        entries=found.entries,
        signed=found.signed,
        signed_age_s=None if at is None else max(0, clock.now_ns() - utc_ns(at)) / NS_PER_S,
        failures=found.failures,
        verified=found.audited.verified,
        problems=found.audited.problems,
    )


def _setter(event: asyncio.Event) -> Callable[[Exception], None]:
    """Set an event of this loop from another thread."""
    loop = asyncio.get_running_loop()

    def set_it(_error: Exception) -> None:
        loop.call_soon_threadsafe(event.set)

    return set_it
