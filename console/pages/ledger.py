"""The Ledger page: which calls were made, and what they came to."""

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from console.asking import ROWS_PER_PAGE, Asked, asked, asked_for_page
from console.export import send_csv, send_json
from console.page import STATE, Page, State, show
from console.rows import Shown, fetch
from service.core.spending import Spending
from service.core.words import VerdictWord
from service.ledger.choosing import CallFilter
from service.ledger.reading import Head

_FACETS = ("provider", "model", "wallet", "tool", "client")


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """All that one showing of the page reads."""

    rows: list[Shown]
    sums: list[Spending]
    count: int
    older: int | None
    facets: dict[str, list[str]]
    head: Head


async def _show(request: web.Request) -> web.Response:
    wanted = asked_for_page(request)
    state = request.config_dict[STATE]
    as_of = state.as_of()
    found = await asyncio.to_thread(_fetch, state, wanted, as_of)
    return show(request, "ledger.html", **_shown(found, wanted, as_of))


async def _json(request: web.Request) -> web.StreamResponse:
    return await send_json(request, asked(request))


async def _csv(request: web.Request) -> web.StreamResponse:
    return await send_csv(request, asked(request))


def _fetch(state: State, wanted: Asked, as_of: str) -> _Found:
    reading, only = state.reading, wanted.only
    limit = wanted.limit or ROWS_PER_PAGE
    with reading.snapshot():
        rows = fetch(reading, only, before=wanted.before, limit=limit, as_of=as_of)
        last = rows[-1].line.call.opened_index if rows else None
        more = last is not None and bool(reading.calls(only, before=last, limit=1))
        return _Found(
            rows=rows,
            sums=[row for row in reading.spending(only, by=("provider", "wallet")) if row.attempts],
            count=reading.count(only),
            older=last if more else None,
            facets=reading.facets(owner=only.owner),
            head=reading.head(),
        )


def _shown(found: _Found, wanted: Asked, as_of: str) -> dict[str, Any]:
    sums = sorted(found.sums, key=lambda total: total.currency is None)  # what is known of first
    return {
        "rows": found.rows,
        "real": [total for total in sums if not total.simulated],
        "simulated": [total for total in sums if total.simulated],
        "some_simulated": any(total.simulated for total in found.sums),
        "count": found.count,
        "attempt_count": sum(total.attempts for total in found.sums),
        "asked": wanted,
        "chosen": {name: getattr(wanted.only, name) for name in (*_FACETS, "outcome", "verdict")},
        "verdicts": list(dict.fromkeys((*VerdictWord, *wanted.only.verdict))),
        "offered": _offered(found.facets, wanted.only),
        "downloads": wanted.query(),
        "newest": wanted.query(limit=wanted.limit) if wanted.before is not None else None,
        "older": wanted.query(before=found.older, limit=wanted.limit) if found.older is not None else None,
        "head": found.head,
        "as_of": as_of,
    }


def _offered(facets: dict[str, list[str]], only: CallFilter) -> dict[str, list[str]]:
    """Name the values of each choice; one that stands in the address stays, even if no call has it."""
    return {name: sorted({*facets[name], *getattr(only, name)}) for name in _FACETS}


PAGE = Page(
    "ledger",
    (web.get("/calls", _show), web.get("/calls.json", _json), web.get("/calls.csv", _csv)),
)
