"""Bad input: each fault gets its typed error and a remedy, makes no entry, and leaves the session usable."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.accounts import Export
from tests.processes import WAIT_S, Judge, Served, Serving, get
from tests.speaking import REVISION, Said, introduce, plugged, receipt_of, speaking

TOKEN = "a-token-of-enough-characters"
EVIL = "https://evil.example"
FRAME_BYTES_MAX = 200_000
DEEP = '{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":' + "[" * 99 + "]" * 99 + "}}"
FRAMES = (
    ("{", -32700, "malformed_json"),
    ('{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":NaN}}', -32700, "malformed_json"),
    ("\ufeff{}", -32700, "malformed_json"),
    ('[{"jsonrpc":"2.0","id":7,"method":"ping"}]', -32600, "batch"),
    ('"ping"', -32600, "not_an_object"),
    (DEEP, -32600, "too_deep"),
    ('{"jsonrpc":"1.0","id":7,"method":"ping"}', -32600, "invalid_message"),
    ('{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600, "invalid_id"),
    ('{"jsonrpc":"2.0","id":7,"method":"tools/spend"}', -32601, "unknown_method"),
    ('{"jsonrpc":"2.0","id":7,"method":"tools/call","params":[]}', -32602, "invalid_params"),
    ('{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":7}}', -32602, "invalid_params"),
    (
        '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"chat","arguments":"hello"}}',
        -32602,
        "invalid_params",
    ),
    ('{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"spend"}}', -32602, "unknown_tool"),
    ('{"jsonrpc":"2.0","id":7,"method":"initialize","params":{}}', -32600, "already_initialized"),
)
ARGUMENTS: tuple[Said, ...] = (
    {},
    {"prompt": ""},
    {"prompt": 7},
    {"prompt": "Hello?", "colour": "blue"},
    {"prompt": "Hello?", "provider": "nobody"},
    {"prompt": "Hello?", "temperature": "hot"},
    {"prompt": "Hello?", "max_output_tokens": 0},
)
PLACES = ("/", "/mcp", "/health", "/health/live", "/metrics", "/console/calls", "/api/v1/receipt.schema.json")


@pytest.fixture(scope="module")
def plain(serving_long: Serving) -> Served:
    """Start a service without a token."""
    return serving_long(EXAI_FRAME_BYTES_MAX=str(FRAME_BYTES_MAX), EXAI_READINGS="0")


@pytest.fixture(scope="module")
def guarded(serving_long: Serving) -> Served:
    """Start a service with a token."""
    return serving_long(EXAI_WS_TOKEN=TOKEN, EXAI_READINGS="0")


class Rejections:
    """The counter of what was turned away, and how many entries there are."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def read(self) -> tuple[dict[str, float], float]:
        """Give (rejections by reason, entries)."""
        _, text = await get(f"{self._served.url}/metrics")
        rejected: dict[str, float] = {}
        entries = 0.0
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "exai_rejections_total":
                    rejected[sample.labels["reason"]] = sample.value
                elif sample.name == "exai_ledger_entries_total":
                    entries += sample.value
        assert entries
        return rejected, entries

    async def only(self, reason: str, before: tuple[dict[str, float], float], times: int = 1) -> None:
        """Assert that since then nothing was counted but this reason, and nothing was written."""
        (old, entries), (new, entries_now) = before, await self.read()
        assert {reason: times} == {name: count - old[name] for name, count in new.items() if count != old[name]}
        assert entries == entries_now


@pytest.fixture
async def rejections(plain: Served, judge: Judge) -> AsyncIterator[Rejections]:
    """Count, and know that no provider was asked."""
    yield Rejections(plain)
    assert [] == await judge.requests()


@pytest.mark.parametrize(
    ("frame", "code", "reason"), FRAMES, ids=[f"{one[2]}-{i}" for i, one in enumerate(FRAMES)]
)
async def test_a_bad_frame_is_answered_and_the_session_goes_on(
    plain: Served, rejections: Rejections, frame: str, code: int, reason: str
) -> None:
    """The error has its JSON-RPC code and a remedy; the next request is served."""
    async with speaking(plain.socket) as speaker:
        before = await rejections.read()
        error = (await speaker.provoke(frame))["error"]
        assert code == error["code"]
        assert error["data"]["remedy"]
        assert {} == (await speaker.ask("ping", {}))["result"]
    await rejections.only(reason, before)


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=json.dumps)
async def test_arguments_that_do_not_fit_are_a_tools_error(
    plain: Served, rejections: Rejections, arguments: Said
) -> None:
    """The model that called reads which argument is wrong; there is no receipt, for there was no call."""
    async with speaking(plain.socket) as speaker:
        before = await rejections.read()
        result = await speaker.call(**arguments)
    assert result["isError"]
    assert "invalid_arguments" == result["structuredContent"]["error"]["code"]
    assert "inputSchema" in result["structuredContent"]["error"]["remedy"]
    assert "_meta" not in result
    await rejections.only("invalid_arguments", before)


