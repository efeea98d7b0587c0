"""The Budgets page: what may still be spent, and will a call be stopped?"""

import asyncio
from collections.abc import Iterator

import msgspec
from aiohttp import web

from console.limits import Budget, Limit, budgets, reserved_under_way, told, visible
from console.page import STATE, Page, State, answer_json, show
from service.core.entries import BudgetEntry
from service.core.in_force import in_force
from service.core.sheet import cell, sheet
from service.ledger.choosing import OPEN, CallFilter
from service.ledger.reading import PAGE_ROWS_MAX, CallLine, Reading

VERSION = 1


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """All that one showing reads, at one moment of the ledger."""

    as_of: str
    budgets: tuple[Budget, ...]

    @property
    def limits(self) -> list[Limit]:
        """Every limit, in order."""
        return [limit for one in self.budgets for limit in one.limits]


async def _show(request: web.Request) -> web.Response:
    found = await _read(request)
    return show(
        request,
        "budgets.html",
        budgets=found.budgets,
        as_of=found.as_of,
        some_simulated=any(limit.simulated for limit in found.limits),
    )


async def _json(request: web.Request) -> web.Response:
    found = await _read(request)
    owner = request.config_dict[STATE].owner(request)
    return answer_json({"version": VERSION, "owner": owner, **msgspec.to_builtins(found)})


async def _csv(request: web.Request) -> web.Response:
    found = await _read(request)
    names = Limit.__struct_fields__
    lines = [names, *([cell(getattr(limit, name)) for name in names] for limit in found.limits)]
    stamp = found.as_of[:19].replace("-", "").replace(":", "")
    headers = {"Content-Disposition": f'attachment; filename="exai-budgets-{stamp}Z.csv"'}
    return web.Response(body=sheet(lines), content_type="text/csv", charset="utf-8", headers=headers)


async def _read(request: web.Request) -> _Found:
    state = request.config_dict[STATE]
    return await asyncio.to_thread(_fetch, state, state.owner(request), state.as_of())


def _fetch(state: State, owner: str | None, as_of: str) -> _Found:
    reading = state.reading
    with reading.snapshot():
        said = in_force(entry for entry in reading.of_ledger() if isinstance(entry, BudgetEntry))
        states = visible(reading.budgets(as_of), owner)
        under_way = reserved_under_way(states, _open_calls(reading)) if states else {}
    names = {one.terms.name for one in states}
    terms = [one for one in said.terms if owner in (None, one.client) or one.name in names]
    return _Found(as_of=as_of, budgets=budgets([told(one, under_way) for one in states], terms, at=as_of))


def _open_calls(reading: Reading) -> Iterator[CallLine]:
    before: int | None = None
    while lines := reading.calls(CallFilter(outcome=(OPEN,)), before=before, limit=PAGE_ROWS_MAX):
        yield from lines
        before = lines[-1].call.opened_index


PAGE = Page(
    "budgets",
    (web.get("/budgets", _show), web.get("/budgets.json", _json), web.get("/budgets.csv", _csv)),
)
