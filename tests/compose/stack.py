"""The stack in containers, unchanged: up, healthy, called, killed, whole again. Run by `make compose-test` alone.

The tests are steps of one journey, in the order of this file.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect

from tests.compose.containers import Stack, stack
from tests.processes import eventually, get, get_json
from tests.speaking import receipt_of, speaking

MCP = "ws://127.0.0.1:3000/mcp"
OLDER = "ws://localhost:3000"
CONSOLE = "http://127.0.0.1:3001"
HEALTH = "http://127.0.0.1:3002"
METRICS = "http://127.0.0.1:3003/metrics"
PROMETHEUS = "http://127.0.0.1:9090"
BASE = "python:3.13-slim"
OVER_BASE_BYTES_MAX = 150 * 10**6
TOKEN = "a-token-of-this-test-alone"
WITH_TOKEN = {"EXAI_WS_TOKEN_FILE": "./secrets/ws_token"}
IN_FLIGHT = 3
KILL_SERVE = """
import os, pathlib
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    if folder.name != "1" and b"service\\0serve" in (folder / "cmdline").read_bytes():
        os.kill(int(folder.name), 9)
"""
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Bring the stack up with nothing set."""
    with stack(tmp_path_factory.mktemp("stack")) as containers:
        yield containers


async def called(prompt: str, **headers: str) -> dict[str, Any]:
    """Call `chat` and give the receipt of a call that went well."""
    async with speaking(MCP, **headers) as speaker:
        result = await speaker.call(prompt=prompt)
    assert not result["isError"], result
    return receipt_of(result)


async def checked(name: str) -> dict[str, Any]:
    """Read one check of the health page."""
    (check,) = [check for check in (await get_json(f"{HEALTH}/health"))["checks"] if check["name"] == name]
    found: dict[str, Any] = check
    return found


async def epoch() -> int:
    """Say which start of the service this is; 0 while nobody answers."""
    try:
        return int((await checked("store"))["detail"]["epoch"])
    except (OSError, aiohttp.ClientError):
        return 0


async def has_begun(number: int) -> bool:
    """Look whether the service runs, for the nth time."""
    return await epoch() == number


async def are_open() -> bool:
    """Look whether every call of a test is under way."""
    calls = (await get_json(f"{CONSOLE}/console/calls.json"))["calls"]
    outcomes = [attempt["outcome"] for call in calls for attempt in call["attempts"]]
    return outcomes.count("open") == IN_FLIGHT


