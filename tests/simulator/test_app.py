"""The simulator starts on loopback, says where, and stops when told."""

import asyncio
import os
import signal
import sys
import urllib.request
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.simulator.app import start

Clock = Any  # of conftest.py: test folders are no packages, so its classes cannot be imported
Talk = Any  # likewise

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "example.org", "::"])  # noqa: S104 - to be refused
async def test_other_hosts_than_loopback_are_refused(host: str) -> None:
    """A simulator that others could reach does not start."""
    with pytest.raises(ValueError, match="loopback"):
        await start(host=host)


async def test_a_taken_port_is_an_os_error(talk: Talk) -> None:
    """The first simulator keeps it."""
    with pytest.raises(OSError, match="address already in use"):
        await start(port=talk.simulator.port)


async def test_the_same_seed_gives_the_same_ids(talk: Talk, clock: Clock) -> None:
    """Two simulators with one seed and one clock answer alike, byte for byte."""
    twin = await start(clock=clock, seed="test")
    first = await talk.glm()
    talk.simulator = twin
    second = await talk.glm()
    await twin.close()

    assert first.body == second.body
    assert first.header["ga-traceid"] == second.header["ga-traceid"]


async def test_closing_breaks_off_what_hangs(clock: Clock, talk: Talk) -> None:
    """A silent answer does not keep the simulator alive."""
    other = await start(clock=clock)
    talk.simulator = other
    await talk.fault("half_open")
    url = other.urls["KIMI_BASE_URL"] + "/chat/completions"
    body = {"model": "kimi-k3", "messages": [{"role": "user", "content": "x"}]}
    async with talk.session.post(url, json=body, headers={"Authorization": "Bearer sim-one"}) as response:
        await asyncio.wait_for(other.close(), 5)

        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_run_prints_the_addresses_and_ends_on_sigterm(tmp_path: Path) -> None:
    """Another process serves until the signal, and its books stay in the file."""
    books = tmp_path / "books.jsonl"
    code = (
        f"from pathlib import Path; from service.simulator.app import run; run(0, books_file=Path({str(books)!r}))"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}
    )
    assert child.stdout is not None
    lines = [(await asyncio.wait_for(child.stdout.readline(), 20)).decode().strip() for _ in range(2)]
    names = dict(line.split("=", 1) for line in lines)
    url = names["KIMI_BASE_URL"].removesuffix("/v1") + "/_sim/books"

    def read() -> bytes:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - loopback
            return bytes(response.read())

    body = await asyncio.to_thread(read)
    child.send_signal(signal.SIGTERM)

    assert {"KIMI_BASE_URL", "GLM_BASE_URL"} == set(names)
    assert names["GLM_BASE_URL"].endswith("/api/paas/v4")
    assert body == b'{"requests":[],"wallets":[]}'
    assert await asyncio.wait_for(child.wait(), 20) == 0
    assert books.exists()


@pytest.mark.parametrize("stop", ["signal", "end of input"])
async def test_a_child_that_reads_its_input_ends_quietly(stop: str) -> None:
    """Ctrl-C reaches the whole group, and the child may still wait for its input's end: neither is a crash."""
    code = "from service.simulator.app import run; run(0, until_eof=True)"
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", code),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "."},
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    for _ in range(2):
        assert await asyncio.wait_for(child.stdout.readline(), 20)
    if stop == "signal":
        os.killpg(child.pid, signal.SIGINT)
    else:
        child.stdin.close()
    said = await asyncio.wait_for(child.stdout.read(), 20)
    assert (0, b"") == (await asyncio.wait_for(child.wait(), 20), said)
