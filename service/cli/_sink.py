"""A place for spans to go: an OTLP endpoint on this machine that counts the tool calls it is told of."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Sink:
    """What arrived."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Span] = []

    @property
    def tool_calls(self) -> int:
        """How many server spans arrived."""
        return sum(span.kind == Span.SPAN_KIND_SERVER for span in self.spans)

    async def take(self, request: web.Request) -> web.Response:
        """Take one export."""
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        message = ExportTraceServiceRequest.FromString(body)
        for resource in message.resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return web.Response(content_type="application/x-protobuf")


@asynccontextmanager
async def sink() -> AsyncIterator[Sink]:
    """Listen on a free port of loopback while the context lasts."""
    taken = Sink()
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/v1/traces", taken.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        taken.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield taken
    finally:
        await runner.cleanup()
