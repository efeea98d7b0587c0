"""A log in memory, senders that misbehave on demand, and a collector on a real socket."""

import gzip
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel.source import Source, source
from service.core.entries import AnyEntry, OfLedger, encode
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
        if isinstance(placed, OfLedger):
            return Step(placed, None)
        call = after(self.calls.get(placed.tool_call_id), placed, leaf_hash(encode(placed)))
        self.calls[placed.tool_call_id] = call
        return Step(placed, call)


class Sender:
    """A sender that does as it is told: it may lose spans, raise, or block until it is let go.

    `entered` counts batches that began; every wait has a limit, so a broken test ends.

    Attributes:
        lost: how many spans of a batch the collector does not take, at most all.
    """

    def __init__(self, *, blocking: bool = False) -> None:
        self.lost = 0
        self.error: Exception | None = None
        self.batches: list[list[Span]] = []
        self.entered = threading.Semaphore(0)
        self.let_go = threading.Event()
        self.shut_down = threading.Event()
        self.shutdowns = 0
        if not blocking:
            self.let_go.set()

    def send(self, spans: Sequence[Span], /) -> int:
        """Take a batch."""
        self.batches.append(list(spans))
        self.entered.release()
        assert self.let_go.wait(WAIT_S)
        if self.error is not None:
            raise self.error
        return max(0, len(spans) - self.lost)

    def shutdown(self) -> None:
        """Stop; more than once would be a fault of the caller's."""
        self.shutdowns += 1
        self.shut_down.set()


@dataclass(frozen=True)
class Received:
    """One request that reached a collector."""

    path: str
    headers: dict[str, str]
    body: bytes
    client: tuple[str, int]


@dataclass
class Answer:
    """What a collector answers; without a status it closes the connection, with `after` it waits before."""

    status: int | None = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    after: threading.Event | None = None


class Collector:
    """An OTLP collector over HTTP that keeps what it is sent, and answers from a script, at its end with 200."""

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.received: list[Received] = []
        self.reached = threading.Semaphore(0)
        collector = self

        class Receiver(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                collector.received.append(Received(self.path, headers, body, self.client_address))
                collector.reached.release()
                answer = collector.script.pop(0) if collector.script else Answer()
                if answer.after is not None:
                    assert answer.after.wait(WAIT_S)
                self.close_connection = answer.status is None
                if answer.status is not None:
                    self.send_response(answer.status)
                    for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Say nothing: clients that give up are part of the tests."""

        self.server = Server(("127.0.0.1", 0), Receiver)
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def requests(self) -> list[ExportTraceServiceRequest]:
        """Every request that arrived, decoded."""
        unpack: dict[str | None, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "deflate": zlib.decompress}
        return [
            ExportTraceServiceRequest.FromString(
                unpack.get(received.headers.get("content-encoding"), bytes)(received.body)
            )
            for received in self.received
        ]

    @property
    def spans(self) -> list[Span]:
        """Every span that arrived."""
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
def sender() -> Sender:
    """A sender that succeeds."""
    return Sender()


@pytest.fixture
def blocking() -> Iterator[Sender]:
    """A sender that blocks until it is let go, at the latest by the end of the test."""
    blocked = Sender(blocking=True)
    yield blocked
    blocked.let_go.set()


@pytest.fixture
def of_tests(monkeypatch: pytest.MonkeyPatch) -> Source:
    """Who speaks in tests."""
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    return source(version="1.2.3", instance_id="instance-1")


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector on a port of its own."""
    running = Collector()
    thread = threading.Thread(target=running.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.server.shutdown()
    thread.join(WAIT_S)
    running.server.server_close()
