"""Limits: each one bites at its number, names itself, and gives back what it took."""

import contextlib

import pytest

from service.errors import OverCapacityError
from service.serving.limits import Connections, FrameRate, Gate


@pytest.mark.parametrize(
    ("gate", "setting"),
    [
        (Gate(per_session=2), "EXAI_SESSION_CALLS_IN_FLIGHT_MAX"),
        (Gate(per_client=2), "EXAI_CLIENT_CALLS_IN_FLIGHT_MAX"),
        (Gate(total=2), "EXAI_CALLS_IN_FLIGHT_MAX"),
    ],
)
def test_gate(gate: Gate, setting: str) -> None:
    """The call over the limit is refused with the setting's name; one that ends makes room."""
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        first.enter_context(gate.enter(session="s", client="c"))
        second.enter_context(gate.enter(session="s", client="c"))
        with pytest.raises(OverCapacityError) as caught, gate.enter(session="s", client="c"):
            pass
        assert setting in caught.value.remedy
        assert caught.value.retryable
        assert 2 == gate.in_flight
        first.close()
        with gate.enter(session="s", client="c"):
            assert 2 == gate.in_flight
    assert 0 == gate.in_flight


def test_gate_tells_apart() -> None:
    """Sessions and clients are counted apart, and an error inside gives the place back."""
    gate = Gate(per_session=1, per_client=2, total=10)
    with gate.enter(session="s1", client="c"), gate.enter(session="s2", client="c"):
        with pytest.raises(OverCapacityError, match="of this client"), gate.enter(session="s3", client="c"):
            pass
        with gate.enter(session="s4", client="d"):
            assert 3 == gate.in_flight
    with contextlib.suppress(RuntimeError), gate.enter(session="s1", client="c"):
        raise RuntimeError
    assert 0 == gate.in_flight
    assert not gate._sessions
    assert not gate._clients


def test_connections() -> None:
    """Connections are bounded per address and in all; a refused one is not counted."""
    connections = Connections(total=3, per_address=2)
    assert [True, True, False] == [connections.enter("192.0.2.1") for _ in range(3)]
    assert [True, False] == [connections.enter(f"192.0.2.{last}") for last in (2, 3)]
    assert 3 == connections.open_count
    connections.leave("192.0.2.1")
    assert connections.enter("192.0.2.3")
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        connections.leave(address)
    assert 0 == connections.open_count
    assert not connections._addresses


def test_connections_of_one_network() -> None:
    """IPv6 addresses of one /64 are one stranger; a zone and no address at all are no error."""
    connections = Connections(per_address=1)
    assert connections.enter("2001:db8::1")
    assert not connections.enter("2001:db8::2")
    assert connections.enter("2001:db8:0:1::1")
    assert connections.enter("fe80::1%eth0")
    assert connections.enter("")
    assert connections.enter("::ffff:192.0.2.1")


def test_frame_rate() -> None:
    """A burst is allowed, then only as many frames as the seconds that pass."""
    now = [0.0]
    rate = FrameRate(per_s=2.0, burst=3, monotonic_s=lambda: now[0])
    assert [True, True, True, False] == [rate.take() for _ in range(4)]
    now[0] = 0.5
    assert [True, False] == [rate.take() for _ in range(2)]
    now[0] = 1000.0
    assert [True, True, True, False] == [rate.take() for _ in range(4)]
