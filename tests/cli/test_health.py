"""`exai health`: its exit status is its answer, and it is quick enough to be asked every few seconds."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.processes import ROOT, WAIT_S, end, run, serve, simulators


@asynccontextmanager
async def answering(answer: str) -> AsyncIterator[str]:
    """Say the same to whoever connects; give the port."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer.encode())
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    async with server:
        yield str(server.sockets[0].getsockname()[1])


async def test_a_service_that_takes_calls(tmp_path: Path) -> None:
    """The status is 0, also where the service has a public address and a port of its own for health."""
    with simulators(tmp_path) as judge:
        environ = {"KIMI_API_KEY": "sim-health", "KIMI_BASE_URL": judge.base_urls["KIMI_BASE_URL"]}
        served = serve(tmp_path / "service", environ)
        try:
            port = re.findall(r":([0-9]+)$", served.url)[0]
            environ = {"EXAI_PORT": "1", "EXAI_HEALTH_PORT": port, "EXAI_PUBLIC_URL": "https://exai.example"}
            assert (0, b"ready\n") == await run("health", folder=tmp_path, environ=environ)
        finally:
            end(served.child)


async def test_a_service_that_takes_none(tmp_path: Path) -> None:
    """The status is 1, and the service's own reasons are passed on."""
    said = "not ready\nThe service is stopping.\n"
    answer = f"HTTP/1.1 503 Service Unavailable\r\nContent-Length: {len(said)}\r\n\r\n{said}"
    async with answering(answer) as port:
        assert (1, said.encode()) == await run("health", "--port", port, folder=tmp_path)


@pytest.mark.parametrize("answer", ["", "SSH-2.0-OpenSSH\r\n"])
async def test_somebody_else_on_the_port(answer: str, tmp_path: Path) -> None:
    """Who speaks no HTTP is nobody, and the address is named."""
    async with answering(answer) as port:
        status, said = await run("health", "--port", port, folder=tmp_path)
    assert 1 == status
    assert f"Nobody answers at http://127.0.0.1:{port}/health/ready" in said.decode()
    assert b"Traceback" not in said


async def test_a_port_that_is_not_known(tmp_path: Path) -> None:
    """Of a service on any free port, one must say which."""
    status, said = await run("health", "--port", "0", folder=tmp_path)
    assert 1 == status
    assert "exai health --port PORT" in said.decode()


def test_by_itself_it_needs_little(tmp_path: Path) -> None:
    """A container's engine runs the file alone: no server is loaded, and a wrong setting is told in a sentence."""
    loads = "import sys, service.cli.health; print({'aiohttp', 'apsw', 'opentelemetry'} & set(sys.modules))"
    alone = [sys.executable, "-m", "service.cli.health"]
    said = [
        subprocess.run(
            words,
            cwd=tmp_path,
            env={"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "EXAI_PORT": "many"},
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S,
        )
        for words in ([sys.executable, "-c", loads], alone)
    ]
    assert ["set()\n", 1] == [said[0].stdout, said[1].returncode]
    assert "EXAI_PORT is 'many'" in said[1].stdout
    assert "Traceback" not in said[1].stderr
