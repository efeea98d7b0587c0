"""Hosts: our names and ports, and no look-alike of them."""

import pytest

from service.errors import SettingsError
from service.web.hosts import Hosts, split


def hosts(*allowed: str) -> Hosts:
    """Know the port 8079."""
    return Hosts(lambda: (8079,), allowed)


@pytest.mark.parametrize(
    "host", ["localhost:8079", "LocalHost:8079", "127.0.0.1:8079", "127.0.0.2:8079", "[::1]:8079"]
)
def test_loopback(host: str) -> None:
    """Loopback names are ours with a bound port, as a Host and as an Origin."""
    assert hosts().admits(host)
    assert hosts().admits_origin(f"http://{host}")
    assert hosts().admits_origin(f"https://{host}")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:8080",
        "localhost.:8079",
        "localhost..:8079",
        "localhost.evil.example:8079",
        "evil.example",
        "evil.example:8079",
        "127.0.0.1.evil.example:8079",
        "127.1:8079",
        "2130706433:8079",
        "0x7f.1:8079",
        "user@localhost:8079",
        "localhost:8079@evil.example",
        "localhost:8079:8079",
        "localhost:",
        "localhost:+8079",
        "localhost:80790000",
        " localhost:8079",
        "localhost:8079 ",
        "localhost:8079,localhost:8079",
        "localhost:8079/",
        "[::1",
        "::1:8079",
        "[::1]8079",
        "[fe80::1]:8079",
        "lоcalhost:8079",  # noqa: RUF001 - the first o is Cyrillic
        "localhost\x00:8079",
    ],
)
def test_tricks(host: str) -> None:
    """What merely looks like one of our names is not ours."""
    assert not hosts().admits(host)
    assert not hosts().admits_origin(f"http://{host}")


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "localhost:8079",
        "//localhost:8079",
        "file://localhost:8079",
        "ws://localhost:8079",
        "http://localhost:8079/",
        "http://localhost:8079/path",
        "http://localhost:8079#x",
        "http://user@localhost:8079",
        "http://localhost:8079@evil.example",
        "http://localhost:8079.evil.example",
        "http://localhost",
        "https://localhost",
        "https://evil.example",
        "http://localhost:8079 http://localhost:8079",
        "chrome-extension://localhost:8079",
    ],
)
def test_foreign_origins(origin: str) -> None:
    """Only http and https pages of our own names and ports are our origin."""
    assert not hosts().admits_origin(origin)


def test_bound_to_80() -> None:
    """A name without a port means port 80 or, for https, 443."""
    on_80 = Hosts(lambda: (80,))
    assert on_80.admits("localhost")
    assert on_80.admits_origin("http://localhost")
    assert not on_80.admits_origin("https://localhost")


def test_allowed() -> None:
    """An allowed name holds on bound and default ports; one with a port holds there only."""
    ours = hosts("Exai.example", "127.0.0.1:3000", "[fd00::1]:3000")
    for host in ("exai.example", "EXAI.example:8079", "exai.example:443", "127.0.0.1:3000", "[fd00::1]:3000"):
        assert ours.admits(host)
    for host in ("exai.example:9999", "www.exai.example", "exai.example.", "127.0.0.1:3001", "localhost:3000"):
        assert not ours.admits(host)
    assert not hosts("exai.example:3000").admits("exai.example:8079")
    assert ours.admits_origin("https://exai.example")
    assert ours.admits_origin("http://127.0.0.1:3000")
    assert not ours.admits_origin("https://exai.example:9999")


@pytest.mark.parametrize("text", ["", "https://exai.example", "exai.example/", "a b", "*", "exai.example:"])
def test_no_host_name(text: str) -> None:
    """An allowed host that is no host name stops the start and says how to write it."""
    with pytest.raises(SettingsError) as caught:
        hosts(text)
    assert "EXAI_ALLOWED_HOSTS" in caught.value.remedy


def test_split() -> None:
    """Brackets are taken off, case is folded, the port is a number."""
    assert ("::1", 8079) == split("[::1]:8079")
    assert ("a-b.example", None) == split("A-b.Example")
    assert None is split("a b")
