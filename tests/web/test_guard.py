"""The guard, over real sockets: no stranger's page, no rebound name, no reader without the right."""

import base64
import logging

import pytest

from tests.naming import created, revoked, text_of, tokens
from tests.web.conftest import GuardedApp

TOKEN = "right-token-0123456789"
ROUTES = ["/", "/mcp", "/health", "/health/live", "/health/ready", "/metrics", "/console/", "/api/v1/", "/nothing"]


@pytest.mark.parametrize("path", ROUTES)
async def test_foreign_host(guarded: GuardedApp, path: str) -> None:
    """Every route refuses a host that is not ours, with words."""
    async with guarded() as behind:
        for host in (
            "evil.example",
            f"evil.example:{behind.port}",
            f"127.0.0.1.:{behind.port}",
            "127.0.0.1:1",
        ):
            answer = await behind.write(path, host=host)
            assert 421 == answer.status
            assert "EXAI_ALLOWED_HOSTS" in answer.text
        assert ["host"] * 4 == behind.reasons
        assert [] == behind.reached


async def test_hosts_uncountable(guarded: GuardedApp, caplog: pytest.LogCaptureFixture) -> None:
    """Two Host headers, and none at all, are refused before the guard, by the parser."""
    async with guarded() as behind:
        with caplog.at_level(logging.CRITICAL, "aiohttp.server"):
            assert 400 == (await behind.write("/", "Host: evil.example")).status
            assert 400 == (await behind.write("/", host=None)).status
        assert [] == behind.reached


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1.evil.example"]
)
async def test_foreign_origin(guarded: GuardedApp, path: str, origin: str) -> None:
    """Every route refuses pages of another origin, also with a cookie and an upgrade."""
    async with guarded() as behind:
        upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Cookie: a=b")
        answer = await behind.write(path, f"Origin: {origin}", *upgrade)
        assert 403 == answer.status
        assert "another origin" in answer.text
        assert ["origin"] == behind.reasons
        assert [] == behind.reached


async def test_own_origin(guarded: GuardedApp) -> None:
    """A page of our own, and a client that names no origin, are let through; two origins are not."""
    async with guarded() as behind:
        own = f"Origin: http://localhost:{behind.port}"
        assert 200 == (await behind.write("/echo", own)).status
        assert 200 == (await behind.write("/echo")).status
        assert 403 == (await behind.write("/echo", own, own)).status


@pytest.mark.parametrize("target", ["http://evil.example/", "http://127.0.0.1/echo", "*", "evil.example:80"])
async def test_targets(guarded: GuardedApp, target: str) -> None:
    """A target that is not a path on this host is refused, whatever host it names."""
    async with guarded() as behind:
        assert 400 == (await behind.write(target)).status
        assert [] == behind.reached


async def test_on_loopback(guarded: GuardedApp) -> None:
    """On loopback whoever is here reads without a token, also when one is configured; a wrong one is refused."""
    async with guarded(token=TOKEN) as behind:
        assert (await behind.write("/echo")).text.endswith("local")
        assert (await behind.write("/echo", f"Authorization: Bearer {TOKEN}")).text.endswith("default")
        assert 401 == (await behind.write("/echo", "Authorization: Bearer wrong")).status


async def test_proxy_on_this_machine(guarded: GuardedApp) -> None:
    """A proxy on this machine that names another host makes its visitors bring a token."""
    async with guarded(token=TOKEN, allowed=["exai.example"]) as behind:
        assert 401 == (await behind.write("/echo", host="exai.example")).status
        assert 200 == (await behind.write("/echo", f"Authorization: Bearer {TOKEN}", host="exai.example")).status


@pytest.mark.parametrize(
    "path", ["/health", "/metrics", "/console/", "/api/v1/", "/echo", "/nothing", "/health%2Flive"]
)
async def test_off_loopback(guarded: GuardedApp, path: str) -> None:
    """Bound wider, everything but the probes needs the token, and says so; nothing else is told."""
    async with guarded(token=TOKEN, is_bound_to_loopback=False) as behind:
        for header in ("X: y", "Authorization: Bearer wrong", "Authorization: Basic x"):
            answer = await behind.write(path, header)
            assert 401 == answer.status
            assert "WWW-Authenticate: Bearer" in answer.text
        assert ["unauthorized"] * 3 == behind.reasons
        assert [] == behind.reached


def basic(name: str, password: str) -> str:
    """Write the header that a browser sends when it was asked for a password."""
    return f"Authorization: Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


async def test_a_browser_gives_the_token_as_a_password(guarded: GuardedApp) -> None:
    """For any name; a wrong password, or what is none, is refused like a wrong token."""
    async with guarded(token=TOKEN, is_bound_to_loopback=False) as behind:
        for name in ("", "me"):
            assert (await behind.write("/echo", basic(name, TOKEN))).text.endswith("default")
        for header in (
            basic(TOKEN, ""),
            basic("me", "wrong"),
            "Authorization: Basic",
            "Authorization: Basic \xff",
        ):
            answer = await behind.write("/echo", header)
            assert 401 == answer.status
            assert 'Basic realm="EXAI: the token is the password"' in answer.text


async def test_open_paths(guarded: GuardedApp) -> None:
    """The probes and the first page are open off loopback too."""
    async with guarded(token=TOKEN, is_bound_to_loopback=False) as behind:
        for path in ("/", "/health/live", "/health/ready"):
            assert 200 == (await behind.write(path)).status


async def test_without_any_token(guarded: GuardedApp) -> None:
    """A container with simulators and no token lets its visitors read: there is nothing to protect."""
    async with guarded(is_bound_to_loopback=False) as behind:
        assert (await behind.write("/echo")).text.endswith("local")


async def test_named_tokens(guarded: GuardedApp) -> None:
    """One with `read` reads under its name, one with `call` its own calls; a revoked or unknown one gets 401."""
    known = tokens(
        created(1, "eye", "read"), created(2, "ci", "call"), created(3, "gone", "read"), revoked(3, "gone")
    )
    async with guarded(named=known) as behind:
        assert (await behind.write("/echo", f"Authorization: Bearer {text_of(1)}")).text.endswith("eye")
        assert (await behind.write("/echo", basic("me", text_of(1)))).text.endswith("eye")
        refused = await behind.write("/echo", f"Authorization: Bearer {text_of(2)}")
        assert 403 == refused.status
        assert "scope read" in refused.text
        assert 404 == (await behind.write("/console/own", f"Authorization: Bearer {text_of(2)}")).status
        for number in (3, 4):
            assert 401 == (await behind.write("/echo", f"Authorization: Bearer {text_of(number)}")).status
        assert (await behind.write("/echo", "Authorization: Bearer anything")).text.endswith("local")
