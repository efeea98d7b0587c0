"""Logs: one line an event on standard error, as text or JSON; no stranger's control character gets out."""

import logging
import sys
from typing import Literal

import msgspec

from service.core.redact import redacted
from service.core.times import NS_PER_S, utc_text

_LINE_CHARS_MAX = 4000
# These speak for every failed batch, or repeat a stranger's words at no bounded rate; what matters of it is
# said by our own loggers, once.
_HUSHED = {"urllib3": logging.WARNING, "aiohttp.websocket": logging.ERROR, "opentelemetry": logging.CRITICAL}
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def log_to_stderr(level: str, shape: Literal["text", "json"]) -> None:
    """Send every logger's events to standard error.

    Args:
        level: least severe level that is written.
        shape: of a line.
    """
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(_Line(shape))
    logging.basicConfig(level=level.upper(), handlers=[stream], force=True)
    for name, least in _HUSHED.items():
        logging.getLogger(name).setLevel(least)


class _Line(logging.Formatter):
    """One event as one line."""

    def __init__(self, shape: Literal["text", "json"]) -> None:
        super().__init__()
        self._shape = shape

    def format(self, record: logging.LogRecord) -> str:
        at = utc_text(int(record.created * NS_PER_S))
        said = {name: _text(value) for name, value in vars(record).items() if name not in _PLAIN}
        if record.exc_info:
            said["error"] = _text(self.formatException(record.exc_info))
        message = _text(record.getMessage())
        if self._shape == "json":
            line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": message, **said}
            return msgspec.json.encode(line).decode()
        extra = "".join(f" {name}={value}" for name, value in said.items())
        return f"{at} {record.levelname.lower():7} {record.name}: {message}{extra}"


def _text(value: object) -> str:
    return redacted(str(value), chars_max=_LINE_CHARS_MAX)
