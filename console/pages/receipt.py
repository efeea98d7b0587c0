"""The Receipt page: is this call real, what was metered, and how was its cost worked out?"""

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from console.page import STATE, NotHereError, Page, answer_json, show
from console.rows import Cost, shown
from console.told import resolved
from console.waterfall import bars, drawn
from console.words import NEXT_STEPS, entries_of
from service.core.entries import DoubtEntry, RefusalEntry, SettlementEntry, UnsentEntry
from service.core.money import decimal_text, pico
from service.core.pricing import lines
from service.core.receipt import Receipt, ReceiptAttempt, receipt
from service.core.record import Attempt, ToolCall

_ID_CHARS_SHOWN = 80


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
    """One attempt: its record, its part of the receipt, its end under the name of its kind, and its resolution."""

    record: Attempt
    told: ReceiptAttempt
    settled: SettlementEntry | None
    refused: RefusalEntry | None
    unsent: UnsentEntry | None
    doubted: DoubtEntry | None
    resolved: str | None
    working: _Working | None


async def _show(request: web.Request) -> web.Response:
    call, told = await _read(request)
    return show(request, "receipt.html", **_shown(call, told))


async def _json(request: web.Request) -> web.Response:
    _, told = await _read(request)
    return answer_json(told)


async def _read(request: web.Request) -> tuple[ToolCall, Receipt]:
    state = request.config_dict[STATE]
    tool_call_id = request.match_info["tool_call_id"]
    call = await asyncio.to_thread(state.reading.call, tool_call_id)
    owner = state.owner(request)
    if call is None or (owner is not None and call.opened.client != owner):
        of = "" if owner is None else f" of client {owner}"
        raise NotHereError(f"This ledger holds no tool call{of} with the id {tool_call_id[:_ID_CHARS_SHOWN]!r}.")
    return call, receipt(call, as_of=state.as_of(), console_url=state.console_url)


def _shown(call: ToolCall, told: Receipt) -> dict[str, Any]:
    costs: tuple[Cost, ...] = shown(call, as_of=told.verdict.as_of).costs
    return {
        "call": call,
        "told": told,
        "costs": costs,
        "next_step": None if told.simulated else NEXT_STEPS.get(told.verdict.code),
        "has_ids": any(attempt.provider_request_ids for attempt in told.attempts),
        "parts": [_part(attempt, part) for attempt, part in zip(call.attempts, told.attempts, strict=True)],
        "steps": drawn(bars(call)),
        "entries": [(entry, entry.__struct_config__.tag) for entry in entries_of(call)],
        "some_simulated": told.simulated,
    }


def _part(attempt: Attempt, told: ReceiptAttempt) -> _Part:
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
