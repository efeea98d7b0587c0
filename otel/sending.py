"""The way to a collector: a batch is one OTLP request over HTTP, tried again while its time lasts.

Source: opentelemetry.io/docs/specs/otlp, on responses, failures and throttling of OTLP/HTTP.
"""

import gzip
import logging
import random
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import urllib3
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # protobuf ships no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from urllib3.exceptions import HTTPError

from otel.collector import Destination
from otel.encoding import Envelope
from otel.source import SERVICE_NAME, Source

PAUSE_S = 0.2  # before the second try; doubled before each one after it
_JITTER = 0.2
_LEFT_S_MIN = 0.05
_ANSWER_BYTES_MAX = 64 * 1024
_AGAIN = frozenset({429, 502, 503, 504})
_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": lambda body: gzip.compress(body, compresslevel=6, mtime=0),
    "deflate": zlib.compress,
}

_log = logging.getLogger(__name__)


class _Answer(NamedTuple):
    """What came of one try. `status` is None when nothing came back; `said` is fit for a log."""

    status: int | None
    said: str
    retry_after: str | None = None
    body: bytes = b""

    @property
    def taken(self) -> bool:
        return self.status is not None and self.status // 100 == 2  # noqa: PLR2004 - HTTP's class of successes

    @property
    def again(self) -> bool:
        return self.status is None or self.status in _AGAIN


class HttpSender:
    """A collector over HTTP. It owns its connection, kept from batch to batch.

    Args:
        to: where, and how.
        source: who speaks.
        pause_s: before the second try, doubled before each one after it.
    """

    def __init__(self, to: Destination, source: Source, *, pause_s: float = PAUSE_S) -> None:
        self._to = to
        self._envelope = Envelope(source)
        self._pause_s = pause_s
        self._headers = {
            "content-type": "application/x-protobuf",
            "user-agent": f"{SERVICE_NAME}/{source.scope.version}",
            **to.headers,
        }
        if to.compression != "none":
            self._headers["content-encoding"] = to.compression
        self._pool = _pool(to)
        self._stopped = threading.Event()
        self._told = ""  # what was logged last; each new trouble is logged once

    def send(self, spans: Sequence[Span], /) -> int:
        """Send a batch until it is taken, refused for good or out of time; say how many spans were taken.

        A batch whose answer was lost is sent again, so a collector may get a span twice, with one id.
        """
        body = _COMPRESS[self._to.compression](self._envelope.around(spans))
        ends_at, pause_s = time.monotonic() + self._to.timeout_s, self._pause_s
        answer = self._post(body, self._to.timeout_s)
        while answer.again:
            jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret hangs on it
            wait_s = max(pause_s * jitter, _asked_s(answer.retry_after))
            if time.monotonic() + wait_s >= ends_at or self._stopped.wait(wait_s):
                break
            pause_s *= 2
            answer = self._post(body, ends_at - time.monotonic())
        if not answer.taken:
            self._tell(f"spans are lost: {answer.said}")
            return 0
        rejected = _rejected(answer.body, len(spans))
        self._tell("the collector rejects spans that it was sent" if rejected else "")
        return len(spans) - rejected

    def shutdown(self) -> None:
        """End the pauses between tries, and close the connection if no try uses it."""
        self._stopped.set()
        self._pool.clear()

    def _post(self, body: bytes, left_s: float) -> _Answer:
        try:
            answer = self._pool.request(
                "POST",
                self._to.url,
                body=body,
                headers=self._headers,
                timeout=urllib3.Timeout(total=max(left_s, _LEFT_S_MIN)),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            said = answer.read(_ANSWER_BYTES_MAX, decode_content=False)
            if len(said) < _ANSWER_BYTES_MAX:
                answer.release_conn()
            else:
                answer.close()
        except HTTPError as error:
            return _Answer(None, type(error).__name__)  # its text holds the collector's address
        return _Answer(answer.status, f"status {answer.status}", answer.headers.get("retry-after"), said)

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._told:
            _log.warning("%s", trouble)
        self._told = trouble


def _pool(to: Destination) -> urllib3.PoolManager:
    if to.proxy is None:
        return urllib3.PoolManager(num_pools=1, maxsize=1, ssl_context=to.tls)
    return urllib3.ProxyManager(
        to.proxy, num_pools=1, maxsize=1, ssl_context=to.tls, proxy_headers=to.proxy_headers
    )


def _asked_s(retry_after: str | None) -> float:
    """Read how long the collector asks to wait, in seconds or until a date; 0 if it does not."""
    try:
        return float(retry_after or 0)
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(retry_after or "").timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0


def _rejected(body: bytes, spans: int) -> int:
    """Read how many spans of a batch were rejected; an answer that is none of OTLP's rejects nothing."""
    try:
        rejected: int = ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans
    except DecodeError:
        return 0
    return min(max(0, rejected), spans)
