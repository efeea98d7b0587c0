"""The page of one window: what did the provider's counter say at both ends, and which calls does it decide?"""

import asyncio
from collections.abc import Sequence
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web

from console.asking import ROWS_PER_PAGE, asked_before
from console.page import PREFIX, STATE, NotHereError, Page, State, answer_json, require_all, show
from console.wallets import failure_text, figure_text
from console.windows import Window, told
from service.core.books import ReadingEntry, VerdictEntry
from service.ledger.store import AttemptRow

VERSION = 1
READINGS_MAX = 60


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt that the window decides."""

    tool: str
    client: str
    attempt: AttemptRow


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """All that one showing reads.

    Attributes:
        decided: one page of the attempts that it decides, the last to end first.
        older: where the next page begins; None for none.
        readings: of its wallet from end to end, oldest first; `more` if there are others between.
        history: the other verdicts of the wallet on the same span or part of it, newest first.
    """

    entry: VerdictEntry
    window: Window
    decided: tuple[Decided, ...]
    older: int | None
    readings: tuple[ReadingEntry, ...]
    more: bool
    history: tuple[Window, ...]


async def _show(request: web.Request) -> web.Response:
    before = asked_before(request)
    found = await _read(request, before)
    apart = told_apart(found.readings, found.entry)
    return show(
        request,
        "window.html",
        window=found.window,
        entry=found.entry,
        decided=found.decided,
        older=found.older,
        before=before,
        readings=[(one, _texts(one)) for one in apart],
        repeated=len(found.readings) - len(apart),
        more=found.more,
        history=found.history,
        readings_query=f"?{urlencode({'wallet': found.window.wallet}, quote_via=quote)}",
        some_simulated=found.window.simulated,
        as_of=request.config_dict[STATE].as_of(),
        prefix=PREFIX,
    )


async def _json(request: web.Request) -> web.Response:
    found = await _read(request, asked_before(request))
    state = request.config_dict[STATE]
    return answer_json(
        {
            "version": VERSION,
            "as_of": state.as_of(),
            "window": found.window,
            "readings": found.readings,
            "more_readings": found.more,
            "attempts": found.decided,
            "older": found.older,
            "history": found.history,
        }
    )


async def _read(request: web.Request, before: int | None) -> Found:
    require_all(request)
    state, index = request.config_dict[STATE], int(request.match_info["index"])
    found = await asyncio.to_thread(_fetch, state, index, before)
    if found is None:
        raise NotHereError(f"Entry {index} of this ledger is no verdict. All windows are listed under Reconcile.")
    return found


def _fetch(state: State, index: int, before: int | None) -> Found | None:
    reading = state.reading
    with reading.snapshot():
        entry = reading.verdict(index)
        if entry is None:
            return None
        (window,) = told(reading, (entry,))
        decided, older = _named(state, entry) if entry.attempts else _decided(state, entry, before)
        readings = _readings(state, entry)
        history = () if entry.attempts else told(reading, reading.touching(entry))
    return Found(
        entry=entry,
        window=window,
        decided=decided,
        older=older,
        readings=readings[:READINGS_MAX],
        more=len(readings) > READINGS_MAX,
        history=history,
    )


def _named(state: State, entry: VerdictEntry) -> tuple[tuple[Decided, ...], None]:
    """Find the attempts that a verdict names."""
    found: list[Decided] = []
    for attempt_id in entry.attempts[:ROWS_PER_PAGE]:
        call_id = state.reading.call_of_attempt(attempt_id)
        found += [] if call_id is None else _of_call(state, call_id, attempt_id)
    return tuple(found), None


def _decided(state: State, entry: VerdictEntry, before: int | None) -> tuple[tuple[Decided, ...], int | None]:
    """Find the attempts whose intent and end stand inside, from the window's end backwards."""
    listed = state.reading.inside(entry, before=before, limit=ROWS_PER_PAGE + 1)
    shown = listed[:ROWS_PER_PAGE]
    found = [one for row in shown for one in _of_call(state, row.tool_call_id, row.attempt_id)]
    return tuple(found), shown[-1].end_index if len(listed) > len(shown) else None


def _of_call(state: State, call_id: str, attempt_id: str) -> list[Decided]:
    """Give an attempt with what its call says of it; nothing if the call has no such."""
    line = state.reading.call_row(call_id)
    if line is None:
        return []
    return [
        Decided(tool=line.call.tool, client=line.call.client, attempt=attempt)
        for attempt in line.attempts
        if attempt.attempt_id == attempt_id
    ]


def _readings(state: State, entry: VerdictEntry) -> tuple[ReadingEntry, ...]:
    """List the wallet's readings from the window's first to its last, READINGS_MAX and one more at most."""
    if entry.opened is None or entry.closed is None:
        return () if entry.attempts else state.reading.latest_readings(entry.wallet)
    first, last = entry.opened - 1, entry.closed + 1
    listed = state.reading.readings(entry.wallet, after=first, before=last, limit=READINGS_MAX + 1)
    if len(listed) <= READINGS_MAX:
        return tuple(listed)
    half = READINGS_MAX // 2  # both ends are what matters
    ending = state.reading.readings(
        entry.wallet, after=listed[half - 1].index, before=last, newest=True, limit=half
    )
    return (*listed[:half], *reversed(ending), listed[-1])


def told_apart(readings: Sequence[ReadingEntry], entry: VerdictEntry) -> list[ReadingEntry]:
    """Leave out what only repeats its counter's reading before it, but never the ends."""
    last: dict[str, tuple[object, ...]] = {}
    found = []
    for one in readings:
        said = (one.outcome, one.figures, one.message)
        if one.index in (entry.opened, entry.closed) or last.get(one.counter) != said:
            found.append(one)
        last[one.counter] = said
    return found


def _texts(one: ReadingEntry) -> list[str]:
    """Write what a reading says: its figures, and what else was told; or why it says nothing."""
    figures = [figure_text(figure) for figure in one.figures]
    return figures or [failure_text(one)]


PAGE = Page(
    "window",
    (
        web.get(r"/reconcile/{index:[0-9]{1,18}}.json", _json),
        web.get(r"/reconcile/{index:[0-9]{1,18}}", _show),
    ),
)
