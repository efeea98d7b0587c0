"""The Receipt page: is this call real, what was metered, and how was its cost worked out?"""

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from console.codes import next_step
from console.page import STATE, NotHereError, Page, State, answer_json, show
from console.rows import Cost, shown
from console.told import resolved
from console.waterfall import bars, drawn
from console.words import entries_of
from service.core.books import VerificationEntry
from service.core.entries import DoubtEntry, RefusalEntry, SettlementEntry, UnsentEntry
from service.core.judged import NOTHING, Judged
from service.core.money import decimal_text, pico
from service.core.pricing import lines
from service.core.receipt import Receipt, ReceiptAttempt, receipt
from service.core.record import Attempt, ToolCall
from service.core.times import NS_PER_S, utc_ns

_ID_CHARS_SHOWN = 80
_PROVE = "prove"


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """One class of tokens: count × rate per million = amount."""

    name: str
    tokens: int
    rate: str
    amount: str


class _Working(msgspec.Struct, frozen=True, kw_only=True):
    """A cost worked out again from what the entry holds. `agrees` is whether it comes to the entry's amount."""

    lines: list[_Line]
    request: str | None
    sum: str
    agrees: bool


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: its record, its part of the receipt, its end under the name of its kind, and its resolution.

    Attributes:
        window: the ledger index of the verdict on the window that decides it; None if none does.
        verification: what the provider said of its signature; None if it has not been asked.
    """

    record: Attempt
    told: ReceiptAttempt
    settled: SettlementEntry | None
    refused: RefusalEntry | None
    unsent: UnsentEntry | None
    doubted: DoubtEntry | None
    resolved: str | None
    working: _Working | None
    window: int | None
    verification: VerificationEntry | None


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """All that one showing reads: the record, and by attempt id what was found of its attempts since."""

    call: ToolCall
    judged: dict[str, Judged]


async def _show(request: web.Request) -> web.Response:
    state, tool_call_id = request.config_dict[STATE], request.match_info["tool_call_id"]
    try:
        found = await _read(request)
    except NotHereError:
        if state.owner(request) is None and state.proofs.begun(tool_call_id):
            return show(request, "prove.html", tool_call_id=tool_call_id)
        raise
    return show(request, "receipt.html", **_shown(found, _receipt(request, found)))


async def _json(request: web.Request) -> web.Response:
    return answer_json(_receipt(request, await _read(request)))


async def _read(request: web.Request) -> _Found:
    state = request.config_dict[STATE]
    tool_call_id = request.match_info["tool_call_id"]
    found = await asyncio.to_thread(_fetch, state, tool_call_id)
    owner = state.owner(request)
    if found is None or (owner is not None and found.call.opened.client != owner):
        of = "" if owner is None else f" of client {owner}"
        raise NotHereError(f"This ledger holds no tool call{of} with the id {tool_call_id[:_ID_CHARS_SHOWN]!r}.")
    return found


def _fetch(state: State, tool_call_id: str) -> _Found | None:
    with state.reading.snapshot():
        call = state.reading.call(tool_call_id)
        return None if call is None else _Found(call=call, judged=state.reading.judged([tool_call_id]))


def _receipt(request: web.Request, found: _Found) -> Receipt:
    state = request.config_dict[STATE]
    return receipt(found.call, as_of=state.as_of(), console_url=state.console_url, judged=found.judged)


def _shown(found: _Found, told: Receipt) -> dict[str, Any]:
    call = found.call
    row = shown(call, as_of=told.verdict.as_of, judged=found.judged)
    costs: tuple[Cost, ...] = row.costs
    is_open = call.answer is None
    return {
        "call": call,
        "told": told,
        "costs": costs,
        "next_step": next_step(
            told.verdict.code,
            simulated=told.simulated,
            age_s=(utc_ns(told.verdict.as_of) - utc_ns(call.opened.at)) / NS_PER_S,
        ),
        "has_ids": any(attempt.provider_request_ids for attempt in told.attempts),
        "parts": [
            _part(attempt, part, found.judged.get(part.attempt_id, NOTHING))
            for attempt, part in zip(call.attempts, told.attempts, strict=True)
        ],
        "proving": is_open and call.opened.tool == _PROVE,
        "steps": drawn(bars(call)),
        "entries": [(entry, entry.__struct_config__.tag) for entry in entries_of(call)],
        "some_simulated": told.simulated,
    }


def _part(attempt: Attempt, told: ReceiptAttempt, judged: Judged) -> _Part:
    end = attempt.end
    settled = end if isinstance(end, SettlementEntry) else None
    return _Part(
        record=attempt,
        told=told,
        settled=settled,
        refused=end if isinstance(end, RefusalEntry) else None,
        unsent=end if isinstance(end, UnsentEntry) else None,
        doubted=end if isinstance(end, DoubtEntry) else None,
        resolved=resolved(attempt.resolution) if attempt.resolution else None,
        working=_working(settled) if settled else None,
        window=judged.window.index if judged.window else None,
        verification=judged.verification,
    )


def _working(settled: SettlementEntry) -> _Working | None:
    """Work the cost out line by line; None when the entry holds no rates."""
    cost = settled.cost
    if cost.rates is None or cost.amount is None:
        return None
    worked = lines(settled.usage, cost.rates)
    total = sum(amount for *_, amount in worked) + pico(cost.rates.request)
    return _Working(
        lines=[
            _Line(name=name, tokens=tokens, rate=rate, amount=decimal_text(amount))
            for name, tokens, rate, amount in worked
        ],
        request=cost.rates.request if pico(cost.rates.request) else None,
        sum=decimal_text(total),
        agrees=total == pico(cost.amount),
    )


PAGE = Page(
    "receipt",
    (web.get("/calls/{tool_call_id}.json", _json), web.get("/calls/{tool_call_id}", _show)),
)
