"""The page of a wallet's readings: what did the provider's own counters say, each time they were asked?"""

import asyncio
from collections.abc import Mapping
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web

from console.asking import ROWS_PER_PAGE, BadQuestionError, once, whole
from console.page import STATE, Page, State, answer_json, require_all, show
from console.pages.reconcile import known_wallets
from console.wallets import failure_text, figure_text, newest, remedy
from service.core.books import ReadingEntry
from service.core.sheet import cell, sheet

VERSION = 1
EXPORT_ROWS_MAX = 5000
NAMES: Mapping[str, str] = {
    "wallet": "whose readings; the first wallet if it is not given",
    "counter": "only readings of this counter",
    "before": "only readings older than this ledger index; the link “Older” sets it",
}
_INDEX_MAX = 2**53
_OF_READING = (
    *("index", "at", "asked_at", "provider", "wallet", "simulated", "counter", "cause", "outcome", "status"),
    *("endpoint", "message", "provider_code", "date"),
)
_OF_FIGURE = ("name", "amount", "unit", "resolution", "since", "cap", "resets_at")


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which readings are meant."""

    wallet: str
    counter: str | None
    before: int | None

    def query(self, *, before: int | None = None) -> str:
        """Write it as an address's query."""
        said = {"wallet": self.wallet, "counter": self.counter, "before": before}
        pairs = [(name, str(value)) for name, value in said.items() if value is not None]
        return f"?{urlencode(pairs, quote_via=quote)}"


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """All that one showing reads."""

    asked: _Asked
    readings: list[ReadingEntry]
    older: int | None
    known: tuple[str, ...]


async def _show(request: web.Request) -> web.Response:
    found = await _read(request, ROWS_PER_PAGE)
    state, asked = request.config_dict[STATE], found.asked
    return show(
        request,
        "readings.html",
        asked=asked,
        readings=[(one, [figure_text(each) for each in one.figures]) for one in found.readings],
        failure_text=failure_text,
        remedy=remedy,
        known=found.known,
        older=None if found.older is None else asked.query(before=found.older),
        newest=asked.query() if asked.before is not None else None,
        downloads=asked.query(),
        rows_max=EXPORT_ROWS_MAX,
        some_simulated=any(one.simulated for one in found.readings),
        as_of=state.as_of(),
    )


async def _json(request: web.Request) -> web.Response:
    found = await _read(request, EXPORT_ROWS_MAX)
    return answer_json(
        {
            "version": VERSION,
            "as_of": request.config_dict[STATE].as_of(),
            "filter": found.asked,
            "readings": found.readings,
            "older": found.older,
        }
    )


async def _csv(request: web.Request) -> web.Response:
    found = await _read(request, EXPORT_ROWS_MAX)
    lines = [[*_OF_READING, *_OF_FIGURE], *(line for one in found.readings for line in _lines(one))]
    stamp = request.config_dict[STATE].as_of()[:19].replace("-", "").replace(":", "")
    headers = {"Content-Disposition": f'attachment; filename="exai-readings-{stamp}Z.csv"'}
    return web.Response(body=sheet(lines), content_type="text/csv", charset="utf-8", headers=headers)


def _lines(one: ReadingEntry) -> list[list[str]]:
    """Write a reading: a line for each figure, and one where there is none."""
    of_reading = [cell(getattr(one, name)) for name in _OF_READING]
    return [
        [*of_reading, *("" if figure is None else cell(getattr(figure, name)) for name in _OF_FIGURE)]
        for figure in one.figures or (None,)
    ]


async def _read(request: web.Request, limit: int) -> _Found:
    require_all(request)
    for name in request.query:
        if name not in NAMES:
            raise BadQuestionError(f"This page knows no parameter named {name!r}.", NAMES)
    wallet, counter = once(request.query, "wallet"), once(request.query, "counter")
    before = whole(request.query, "before", 0, _INDEX_MAX)
    return await asyncio.to_thread(_fetch, request.config_dict[STATE], wallet, counter, before, limit)


def _fetch(state: State, wallet: str | None, counter: str | None, before: int | None, limit: int) -> _Found:
    with state.reading.snapshot():
        known = known_wallets(state)
        asked = _Asked(wallet=wallet or next(iter(known), ""), counter=counter, before=before)
        found = newest(state.reading, asked.wallet, before=before, counter=counter, limit=limit + 1)
    shown = found[:limit]
    older = shown[-1].index if len(found) > limit else None
    return _Found(asked=asked, readings=shown, older=older, known=tuple(sorted({*known, asked.wallet} - {""})))


PAGE = Page(
    "readings",
    (web.get("/readings", _show), web.get("/readings.json", _json), web.get("/readings.csv", _csv)),
)
