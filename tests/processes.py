"""Processes: the simulators and the service as an operator starts them, each with an environment of its own."""

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

ROOT = Path(__file__).resolve().parents[1]
WAIT_S = 30.0
_POLL_S = 0.01
_Found = TypeVar("_Found")


async def eventually(probe: Callable[[], Awaitable[_Found]], *, within_s: float = WAIT_S) -> _Found:
    """Ask again until the answer is true or time runs out; give the answer."""
    ends_at = time.monotonic() + within_s
    while not (found := await probe()):
        assert time.monotonic() < ends_at, f"still {found!r} after {within_s:g} s"
        await asyncio.sleep(_POLL_S)
    return found


def start(*words: str, folder: Path, environ: dict[str, str], module: str = "service") -> subprocess.Popen[bytes]:
    """Start `exai`, or another program, in a folder; what it says is appended to `stdout` and `stderr` there."""
    with (folder / "stdout").open("ab") as out, (folder / "stderr").open("ab") as err:
        return subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=folder,
            env={"HOME": str(folder), "PYTHONPATH": str(ROOT), **environ},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )


async def run(*words: str, folder: Path, environ: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Run a command of `exai` to its end; give its status and all that it wrote."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "service", *words),
        cwd=folder,
        env={"HOME": str(folder), "PYTHONPATH": str(ROOT), **(environ or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(child.communicate(), WAIT_S)
    assert child.returncode is not None
    return child.returncode, said


async def get(url: str, **headers: str) -> tuple[int, str]:
    """Ask an address for what it shows; `_` in a header's name is a dash."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with aiohttp.ClientSession() as http, http.get(url, headers=named, allow_redirects=False) as answer:
        return answer.status, await answer.text()


async def get_json(url: str) -> Any:  # noqa: ANN401 - whatever stands there
    """Ask an address for its JSON."""
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert 200 == answer.status, await answer.text()
        return await answer.json(content_type=None)


class Judge:
    """The simulators in their own process, and the door to their books."""

    def __init__(self, kimi: str, glm: str) -> None:
        self.base_urls = {"KIMI_BASE_URL": kimi, "GLM_BASE_URL": glm}
        self._root = kimi.removesuffix("/v1") + "/_sim"

    async def books(self) -> dict[str, Any]:
        """Read the books."""
        read: dict[str, Any] = await get_json(f"{self._root}/books")
        return read

    async def requests(self) -> list[dict[str, Any]]:
        """List the requests that arrived."""
        listed: list[dict[str, Any]] = (await self.books())["requests"]
        return listed

    async def fault(self, *faults: dict[str, Any]) -> None:
        """Replace all switches."""
        async with aiohttp.ClientSession() as http:
            body = {"faults": list(faults)}
            async with http.put(f"{self._root}/faults", json=body) as answer:
                assert 200 == answer.status, await answer.text()

    async def move(self, wallet: str, kind: str, amount: str) -> None:
        """Move money of a wallet without a request."""
        async with aiohttp.ClientSession() as http:
            body = {"wallet": wallet, "kind": kind, "amount": amount}
            async with http.post(f"{self._root}/move", json=body) as answer:
                assert 200 == answer.status, await answer.text()

    async def reset(self) -> None:
        """Begin new books, without faults."""
        async with aiohttp.ClientSession() as http, http.post(f"{self._root}/reset") as answer:
            assert 200 == answer.status


@dataclass(frozen=True)
class Served:
    """A service that runs, or ran.

    Attributes:
        folder: where it was started; `stdout` and `stderr` are there, the ledger is in `data`.
    """

    child: subprocess.Popen[bytes]
    folder: Path
    url: str

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    @property
    def socket(self) -> str:
        """Where MCP is spoken."""
        return self.url.replace("http", "ws", 1) + "/mcp"

    @property
    def older_socket(self) -> str:
        """Where the predecessor's clients connect."""
        return self.url.replace("http", "ws", 1)

    async def stop(self) -> int:
        """Ask it to end, as an operator does; give its exit status."""
        self.child.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end; give its exit status."""
        return await asyncio.to_thread(self.child.wait, WAIT_S)

    async def export(self) -> bytes:
        """Export its ledger."""
        status, said = await run("ledger", "export", "--data-dir", str(self.data), folder=self.folder)
        assert 0 == status, said
        return said

    async def verify(self, *words: str) -> tuple[int, str]:
        """Verify its ledger, or a file."""
        status, said = await run("ledger", "verify", "--data-dir", str(self.data), *words, folder=self.folder)
        return status, said.decode()


Serving = Callable[..., Served]
"""A starter of services: variables of the environment by name; an empty one is taken away."""


@contextmanager
def simulators(folder: Path, *words: str, module: str = "service") -> Iterator[Judge]:
    """Run the simulators, or a program that is simulators, in a process of its own while the context lasts."""
    child = start(*(words or ("simulate", "--port", "0")), folder=folder, environ={}, module=module)
    try:
        said = _announced(child, folder, r"KIMI_BASE_URL=(\S+)\nGLM_BASE_URL=(\S+)\n", 0)
        yield Judge(said[1], said[2])
    finally:
        child.kill()
        child.wait()


def serve(folder: Path, environ: dict[str, str]) -> Served:
    """Start the service on a free port and wait until it says that it listens. The caller must end it."""
    folder.mkdir(parents=True, exist_ok=True)
    child, before = begin_to_serve(folder, environ)
    try:
        said = _announced(child, folder, r"Console: (http://\S+)/console/\n", before)
    except BaseException:
        end(child)
        raise
    return Served(child, folder, said[1])


def begin_to_serve(folder: Path, environ: dict[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start the service without waiting for it; also give how much was said in the folder before."""
    folder.mkdir(parents=True, exist_ok=True)
    before = (folder / "stdout").stat().st_size if (folder / "stdout").exists() else 0
    environ = {"EXAI_DATA_DIR": str(folder / "data"), **environ}
    return start("serve", "--port", "0", folder=folder, environ=environ), before


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill a process that may have ended already."""
    child.kill()
    child.wait()


def _announced(child: subprocess.Popen[bytes], folder: Path, pattern: str, before: int) -> re.Match[str]:
    ends_at = time.monotonic() + WAIT_S
    while True:
        ended = child.poll()
        with (folder / "stdout").open("rb") as file:
            file.seek(before)
            said = file.read().decode()
        if said.endswith("\n") and (found := re.search(pattern, said)):
            return found
        complaint = (folder / "stderr").read_text()
        assert ended is None, f"it ended with {ended}: {complaint}"
        assert time.monotonic() < ends_at, f"it does not listen: {said} {complaint}"
        time.sleep(_POLL_S)
