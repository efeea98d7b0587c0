"""Logs: one event is one line, and no secret or control character of a stranger is in it."""

import json
import logging
from typing import Literal

import pytest

from service.logs import log_to_stderr

LOG = logging.getLogger("tests.logs")
KEY = "sk-0123456789abcdef"


@pytest.mark.parametrize("shape", ["text", "json"])
def test_an_event_is_one_clean_line(capsys: pytest.CaptureFixture[str], shape: Literal["text", "json"]) -> None:
    """Message, extra fields and traceback stand on one line, masked and without control characters."""
    log_to_stderr("info", shape)
    LOG.error("it broke\nhere %s", KEY, exc_info=ValueError(KEY), extra={"client": f"\x1b[31m{KEY}"})
    (line,) = capsys.readouterr().err.splitlines()
    assert not [text for text in (KEY, "\x1b") if text in line]
    assert all(text in line for text in ("it broke here [redacted]", "[redacted]", "ValueError", "error"))


def test_a_json_line_has_named_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """What a program reads: time, level, logger, message, and every extra field by its name."""
    log_to_stderr("info", "json")
    LOG.warning("a call failed", extra={"tool_call_id": "1"})
    said = json.loads(capsys.readouterr().err)
    assert said.pop("at").endswith("Z")
    assert {"level": "warning", "logger": "tests.logs", "message": "a call failed", "tool_call_id": "1"} == said


def test_levels(capsys: pytest.CaptureFixture[str]) -> None:
    """What is less severe than asked for is not written; others' noise is hushed."""
    log_to_stderr("warning", "text")
    LOG.info("not this")
    logging.getLogger("aiohttp.websocket").warning("nor this")
    LOG.warning("but this")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("warning tests.logs: but this")
