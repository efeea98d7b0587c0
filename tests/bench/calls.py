"""What a tool call costs the server's CPU, as a ratio to a bare relay measured beside it in the same run.

A machine's speed drifts by itself, so servers take turns in short windows, and figures are of neighbouring
ones. CPU is that of the server's whole process, as the kernel counts it. A feature's price is what the service
spends less without it, in turns with the service that has everything. Spans that were dropped cost less than
spans that arrived, so their number is said. So is what callers were sent: text that waits while a
frame leaves goes into the service's next one, the relay makes a frame of every read.

Readings, windows and verifications are priced in a service that reads in every window, six hundred times as often
as a service by itself.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import msgspec

from tests.bench.served import FEATURES

WINDOW_S = 0.5
ROUNDS = 12
CALLERS = (1, 64)
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROMPT = "Say a few words about the sea. " * 8
_ENVELOPE_CHARS = 64
_CLOCK_OF_PROCESS = 2  # clock_getcpuclockid(3): the kernel's id of a process's CPU clock is ~pid << 3 | 2


class Window(msgspec.Struct, frozen=True):
    """What one window did: calls, seconds of the server's CPU and of the wall, and what the callers were sent."""

    calls: int
    cpu_s: float
    wall_s: float
    frames: int
    chars: int

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
        self._frames = 0
        self._chars = 0

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

    async def spans(self) -> str:
        """Say what became of the service's spans so far."""
        async with aiohttp.ClientSession() as http, http.get(self.url.replace("/mcp", "/metrics")) as answer:
            lines = (await answer.text()).splitlines()
        return "; ".join(line for line in lines if line.startswith("exai_otlp_spans_"))

    async def close(self) -> None:
        """Close the connections."""
        for socket in self._sockets:
            await socket.close()
        self._sockets.clear()

    async def window(self, seconds: float, *, stream: bool) -> Window:
        """Load the server for some seconds, and until every call that was begun has ended."""
        until = time.monotonic() + seconds
        cpu_s, wall_s, frames, chars = self._cpu_s(), time.monotonic(), self._frames, self._chars
        counts = await asyncio.gather(*(self._caller(socket, until, stream=stream) for socket in self._sockets))
        return Window(
            sum(counts),
            self._cpu_s() - cpu_s,
            time.monotonic() - wall_s,
            self._frames - frames,
            self._chars - chars,
        )

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
            self._frames += 1
            self._chars += len(said)
            if '"error":' in said[:_ENVELOPE_CHARS] or '"isError":true' in said:
                raise SystemExit(f"{self.name}: {said[:500]}")

    def _cpu_s(self) -> float:
        return time.clock_gettime(~self.pid << 3 | _CLOCK_OF_PROCESS)


class Spread(msgspec.Struct, frozen=True):
    """Figures of neighbouring windows."""

    figures: list[float]

    @property
    def median(self) -> float:
        """The middle one: a disturbed window makes a ratio too high, or too low if it was the floor's."""
        return statistics.median(self.figures)

    @property
    def quartiles(self) -> str:
        """Between which the middle half lies."""
        low, _, high = statistics.quantiles(self.figures, n=4)
        return f"{low:.2f} to {high:.2f}"


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


async def measure(servers: Sequence[Server], *, rounds: int, stream: bool, callers: int) -> list[list[Window]]:
    """Let servers take turns; give the windows of each."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        for server in servers:
            await server.connect(http, callers)
            await server.window(WINDOW_S, stream=stream)  # warm
        found: list[list[Window]] = [[] for _ in servers]
        for _ in range(rounds):
            for server, windows in zip(servers, found, strict=True):
                windows.append(await server.window(WINDOW_S, stream=stream))
        for server in servers:
            await server.close()
    return found


async def main(arguments: argparse.Namespace) -> None:
    """Measure and say."""
    cores = sorted(os.sched_getaffinity(0))
    served, load = cores[0], cores[-1]
    os.sched_setaffinity(0, {load})
    async with contextlib.AsyncExitStack() as stack:
        _, port = await stack.enter_async_context(program("tests.bench.upstream", core=load))
        upstream, environ = f"http://127.0.0.1:{port}/v1", {ENDPOINT: f"http://127.0.0.1:{port}"}

        async def served_by(stack: contextlib.AsyncExitStack, *without: str) -> Server:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            words = ("tests.bench.served", upstream, folder, *without)
            return Server(
                "service", *await stack.enter_async_context(program(*words, core=served, environ=environ))
            )

        relay = Server(
            "relay", *await stack.enter_async_context(program("tests.bench.relay", upstream, core=served))
        )
        whole = await served_by(stack)
        for stream, callers in [(stream, callers) for stream in (False, True) for callers in CALLERS]:
            floor, case = await measure((relay, whole), rounds=arguments.rounds, stream=stream, callers=callers)
            _say_ratio(floor, case, kind="200 chunks" if stream else "plain", callers=callers)
        _say(await whole.spans())
        for feature in () if arguments.all_on else FEATURES:
            async with contextlib.AsyncExitStack() as inner:
                has_it = await served_by(inner, f"--reading-s={WINDOW_S}") if feature == "readings" else whole
                without = await served_by(inner, feature)
                of = await measure(
                    (relay, has_it, without), rounds=arguments.rounds, stream=False, callers=CALLERS[-1]
                )
                _say_price(feature, *of)


def _say_ratio(floor: list[Window], case: list[Window], *, kind: str, callers: int) -> None:
    ratio = Spread([high.cpu_us / low.cpu_us for low, high in zip(floor, case, strict=True)])
    least_us = [min(window.cpu_us for window in windows) for windows in (floor, case)]
    rate = max(window.calls / window.wall_s for window in case)
    told = " and ".join(f"{server} {_sent(windows)}" for server, windows in (("relay", floor), ("service", case)))
    _say(
        f"everything on, {kind:10} {callers:2} at once: {ratio.median:5.2f} × the relay ({ratio.quartiles});"
        f" relay {least_us[0]:.0f} µs, service {least_us[1]:.0f} µs a call; up to {rate:.0f} calls/s;"
        f" a caller is sent by the {told}"
    )


def _sent(windows: list[Window]) -> str:
    calls = sum(window.calls for window in windows)
    frames, chars = (sum(getattr(window, name) for window in windows) / calls for name in ("frames", "chars"))
    return f"{frames:.0f} frames of {chars / frames:.0f} characters"


def _say_price(feature: str, floor: list[Window], whole: list[Window], without: list[Window]) -> None:
    rounds = list(zip(floor, whole, without, strict=True))
    price = Spread([(all_on.cpu_us - off.cpu_us) / low.cpu_us for low, all_on, off in rounds])
    _say(f"{feature:17} costs {price.median:5.2f} × the relay ({price.quartiles}), plain, {CALLERS[-1]} at once")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="windows of each kind")
    parser.add_argument("--all-on", action="store_true", help="price no feature")
    asyncio.run(main(parser.parse_args()))