def test_the_image_is_small(up: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """It adds no more than 150 MB to the image that it is made from."""
    up.docker("build", "--quiet", "--tag", f"{BASE}-alone", "-", said=f"FROM {BASE}\n")
    whole, under = up.image_bytes("exai:local"), up.image_bytes(f"{BASE}-alone")
    up.docker("image", "rm", f"{BASE}-alone")
    with capsys.disabled():
        print(  # noqa: T201 - the size is a figure that people follow
            f"\nimage: {whole / 1e6:.0f} MB, {(whole - under) / 1e6:.0f} MB over {BASE} as it is here"
        )
    assert whole - under <= OVER_BASE_BYTES_MAX


def test_it_runs_confined(up: Stack) -> None:
    """Not as root, on a root that nobody can write to, without capabilities, reachable from this machine alone."""
    status = up.run("cat", "/proc/self/status")
    assert ["10001"] * 4 == re.findall(r"^Uid:\s+(.*)$", status, re.MULTILINE)[0].split()
    assert ["0" * 16] == re.findall(r"^CapEff:\s+(\S+)$", status, re.MULTILINE)
    assert ["1"] == re.findall(r"^NoNewPrivs:\s+(\S+)$", status, re.MULTILINE)
    assert "Read-only file system" in up.compose("exec", "-T", "exai", "touch", "/here", check=False)
    bound = up.container()["HostConfig"]["PortBindings"]
    assert {"127.0.0.1"} == {place["HostIp"] for places in bound.values() for place in places}


def test_it_says_loudly_that_nothing_is_real(up: Stack) -> None:
    """Without a key simulators were started, and the log begins with it."""
    assert "S I M U L A T E D" in up.compose("logs", "exai")


async def test_every_part_has_the_predecessors_port(up: Stack) -> None:
    """Hello and MCP on 3000; the console, health and metrics on the three after it, and nowhere else."""
    async with connect(OLDER, proxy=None) as socket:
        await socket.send(json.dumps({"op": "hello", "session_id": "compose", "token": ""}))
        assert json.loads(await socket.recv())["ok"]
    receipt = await called("Are my calls real?")
    assert receipt["simulated"]
    assert receipt["url"].startswith(f"{CONSOLE}/console/calls/")
    shown = await get_json(f"{CONSOLE}/console/calls/{receipt['tool_call_id']}.json")
    assert receipt["attempts"][0]["ledger"] == shown["attempts"][0]["ledger"]
    assert "ok" == (await get_json(f"{HEALTH}/health"))["status"]
    assert (200, "ready\n") == await get(f"{HEALTH}/health/ready")
    _, counted = await get(METRICS)
    assert ["1.0"] == re.findall(
        r'^exai_tool_calls_total\{outcome="ok",tool="chat"\} (\S+)$', counted, re.MULTILINE
    )
    assert "ready\n" == up.run("exai", "health")
    assert [404, 404] == [
        (await get(f"http://127.0.0.1:3000{path}"))[0] for path in ("/metrics", "/console/calls")
    ]


@pytest.mark.parametrize("killed", ["serve", "container"])
async def test_a_kill_in_the_middle_of_calls_loses_nothing(up: Stack, killed: str) -> None:
    """What was settled is still there, what was under way is in doubt, and the log is whole.

    The engine starts a service that died by itself; a container that was killed waits for its operator.
    """
    before, settled = await epoch(), await called("Remember this one.")
    up.fault(kind="hang", billed=True)
    async with speaking(MCP) as speaker:
        for _ in range(IN_FLIGHT):
            await speaker.begin(prompt="Never answered.")
        await eventually(are_open)
        if killed == "serve":
            up.python(KILL_SERVE, check=False)  # the container may end before this command does
        else:
            up.compose("kill", "--signal", "KILL", "exai")
            up.up()
    await eventually(lambda: has_begun(before + 1))
    receipt = await get_json(f"{CONSOLE}/console/calls/{settled['tool_call_id']}.json")
    assert settled["attempts"][0]["ledger"] == receipt["attempts"][0]["ledger"]
    calls = (await get_json(f"{CONSOLE}/console/calls.json"))["calls"]
    lost = [attempt for call in calls for attempt in call["attempts"] if attempt["outcome"] == "in_doubt"]
    assert IN_FLIGHT * before == len(lost)
    assert "entries are those that were signed" in up.run("exai", "ledger", "verify")
    await called("And on it goes.")


def test_a_real_key_without_a_token_is_refused(up: Stack) -> None:
    """In a container nobody can tell who calls, so the start says what to do."""
    said = up.compose("run", "--rm", "-T", "exai", check=False, environ={"KIMI_API_KEY": "sk-of-nobody-012345"})
    assert "without EXAI_WS_TOKEN, others could spend with your key" in said
    assert "sk-of-nobody" not in said


async def test_secrets_come_by_file(up: Stack) -> None:
    """A token in a file guards every port, and whoever brings it comes in."""
    folder = up.folder / "secrets"
    folder.chmod(0o700)
    (folder / "ws_token").write_text(f"{TOKEN}\n", encoding="utf-8")
    up.up(environ=WITH_TOKEN)
    bearer = f"Bearer {TOKEN}"
    assert [401, 401] == [(await get(url))[0] for url in (METRICS, f"{CONSOLE}/console/calls")]
    assert 200 == (await get(METRICS, Authorization=bearer))[0]
    assert TOKEN not in json.dumps(up.container())
    await called("With the token.", Authorization=bearer)


async def test_prometheus_scrapes_it_with_the_token() -> None:
    """Our configuration finds the service by its name, shows the token, gets the numbers and loads our rules."""

    async def scraped() -> list[Any]:
        answer = await get_json(f'{PROMETHEUS}/api/v1/query?query=exai_tool_calls_total{{outcome="ok"}}>0')
        found: list[Any] = answer["data"]["result"]
        return found

    (series,) = await eventually(scraped, within_s=60)
    assert "exai" == series["metric"]["job"]
    assert (await get_json(f"{PROMETHEUS}/api/v1/rules"))["data"]["groups"]


def test_the_whole_profile_is_well_formed(up: Stack) -> None:
    """Compose reads what cannot be run here, too."""
    up.compose("--profile", "observability", "config", "--quiet")
