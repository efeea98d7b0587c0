"""A collector behind TLS: whom the operator trusts is believed, and may ask who we are."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel.collector import destination
from otel.sending import HttpSender
from otel.source import Source
from tests.calling.test_wire_tls import Authority

if TYPE_CHECKING:
    from tests.otel.conftest import Collector

CERTIFICATE = "OTEL_EXPORTER_OTLP_CERTIFICATE"
CLIENT_CERTIFICATE = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"
CLIENT_KEY = "OTEL_EXPORTER_OTLP_CLIENT_KEY"

Taken = Callable[..., int]


@pytest.fixture
def taken(collector: "Collector", of_tests: Source, tmp_path: Path) -> Taken:
    """Serve with a certificate of an authority of this test's own, and send a span by an environment.

    The authority is in `authority.pem`, a client's key and certificate in `client.pem`.
    """
    authority = Authority(tmp_path)
    trusted = authority.certificate.public_bytes(serialization.Encoding.PEM)
    (tmp_path / "authority.pem").write_bytes(trusted)
    authority.serving("client")

    def send(*, host: str = "localhost", asks: bool = False, **environ: str) -> int:
        context, _ = authority.serving(host)
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=trusted.decode())
        collector.server.socket = context.wrap_socket(collector.server.socket, server_side=True)
        files = {name: str(tmp_path / file) for name, file in environ.items()}
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint.replace("http", "https")}
        to = destination({**endpoint, "OTEL_EXPORTER_OTLP_TIMEOUT": "1", **files})
        assert to is not None
        sender = HttpSender(to, of_tests)
        try:
            return sender.send([Span(name="one")])
        finally:
            sender.shutdown()

    return send


def test_an_authority_of_the_operators_is_trusted(taken: Taken) -> None:
    """A collector with a private certificate is reached."""
    assert 1 == taken(**{CERTIFICATE: "authority.pem"})


def test_nobody_else_is(taken: Taken, caplog: pytest.LogCaptureFixture) -> None:
    """Without its authority, or under another name, no span goes to a collector."""
    assert 0 == taken()
    assert ["spans are lost: SSLError"] == [record.getMessage() for record in caplog.records]


def test_a_name_must_fit(taken: Taken) -> None:
    """A certificate for another host is none."""
    assert 0 == taken(host="elsewhere", **{CERTIFICATE: "authority.pem"})


def test_a_collector_may_ask_who_we_are(taken: Taken) -> None:
    """The client's certificate is shown, with its key in a file of its own or in the same."""
    assert 1 == taken(asks=True, **{CERTIFICATE: "authority.pem", CLIENT_CERTIFICATE: "client.pem"})


def test_a_key_may_stand_apart(taken: Taken) -> None:
    """Certificate and key may be two files."""
    assert 1 == taken(
        asks=True,
        **{CERTIFICATE: "authority.pem", CLIENT_CERTIFICATE: "client.pem", CLIENT_KEY: "client.pem"},
    )


def test_a_stranger_is_turned_away(taken: Taken) -> None:
    """A collector that asks takes nothing from who shows nothing."""
    assert 0 == taken(asks=True, **{CERTIFICATE: "authority.pem"})
