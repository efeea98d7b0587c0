"""The Evidence page: how far can this record be relied on, and what was done to it?"""

import asyncio

import msgspec
from aiohttp import web

from console.asking import ROWS_PER_PAGE, asked_before
from console.page import STATE, Page, State, answer_json, show
from console.told import Told, told
from service.ledger.assurance import Assurance

VERSION = 1


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """All that one showing reads. `doings` are None for a reader of one client's calls alone."""

    assured: Assurance
    doings: list[Told] | None
    older: int | None


async def _show(request: web.Request) -> web.Response:
    state, before = request.config_dict[STATE], asked_before(request)
    found = await asyncio.to_thread(_fetch, state, state.owner(request), before)
    assured = found.assured
    return show(
        request,
        "evidence.html",
        assured=assured,
        audited=assured.audited,
        doings=found.doings,
        older=found.older,
        before=before,
        as_of=state.as_of(),
    )


async def _json(request: web.Request) -> web.Response:
    state, before = request.config_dict[STATE], asked_before(request)
    found = await asyncio.to_thread(_fetch, state, state.owner(request), before)
    return answer_json({"version": VERSION, "as_of": state.as_of(), **msgspec.to_builtins(found)})


def _fetch(state: State, owner: str | None, before: int | None) -> _Found:
    assured = state.assure()
    if owner is not None:
        return _Found(assured=assured, doings=None, older=None)
    entries = state.reading.told(before=before, limit=ROWS_PER_PAGE + 1)
    shown = [told(entry) for entry in entries[:ROWS_PER_PAGE]]
    return _Found(assured=assured, doings=shown, older=shown[-1].index if len(entries) > len(shown) else None)


PAGE = Page("evidence", (web.get("/evidence", _show), web.get("/evidence.json", _json)))
