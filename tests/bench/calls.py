"""What a tool call costs the server's CPU, as a ratio to a bare relay measured beside it in the same run.

A machine's speed drifts by itself, so floor and case take turns in short windows, and the ratio is that of
neighbours. Said is the lower quartile of the ratios with the whole range beside it: what disturbs a window
makes it dearer, never cheaper. CPU is that of the server's whole process, as the kernel counts it.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec

from tests.bench.served import FEATURES

WINDOW_S = 0.5
PAIRS = 12
CALLERS = (1, 64)
_PROMPT = "Say a few words about the sea. " * 8
_ENVELOPE_CHARS = 64
_CLOCK_OF_PROCESS = 2  # clock_getcpuclockid(3): the kernel's id of a process's CPU clock is ~pid << 3 | 2


class Window(msgspec.Struct, frozen=True):
    """What one window did: calls, and seconds of the server's CPU and of the wall."""

    calls: int
    cpu_s: float
    wall_s: float

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a call."""
        return self.cpu_s / max(1, self.calls) * 1e6


class Server:
    """One server under load: closed loop, each caller on a connection of its own."""

    def __init__(self, name: str, pid: int, port: int) -> None:
        self.name = name
        self.pid = pid
        self.url = f"http://127.0.0.1:{port}/mcp"
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []
        self._next = 0

    async def connect(self, http: aiohttp.ClientSession, callers: int) -> None:
        """Open the connections, and agree on MCP."""
        for _ in range(callers):
            socket = await http.ws_connect(self.url, protocols=("mcp",), compress=0, max_msg_size=0)
            self._sockets.append(socket)
            if self.name != "relay":
                params = {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {},
                    "clientInfo": {"name": "bench", "version": "1"},
                }
                await socket.send_json({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
                await socket.receive()
                await socket.send_json({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def close(self) -> None:
        """Close the connections."""
        for socket in self._sockets:
            await socket.close()
        self._sockets.clear()

    async def window(self, seconds: float, *, stream: bool) -> Window:
        """Load the server for some seconds, and until every call that was begun has ended."""
        until = time.monotonic() + seconds
        cpu_s, wall_s = self._cpu_s(), time.monotonic()
        counts = await asyncio.gather(*(self._caller(socket, until, stream=stream) for socket in self._sockets))
        return Window(sum(counts), self._cpu_s() - cpu_s, time.monotonic() - wall_s)

    async def _caller(self, socket: aiohttp.ClientWebSocketResponse, until: float, *, stream: bool) -> int:
        count = 0
        while time.monotonic() < until:
            self._next += 1
            params: dict[str, Any] = {"name": "chat", "arguments": {"prompt": _PROMPT, "provider": "kimi"}}
            if stream:
                params["_meta"] = {"progressToken": self._next}
            frame = {"jsonrpc": "2.0", "id": self._next, "method": "tools/call", "params": params}
            await socket.send_str(msgspec.json.encode(frame).decode())
            await self._answer(socket)
            count += 1
        return count

    async def _answer(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Read to the call's answer, past its progress. A call that did not go well measures nothing."""
        said = ""
        while '"result":' not in said[:_ENVELOPE_CHARS]:
            message = await socket.receive()
            said = message.data if message.type is aiohttp.WSMsgType.TEXT else '"error": the connection was closed'
            if '"error":' in said[:_ENVELOPE_CHARS] or '"isError":true' in said:
                raise SystemExit(f"{self.name}: {said[:500]}")

    def _cpu_s(self) -> float:
        return time.clock_gettime(~self.pid << 3 | _CLOCK_OF_PROCESS)


class Ratio(msgspec.Struct, frozen=True):
    """What case and floor came to, window by window."""

    floor: list[Window]
    case: list[Window]

    @property
    def line(self) -> str:
        """The ratios' lower quartile and range, and the least that each was measured to take."""
        ratios = [case.cpu_us / floor.cpu_us for floor, case in zip(self.floor, self.case, strict=True)]
        quartile = statistics.quantiles(ratios, n=4)[0]
        least_us = [min(window.cpu_us for window in windows) for windows in (self.floor, self.case)]
        rate = max(window.calls / window.wall_s for window in self.case)
        return (
            f"{quartile:5.2f} × the relay ({min(ratios):.2f} to {max(ratios):.2f});"
            f" relay {least_us[0]:5.0f} µs, case {least_us[1]:5.0f} µs a call; up to {rate:5.0f} calls/s"
        )


@contextlib.asynccontextmanager
async def program(*words: str, core: int, environ: dict[str, str] | None = None) -> AsyncIterator[tuple[int, int]]:
    """Run a program of this folder on one core, and give its pid and the port that it says first."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *words, stdout=asyncio.subprocess.PIPE, env=os.environ | (environ or {})
    )
    assert running.stdout is not None
    try:
        os.sched_setaffinity(running.pid, {core})  # before its threads: they inherit it
        yield running.pid, int(await running.stdout.readline())
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.kill()
        await running.wait()


async def measure(floor: Server, case: Server, *, pairs: int, stream: bool, callers: int) -> Ratio:
    """Let floor and case take turns."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        for server in (floor, case):
            await server.connect(http, callers)
            await server.window(WINDOW_S, stream=stream)  # warm
        found = Ratio([], [])
        for _ in range(pairs):
            found.floor.append(await floor.window(WINDOW_S, stream=stream))
            found.case.append(await case.window(WINDOW_S, stream=stream))
        for server in (floor, case):
            await server.close()
    return found


async def main(arguments: argparse.Namespace) -> None:
    """Measure and say."""
    cores = sorted(os.sched_getaffinity(0))
    served, load = cores[0], cores[-1]
    os.sched_setaffinity(0, {load})
    async with contextlib.AsyncExitStack() as stack:
        _, port = await stack.enter_async_context(program("tests.bench.upstream", core=load))
        upstream = f"http://127.0.0.1:{port}/v1"
        relay = await stack.enter_async_context(program("tests.bench.relay", upstream, core=served))
        floor = Server("relay", *relay)
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
        for without in [None, *([] if arguments.all_on else FEATURES)]:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            words = ("tests.bench.served", upstream, folder, *([without] if without else ()))
            async with program(*words, core=served, environ=environ) as found:
                case = Server(f"without {without}" if without else "everything on", *found)
                await _say(arguments, floor, case, is_whole=without is None)


async def _say(arguments: argparse.Namespace, floor: Server, case: Server, *, is_whole: bool) -> None:
    """Measure the whole at every load, and what lacks a feature at one: plain calls, 64 at once."""
    loads = [(stream, callers) for stream in (False, True) for callers in CALLERS]
    for stream, callers in loads if is_whole else loads[1:2]:
        found = await measure(floor, case, pairs=arguments.pairs, stream=stream, callers=callers)
        kind = "200 chunks" if stream else "plain"
        sys.stdout.write(f"{case.name:26} {kind:10} {callers:2} at once: {found.line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS, help="windows of each kind")
    parser.add_argument("--all-on", action="store_true", help="measure no case without a feature")
    asyncio.run(main(parser.parse_args()))
