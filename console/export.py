"""The whole filtered list as CSV or JSON, streamed: never more than one batch of it in memory."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
from aiohttp import web

from console.asking import Asked
from console.figures import amount
from console.page import STATE, State
from console.rows import Shown, fetch
from service.core.sheet import cell, sheet
from service.core.words import AttemptOutcome
from service.ledger.reading import WalletSum
from service.ledger.rows import added, attempt_sums, columns, reserved_unpriced
from service.ledger.store import AttemptRow, CallRow, RollupSums

VERSION = 1
_log = logging.getLogger(__name__)
_ROWS_PER_BATCH = 200
_CALL = tuple(name for name in CallRow.__struct_fields__ if name != "opened_index")
_ATTEMPT = tuple(name for name in AttemptRow.__struct_fields__ if name != "tool_call_id")
_OF_WALLETS = frozenset(columns(WalletSum))
_MONEY = ("cost_pico", "held_pico", "estimate_pico")
_RENAMED = {"attempts": "call_attempts", "outcome": "call_outcome", "duration_us": "call_duration_us"}
_RENAMED_OF_ATTEMPT = {
    "outcome": "attempt_outcome",
    "duration_us": "attempt_duration_us",
    "simulated": "attempt_simulated",
    "code": "attempt_code",
}
_SumKey = tuple[str, str, str | None, bool]


async def send_csv(request: web.Request, asked: Asked) -> web.StreamResponse:
    """Stream one line per attempt, and one for each call without any."""
    batches = _batches(request.config_dict[STATE], asked)
    return await _send(request, _csv_parts(batches), "text/csv", "csv")


async def send_json(request: web.Request, asked: Asked) -> web.StreamResponse:
    """Stream one document: calls with their attempts, then the totals of exactly these calls."""
    state = request.config_dict[STATE]
    return await _send(request, _json_parts(state, asked), "application/json", None)


async def _send(
    request: web.Request, parts: AsyncIterator[bytes], content_type: str, download: str | None
) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_type = content_type
    response.charset = "utf-8"
    if download is not None:
        stamp = request.config_dict[STATE].as_of()[:19].replace("-", "").replace(":", "")
        response.headers["Content-Disposition"] = f'attachment; filename="exai-calls-{stamp}Z.{download}"'
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    first = await anext(parts)  # what is wrong with the log shows before the status line has left
    await response.prepare(request)
    try:
        await response.write(first)
        async for part in parts:
            await response.write(part)
        await response.write_eof()
    except ConnectionResetError:
        _log.debug("a reader left in the middle of an export")
    except ValueError:  # the log is damaged further on: a list cut short must not look whole
        _log.exception("an export was broken off")
        if request.transport is not None:
            request.transport.abort()
    return response


async def _batches(state: State, asked: Asked) -> AsyncIterator[list[Shown]]:
    """Give the calls in batches, newest first. What is opened meanwhile is newer and stays out."""
    before, left = asked.before, asked.limit
    as_of = state.as_of()
    while left is None or left > 0:
        size = _ROWS_PER_BATCH if left is None else min(left, _ROWS_PER_BATCH)
        batch = await asyncio.to_thread(fetch, state.reading, asked.only, before=before, limit=size, as_of=as_of)
        yield batch
        if len(batch) < size:
            return
        before = batch[-1].line.call.opened_index
        left = None if left is None else left - size


async def _csv_parts(batches: AsyncIterator[list[Shown]]) -> AsyncIterator[bytes]:
    head = sheet([_csv_names()])
    async for batch in batches:
        yield head + sheet(line for row in batch for line in _csv_rows(row))
        head = b""


def _csv_names() -> list[str]:
    of_call = [_RENAMED.get(name, name) for name in _CALL]
    of_attempt: list[str] = []
    for name in _ATTEMPT:
        of_attempt += (
            [name.removesuffix("_pico"), name] if name in _MONEY else [_RENAMED_OF_ATTEMPT.get(name, name)]
        )
    return [*of_call, "verdict", "verdict_code", *of_attempt]


def _csv_rows(row: Shown) -> Iterator[list[str]]:
    of_call = [cell(getattr(row.line.call, name)) for name in _CALL]
    of_call += [row.verdict.word, row.verdict.code]
    for attempt in row.line.attempts or (None,):
        cells: list[str] = []
        for name in _ATTEMPT:
            value = None if attempt is None else getattr(attempt, name)
            if name in _MONEY:
                cells.append("" if value is None else amount(value))
            cells.append(cell(value))
        yield [*of_call, *cells]


async def _json_parts(state: State, asked: Asked) -> AsyncIterator[bytes]:
    head = {"version": VERSION, "as_of": state.as_of(), "filter": msgspec.to_builtins(asked.only)}
    count, attempts = 0, 0
    sums: dict[_SumKey, RollupSums] = {}
    opening = msgspec.json.encode(head)[:-1] + b',"calls":['
    async for batch in _batches(state, asked):
        written = b",".join(msgspec.json.encode(_json_call(row)) for row in batch)
        yield opening + (b"," if count and batch else b"") + written
        opening = b""
        count += len(batch)
        for row in batch:
            attempts += len(row.line.attempts)
            _add(sums, row.line.attempts)
    tail = {"call_count": count, "attempt_count": attempts, "totals": _totals(sums)}
    yield b"]," + msgspec.json.encode(tail)[1:]


def _json_call(row: Shown) -> dict[str, Any]:
    call: dict[str, Any] = msgspec.to_builtins(row.line.call)
    attempts = [_with_decimals(msgspec.to_builtins(attempt)) for attempt in row.line.attempts]
    verdict = {"word": row.verdict.word, "code": row.verdict.code, "sentence": row.verdict.sentence}
    return {**call, "call_attempts": call["attempts"], "verdict": verdict, "attempts": attempts}


def _with_decimals(row: dict[str, Any]) -> dict[str, Any]:
    """Put the decimal amount before each amount in pico-units; both are strings, so no reader rounds them."""
    told: dict[str, Any] = {}
    for name, value in row.items():
        if name.endswith("_pico"):
            told[name.removesuffix("_pico")] = None if value is None else amount(value)
            told[name] = None if value is None else str(value)
        else:
            told[name] = value
    return told


def _add(sums: dict[_SumKey, RollupSums], attempts: tuple[AttemptRow, ...]) -> None:
    """Add up attempts per wallet and currency. Only what is in doubt counts as held, not what is open."""
    for attempt in attempts:
        held = attempt.held_pico if attempt.outcome is AttemptOutcome.IN_DOUBT else None
        currency = None if reserved_unpriced(attempt) else attempt.currency
        key = (attempt.provider, attempt.wallet, currency, attempt.simulated)
        counted = attempt_sums(msgspec.structs.replace(attempt, held_pico=held))
        sums[key] = added(sums.get(key, RollupSums()), counted)


def _totals(sums: dict[_SumKey, RollupSums]) -> list[dict[str, Any]]:
    def in_order(key: _SumKey) -> tuple[str, str, str, bool]:
        return (key[0], key[1], key[2] or "", key[3])

    return [
        {
            "provider": key[0],
            "wallet": key[1],
            "currency": key[2],
            "simulated": key[3],
            **_with_decimals(_sums(key[2], sums[key])),
        }
        for key in sorted(sums, key=in_order)
    ]


def _sums(currency: str | None, sums: RollupSums) -> dict[str, Any]:
    """Tell sums; amounts without a currency are unknown, which is not 0."""
    told = {name: getattr(sums, name) for name in sums.__struct_fields__ if name in _OF_WALLETS}
    return told if currency is not None else told | dict.fromkeys(("cost_pico", "held_pico"))
