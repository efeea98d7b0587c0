"""The collector that spans go to, as the standard `OTEL_*` variables name it; without one there is no exporter."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExporter

from service.errors import SettingsError

TIMEOUT_S = 2.0  # the exporter's own 10 s would let one dead collector hold a batch for that long
PROTOCOL = "http/protobuf"
_TRACES_PATH = "/v1/traces"
_REMEDY = "Unset it, or see the OpenTelemetry page on environment variables."


def span_exporter(environ: Mapping[str, str]) -> SpanExporter | None:
    """Build the exporter that the environment asks for; None when it asks for none.

    Endpoint, protocol and timeout are read from `environ`. Headers, certificates and compression are read
    by the exporter itself, from the process's own environment. `OTEL_EXPORTER_OTLP_TIMEOUT` is in seconds.

    Raises:
        SettingsError: an exporter, a protocol or an endpoint that is not supported. Its text names the
            variable and never its endpoint, which may hold a password.
    """
    named = _named(environ)
    if named is None:
        return None
    variable, endpoint = named
    _check_protocol(environ)
    _check_endpoint(variable, endpoint)
    timeout_set = any(
        environ.get(name) for name in ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
    )
    return OTLPSpanExporter(endpoint=endpoint, timeout=None if timeout_set else TIMEOUT_S)


def _named(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Find (variable, URL) of the collector, unless spans are switched off."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    if exporter == "none":
        return None
    if endpoint := environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip():
        found = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint
    elif endpoint := environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip():
        found = "OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.rstrip("/") + _TRACES_PATH
    else:
        return None
    if exporter != "otlp":
        raise SettingsError(f"OTEL_TRACES_EXPORTER is {exporter!r}; otlp and none are supported", remedy=_REMEDY)
    return found


def _check_protocol(environ: Mapping[str, str]) -> None:
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = environ.get(name, "").strip().lower()
        if protocol == PROTOCOL:
            return
        if protocol:
            raise SettingsError(
                f"{name} is {protocol!r}; {PROTOCOL} is what is supported now",
                remedy=f"Set it to {PROTOCOL} and the endpoint to the collector's HTTP port, usually 4318.",
            )


def _check_endpoint(variable: str, endpoint: str) -> None:
    try:
        url = urlsplit(endpoint)
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(f"{variable} is no http or https URL", remedy="Example: http://localhost:4318")
