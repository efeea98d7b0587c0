"""The Reconcile page: does this ledger agree with the providers' own books?"""

import asyncio
from collections.abc import Mapping
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web

from console.asking import ROWS_PER_PAGE, BadQuestionError, once, whole
from console.page import STATE, Page, State, answer_json, require_all, show
from console.wallets import Books
from console.wallets import fetch as fetch_wallets
from console.windows import Page as Windows
from console.windows import Window
from console.windows import fetch as fetch_windows
from service.core.sheet import cell, sheet
from service.core.verdict import CODES
from service.core.words import VerdictWord
from service.ledger.choosing import CallFilter

VERSION = 1
EXPORT_ROWS_MAX = 5000
NAMES: Mapping[str, str] = {
    "wallet": "only windows of this wallet",
    "verdict": f"the verdict ({', '.join(VerdictWord)}), or a reason's code, for example U3",
    "before": "only verdicts older than this ledger index; the link “Older” sets it",
}
_INDEX_MAX = 2**53
_PLAIN = ("index", "at", "rule", "provider", "wallet", "simulated", "opened_at", "closed_at")
_OF_SUMS = (
    *("unit", "opening", "closing", "added", "attempts", "surely", "straddling", "in_doubt", "disputed", "moved"),
    "tolerance",
)
_LAST = ("word", "code", "sentence", "due_at", "replaced_by")


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which windows are meant."""

    wallet: str | None
    verdict: str | None
    before: int | None

    def query(self, *, before: int | None = None) -> str:
        """Write it as an address's query, `?` included; empty for all of them."""
        said = {"wallet": self.wallet, "verdict": self.verdict, "before": before}
        pairs = [(name, str(value)) for name, value in said.items() if value is not None]
        return f"?{urlencode(pairs, quote_via=quote)}" if pairs else ""


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """All that one showing reads. `known` are all wallets that the filter can name."""

    page: Windows
    books: tuple[Books, ...]
    known: tuple[str, ...]


async def _show(request: web.Request) -> web.Response:
    asked, found = await _read(request, ROWS_PER_PAGE)
    state = request.config_dict[STATE]
    response = show(
        request,
        "reconcile.html",
        asked=asked,
        windows=found.page.windows,
        unread=[one for one in found.books if one.failures],
        books=found.books,
        known=found.known,
        verdicts=list(dict.fromkeys((*VerdictWord, *filter(None, (asked.verdict,))))),
        older=None if found.page.older is None else asked.query(before=found.page.older),
        newest=asked.query() if asked.before is not None else None,
        downloads=asked.query(),
        rows_max=EXPORT_ROWS_MAX,
        provable=state.wallets if state.proofs.offered(request) else (),
        some_simulated=any(one.simulated for one in found.page.windows)
        or any(one.simulated for one in found.books),
        as_of=state.as_of(),
    )
    if state.proofs.offered(request):  # the form's request must say where it comes from; no other page's needs to
        response.headers["Referrer-Policy"] = "same-origin"
    return response


async def _json(request: web.Request) -> web.Response:
    asked, found = await _read(request, EXPORT_ROWS_MAX)
    return answer_json(
        {
            "version": VERSION,
            "as_of": request.config_dict[STATE].as_of(),
            "filter": {"wallet": asked.wallet, "verdict": asked.verdict, "before": asked.before},
            "windows": found.page.windows,
            "older": found.page.older,
            "wallets": [{**msgspec.to_builtins(one), "blind": one.blind} for one in found.books],
        }
    )


async def _csv(request: web.Request) -> web.Response:
    _, found = await _read(request, EXPORT_ROWS_MAX)
    state = request.config_dict[STATE]
    lines = [[*_PLAIN, *_OF_SUMS, "difference", "least", "most", *_LAST], *map(_line, found.page.windows)]
    stamp = state.as_of()[:19].replace("-", "").replace(":", "")
    headers = {"Content-Disposition": f'attachment; filename="exai-windows-{stamp}Z.csv"'}
    return web.Response(body=sheet(lines), content_type="text/csv", charset="utf-8", headers=headers)


def _line(one: Window) -> list[str]:
    def value(of: object, name: str) -> str:
        return "" if of is None else cell(getattr(of, name))

    return [
        *(value(one, name) for name in _PLAIN),
        *(value(one.sums, name) for name in _OF_SUMS),
        cell(one.difference),
        *(value(one.bounds, name) for name in ("least", "most")),
        *(value(one, name) for name in _LAST),
    ]


async def _read(request: web.Request, limit: int) -> tuple[_Asked, _Found]:
    require_all(request)
    asked = _asked(request)
    return asked, await asyncio.to_thread(_fetch, request.config_dict[STATE], asked, limit)


def _asked(request: web.Request) -> _Asked:
    for name in request.query:
        if name not in NAMES:
            raise BadQuestionError(f"This page knows no parameter named {name!r}.", NAMES)
    verdict = once(request.query, "verdict")
    if verdict is not None and verdict not in CODES and verdict not in set(VerdictWord):
        raise BadQuestionError(
            f"{verdict!r} is no verdict. It must be one of: {', '.join(VerdictWord)}; or a reason's code.", NAMES
        )
    return _Asked(
        wallet=once(request.query, "wallet"),
        verdict=verdict,
        before=whole(request.query, "before", 0, _INDEX_MAX),
    )


def _fetch(state: State, asked: _Asked, limit: int) -> _Found:
    reading = state.reading
    with reading.snapshot():
        page = fetch_windows(reading, wallet=asked.wallet, verdict=asked.verdict, before=asked.before, limit=limit)
        known = known_wallets(state)
        books = fetch_wallets(reading, known if asked.wallet is None else (asked.wallet,))
    said = {*known, *(one.wallet for one in page.windows), *filter(None, (asked.wallet,))}
    return _Found(page=page, books=books, known=tuple(sorted(said)))


def known_wallets(state: State) -> tuple[str, ...]:
    """Name the wallets that this service pays from, and those that the ledger holds an attempt of. Blocks."""
    spent = state.reading.spending(CallFilter(), by=("wallet",))
    return tuple(dict.fromkeys((*state.wallets, *sorted(row.wallet for row in spent if row.wallet is not None))))


PAGE = Page(
    "reconcile",
    (
        web.get("/reconcile", _show),
        web.get("/reconcile.json", _json),
        web.get("/reconcile.csv", _csv),
    ),
)
