"""Secrets: a canary in every key and in the token, and not one byte of it anywhere that anybody can read."""

import asyncio
import base64
import hashlib
import json
import secrets
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
from websockets.asyncio.client import connect

from tests.accounts import Export
from tests.collecting import collecting
from tests.processes import Judge, Served, Serving, get, get_json
from tests.speaking import speaking

PLACES = (
    "/",
    "/health",
    "/metrics",
    "/console/",
    "/console/calls",
    "/console/calls.json",
    "/console/calls.csv",
    "/api/v1/",
)


class Canaries(NamedTuple):
    """The three secrets of a run: nobody else could have written them."""

    kimi: str
    glm: str
    token: str

    def traces(self) -> list[bytes]:
        """List every way in which a byte of them may show: whole, in part, and dressed."""
        found = []
        for secret in self:
            tail = secret[-24:]
            found += [tail, tail[:12], tail[12:], quote(secret, safe=""), tail[::-1]]
            for lead in range(3):  # base64 depends on where the secret begins
                found.append(base64.b64encode(b" " * lead + secret.encode()).decode()[4:-4])
        return [one.encode() for one in found]


class Seen(NamedTuple):
    """Everything that could be seen of a service that knew the canaries, by where it was seen."""

    canaries: Canaries
    places: dict[str, bytes]


@pytest.fixture(scope="module")
def seen(serving_long: Serving, simulated: Judge) -> Seen:
    """Let a service use, refuse, echo and lose its secrets, and look everywhere."""

    async def run() -> Seen:
        await simulated.reset()
        canaries = Canaries(*(lead + secrets.token_urlsafe(24) for lead in ("sim-", "sim-", "")))
        async with collecting() as collector:
            served = serving_long(
                KIMI_API_KEY=canaries.kimi,
                GLM_API_KEY=canaries.glm,
                EXAI_WS_TOKEN=canaries.token,
                EXAI_LOG_LEVEL="debug",
                OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            )
            answers = await _call(served, simulated, canaries)
            places = {place: (await get(served.url + place))[1].encode() for place in PLACES}
            for call in (await get_json(f"{served.url}/console/calls.json"))["calls"]:
                for suffix in ("", ".json"):
                    place = f"/console/calls/{call['tool_call_id']}{suffix}"
                    places[place] = (await get(served.url + place))[1].encode()
            assert 0 == await served.stop()
            places["answers"] = json.dumps(answers).encode()
            places["spans"] = b"\n".join(collector.payloads)
        places["export"] = await served.export()
        places |= {str(path): path.read_bytes() for path in served.folder.rglob("*") if path.is_file()}
        return Seen(canaries, places)

    return asyncio.run(run())


async def _call(served: Served, judge: Judge, canaries: Canaries) -> list[object]:
    """Call well, then against errors that echo the key; with a wrong token, a token in the address, a typo."""
    answers: list[object] = []
    async with speaking(served.socket, Authorization=f"Bearer {canaries.token}") as speaker:
        for provider, key in (("kimi", canaries.kimi), ("glm", canaries.glm)):
            answers.append(await speaker.call(prompt="Hello?", provider=provider))
            echo = f"Incorrect API key provided: {key}. Header was 'Bearer {key}'."
            for status in (401, 200):
                fault = {"kind": "error", "status": status, "message": echo, "provider": provider, "next": 1}
                await judge.fault(fault)
                answers.append(await speaker.call(prompt="Is this key good?", provider=provider))
            await judge.fault({"kind": "wrong_model", "model": f"model-{key}", "provider": provider, "next": 1})
            answers.append(await speaker.call(prompt="Who are you?", provider=provider))
            await judge.fault({"kind": "redirect", "to": f"http://127.0.0.1:9/?key={key}", "next": 1})
            answers.append(await speaker.call(prompt="Where are you?", provider=provider))
    answers.append(await get(f"{served.url}/mcp?token={canaries.token}", Upgrade="websocket"))
    answers.append(await get(f"{served.url}/mcp", Upgrade="websocket", Authorization=f"Bearer x{canaries.token}"))
    async with connect(served.older_socket, proxy=None) as socket:
        await socket.send(json.dumps({"op": "hello", "token": canaries.token + "x"}))
        answers.append(await socket.recv())
    return answers


def test_the_canaries_flew(seen: Seen) -> None:
    """The calls were what they should be, and where a secret may show it does as its fingerprint."""
    export = Export(seen.places["export"])
    assert 10 == len(export.answers)
    assert {"settled", "refused", "in_doubt"} == set(export.outcomes())
    for key in (seen.canaries.kimi, seen.canaries.glm):
        assert hashlib.sha256(key.encode()).hexdigest()[:8].encode() in seen.places["export"]
    assert b"Incorrect API key" in seen.places["answers"]


def test_no_byte_of_a_secret_is_to_be_seen(seen: Seen) -> None:
    """Files, logs, pages, metrics, receipts, export, spans and errors: none holds a secret or half of one."""
    assert {"answers", "spans", "export", "/metrics", "/health", *PLACES} <= set(seen.places)
    names = {Path(place).name for place in seen.places}
    assert {"stdout", "stderr"} <= names
    assert any(name.endswith((".db", ".sqlite", ".sqlite3")) for name in names), names
    traces = seen.canaries.traces()
    assert [] == [place for place, shown in seen.places.items() if any(trace in shown for trace in traces)]


def test_a_leak_would_be_found(seen: Seen) -> None:
    """The search finds each secret in a line of a log, in an address and in a basic header."""
    traces = seen.canaries.traces()
    for secret in seen.canaries:
        for leak in (
            f"ERROR Bearer {secret} was refused".encode(),
            f"GET /?key={quote(secret)}".encode(),
            base64.b64encode(f"user:{secret}".encode()),
        ):
            assert any(trace in leak for trace in traces)
