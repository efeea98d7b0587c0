"""Mounting: which part of what is reached by HTTP is put where, and what it is made of."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aiohttp import web

from console.app import create
from console.live import Live
from console.page import PREFIX
from service.checks import evidence, looks, others, own, proving
from service.checks.watching import Watching
from service.core.budget import BudgetState
from service.core.shapes import Clock
from service.core.wallet import Wallet
from service.ledger.assurance import Assuring
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.patrol import Patrol
from service.ledger.reading import Reading
from service.proving.choosing import ceilings
from service.proving.proving import Proving
from service.serving.auth import Tokens
from service.serving.calls import ToolCalls
from service.serving.keys import CALLER
from service.serving.operator import Operator
from service.transports.websocket import WebSockets
from service.web import api, health
from service.web import metrics as metrics_page
from service.web.health import Check

MAIN = "main"
MOVABLE = ("console", "health", "metrics")
FEED_WAIT_S = 1.0


class Numbers(Protocol):
    """The service's metrics, as far as who serves them must know them."""

    def render(self, accept: str | None) -> tuple[bytes, str]:
        """Write them as an Accept header asks: body and content type."""

    def rejected(self, reason: str) -> None:
        """Count a request that was turned away before admission."""


class SpansQueue(Protocol):
    """The way of spans to their collector, as far as who waits for it must know it."""

    def flush(self, deadline_s: float) -> bool:
        """Send what is queued; say whether nothing was left within the deadline."""


@dataclass(frozen=True)
class Kept:
    """What keeps the record, and what derives from it.

    Attributes:
        folder: the ledger's.
        live: passes committed steps on to the console's live page.
        tokens: who may come in, the named ones as the ledger tells them.
        watching: what was last heard of providers and keys.
        spans_check: looks at the way of spans to their collector.
        unbalanced: names each equation of conservation that does not hold now.
        assure: says how far the log is signed and verified.
        limits: says where every budget stands now.
        patrol: drives the audit.
    """

    folder: Path
    ledger: Ledger
    reading: Reading
    feed: Feed
    metrics: Numbers
    spans: SpansQueue
    live: Live
    tokens: Tokens
    watching: Watching
    spans_check: Callable[[], Check]
    unbalanced: Callable[[], tuple[str, ...]]
    assure: Assuring
    limits: Callable[[], tuple[BudgetState, ...]]
    patrol: Patrol


@dataclass(frozen=True)
class Service:
    """The service while it runs.

    Attributes:
        url: where people reach it, without a slash at the end.
        console_url: the same for the console.
        mcp_url: where MCP clients connect.
        wallets: who pays, in order of preference.
        proving: compares the providers' books with ours.
        operator: makes the proofs that are asked for on this machine.
        stopped: set when the service cannot go on, because its ledger failed.
    """

    url: str
    console_url: str
    mcp_url: str
    wallets: tuple[Wallet, ...]
    calls: ToolCalls
    kept: Kept
    proving: Proving
    operator: Operator
    stopped: asyncio.Event


def mount(app: web.Application, part: str, service: Service, sockets: WebSockets, clock: Clock) -> None:
    """Put one part of what is reached by HTTP on an application."""
    kept = service.kept
    match part:
        case "console":
            simulated = any(wallet.simulated for wallet in service.wallets)
            pages = create(
                kept.reading,
                console_url=service.console_url,
                mcp_url=service.mcp_url,
                simulated_banner=simulated,
                clock=clock,
                owner=_owner,
                live=kept.live,
                assure=kept.assure,
                may_stay=lambda request: kept.tokens.valid(request[CALLER]),
                wallets=[wallet.name for wallet in service.wallets],
                prove=service.operator.begin,
                local_may_prove=not kept.tokens.is_required,
                proof_most=ceilings(service.wallets),
            )
            app.add_routes([web.get(PREFIX, _to_console)])
            app.add_subapp(PREFIX, pages)
        case "health":
            ready = own.ready(kept.ledger, kept.folder, is_stopping=lambda: service.calls.stopping)
            app.add_routes(health.routes(ready=ready, checks=_checks(service, clock)))
        case "metrics":
            app.add_routes(metrics_page.routes(settle=_caught_up(kept.feed), render=kept.metrics.render))
        case _:
            app.add_routes([*sockets.routes(), *api.routes(), *api.checking(kept.reading, kept.ledger.notary)])


def _checks(service: Service, clock: Clock) -> looks.Look:
    """Choose what `/health` looks at, and in which order."""
    kept, file = service.kept, own.LedgerFile(service.kept.folder)
    watching, epoch = kept.watching, kept.ledger.epoch
    books = service.proving
    cadence = proving.Cadence(is_on=books.is_reading, interval_s=books.interval_s, idle_s=books.idle_s)
    look = looks.every(
        store=lambda: (own.store(kept.ledger, file, last_at=watching.last_at, now_ns=clock.now_ns()),),
        disk=lambda: (own.disk(kept.folder),),
        evidence=lambda: (evidence.evidence(kept.assure(), now_ns=clock.now_ns()),),
        budgets=lambda: (evidence.budgets(kept.limits()),),
        clock=lambda: (others.clock(clock.now_ns(), last_at=watching.last_at, skews=watching.skews(epoch)),),
        wallet=lambda: others.wallets(service.wallets, watching, epoch=epoch),
        provider=lambda: others.providers(service.wallets, watching, epoch=epoch),
        proving=lambda: proving.proofs(
            service.wallets,
            kept.reading,
            service.proving.providers,
            cadence,
            now_ns=clock.now_ns(),
            against=watching.against,
        ),
        conservation=lambda: (own.conservation(kept.unbalanced()),),
        feed=lambda: (own.feed(kept.feed),),
        spans=lambda: (kept.spans_check(),),
    )

    def caught_up() -> Sequence[Check]:
        kept.feed.wait(FEED_WAIT_S)
        return look()

    return caught_up


async def _to_console(_request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(f"{PREFIX}/")


def _owner(request: web.Request) -> str | None:
    """Say whose calls alone a request may see; the guard has told who asks."""
    caller = request[CALLER]
    return None if caller.sees_all else caller.name


def _caught_up(feed: Feed) -> Callable[[], Awaitable[None]]:
    """Let a scrape see every entry that was committed before it."""

    async def settle() -> None:
        await asyncio.to_thread(feed.wait, FEED_WAIT_S)

    return settle
