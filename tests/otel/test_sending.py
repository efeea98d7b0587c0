"""A batch reaches its collector or is told to be lost; a collector cannot make anybody wait."""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel.collector import Destination
from otel.sending import HttpSender
from otel.source import Source
from tests.otel.conftest import Answer

if TYPE_CHECKING:
    from tests.otel.conftest import Collector

WAIT_S = 20.0
NEVER_S = 3600.0
SPANS = [Span(name=f"span {number}") for number in range(3)]
SHORT_S = 0.3

SenderMaker = Callable[..., HttpSender]


@pytest.fixture
def sending(collector: "Collector", of_tests: Source) -> Iterator[SenderMaker]:
    """Make senders to the collector; keywords change the destination."""
    opened: list[HttpSender] = []

    def make(*, pause_s: float = 0.001, **changed: Any) -> HttpSender:  # noqa: ANN401 - any field
        to = Destination(
            url=collector.endpoint + "/v1/traces",
            headers={},
            proxy=None,
            proxy_headers={},
            timeout_s=WAIT_S,
            compression="none",
            tls=None,
        )
        opened.append(HttpSender(replace(to, **changed), of_tests, pause_s=pause_s))
        return opened[-1]

    yield make
    for sender in opened:
        sender.shutdown()


def partly(rejected: int) -> bytes:
    """Write a collector's answer that rejects spans."""
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = rejected
    answer.partial_success.error_message = "tell nobody"
    return bytes(answer.SerializeToString())


def test_batches_share_a_connection(collector: "Collector", sending: SenderMaker) -> None:
    """A batch is one request with its type, who sends it and the operator's headers; the connection is kept."""
    sender = sending(headers={"api-key": "k"})
    assert [3, 1] == [sender.send(SPANS), sender.send(SPANS[:1])]
    assert SPANS + SPANS[:1] == collector.spans
    first, second = collector.received
    assert ("/v1/traces", first.client) == (first.path, second.client)
    assert ("application/x-protobuf", "exai/1.2.3", "k") == tuple(
        map(first.headers.get, ("content-type", "user-agent", "api-key"))
    )


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_a_body_may_be_compressed(compression: str, collector: "Collector", sending: SenderMaker) -> None:
    """The body is small, and its encoding is told."""
    many = SPANS * 100
    assert 300 == sending(compression=compression).send(many)
    assert compression == collector.received[0].headers["content-encoding"]
    assert many == collector.spans
    assert len(collector.received[0].body) < 300


