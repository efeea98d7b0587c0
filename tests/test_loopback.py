"""Loopback is what can only mean this machine."""

import pytest

from service.loopback import is_loopback


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", False),  # noqa: S104 - a host to be refused, not bound
        ("192.168.0.1", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_loopback_is_what_can_only_mean_this_machine(host: str, *, local: bool) -> None:
    """A name that merely begins like it may mean any machine."""
    assert local is is_loopback(host)
