"""The Overview page: are my calls real, and what did they cost?"""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from aiohttp import web

from console.chart import PLOT_PX, Chart, charts, slots, unit_of
from console.limits import in_short, near, visible
from console.page import PREFIX, STATE, Page, State, answer_json, show
from console.ranging import Ranged, ranged
from console.rows import Shown, fetch
from console.standing import FINAL_CODE, UNREAD, Standing, standings
from console.tallies import Problem, Tally, problems, tallies
from console.wallets import Books
from console.wallets import fetch as fetch_books
from service.core.account import told_row
from service.core.books import VerdictEntry
from service.core.money import decimal_text
from service.core.spending import Spending
from service.core.times import NS_PER_S, NS_PER_US, utc_ns, utc_text
from service.core.words import VerdictWord
from service.ledger.assurance import Assurance
from service.ledger.choosing import OPEN, CallFilter
from service.ledger.reading import Head
from service.ledger.verdicts import VerdictCount, VerdictSum

VERSION = 1
LATEST_ROWS = 12
STUCK_S = 900  # as long as one attempt may take unless the operator says otherwise


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    """What one wallet's attempts in one currency came to, and what its provider says.

    Attributes:
        host: where its last request went.
        books: what its counters say; None where none was asked, or for a reader of one client's calls alone.
    """

    sums: Spending
    host: str
    books: Books | None = None


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's sums, a row for each currency, over its wallets; all real or all simulated."""

    name: str
    sums: tuple[Spending, ...]
    wallets: tuple[Wallet, ...]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """All that one showing reads, at one moment of the ledger.

    Attributes:
        first_at: a moment before the first call; only known where the range has no begin.
        ended_ns: now, or behind the newest call of the range where that is later: clocks are set back too.
        owner: the one client whose calls are shown; None for all.
        timed: spending by provider and hour or day, by `unit`.
        newest: the newest call of all, whatever the range; None while there is none.
        near: limits that are nearly used up, in a few words each.
        books: what the counters of the wallets that are shown say; none where one client's calls alone are shown.
        blind: those of them that cannot be read and that calls of the range wait for.
        idle: what those of this service's other wallets say; likewise.
        short: the verdicts on windows for which calls of the range wait for a final bill.
    """

    as_of: str
    owner: str | None
    unit: str
    first_at: str | None
    ended_ns: int
    providers: list[Spending]
    wallets: list[Wallet]
    totals: list[Spending]
    timed: list[Spending]
    counts: list[VerdictCount]
    sums: list[VerdictSum]
    latest: list[Shown]
    stuck: int
    stuck_until: str
    newest: Shown | None
    head: Head
    assured: Assurance
    near: tuple[str, ...]
    books: tuple[Books, ...]
    blind: tuple[str, ...]
    idle: tuple[Books, ...]
    short: list[VerdictEntry]


async def _show(request: web.Request) -> web.Response:
    asked, found = await _read(request)
    return show(request, "overview.html", **_shown(asked, found))


async def _json(request: web.Request) -> web.Response:
    asked, found = await _read(request)
    return answer_json(_told(asked, found))


async def _read(request: web.Request) -> tuple[Ranged, Found]:
    state = request.config_dict[STATE]
    now_ns = state.clock.now_ns()
    asked = ranged(request, now_ns=now_ns)
    return asked, await asyncio.to_thread(_fetch, state, asked, state.owner(request), now_ns)


