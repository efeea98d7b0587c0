"""The API's fixed part: an index of what can be read as JSON, and the schema of a receipt."""

import msgspec
from aiohttp import web

from service.core.receipt import SCHEMA_PATH, schema

INDEX = {
    "receipt_schema": SCHEMA_PATH,
    "calls": "/console/calls.json",
    "call": "/console/calls/{tool_call_id}.json",
    "health": "/health",
    "metrics": "/metrics",
}


def routes() -> list[web.RouteDef]:
    """List the addresses; both bodies are rendered once."""
    index = msgspec.json.encode(INDEX)
    receipt_schema = msgspec.json.encode(schema())

    async def show_index(_request: web.Request) -> web.Response:
        return web.Response(body=index, content_type="application/json")

    async def show_schema(_request: web.Request) -> web.Response:
        return web.Response(body=receipt_schema, content_type="application/schema+json")

    return [web.get("/api/v1/", show_index), web.get(SCHEMA_PATH, show_schema)]
