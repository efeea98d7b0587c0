"""The environment chooses the collector; what it receives is what was made."""

from typing import TYPE_CHECKING

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from otel.collector import TIMEOUT_S, span_exporter
from otel.exporting import ExportCounts, ExportQueue, ExportState
from otel.source import Source
from otel.spans import spans
from service.errors import SettingsError

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.otel.conftest import Collector

WAIT_S = 20.0
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {ENDPOINT: " "},
        {"OTEL_TRACES_EXPORTER": "otlp"},
        {"OTEL_TRACES_EXPORTER": "console"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {ENDPOINT: "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "True"},
        {ENDPOINT: "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"},
        {ENDPOINT: "not a url", "OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_without_a_wish_there_is_no_exporter(environ: dict[str, str]) -> None:
    """No endpoint, or spans switched off: nothing is sent, and nothing else is checked."""
    assert span_exporter(environ) is None


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({ENDPOINT: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        (
            {
                TRACES_ENDPOINT: "http://c:4317",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            },
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        ),
        ({ENDPOINT: "http://c:4318", "OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"),
        ({ENDPOINT: "c:4318"}, ENDPOINT),
        ({TRACES_ENDPOINT: "https://user:secret@:4318"}, TRACES_ENDPOINT),
        ({TRACES_ENDPOINT: "https://user:secret@c:port"}, TRACES_ENDPOINT),
    ],
)
def test_what_is_not_supported_refuses_the_start(environ: dict[str, str], variable: str) -> None:
    """The message names the variable, has a remedy, and never shows the endpoint."""
    with pytest.raises(SettingsError) as refused:
        span_exporter(environ)
    assert str(refused.value).startswith(f"{variable} is")
    assert refused.value.remedy
    assert "secret" not in str(refused.value)


def test_grpc_is_told_what_works() -> None:
    """Who asks for grpc learns the protocol and the port to use."""
    with pytest.raises(SettingsError, match="http/protobuf is what is supported now") as refused:
        span_exporter({ENDPOINT: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert "4318" in refused.value.remedy


@pytest.mark.parametrize(
    ("variable", "path", "arrived"),
    [(ENDPOINT, "/", "/v1/traces"), (ENDPOINT, "/otlp", "/otlp/v1/traces"), (TRACES_ENDPOINT, "/own", "/own")],
)
def test_the_collector_receives_what_was_made(
    variable: str, path: str, arrived: str, made: "Made", of_tests: Source, collector: "Collector"
) -> None:
    """Over a real socket, names, kinds, ids, parents, times, attributes and events are the same."""
    sent = spans(
        made.call(
            made.intent(1),
            made.refusal(1),
            made.intent(2, retry_of=made.attempt_id(1), stream=True),
            made.settlement(2),
            made.answer(),
        ),
        of_tests,
    )
    queue = ExportQueue(span_exporter({variable: collector.endpoint + path}))
    queue.put(sent)
    queue.close(WAIT_S)
    assert queue.counts() == ExportCounts(state=ExportState.CLOSED, ended=4, exported=4)
    assert collector.paths == [arrived]
    assert [(span.name, span.kind) for span in collector.spans] == [
        ("tools/call chat", 2),
        ("chat kimi-k3", 3),
        ("POST", 3),
        ("POST", 3),
    ]
    for before, after in zip(sent, collector.spans, strict=True):
        parent = before.parent.span_id.to_bytes(8) if before.parent else b""
        assert (before.context.trace_id.to_bytes(16), before.context.span_id.to_bytes(8), parent) == (
            after.trace_id,
            after.span_id,
            after.parent_span_id,
        )
        assert (before.start_time, before.end_time) == (after.start_time_unix_nano, after.end_time_unix_nano)
        assert set(before.attributes or {}) == {attribute.key for attribute in after.attributes}
        assert [event.name for event in before.events] == [event.name for event in after.events]
        assert before.status.status_code.value == after.status.code
    resource = {
        said.key: said.value.string_value for said in collector.requests[0].resource_spans[0].resource.attributes
    }
    assert ("exai", "instance-1") == (resource["service.name"], resource["service.instance.id"])


def test_a_collector_that_refuses_costs_the_batch(made: "Made", of_tests: Source, collector: "Collector") -> None:
    """A status that is no success is a drop with a count."""
    collector.status = 400
    queue = ExportQueue(span_exporter({ENDPOINT: collector.endpoint}))
    queue.put(spans(made.call(made.intent(), made.settlement(), made.answer()), of_tests))
    queue.close(WAIT_S)
    assert queue.counts() == ExportCounts(state=ExportState.CLOSED, ended=3, dropped_failed=3)


def test_a_dead_collector_costs_the_batch(made: "Made", of_tests: Source, collector: "Collector") -> None:
    """Where nobody listens, spans are dropped with a count, and closing keeps its deadline."""
    collector.server.server_close()
    queue = ExportQueue(span_exporter({ENDPOINT: collector.endpoint}))
    queue.put(spans(made.call(made.intent(), made.settlement(), made.answer()), of_tests))
    queue.close(WAIT_S)
    assert queue.counts() == ExportCounts(state=ExportState.CLOSED, ended=3, dropped_failed=3)


@pytest.mark.parametrize(
    "protocols",
    [
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
        {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "HTTP/protobuf ", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_the_supported_protocol_may_be_named(protocols: dict[str, str]) -> None:
    """What is said of traces stands above what is said of everything."""
    exporter = span_exporter({ENDPOINT: "http://127.0.0.1:4318", **protocols})
    assert exporter is not None
    exporter.shutdown()


@pytest.mark.parametrize(("set_to", "timeout_s"), [(None, TIMEOUT_S), ("7.5", 7.5)])
def test_a_batch_has_a_short_timeout_unless_one_is_set(
    set_to: str | None, timeout_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One dead collector does not hold a batch for long, and the operator's word stands above ours."""
    environ = {ENDPOINT: "http://127.0.0.1:4318"}
    if set_to is not None:
        environ["OTEL_EXPORTER_OTLP_TIMEOUT"] = set_to
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", set_to)
    exporter = span_exporter(environ)
    assert isinstance(exporter, OTLPSpanExporter)
    assert exporter._client._timeout == timeout_s
    exporter.shutdown()  # type: ignore[no-untyped-call] # the library left it unannotated
