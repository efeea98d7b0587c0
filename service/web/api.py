"""The API's fixed part: an index, the schema of a receipt, and what anybody can check the log with.

Checkpoint and key are the log's own words, for all who may read. A proof carries an entry's bytes, so it is for
those who may see the entry.
"""

import asyncio

import msgspec
from aiohttp import web

from service.core.receipt import SCHEMA_PATH, schema
from service.ledger.notary import Notary, Signed
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
    "overview": "/console/overview.json",
    "windows": "/console/reconcile.json",
    "window": "/console/reconcile/{index}.json",
    "readings": "/console/readings.json?wallet={wallet}",
    "verdicts": "/console/help/verdicts.json",
    "health": "/health",
    "metrics": "/metrics",
}
WAIT_S = 3.0
"""How long a proof waits for its entry to be covered by a checkpoint."""
_POLL_S = 0.02
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
        if not await asyncio.to_thread(_sees, reading, place, caller):
            raise web.HTTPNotFound(text="There is no such entry, or it is not of a call of yours.")
        signed = await _covering(notary, place + 1)
        vouched = Vouched(signed.note, signed.checkpoint, notary.key.verifier)
        return web.Response(text=await asyncio.to_thread(proof_of, reading, vouched, place))

    return [
        web.get(CHECKPOINT_PATH, show_checkpoint),
        web.get(KEY_PATH, show_key),
        web.get(PROOF_PATH.replace("{index}", _INDEX), show_proof),
    ]


async def _covering(notary: Notary, size: int) -> Signed:
    """Have a checkpoint over so many entries. No thread waits for it: there are few, and readers need them."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + WAIT_S
    while True:
        signed = notary.wait(size, 0.0)
        if signed is not None:
            return signed
        if notary.failing:
            raise web.HTTPServiceUnavailable(
                text="No checkpoint can be kept at present, so none covers this entry; see /health. Free space in"
                " the folder of checkpoints (EXAI_CHECKPOINTS_DIR), or make it writable, then try again.",
                headers={"Retry-After": "10"},
            )
        if loop.time() >= ends_at:
            raise web.HTTPServiceUnavailable(
                text="No checkpoint covers this entry yet; see /health. Try again in a second.",
                headers={"Retry-After": "1"},
            )
        await asyncio.sleep(_POLL_S)


def _sees(reading: Reading, index: int, caller: Caller) -> bool:
    """Tell whether an entry is there for a caller; to everybody else it does not exist."""
    line = reading.line(index)
    if line is None or caller.sees_all:
        return line is not None
    call = None if line.tool_call_id is None else reading.call_row(line.tool_call_id)
    return call is not None and call.call.client == caller.name
