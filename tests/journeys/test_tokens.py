"""Named tokens in a real service: made while it runs or while it does not, used, counted, revoked, expired."""

import asyncio
import json
import stat
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from service.actions._door import FILE_NAME
from service.actions.token_revoke import ACTION, TokenRevoke
from service.cli._acting import act
from service.core.token import digest
from tests.accounts import Export
from tests.collecting import collecting
from tests.processes import WAIT_S, Judge, Served, Serving, eventually, get, run, serve
from tests.speaking import LostError, Speaker, receipt_of, speaking

OWNER = "a-token-of-the-owner-0123456789"
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade"}
PLACES = (
    "/health",
    "/metrics",
    "/console/",
    "/console/calls",
    "/console/calls.json",
    "/console/ledger",
    "/api/v1/",
)


def bearer(token: str) -> dict[str, str]:
    """Write the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


async def command(served: Served, *words: str, status: int = 0) -> str:
    """Run `exai` on a service's data folder; give all that it said."""
    found, said = await run(*words, "--data-dir", str(served.data), folder=served.folder)
    assert status == found, said
    return said.decode()


async def create(served: Served, name: str, *words: str) -> dict[str, Any]:
    """Make a token; give what was told of it."""
    said = await command(served, "token", "create", "--name", name, "--format", "json", *words)
    made: dict[str, Any] = json.JSONDecoder().raw_decode(said[said.index("{") :])[0]
    return made


async def listed(served: Served) -> list[dict[str, Any]]:
    """List the tokens."""
    rows: list[dict[str, Any]] = json.loads(await command(served, "token", "list", "--format", "json"))["tokens"]
    return rows


@asynccontextmanager
async def called(served: Served, token: str) -> AsyncIterator[Speaker]:
    """Open a session with a token and make a call in it."""
    async with speaking(served.socket, **bearer(token)) as speaker:
        assert "structuredContent" in await speaker.call(prompt="Hello?")
        yield speaker


async def closing(socket: ClientConnection) -> tuple[int | None, str | None]:
    """Wait for the close; give code and words."""
    await asyncio.wait_for(socket.wait_closed(), WAIT_S)
    return socket.close_code, socket.close_reason


async def status_of(served: Served, token: str, path: str = "/mcp") -> int:
    """Say how a token is received; on `/mcp` without the rest of a handshake, so a good one gets 400."""
    return (await get(served.url + path, **bearer(token), **(UPGRADE if path == "/mcp" else {})))[0]


async def test_a_token_s_life_while_the_service_runs(judge: Judge, serving: Serving) -> None:
    """Made over the socket it counts at once; its calls bear its name; revoked, it is shown out at once."""
    served = serving()
    made = await create(served, "ci", "--scopes", "call,read")
    token = made["token"]
    async with called(served, token) as speaker, speaking(served.socket) as local:
        assert 200 == await status_of(served, token, "/console/calls.json")
        await judge.fault({"kind": "latency", "seconds": 1.0, "next": 1})
        _, late = await speaker.begin(prompt="This one is in flight.")
        await eventually(lambda: _asked(judge, 2))
        gone, _ = await asyncio.to_thread(
            act, Namespace(data_dir=str(served.data)), ACTION, TokenRevoke(name="ci")
        )
        assert 1 == gone.connections_closed
        assert (1008, "the token was revoked") == await closing(speaker.socket)
        assert await asyncio.wait_for(late, WAIT_S) is None
        assert "structuredContent" in await local.call(prompt="And I?")
    assert [401, 401] == [await status_of(served, token, path) for path in ("/mcp", "/console/")]
    (row,) = await listed(served)
    assert ("ci", "revoked", 2) == (row["name"], row["state"], row["calls"])
    await eventually(lambda: _answered(served, 3))
    usage = json.loads(await command(served, "usage", "--by", "client", "--format", "json"))
    assert [("ci", 2), ("local", 1)] == [(row["client"], row["calls"]) for row in usage["rows"]]
    assert 0 == await served.stop()
    export = Export(await served.export())
    assert {"settled": 3} == export.outcomes()
    said = list(export.of("client"))
    assert [("created", digest(token)), ("revoked", digest(token))] == [
        (entry["event"], entry["token_sha256"]) for entry in said
    ]
    assert all(entry["by"].endswith(" on this machine") for entry in said)
    assert 0 == (await served.verify())[0]


async def _asked(judge: Judge, count: int) -> bool:
    return len(await judge.requests()) >= count


async def _answered(served: Served, count: int) -> bool:
    return len(Export(await served.export()).answers) >= count


async def test_tokens_outlive_the_service(serving: Serving) -> None:
    """Made with no service running, one counts from the next start; starts change nothing of what was said."""
    served = serving(EXAI_WS_TOKEN=OWNER)
    await served.stop()
    first, second = await create(served, "one"), await create(served, "two")
    again = serve(served.folder, _environ(EXAI_WS_TOKEN=OWNER))
    try:
        assert [400, 400, 401] == [await status_of(again, t) for t in (first["token"], OWNER, first["token"][:-1])]
        await command(again, "token", "revoke", "one")
        assert [401, 400] == [await status_of(again, made["token"]) for made in (first, second)]
        await again.stop()
        assert "No service runs here" in await command(again, "token", "revoke", "two")
    finally:
        again.child.kill()
        again.child.wait()
    once_more = serve(served.folder, _environ(EXAI_WS_TOKEN=OWNER))
    try:
        assert [401, 401, 400] == [
            await status_of(once_more, token) for token in (first["token"], second["token"], OWNER)
        ]
        assert ["revoked"] * 2 == [row["state"] for row in await listed(once_more)]
    finally:
        once_more.child.kill()
        once_more.child.wait()


