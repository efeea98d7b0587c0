"""Defaults that stand in two rooms are the same: a room's own, and the setting that replaces it."""

import inspect
from pathlib import Path

import msgspec
import pytest

from service.calling.desk import Counter
from service.calling.retry import RetryPolicy
from service.calling.wire import Deadlines, Wire
from service.mcp.terms import Limits
from service.serving.limits import Connections, Gate
from service.settings import Settings

SETTINGS = Settings(data_dir=Path())


def default(of: type, name: str) -> object:
    """Read an argument's default."""
    return inspect.signature(of).parameters[name].default


@pytest.mark.parametrize(
    ("setting", "own"),
    [
        ("connect_timeout_s", Deadlines().connect_s),
        ("first_byte_timeout_s", Deadlines().first_byte_s),
        ("idle_timeout_s", Deadlines().idle_s),
        ("total_timeout_s", Deadlines().total_s),
        ("attempts_max", RetryPolicy().attempts_max),
        ("max_output_tokens", default(Counter, "max_output_tokens")),
        ("body_bytes_max", default(Wire, "body_bytes_max")),
        ("frame_bytes_max", Limits().frame_bytes_max),
        ("session_calls_in_flight_max", default(Gate, "per_session")),
        ("client_calls_in_flight_max", default(Gate, "per_client")),
        ("calls_in_flight_max", default(Gate, "total")),
        ("connections_max", default(Connections, "total")),
    ],
)
def test_defaults_agree(setting: str, own: object) -> None:
    """What the README's table says holds also where a room is used by itself."""
    assert msgspec.structs.asdict(SETTINGS)[setting] == own
