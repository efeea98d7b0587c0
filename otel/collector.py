"""The collector that spans go to, as the standard `OTEL_*` variables name it; without one nothing is sent.

What cannot be honoured refuses the start. No message shows an address or a header: they may hold a password.
Source: opentelemetry.io/docs/specs/otel/protocol/exporter.
"""

import math
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined] # typeshed leaves it out

from opentelemetry.util.re import parse_env_headers
from urllib3.util import make_headers, parse_url

from service.errors import SettingsError

TIMEOUT_S = 2.0  # the SDK's 10 s would let one dead collector hold a batch for that long
PROTOCOL = "http/protobuf"
COMPRESSIONS = ("none", "gzip", "deflate")
NOT_SUPPORTED = (
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER",
)
_TRACES_PATH = "/v1/traces"
_REMEDY = "Unset it, or see the OpenTelemetry page on environment variables."
_NAME = r"[!#-'*+\-.0-9A-Z^-z|~]+"
# One header as W3C baggage writes it, spaces in its value forgiven: what this lets through, the API's parser
# takes without a warning, which would show the header.
_HEADER = re.compile(rf"\s*{_NAME}\s*=[ !#-+\--:<-\[\]-~]*")


@dataclass(frozen=True)
class Destination:
    """Where spans are sent, and how.

    Attributes:
        url: without user and password; they are among the headers.
        headers: by lower-case name.
        proxy: URL of the proxy on the way, without user and password; None when there is none.
        proxy_headers: for the proxy alone.
        timeout_s: for one batch, all tries together.
        compression: one of `COMPRESSIONS`.
        tls: whom to trust, and who we are; None for http.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    proxy: str | None
    proxy_headers: Mapping[str, str] = field(repr=False)
    timeout_s: float
    compression: str
    tls: ssl.SSLContext | None


def destination(environ: Mapping[str, str]) -> Destination | None:
    """Read where the environment wants spans to go; None when it does not.

    Raises:
        SettingsError: something is asked for that is not supported or cannot be read; it names the variable.
    """
    named = _named(environ)
    if named is None:
        return None
    variable, endpoint = named
    _check_protocol(environ)
    for refused in filter(environ.get, NOT_SUPPORTED):
        raise SettingsError(f"{refused} is not supported", remedy="OTEL_EXPORTER_OTLP_HEADERS may hold a token.")
    url, user = _split(variable, endpoint)
    proxy, proxy_user = _proxy(environ, url)
    return Destination(
        url=url,
        headers={**_headers(environ), **(make_headers(basic_auth=user) if user else {})},
        proxy=proxy,
        proxy_headers=make_headers(proxy_basic_auth=proxy_user) if proxy_user else {},
        timeout_s=_timeout_s(environ),
        compression=_compression(environ),
        tls=_trust(environ) if url.startswith("https") else None,
    )


def _said(environ: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """Find (variable, value) of a setting; what is said of traces stands above what is said of everything."""
    for variable in (f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}"):
        if value := environ.get(variable, "").strip():
            return variable, value
    return None


def _named(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Find (variable, URL) of the collector, unless spans are switched off."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    said = _said(environ, "ENDPOINT")
    if exporter == "none" or said is None:
        return None
    if exporter != "otlp":
        raise SettingsError(f"OTEL_TRACES_EXPORTER is {exporter!r}; otlp and none are supported", remedy=_REMEDY)
    variable, endpoint = said
    return variable, endpoint if "TRACES" in variable else endpoint.rstrip("/") + _TRACES_PATH


def _check_protocol(environ: Mapping[str, str]) -> None:
    variable, protocol = _said(environ, "PROTOCOL") or ("", PROTOCOL)
    if protocol.lower() != PROTOCOL:
        raise SettingsError(
            f"{variable} is {protocol!r}; {PROTOCOL} is what is supported now",
            remedy=f"Set it to {PROTOCOL} and the endpoint to the collector's HTTP port, usually 4318.",
        )


def _split(variable: str, text: str) -> tuple[str, str]:
    """Split a URL into (itself without user and password, these two)."""
    try:
        parse_url(text)
        url = urlsplit(text)
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError as error:
        raise SettingsError(f"{variable} is no URL", remedy="Example: http://localhost:4318") from error
    if not usable:
        raise SettingsError(f"{variable} is no http or https URL", remedy="Example: http://localhost:4318")
    user, _, host = url.netloc.rpartition("@")
    return url._replace(netloc=host, fragment="").geturl(), unquote(user)


def _headers(environ: Mapping[str, str]) -> Mapping[str, str]:
    variable, text = _said(environ, "HEADERS") or ("", "")
    if all(_HEADER.fullmatch(pair) for pair in text.split(",") if pair.strip()):
        headers = parse_env_headers(text, liberal=True)
        if all(re.fullmatch(_NAME, name) and _sendable(value) for name, value in headers.items()):
            return headers
    raise SettingsError(f"{variable} is no list of headers", remedy="Example: api-key=secret,tenant=a%20b")


def _sendable(value: str) -> bool:
    """Say whether a header may have a value: HTTP knows no control characters, and Latin-1 alone."""
    return value.isprintable() and all(char <= "\xff" for char in value)


def _proxy(environ: Mapping[str, str], url: str) -> tuple[str | None, str]:
    """Find the proxy that the environment names for a URL, as (its URL, user and password)."""
    scheme, host = urlsplit(url)[:2]
    excepted = {"no": environ.get("no_proxy") or environ.get("NO_PROXY", "")}
    for variable in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"):
        proxy = environ.get(variable, "").strip()
        if proxy and not proxy_bypass_environment(host, excepted):
            return _split(variable, proxy if "://" in proxy else f"http://{proxy}")
    return None, ""


def _timeout_s(environ: Mapping[str, str]) -> float:
    variable, text = _said(environ, "TIMEOUT") or ("", str(TIMEOUT_S))
    try:
        timeout_s = float(text)
    except ValueError:
        timeout_s = math.nan
    if not 0 < timeout_s < math.inf:
        raise SettingsError(f"{variable} is {text!r}, which is no number of seconds", remedy="Example: 2.5")
    return timeout_s


def _compression(environ: Mapping[str, str]) -> str:
    variable, compression = _said(environ, "COMPRESSION") or ("", "none")
    if compression.lower() not in COMPRESSIONS:
        raise SettingsError(
            f"{variable} is {compression!r}; {', '.join(COMPRESSIONS)} are supported", remedy=_REMEDY
        )
    return compression.lower()


def _trust(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Trust the authorities named, else the machine's; be known by the client's certificate, if one is named."""
    authorities, own, key = (_said(environ, name) for name in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"))
    variable, file = authorities or ("", None)
    try:
        context = ssl.create_default_context(cafile=file)
        if own or key:
            variable, file = own or ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "")
            context.load_cert_chain(file, key[1] if key else None, password="")  # or OpenSSL asks the terminal
    except OSError as error:
        raise SettingsError(
            f"{variable} is no file that can be used: {error.strerror or 'it is no PEM'}",
            remedy="Certificates and keys are PEM files; a key has no passphrase and needs its certificate.",
        ) from error
    return context