async def test_a_call_before_initialize_is_refused_by_name(plain: Served, rejections: Rejections) -> None:
    """The error names the revisions that are spoken, and initialize still works on the same connection."""
    async with plugged(plain.socket) as speaker:
        before = await rejections.read()
        params = {"name": "chat", "arguments": {"prompt": "Hello?"}}
        answer = await speaker.ask("tools/call", params)
        assert -32600 == answer["error"]["code"]
        assert REVISION in answer["error"]["data"]["supported"]
        await introduce(speaker)
        assert {} == (await speaker.ask("ping", {}))["result"]
    await rejections.only("before_initialize", before)


@pytest.mark.parametrize(
    ("frame", "code", "reason"),
    [(b"\0binary", 1003, "binary"), (" " * (FRAME_BYTES_MAX + 1), 1009, "oversize")],
    ids=["binary", "oversize"],
)
async def test_what_cannot_be_a_frame_ends_the_connection(
    plain: Served, rejections: Rejections, frame: str | bytes, code: int, reason: str
) -> None:
    """The connection closes with the code of its fault; others are not disturbed."""
    async with speaking(plain.socket) as other, speaking(plain.socket) as speaker:
        before = await rejections.read()
        await speaker.write(frame)
        await speaker.socket.wait_closed()
        assert code == speaker.socket.close_code
        assert {} == (await other.ask("ping", {}))["result"]
    await rejections.only(reason, before)


async def test_an_id_in_flight_is_not_taken_twice(plain: Served, judge: Judge) -> None:
    """The second request of the same id is refused; the first is answered, and one request was sent."""
    await judge.fault({"kind": "latency", "seconds": 0.3, "next": 1})
    async with speaking(plain.socket) as speaker:
        number, answer = await speaker.begin(prompt="Am I alone?")
        again = {"name": "chat", "arguments": {"prompt": "No."}}
        await speaker.write({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": again})
        refused = await answer  # the reply carries the id, as JSON-RPC asks
        assert refused is not None
        assert -32600 == refused["error"]["code"]
        assert refused["error"]["data"]["remedy"]
        first = await speaker.others.get()
    assert number == first["id"]
    assert ["settled"] == [attempt["outcome"] for attempt in receipt_of(first["result"])["attempts"]]
    assert 1 == len(await judge.requests())


async def test_only_admitted_calls_are_in_the_ledger(plain: Served, judge: Judge) -> None:
    """All bad frames and arguments at once change no byte of the log; the good call after them does."""
    before = await plain.export()
    async with speaking(plain.socket) as speaker:
        for frame, _, _ in FRAMES:
            await speaker.provoke(frame)
        for arguments in ARGUMENTS:
            await speaker.call(**arguments)
        assert before == await plain.export()
        assert not (await speaker.call(prompt="And now?"))["isError"]
    after = await plain.export()
    written = len(Export(before).entries)
    assert before.splitlines()[:-1] == after.splitlines()[:written]
    kinds = [entry["kind"] for entry in Export(after).entries[written:]]
    assert ["tool_call", "intent", "accepted", "settlement", "answer"] == kinds
    assert 1 == len(await judge.requests())


async def upgrade(url: str, **headers: str) -> tuple[int, str]:
    """Try to open a WebSocket; give the status and the words of the refusal, 101 if it is open."""
    upgrading = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **headers,
    }
    async with aiohttp.ClientSession() as http, http.get(url, headers=upgrading) as answer:
        return answer.status, "" if answer.status == 101 else await answer.text()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"Host": "evil.example"}, 421, "host"),
        ({"Host": "127.0.0.1:1"}, 421, "host"),
        ({"Host": "localhost.:8079"}, 421, "host"),
        ({"Origin": EVIL}, 403, "origin"),
        ({"Origin": "null"}, 403, "origin"),
        ({"Origin": "http://127.0.0.1.evil.example"}, 403, "origin"),
    ],
    ids=str,
)
async def test_a_strangers_page_reaches_nothing(
    plain: Served, rejections: Rejections, place: str, headers: dict[str, str], status: int, reason: str
) -> None:
    """A foreign Host or Origin is refused on every address, with and without an upgrade, and counted."""
    before = await rejections.read()
    told, words = await get(plain.url + place, **headers)
    assert status == told
    assert "EXAI_ALLOWED_HOSTS" in words
    assert (status, words) == await upgrade(plain.url + place, **headers)
    await rejections.only(reason, before, times=2)


