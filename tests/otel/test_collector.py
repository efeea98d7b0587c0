"""The environment chooses the collector; what it receives is what was made."""

from typing import TYPE_CHECKING

import pytest

from otel.collector import TIMEOUT_S, Destination, destination
from otel.exporting import ExportCounts, ExportQueue, ExportState
from otel.sending import HttpSender
from otel.source import Source
from otel.spans import spans
from service.errors import SettingsError
from tests.otel.conftest import Answer
from tests.otel.judging import in_order, judged

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.otel.conftest import Collector

WAIT_S = 20.0
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
HERE = {ENDPOINT: "http://127.0.0.1:4318"}
SECURE = {ENDPOINT: "https://127.0.0.1:4318"}


def found(**environ: str) -> Destination:
    """Read a destination that there must be; names are those of variables, `OTEL_EXPORTER_OTLP_` left out."""
    to = destination({f"OTEL_EXPORTER_OTLP_{name}": value for name, value in environ.items()})
    assert to is not None
    return to


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {ENDPOINT: " "},
        {"OTEL_TRACES_EXPORTER": "otlp"},
        {"OTEL_TRACES_EXPORTER": "console"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {**HERE, "OTEL_SDK_DISABLED": "True"},
        {**HERE, "OTEL_TRACES_EXPORTER": "none"},
        {ENDPOINT: "not a url", "OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_without_a_wish_there_is_no_collector(environ: dict[str, str]) -> None:
    """No endpoint, or spans switched off: nothing is sent, and nothing else is checked."""
    assert destination(environ) is None


def test_what_is_not_said_has_a_default() -> None:
    """An endpoint is enough; one dead collector does not hold a batch for long."""
    assert Destination(
        url="http://127.0.0.1:4318/v1/traces",
        headers={},
        proxy=None,
        proxy_headers={},
        timeout_s=TIMEOUT_S,
        compression="none",
        tls=None,
    ) == destination(HERE)


def test_what_is_said_of_traces_wins() -> None:
    """Each setting may be said of everything, and of traces, whose endpoint is taken as it is."""
    everything = {
        "ENDPOINT": "http://all:4318/",
        "PROTOCOL": "HTTP/protobuf ",
        "HEADERS": "tenant=all",
        "TIMEOUT": "7.5",
        "COMPRESSION": "GZIP",
    }
    traces = {
        "TRACES_ENDPOINT": "http://traces:4318/own?zone=a#b",
        "TRACES_PROTOCOL": "http/protobuf",
        "TRACES_HEADERS": "tenant=traces",
        "TRACES_TIMEOUT": "1",
        "TRACES_COMPRESSION": "deflate",
    }
    told = [
        (to.url, to.headers, to.timeout_s, to.compression)
        for to in (found(**everything), found(**{**everything, "PROTOCOL": "grpc", **traces}))
    ]
    assert told == [
        ("http://all:4318/v1/traces", {"tenant": "all"}, 7.5, "gzip"),
        ("http://traces:4318/own?zone=a", {"tenant": "traces"}, 1.0, "deflate"),
    ]


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("Api-Key=a%20b, tenant = one ,", {"api-key": "a b", "tenant": "one"}),
        ("authorization=Bearer a=b=", {"authorization": "Bearer a=b="}),
        ("empty=", {"empty": ""}),
        ("name=%C3%BC", {"name": "ü"}),
    ],
)
def test_headers_are_read_as_baggage(text: str, headers: dict[str, str]) -> None:
    """Values may be percent-encoded; spaces in them are forgiven, as operators write them."""
    assert headers == found(ENDPOINT="http://c", HEADERS=text).headers


