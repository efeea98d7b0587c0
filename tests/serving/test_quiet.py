"""Quiet logs: one line per second and cause."""

import logging

import pytest

from service.serving.quiet import QuietLog


def test_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Lines within a second are counted and told by the next one; causes do not silence each other."""
    now = [0.0]
    quiet = QuietLog(logging.getLogger("quiet"), monotonic_s=lambda: now[0])
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            quiet.warn("noise", "from 192.0.2.1")
        quiet.warn("other")
        now[0] = 1.0
        quiet.warn("noise")
        now[0] = 2.5
        quiet.warn("noise")
    assert [
        "noise: from 192.0.2.1",
        "other",
        "noise (and 4 more since the last line)",
        "noise",
    ] == [record.getMessage() for record in caplog.records]