@pytest.mark.parametrize(
    ("query", "header", "status", "remedy"),
    [
        ("", None, 401, "EXAI_WS_TOKEN"),
        ("", "Bearer wrong-token-of-characters", 401, "EXAI_WS_TOKEN"),
        ("", f"Basic {TOKEN}", 401, "EXAI_WS_TOKEN"),
        ("", f"Basic {base64.b64encode(f'me:{TOKEN}'.encode()).decode()}", 401, "EXAI_WS_TOKEN"),
        (f"?token={TOKEN}", None, 400, "Authorization: Bearer"),
        (f"?access_token={TOKEN}", f"Bearer {TOKEN}", 400, "Authorization: Bearer"),
        ("", f"Bearer {TOKEN}", 101, ""),
    ],
)
async def test_the_token_is_asked_for_before_the_upgrade(
    guarded: Served, query: str, header: str | None, status: int, remedy: str
) -> None:
    """Without the right token, in a header, there is no connection, and what is said names the remedy."""
    headers = {} if header is None else {"Authorization": header}
    told, words = await upgrade(f"{guarded.url}/mcp{query}", **headers)
    assert status == told
    assert remedy in words
    assert TOKEN not in words


async def test_an_evil_origin_is_refused_even_with_the_token(guarded: Served) -> None:
    """A page may hold a user's token and still be a stranger's."""
    status, _ = await upgrade(f"{guarded.url}/mcp", Authorization=f"Bearer {TOKEN}", Origin=EVIL)
    assert 403 == status


async def test_who_has_the_token_is_served(guarded: Served, judge: Judge) -> None:
    """The token in the header opens the way to a provider."""
    async with speaking(guarded.socket, Authorization=f"Bearer {TOKEN}") as speaker:
        assert not (await speaker.call(prompt="Hello?"))["isError"]
    assert 1 == len(await judge.requests())


@pytest.mark.parametrize("hello", [{}, {"token": "wrong-token-of-characters"}, {"token": ""}])
async def test_a_hello_without_the_token_is_turned_away(guarded: Served, hello: dict[str, Any]) -> None:
    """The predecessor's client is told no, and why, and the connection closes with its code."""
    async with connect(guarded.older_socket, proxy=None) as socket:
        await socket.send(json.dumps({"op": "hello", **hello}))
        said = json.loads(await socket.recv())
        assert (False, "unauthorized") == (said["ok"], said["error"])
        assert "EXAI_WS_TOKEN" in said["remedy"]
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert 4003 == socket.close_code


async def test_nothing_is_done_before_the_hello(guarded: Served, judge: Judge) -> None:
    """A call in place of the hello, and MCP without a header, are both refused."""
    for frame in (
        {"op": "call_tool", "name": "chat", "arguments": {"prompt": "Hello?"}},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "chat"}},
    ):
        async with connect(guarded.older_socket, proxy=None, close_timeout=WAIT_S) as socket:
            await socket.send(json.dumps(frame))
            await socket.wait_closed()
            assert socket.close_code in {1008, 4001}
    assert [] == await judge.requests()


async def test_the_predecessors_client_survives_its_mistakes(guarded: Served, judge: Judge) -> None:
    """An unknown op, a wrong type and an unknown tool are each named; then a call is answered."""
    async with connect(guarded.older_socket, proxy=None) as socket:
        await socket.send(json.dumps({"op": "hello", "token": TOKEN}))
        assert json.loads(await socket.recv())["ok"]
        for frame, op in (
            ("{", "error"),
            ('{"op":"spend"}', "error"),
            ('{"op":"call_tool","request_id":"1","name":"spend"}', "call_tool_res"),
            ('{"op":"call_tool","request_id":"2","name":"chat","arguments":[]}', "call_tool_res"),
        ):
            await socket.send(frame)
            said = json.loads(await socket.recv())
            assert op == said["op"]
            assert said.get("remedy") or said["error"]["metadata"]["remedy"]
        call = {"op": "call_tool", "request_id": "3", "name": "chat", "arguments": {"prompt": "Hello?"}}
        await socket.send(json.dumps(call))
        while (said := json.loads(await socket.recv()))["op"] != "call_tool_res":
            pass
    assert ["settled"] == [attempt["outcome"] for attempt in said["receipt"]["attempts"]]
    assert 1 == len(await judge.requests())