@pytest.mark.parametrize(
    "text", ["secret", "=secret", "a b=secret", "a=secret;x", "a=sec%0Aret", "a%3Ab=secret", "a=%E2%82%AC"]
)
def test_headers_that_cannot_be_sent_refuse_the_start(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """What is no header is not dropped in silence, and neither the message nor a log shows it."""
    with pytest.raises(SettingsError, match=f"{HEADERS} is no list of headers") as refused:
        destination({**HERE, HEADERS: f"tenant=a,{text}"})
    assert text not in f"{refused.value}{refused.value.__cause__}{caplog.text}"


def test_a_password_in_the_endpoint_is_a_header() -> None:
    """User and password leave the address, and no representation shows them or a header."""
    to = found(ENDPOINT="http://us%40er:secret@c:4318", HEADERS="authorization=other,api-key=hidden")
    assert ("http://c:4318/v1/traces", "Basic dXNAZXI6c2VjcmV0", "hidden") == (
        to.url,
        to.headers["authorization"],
        to.headers["api-key"],
    )
    assert not [shown for shown in ("secret", "hidden", "dXNA", "4318") if shown in repr(to)]


@pytest.mark.parametrize(
    ("environ", "proxy", "headers"),
    [
        ({"http_proxy": "http://p:3128"}, "http://p:3128", {}),
        ({"HTTP_PROXY": "p:3128"}, "http://p:3128", {}),
        ({"ALL_PROXY": "http://u:x@p:3128"}, "http://p:3128", {"proxy-authorization": "Basic dTp4"}),
        ({"https_proxy": "http://p:3128"}, None, {}),
        ({"http_proxy": "http://p:3128", "no_proxy": "other,.collector"}, None, {}),
        ({"http_proxy": "http://p:3128", "NO_PROXY": "*"}, None, {}),
    ],
)
def test_a_proxy_of_the_environment_is_used(
    environ: dict[str, str], proxy: str | None, headers: dict[str, str]
) -> None:
    """The usual variables name it, and except hosts from it."""
    to = destination({ENDPOINT: "http://the.collector:4318", **environ})
    assert to is not None
    assert (proxy, headers) == (to.proxy, to.proxy_headers)


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({**HERE, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        (
            {
                TRACES_ENDPOINT: "http://c:4317",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            },
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        ),
        ({**HERE, "OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"),
        ({ENDPOINT: "c:4318"}, ENDPOINT),
        ({ENDPOINT: "http://se cret:4318"}, ENDPOINT),
        ({TRACES_ENDPOINT: "https://user:secret@:4318"}, TRACES_ENDPOINT),
        ({TRACES_ENDPOINT: "https://user:secret@c:port"}, TRACES_ENDPOINT),
        ({**HERE, "http_proxy": "socks5://user:secret@p"}, "http_proxy"),
        ({**HERE, "OTEL_EXPORTER_OTLP_TIMEOUT": "2 s"}, "OTEL_EXPORTER_OTLP_TIMEOUT"),
        ({**HERE, "OTEL_EXPORTER_OTLP_TIMEOUT": "0"}, "OTEL_EXPORTER_OTLP_TIMEOUT"),
        ({**HERE, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "inf"}, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"),
        ({**HERE, "OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, "OTEL_EXPORTER_OTLP_COMPRESSION"),
        ({**SECURE, "OTEL_EXPORTER_OTLP_CERTIFICATE": "gone.pem"}, "OTEL_EXPORTER_OTLP_CERTIFICATE"),
        ({**SECURE, "OTEL_EXPORTER_OTLP_CERTIFICATE": __file__}, "OTEL_EXPORTER_OTLP_CERTIFICATE"),
        ({**SECURE, "OTEL_EXPORTER_OTLP_CLIENT_KEY": __file__}, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
        (
            {**SECURE, "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE": __file__},
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
        ),
        (
            {**HERE, "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": "cloud"},
            "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
        ),
    ],
)
def test_what_is_not_supported_refuses_the_start(environ: dict[str, str], variable: str) -> None:
    """The message names the variable, has a remedy, and never shows the endpoint."""
    with pytest.raises(SettingsError) as refused:
        destination(environ)
    assert str(refused.value).startswith(f"{variable} is")
    assert refused.value.remedy
    assert "secret" not in str(refused.value)


def test_grpc_is_told_what_works() -> None:
    """Who asks for grpc learns the protocol and the port to use."""
    with pytest.raises(SettingsError, match="http/protobuf is what is supported now") as refused:
        destination({ENDPOINT: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert "4318" in refused.value.remedy


def queue_to(source: Source, **environ: str) -> ExportQueue:
    """Open the way out that an environment asks for."""
    return ExportQueue(HttpSender(found(**environ), source))


@pytest.mark.parametrize(
    ("variable", "path", "arrived"),
    [
        ("ENDPOINT", "/", "/v1/traces"),
        ("ENDPOINT", "/otlp", "/otlp/v1/traces"),
        ("TRACES_ENDPOINT", "/own", "/own"),
    ],
)
def test_the_collector_receives_what_was_made(
    variable: str, path: str, arrived: str, made: "Made", of_tests: Source, collector: "Collector"
) -> None:
    """Over a real socket, what arrives is what OpenTelemetry's SDK would have sent."""
    call = made.call(
        made.intent(1),
        made.refusal(1),
        made.intent(2, retry_of=made.attempt_id(1), stream=True),
        made.settlement(2),
        made.answer(),
    )
    queue = queue_to(of_tests, **{variable: collector.endpoint + path})
    queue.put(spans(call))
    queue.close(WAIT_S)
    assert queue.counts() == ExportCounts(state=ExportState.CLOSED, ended=4, exported=4)
    assert [arrived] == [received.path for received in collector.received]
    assert [in_order(judged(call, of_tests))] == [in_order(request) for request in collector.requests]


def test_a_collector_that_refuses_costs_the_batch(made: "Made", of_tests: Source, collector: "Collector") -> None:
    """A status that is no success is a drop with a count."""
    collector.script = [Answer(400)]
    queue = queue_to(of_tests, ENDPOINT=collector.endpoint)
    queue.put(spans(made.call(made.intent(), made.settlement(), made.answer())))
    queue.close(WAIT_S)
    assert queue.counts() == ExportCounts(state=ExportState.CLOSED, ended=3, dropped_failed=3)


def test_a_dead_collector_costs_the_batch(made: "Made", of_tests: Source, collector: "Collector") -> None:
    """Where nobody listens, spans are dropped with a count, and closing keeps its deadline."""
    collector.server.server_close()
    queue = queue_to(of_tests, ENDPOINT=collector.endpoint, TIMEOUT="0.3")
    queue.put(spans(made.call(made.intent(), made.settlement(), made.answer())))
    queue.close(WAIT_S)
    assert queue.counts() == ExportCounts(state=ExportState.CLOSED, ended=3, dropped_failed=3)


def test_a_stop_does_not_wait_for_a_collector(made: "Made", of_tests: Source, collector: "Collector") -> None:
    """A pause between tries, however long it would be, ends with the queue; the batch is a drop with a count."""
    collector.script = [Answer(503, {"Retry-After": "1000"})]
    queue = queue_to(of_tests, ENDPOINT=collector.endpoint, TIMEOUT="3600")
    queue.put(spans(made.call(made.intent(), made.settlement(), made.answer())))
    assert collector.reached.acquire(timeout=WAIT_S)
    queue.close(0.01)
    assert queue.flush(WAIT_S)
    assert queue.counts() == ExportCounts(state=ExportState.CLOSED, ended=3, dropped_failed=3)
