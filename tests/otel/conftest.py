"""A log in memory, exporters that misbehave on demand, and a collector on a real socket."""

import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel.source import Source, source
from service.core.entries import AnyEntry, SystemEntry, encode
from service.core.merkle import leaf_hash
from service.core.record import Step, ToolCall, after
from service.core.times import NS_PER_S, utc_ns, utc_text

BEGUN_NS = utc_ns("2026-11-22T16:21:00Z")
WAIT_S = 20.0


class Log:
    """A ledger's committed steps: each entry gets the next index and is one second later than the last."""

    def __init__(self) -> None:
        self.epoch = 1
        self.index = -1
        self.calls: dict[str, ToolCall] = {}

    def add(self, *entries: AnyEntry) -> list[Step]:
        """Commit entries, in order."""
        return [self._add(entry) for entry in entries]

    def _add(self, entry: AnyEntry) -> Step:
        self.index += 1
        at = utc_text(BEGUN_NS + self.index * NS_PER_S)
        placed = msgspec.structs.replace(entry, origin="o-1", epoch=self.epoch, index=self.index, at=at)
        if isinstance(placed, SystemEntry):
            return Step(placed, None)
        call = after(self.calls.get(placed.tool_call_id), placed, leaf_hash(encode(placed)))
        self.calls[placed.tool_call_id] = call
        return Step(placed, call)


class Exporter(SpanExporter):
    """An exporter that does as it is told: it may fail, raise, or block until it is let go.

    `entered` counts batches that began; every wait has a limit, so a broken test ends.
    """

    def __init__(self, *, result: SpanExportResult = SpanExportResult.SUCCESS, blocking: bool = False) -> None:
        self.result = result
        self.error: Exception | None = None
        self.batches: list[list[ReadableSpan]] = []
        self.entered = threading.Semaphore(0)
        self.let_go = threading.Event()
        self.shut_down = threading.Event()
        self.shutdowns = 0
        if not blocking:
            self.let_go.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take a batch."""
        self.batches.append(list(spans))
        self.entered.release()
        assert self.let_go.wait(WAIT_S)
        if self.error is not None:
            raise self.error
        return self.result

    def shutdown(self) -> None:
        """Stop; more than once would be a fault of the caller's."""
        self.shutdowns += 1
        self.shut_down.set()


class Collector:
    """An OTLP collector over HTTP that keeps what it is sent and answers with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[ExportTraceServiceRequest] = []
        self.paths: list[str] = []
        collector = self

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.paths.append(self.path)
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def spans(self) -> list[Any]:
        """Every span that arrived, decoded."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def log() -> Log:
    """An empty log, in its first epoch."""
    return Log()


@pytest.fixture
def exporter() -> Exporter:
    """An exporter that succeeds."""
    return Exporter()


@pytest.fixture
def blocking() -> Iterator[Exporter]:
    """An exporter that blocks until it is let go, at the latest by the end of the test."""
    blocked = Exporter(blocking=True)
    yield blocked
    blocked.let_go.set()


@pytest.fixture
def of_tests(monkeypatch: pytest.MonkeyPatch) -> Source:
    """Who speaks in tests."""
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    return source(version="1.2.3", instance_id="instance-1")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector on a port of its own, reached without a proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Collector()
    thread = threading.Thread(target=running.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.server.shutdown()
    thread.join(WAIT_S)
    running.server.server_close()