def _fetch(state: State, asked: Ranged, owner: str | None, now_ns: int) -> Found:
    reading, as_of = state.reading, utc_text(now_ns)
    only = CallFilter(owner=owner, since=asked.span.since, until=asked.span.until)
    assured = state.assure()
    stuck_until = min(asked.span.until or as_of, utc_text(now_ns - STUCK_S * NS_PER_S))
    with reading.snapshot():
        newest = fetch(reading, CallFilter(owner=owner), before=None, limit=1, as_of=as_of)
        totals = reading.spending(only)
        first_at = None if asked.span.since else _first_day(state, only)
        ended_ns = max((now_ns, *(utc_ns(row.last_at) + NS_PER_US for row in totals if row.last_at)))
        unit = unit_of(asked.span, now_ns=ended_ns, first_at=first_at)
        sums = [row for row in reading.spending(only, by=("provider", "wallet")) if row.wallet is not None]
        counts = reading.verdict_counts(only)
        books, idle = ((), ()) if owner is not None else (_books(state, sums), _idle(state, sums))
        return Found(
            as_of=as_of,
            owner=owner,
            unit=unit,
            first_at=first_at,
            ended_ns=ended_ns,
            providers=[row for row in reading.spending(only, by=("provider",)) if row.provider is not None],
            wallets=[Wallet(sums=row, host=_host(state, row, owner), books=_of(row, books)) for row in sums],
            totals=totals,
            timed=reading.spending(only, by=("provider", _column(unit)), zone=asked.zone),
            counts=counts,
            sums=reading.verdict_sums(only),
            latest=fetch(reading, only, before=None, limit=LATEST_ROWS, as_of=as_of),
            stuck=_stuck(state, only, stuck_until),
            stuck_until=stuck_until,
            newest=newest[0] if newest else None,
            head=reading.head(),
            assured=assured,
            near=tuple(map(in_short, near(visible(reading.budgets(as_of), owner)))),
            books=books,
            blind=tuple(one.wallet for one in books if one.blind and _waits(state, only, one)),
            idle=idle,
            short=reading.resting(only, FINAL_CODE) if any(one.code == FINAL_CODE for one in counts) else [],
        )


def _of(row: Spending, books: tuple[Books, ...]) -> Books | None:
    return next((one for one in books if one.wallet == row.wallet and one.simulated is row.simulated), None)


def _books(state: State, sums: list[Spending]) -> tuple[Books, ...]:
    """Read where the wallets stand that calls of the range spent from. What a provider says is of all clients."""
    return fetch_books(state.reading, dict.fromkeys(row.wallet or "" for row in sums))


def _waits(state: State, only: CallFilter, books: Books) -> bool:
    """Tell whether calls of a wallet are unverified for want of a reading."""
    of_wallet = {"provider": (books.provider,), "wallet": (books.wallet,), "verdict": UNREAD}
    return state.reading.count(msgspec.structs.replace(only, **of_wallet)) > 0


def _idle(state: State, sums: list[Spending]) -> tuple[Books, ...]:
    """Read where those of this service's wallets stand that no call of the range spent from."""
    used = {row.wallet for row in sums}
    return fetch_books(state.reading, [name for name in state.wallets if name not in used])


def _first_day(state: State, only: CallFilter) -> str | None:
    days = [row.day for row in state.reading.spending(only, by=("day",)) if row.day is not None]
    return f"{min(days)}T00:00:00.000000Z" if days else None


def _stuck(state: State, only: CallFilter, until: str) -> int:
    if only.since is not None and only.since >= until:
        return 0
    return state.reading.count(msgspec.structs.replace(only, outcome=(OPEN,), until=until))


def _host(state: State, row: Spending, owner: str | None) -> str:
    """Name the host that the wallet's newest request went to, as its intent holds it."""
    only = CallFilter(owner=owner, provider=(row.provider or "",), wallet=(row.wallet or "",))
    for line in state.reading.calls(only, limit=1):
        call = state.reading.call(line.call.tool_call_id)
        for attempt in call.attempts if call else ():
            if attempt.intent.wallet == row.wallet:
                return urlsplit(attempt.intent.endpoint).netloc
    return ""


def _charts(asked: Ranged, found: Found) -> tuple[Chart, ...]:
    cut = slots(asked.span, unit=found.unit, zone=asked.zone, now_ns=found.ended_ns, first_at=found.first_at)
    return charts(found.timed, cut, unit=found.unit)


def _judged(asked: Ranged, found: Found) -> tuple[tuple[Standing, ...], tuple[Tally, ...], tuple[Problem, ...]]:
    return (
        standings(
            found.counts,
            found.sums,
            when=asked.when,
            owner=found.owner,
            books=found.books,
            blind=found.blind,
            short=found.short,
            as_of=found.as_of,
        ),
        tallies(found.counts, found.sums),
        problems(found.counts, stuck=found.stuck, open_until=found.stuck_until),
    )


def _calls_of(asked: Ranged, *verdicts: str, outcome: str = "", until: str | None = None) -> str:
    """Write the address of the ledger page for calls of the range."""
    bounds = {"since": asked.span.since, "until": until or asked.span.until, "outcome": outcome}
    pairs = [("verdict", verdict) for verdict in verdicts]
    pairs += [(name, value) for name, value in bounds.items() if value]
    return f"{PREFIX}/calls?{urlencode(pairs, quote_via=quote)}" if pairs else f"{PREFIX}/calls"