def _environ(**variables: str) -> dict[str, str]:
    nobody = {"KIMI_API_KEY": "sim-tokens", "KIMI_BASE_URL": "http://127.0.0.1:9/v1"}
    return {**nobody, **variables}


async def test_rights(serving: Serving) -> None:
    """Without `read` a token sees its own calls alone, without `call` it gets no tool; with `read` it sees all."""
    served = serving()
    caller, reader = [
        (await create(served, name, "--scopes", scopes))["token"]
        for name, scopes in (("ci", "call"), ("eye", "read"))
    ]
    async with called(served, caller) as speaker:
        receipt = receipt_of(await speaker.call(prompt="Once more."))
    page = f"/console/calls/{receipt['tool_call_id']}.json"
    async with speaking(served.socket) as speaker:
        others = receipt_of(await speaker.call(prompt="Of somebody else."))["tool_call_id"]
    assert [200, 404, 403, 200, 200] == [
        await status_of(served, caller, page),
        await status_of(served, caller, f"/console/calls/{others}.json"),
        await status_of(served, caller, "/metrics"),
        await status_of(served, reader, page),
        (await get(served.url + page))[0],
    ]
    async with speaking(served.socket, **bearer(reader)) as speaker:
        refused = await speaker.call(prompt="May I?")
    assert refused["isError"]
    assert "scope call" in refused["content"][0]["text"]


async def test_a_token_expires(serving: Serving) -> None:
    """From that moment it opens nothing, and a call in an open session is answered by a close."""
    served = serving()
    ends = (datetime.now(UTC) + timedelta(seconds=6)).isoformat()
    token = (await create(served, "brief", "--expires", ends))["token"]
    async with called(served, token) as speaker:

        async def refused() -> bool:
            return await status_of(served, token) == 401

        await eventually(refused)
        _, answer = await speaker.begin(prompt="Too late?")
        with suppress(LostError):
            await speaker.hear(answer)
        assert (1008, "the token has expired") == await closing(speaker.socket)
    assert ["expired"] == [row["state"] for row in await listed(served)]
    await create(served, "brief")


async def test_the_predecessor_s_hello(serving: Serving) -> None:
    """Its clients put a named token where they put their token before."""
    served = serving(EXAI_WS_TOKEN=OWNER)
    token = (await create(served, "older"))["token"]
    async with connect(served.older_socket, proxy=None) as socket:
        await socket.send(json.dumps({"op": "hello", "token": token}))
        assert json.loads(await socket.recv())["ok"]
        await command(served, "token", "revoke", "older")
        assert (1008, "the token was revoked") == await closing(socket)


async def test_the_socket(serving: Serving) -> None:
    """It is its owner's alone, gone after a stop, and replaced after a kill; the folder's path may be long."""
    served = serving(EXAI_DATA_DIR="data/" + "d" * 120)
    door = served.data / ("d" * 120) / FILE_NAME
    mode = door.lstat().st_mode
    assert (True, 0o600) == (stat.S_ISSOCK(mode), stat.S_IMODE(mode))
    words = ("--data-dir", str(door.parent))
    status, said = await run("token", "create", "--name", "ci", *words, folder=served.folder)
    assert 0 == status, said
    assert b"It counts from now on." in said
    served.child.kill()
    await served.ended()
    assert door.exists()
    again = serve(served.folder, _environ(EXAI_DATA_DIR=str(door.parent)))
    try:
        status, said = await run("token", "revoke", "ci", *words, folder=served.folder)
        assert 0 == status, said
        assert b"It had no connection open." in said
        assert 0 == await again.stop()
    finally:
        again.child.kill()
        again.child.wait()
    assert not door.exists()


async def test_a_token_s_text_is_nowhere(serving: Serving) -> None:
    """Used well and ill, in headers, addresses, hellos: no file, log, page, metric or span has a part of it."""
    async with collecting() as collector:
        served = serving(EXAI_LOG_LEVEL="debug", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        made = await create(served, "canary", "--scopes", "call,read")
        token = made["token"]
        places = {}
        async with called(served, token) as speaker:
            for place in PLACES:
                places[place] = (await get(served.url + place, **bearer(token)))[1].encode()
            places["answer"] = json.dumps(await speaker.call(prompt="Once more.")).encode()
            places["revoked"] = (await command(served, "token", "revoke", "canary")).encode()
        places["refused"] = repr(
            [await get(f"{served.url}/mcp?token={token}", **UPGRADE), await get(served.url, **bearer(token))]
        ).encode()
        async with connect(served.older_socket, proxy=None) as socket:
            await socket.send(json.dumps({"op": "hello", "token": token}))
            places["hello"] = str(await socket.recv()).encode()
        assert 0 == await served.stop()
        places["spans"] = b"\n".join(collector.payloads)
    places["list"] = (await command(served, "token", "list")).encode()
    places |= {str(path): path.read_bytes() for path in served.folder.rglob("*") if path.is_file()}
    assert any(name.endswith(".sqlite3") for name in places)
    assert made["fingerprint"].encode() in places["list"]
    traces = [part.encode() for part in (token[5:17], token[17:29], token[29:])]
    assert [] == [place for place, shown in places.items() if any(trace in shown for trace in traces)]