@pytest.mark.parametrize("status", [429, 502, 503, 504, None])
def test_what_may_pass_is_tried_again(status: int | None, collector: "Collector", sending: SenderMaker) -> None:
    """A collector that is busy, or a connection that broke, gets the same bytes again."""
    collector.script = [Answer(status), Answer(status)]
    assert 3 == sending().send(SPANS)
    first, second, third = collector.received
    assert first.body == second.body == third.body


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 500])
def test_a_refusal_is_final(
    status: int, collector: "Collector", sending: SenderMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """What will not pass is not repeated, no redirect is followed, and the log names the status and no address."""
    collector.script = [Answer(status, headers={"Location": collector.endpoint}, body=b"tell nobody")]
    assert 0 == sending(headers={"api-key": "secret"}).send(SPANS)
    assert 1 == len(collector.received)
    assert [f"spans are lost: status {status}"] == [record.getMessage() for record in caplog.records]


def test_a_trouble_is_told_once(
    collector: "Collector", sending: SenderMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """The same trouble batch after batch is one line; after a success it is news again."""
    collector.script = [Answer(status) for status in (400, 400, 401, 200, 401)]
    sender = sending()
    for _ in range(5):
        sender.send(SPANS)
    said = [record.getMessage().rpartition(" ")[2] for record in caplog.records]
    assert ["400", "401", "401"] == said


def test_a_collector_may_ask_to_wait(collector: "Collector", sending: SenderMaker) -> None:
    """What it asks for is waited if the time allows it, else the batch is lost at once."""
    collector.script = [Answer(429, {"Retry-After": "0.01"}), Answer(503, {"Retry-After": "3600"})]
    assert 0 == sending().send(SPANS)
    assert 2 == len(collector.received)


@pytest.mark.parametrize(
    ("asked", "tries"),
    [
        ("Sun, 22 Nov 2026 16:21:00 GMT", 2),  # passed, whenever this test runs
        ("Sun, 22 Nov 2126 16:21:00 GMT", 1),
        ("0", 2),
        ("-5", 2),
        ("nan", 2),
        ("inf", 1),
        ("soon", 2),
        ("", 2),
    ],
)
def test_a_time_to_wait_may_be_anything(
    asked: str, tries: int, collector: "Collector", sending: SenderMaker
) -> None:
    """Seconds and dates are understood; nonsense, and what has passed, is a usual pause."""
    collector.script = [Answer(503, {"Retry-After": asked})]
    sending().send(SPANS)
    assert tries == len(collector.received)


def test_nobody_listens(collector: "Collector", sending: SenderMaker, caplog: pytest.LogCaptureFixture) -> None:
    """Where no collector is, tries end with the batch's time, and the log names no address."""
    collector.server.server_close()
    assert 0 == sending(timeout_s=SHORT_S).send(SPANS)
    assert ["spans are lost: NewConnectionError"] == [record.getMessage() for record in caplog.records]


def test_a_silent_collector_is_left(collector: "Collector", sending: SenderMaker) -> None:
    """An answer that does not come ends with the batch's time, and the next batch has its own."""
    silent = threading.Event()
    collector.script = [Answer(after=silent)]
    sender = sending(timeout_s=SHORT_S)
    try:
        assert 0 == sender.send(SPANS)
    finally:
        silent.set()
    assert 3 == sender.send(SPANS)


def test_a_stop_ends_a_pause(collector: "Collector", sending: SenderMaker) -> None:
    """Who waits between two tries is woken by the shutdown, and gives up."""
    collector.script = [Answer(503)]
    sender = sending(pause_s=NEVER_S, timeout_s=3 * NEVER_S)
    taken: list[int] = []
    thread = threading.Thread(target=lambda: taken.append(sender.send(SPANS)))
    thread.start()
    assert collector.reached.acquire(timeout=WAIT_S)
    sender.shutdown()
    thread.join(WAIT_S)
    assert [0] == taken


@pytest.mark.parametrize(("rejected", "taken"), [(0, 3), (1, 2), (3, 0), (9, 0), (-1, 3)])
def test_what_a_collector_rejects_is_not_taken(
    rejected: int, taken: int, collector: "Collector", sending: SenderMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """A partial success is counted as what it is, with a line in the log and none of the collector's words."""
    collector.script = [Answer(body=partly(rejected))]
    assert taken == sending().send(SPANS)
    said = ["the collector rejects spans that it was sent"] if taken < 3 else []
    assert said == [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("body", [b"", b"OK", b'{"partialSuccess":{}}', b"\xff" * 100_000])
def test_a_success_may_say_anything(body: bytes, collector: "Collector", sending: SenderMaker) -> None:
    """What is no answer of OTLP's takes nothing back, however long it is, and the way stays good."""
    collector.script = [Answer(202, body=body)]
    sender = sending()
    assert [3, 3] == [sender.send(SPANS), sender.send(SPANS)]


def test_a_proxy_is_asked_by_its_own_name(collector: "Collector", sending: SenderMaker) -> None:
    """Through a proxy the whole address is asked for; the proxy's password is for the proxy alone."""
    sender = sending(
        url="http://collector.invalid:4318/v1/traces",
        proxy=collector.endpoint,
        proxy_headers={"proxy-authorization": "Basic eA=="},
    )
    assert 3 == sender.send(SPANS)
    received = collector.received[0]
    assert "http://collector.invalid:4318/v1/traces" == received.path
    assert ("collector.invalid:4318", "Basic eA==") == (
        received.headers["host"],
        received.headers["proxy-authorization"],
    )


def test_nothing_of_a_usual_batch_is_told(sending: SenderMaker, caplog: pytest.LogCaptureFixture) -> None:
    """What goes well is no event."""
    caplog.set_level(logging.INFO)
    sending().send(SPANS)
    assert [] == caplog.records