def _address_of(asked: Ranged, problem: Problem) -> str:
    if problem.open_until is not None:
        return _calls_of(asked, outcome=OPEN, until=problem.open_until)
    return _calls_of(asked, *problem.verdicts)


def _shown(asked: Ranged, found: Found) -> dict[str, Any]:
    standing, tally, problem = _judged(asked, found)
    return {
        "asked": asked,
        "as_of": found.as_of,
        "standings": standing,
        "tallies": [(one, _calls_of(asked, one.word)) for one in tally],
        "real": _providers(found, simulated=False),
        "simulated": _providers(found, simulated=True),
        "tile_count": len(found.wallets),
        "plot_px": PLOT_PX,
        "charts": _charts(asked, found),
        "attempt_count": sum(row.attempts for row in found.totals),
        "not_drawn": _not_drawn(found.totals),
        "rows": found.latest,
        "call_count": sum(one.calls for one in found.counts),
        "wrong": _calls_of(asked, VerdictWord.MISMATCH),
        "idle": found.idle,
        "all_calls": _calls_of(asked),
        "problems": [(one, _address_of(asked, one)) for one in problem],
        "newest": found.newest,
        "json_query": _query(asked.query),
        "ranges": [(title, _query(query), here) for title, query, here in asked.links],
        "head": found.head,
        "assured": found.assured,
        "near": found.near,
        "some_simulated": any(row.simulated for row in found.totals),
    }


def _providers(found: Found, *, simulated: bool) -> list[Provider]:
    rows = [row for row in found.providers if row.simulated is simulated]
    wallets = [one for one in found.wallets if one.sums.simulated is simulated]
    return [
        Provider(
            name=name,
            sums=tuple(row for row in rows if row.provider == name),
            wallets=tuple(one for one in wallets if one.sums.provider == name),
        )
        for name in dict.fromkeys(row.provider or "" for row in rows)
    ]


def _not_drawn(totals: list[Spending]) -> list[str]:
    """Count the attempts that no bar can show, by why."""
    counted = {
        "without a known price": sum(row.unpriced for row in totals),
        "in doubt": sum(row.in_doubt for row in totals),
        "under way": sum(row.open for row in totals),
        "paid by a plan": sum(row.plan for row in totals),
    }
    return [f"{count} {why}" for why, count in counted.items() if count]


def _query(parameters: Mapping[str, str]) -> str:
    return f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""


def _told(asked: Ranged, found: Found) -> dict[str, Any]:
    standing, tally, problem = _judged(asked, found)
    named: dict[str, tuple[str, ...]] = {
        "providers": ("provider",),
        "wallets": ("provider", "wallet"),
        "timed": ("provider", _column(found.unit)),
    }
    return {
        "version": VERSION,
        "as_of": found.as_of,
        "owner": found.owner,
        "range": {
            "word": asked.word,
            "zone": asked.zone_name,
            "since": asked.span.since,
            "until": asked.span.until,
        },
        "standings": [{"word": one.word, **msgspec.to_builtins(one)} for one in standing],
        "verdicts": [
            {"word": one.word, "calls": one.calls, "simulated_calls": one.simulated_calls} for one in tally
        ],
        "reasons": [{"word": one.word, **msgspec.to_builtins(one)} for one in found.counts],
        "verdict_sums": [_told_sum(one) for one in found.sums],
        "providers": [told_row(row, named["providers"]) for row in found.providers],
        "wallets": [
            {**told_row(one.sums, named["wallets"]), "host": one.host, "books": one.books} for one in found.wallets
        ],
        "idle_wallets": found.idle,
        "totals": [told_row(row, ()) for row in found.totals],
        "spending_over_time": [told_row(row, named["timed"]) for row in found.timed if row.provider is not None],
        "latest": [row.line.call.tool_call_id for row in found.latest],
        "problems": [
            {"said": one.said, "calls": one.calls, "address": _address_of(asked, one)} for one in problem
        ],
    }


def _column(unit: str) -> str:
    return "hour" if unit == "hour" else "day"


def _told_sum(one: VerdictSum) -> dict[str, Any]:
    priced = one.currency is not None
    return {
        "word": one.word,
        "code": one.code,
        "simulated": one.simulated,
        "currency": one.currency,
        "spent": decimal_text(one.cost_pico) if priced else None,
        "held": decimal_text(one.held_pico) if priced else None,
        "in_doubt": one.in_doubt,
        "unpriced": one.unpriced,
    }


PAGE = Page("overview", (web.get("/", _show), web.get("/overview.json", _json)))
