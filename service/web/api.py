"""The API's fixed part: an index, the schema of a receipt, and what anybody can check the log with.

Checkpoint and key are the log's own words, for all who may read. A proof carries an entry's bytes, so it is for
those who may see the entry.
"""

import asyncio

import msgspec
from aiohttp import web

from service.core.receipt import SCHEMA_PATH, schema
from service.ledger.notary import Notary
from service.ledger.proving import Vouched, proof_of
from service.ledger.reading import Reading
from service.serving.auth import Caller
from service.serving.keys import CALLER

CHECKPOINT_PATH = "/api/v1/checkpoint"
KEY_PATH = "/api/v1/key"
PROOF_PATH = "/api/v1/proof/{index}"
INDEX = {
    "receipt_schema": SCHEMA_PATH,
    "checkpoint": CHECKPOINT_PATH,
    "key": KEY_PATH,
    "proof": PROOF_PATH,
    "calls": "/console/calls.json",
    "call": "/console/calls/{tool_call_id}.json",
    "health": "/health",
    "metrics": "/metrics",
}
WAIT_S = 3.0
"""How long a proof waits for its entry to be covered by a checkpoint."""
_INDEX = r"{index:[0-9]{1,18}}"


def routes() -> list[web.RouteDef]:
    """List the addresses of what never changes; both bodies are rendered once."""
    index = msgspec.json.encode(INDEX)
    receipt_schema = msgspec.json.encode(schema())

    async def show_index(_request: web.Request) -> web.Response:
        return web.Response(body=index, content_type="application/json")

    async def show_schema(_request: web.Request) -> web.Response:
        return web.Response(body=receipt_schema, content_type="application/schema+json")

    return [web.get("/api/v1/", show_index), web.get(SCHEMA_PATH, show_schema)]


def checking(reading: Reading, notary: Notary | None) -> list[web.RouteDef]:
    """List the addresses of checkpoint, key and proofs; none for a log that nobody signs."""
    if notary is None:
        return []

    async def show_checkpoint(_request: web.Request) -> web.Response:
        if notary.latest is None:
            raise web.HTTPServiceUnavailable(text="No checkpoint is signed yet. Try again in a second.")
        return web.Response(text=notary.latest.note)

    async def show_key(_request: web.Request) -> web.Response:
        return web.Response(text=f"{notary.key.verifier.text}\n")

    async def show_proof(request: web.Request) -> web.Response:
        place, caller = int(request.match_info["index"]), request[CALLER]
        return web.Response(text=await asyncio.to_thread(_proof, reading, notary, place, caller))

    return [
        web.get(CHECKPOINT_PATH, show_checkpoint),
        web.get(KEY_PATH, show_key),
        web.get(PROOF_PATH.replace("{index}", _INDEX), show_proof),
    ]


def _proof(reading: Reading, notary: Notary, index: int, caller: Caller) -> str:
    """Write the proof of an entry that a caller may see; to everybody else it is not there."""
    if not _sees(reading, index, caller):
        raise web.HTTPNotFound(text="There is no such entry, or it is not of a call of yours.")
    signed = notary.wait(index + 1, WAIT_S)
    if signed is None:
        raise web.HTTPServiceUnavailable(
            text="No checkpoint covers this entry yet; see /health. Try again in a second.",
            headers={"Retry-After": "1"},
        )
    return proof_of(reading, Vouched(signed.note, signed.checkpoint, notary.key.verifier), index)


def _sees(reading: Reading, index: int, caller: Caller) -> bool:
    line = reading.line(index)
    if line is None or caller.sees_all:
        return line is not None
    call = None if line.tool_call_id is None else reading.call_row(line.tool_call_id)
    return call is not None and call.call.client == caller.name
