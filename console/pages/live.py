"""The Live page: is it happening now? One address: a page for people, a stream for its script."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import web
from aiohttp_sse import EventSourceResponse

from console.asking import BadQuestionError
from console.live import LIVE, Event, NoRoomError, Reader, events
from console.live_rows import LiveRow, told
from console.page import PREFIX, STATE, Page, State, show
from console.rows import fetch
from service.core.entries import UnreadableEntryError
from service.core.record import BrokenRecordError
from service.errors import StoreError
from service.ledger.choosing import CallFilter

ROWS_SHOWN = 25
ENTRIES_REPLAYED_MAX = 500
PING_S = 15.0
RETRY_MS = 2000
_RETRY_AFTER_S = 10
_INDEX_DIGITS_MAX = 16
_SHOWN_CHARS_MAX = 80
# The one page with a script: that script alone, which can neither make markup from text nor ask another host.
_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self';"
    " form-action 'none'; base-uri 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
_PARAMETERS = {
    "after": "the stream begins behind this ledger index; the page sets it",
    "ledger": "the ledger that the index belongs to; the page sets it",
}

_log = logging.getLogger(__name__)


class _Latest(msgspec.Struct, frozen=True):
    """The latest calls as of one entry: all that follows has a higher index."""

    origin: str
    index: int
    rows: tuple[LiveRow, ...]


class _Begun(msgspec.Struct, frozen=True):
    """How a stream begins: with what was missed, or with the latest calls; then comes what follows `index`."""

    index: int
    missed: tuple[Event, ...] = ()
    latest: _Latest | None = None


class _Place(msgspec.Struct, frozen=True):
    """Where a reader has got to. Both are None for one who begins now."""

    after: int | None
    ledger: str | None


async def _live(request: web.Request) -> web.StreamResponse:
    place = _place(request)
    if request.method == "GET" and "text/event-stream" in request.headers.get("Accept", ""):
        return await _stream(request, place)
    return await _show(request)


async def _show(request: web.Request) -> web.StreamResponse:
    state = request.config_dict[STATE]
    latest = await asyncio.to_thread(_latest, state, state.owner(request))
    page = show(
        request,
        "live.html",
        latest=latest,
        some_simulated=any(row.simulated for row in latest.rows),
        rows_shown=ROWS_SHOWN,
    )
    page.headers["Content-Security-Policy"] = _POLICY
    page.headers.add("Vary", "Accept")
    return page


async def _stream(request: web.Request, place: _Place) -> web.StreamResponse:
    state = request.config_dict[STATE]
    owner = state.owner(request)
    try:
        with request.config_dict[LIVE].reading(owner) as reader:
            begun = await asyncio.to_thread(_begin, state, owner, place)
            response = EventSourceResponse(ping_interval=PING_S)
            response.headers.update({"Cache-Control": "no-store", "Vary": "Accept"})
            try:
                await response.prepare(request)
                async with response:
                    await _tell(response, reader, begun, state, request)
            except (ConnectionResetError, TimeoutError):
                _log.debug("a live reader is gone")
            except (StoreError, UnreadableEntryError, BrokenRecordError):
                _log.exception("a live stream cannot go on")
            return response
    except NoRoomError as error:
        return web.Response(
            status=503, text=f"{error}\n", headers={"Retry-After": str(_RETRY_AFTER_S), "Vary": "Accept"}
        )


async def _tell(
    response: EventSourceResponse, reader: Reader, begun: _Begun, state: State, request: web.Request
) -> None:
    """Send what was missed, then what comes, until either side ends. One task waits here, and no other."""
    owner = state.owner(request)
    await response.write(f"retry: {RETRY_MS}\r\n\r\n".encode())
    index = begun.index
    if begun.latest is not None:
        await _resync(response, begun.latest)
    await _send(response, begun.missed)
    while True:
        heard = await reader.next(PING_S)
        if not state.may_stay(request):  # its token was revoked, or is over
            return
        if heard.lost:
            latest = await asyncio.to_thread(_latest, state, owner)
            index = latest.index
            await _resync(response, latest)
        await _send(response, [event for event in heard.events if event.index > index])
        if heard.closed or not response.is_connected():
            return


async def _send(response: EventSourceResponse, told: Iterable[Event]) -> None:
    for event in told:
        await response.send(event.body, id=str(event.index), event="step")


async def _resync(response: EventSourceResponse, latest: _Latest) -> None:
    """Replace all that the reader knows: some of it was passed over."""
    body: dict[str, Any] = {"index": latest.index, "rows": latest.rows}
    await response.send(msgspec.json.encode(body).decode(), id=str(latest.index), event="resync")


def _latest(state: State, owner: str | None) -> _Latest:
    with state.reading.snapshot():
        head = state.reading.head()
        only = CallFilter(owner=owner)
        rows = fetch(state.reading, only, before=None, limit=ROWS_SHOWN, as_of=state.as_of())
    return _Latest(head.origin, head.next_index - 1, tuple(told(row) for row in rows))


def _begin(state: State, owner: str | None, place: _Place) -> _Begun:
    """Read what was missed. The reader's queue is open by now, so that nothing falls in between."""
    head = state.reading.head()
    last = head.next_index - 1
    if place.after is None:
        return _Begun(last)
    count = last - place.after
    if place.ledger not in (None, head.origin) or not 0 <= count <= ENTRIES_REPLAYED_MAX:
        latest = _latest(state, owner)
        return _Begun(latest.index, latest=latest)
    steps = state.reading.steps(place.after + 1, count)
    missed = [event for event in events(steps, as_of=state.as_of()) if owner is None or event.client == owner]
    return _Begun(last, tuple(missed))


def _place(request: web.Request) -> _Place:
    """Read where a reader has got to: by what it received last, else by what its page shows.

    Raises:
        BadQuestionError: the address says what this page does not know.
    """
    for name in request.query:
        if name not in _PARAMETERS or len(request.query.getall(name)) > 1:
            said = f"The page {PREFIX}/live takes no {name!r}, or takes it once; open it without parameters."
            raise BadQuestionError(said, _PARAMETERS)
    after = request.headers.get("Last-Event-ID") or request.query.get("after")
    if after is None:
        return _Place(None, None)
    if not (after.isascii() and after.isdigit() and len(after) <= _INDEX_DIGITS_MAX):
        said = f"A live stream begins behind a ledger index, a whole number; it is {after[:_SHOWN_CHARS_MAX]!r}."
        raise BadQuestionError(said, _PARAMETERS)
    return _Place(int(after), request.query.get("ledger"))


PAGE = Page("live", (web.get("/live", _live),))
