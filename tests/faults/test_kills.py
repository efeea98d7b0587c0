"""Kills: the service dies at random moments under load, and the judge's books hold nothing it does not know.

`EXAI_KILLS` says how often, `EXAI_SEED` which moments. Both are printed.
"""

import asyncio
import os
import random
import secrets
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import WebSocketException

from tests.accounts import OUTCOME_OF, Export, Said, billed, unique
from tests.processes import WAIT_S, Judge, Served, begin_to_serve, end, get_json, serve
from tests.speaking import RECEIPT, LostError, Speaker, receipt_of, speaking

KILLS = int(os.environ.get("EXAI_KILLS", "20"))
SEED = int(os.environ.get("EXAI_SEED") or secrets.randbits(32))
SECONDS_PER_KILL = 10
SESSIONS = 4
CALLS_PER_SESSION = 4
KILLED_IN = ("load", "load", "load", "start", "stop")
ENVIRON = {
    "KIMI_API_KEY": "sim-rich-kills",
    "GLM_API_KEY": "sim-rich-kills",
    "EXAI_CLIENT_CALLS_IN_FLIGHT_MAX": "64",
    "EXAI_FIRST_BYTE_TIMEOUT_S": "0.5",
    "EXAI_IDLE_TIMEOUT_S": "0.5",
    "EXAI_ATTEMPTS_MAX": "2",
}
FAULTS: tuple[Said, ...] = (
    {"kind": "latency", "seconds": 0.05, "next": 20},
    {"kind": "drip", "slice_bytes": 400, "pause_seconds": 0.005, "provider": "glm", "next": 20},
    {"kind": "cut_stream", "chunks": 3, "provider": "kimi", "next": 3},
    {"kind": "error", "status": 429, "type": "rate_limit_reached_error", "provider": "kimi", "next": 2},
    {"kind": "error", "status": 500, "provider": "glm", "next": 2},
    {"kind": "hang", "next": 1},
    {"kind": "garbage", "provider": "glm", "next": 2},
)
ASKED: tuple[Said, ...] = (
    {"provider": "kimi"},
    {"provider": "glm"},
    {"provider": "kimi", "token": "stream"},
    {"provider": "glm", "token": "stream"},
    {"model": "glm-4.7-flash"},
)


@dataclass
class Known:
    """What clients were told before the service died.

    Attributes:
        begun: calls that were sent.
        receipts: of every answer that came.
        turned_away: calls that a stopping service did not admit.
    """

    begun: int = 0
    receipts: list[Said] = field(default_factory=list)
    turned_away: int = 0

    def hear(self, said: Said) -> bool:
        """Keep an answer; without a receipt the call was not admitted. Say whether to go on."""
        admitted = RECEIPT in said["result"].get("_meta", {})
        if admitted:
            self.receipts.append(receipt_of(said["result"]))
        else:
            assert "over_capacity" == said["result"]["structuredContent"]["error"]["code"]
            self.turned_away += 1
        return admitted


async def call_on(speaker: Speaker, known: Known, dice: random.Random) -> None:
    """Call again and again until nobody answers any more."""
    while True:
        asked = dict(dice.choice(ASKED))
        if "token" in asked:
            asked["token"] = f"stream-{known.begun}"
        known.begun += 1
        _, answer = await speaker.begin(prompt=f"Count. sim:words={dice.randint(1, 60)}", **asked)
        said = await asyncio.wait_for(answer, WAIT_S)
        if said is None or not known.hear(said):
            return


async def talk(served: Served, known: Known, dice: random.Random) -> None:
    """Hold one session with calls side by side, until the service is gone."""
    try:
        async with speaking(served.socket) as speaker:
            await asyncio.gather(*(call_on(speaker, known, dice) for _ in range(CALLS_PER_SESSION)))
    except (OSError, WebSocketException, LostError):
        return  # it died before the session was open, or while it was closed


async def kill_under_load(
    folder: Path, environ: dict[str, str], judge: Judge, dice: random.Random, known: Known
) -> str:
    """Start the service, load it, kill it at a random moment; give the phase in which it died."""
    phase = dice.choice(KILLED_IN)
    if phase == "start":
        child, _ = begin_to_serve(folder, environ)
        await asyncio.sleep(dice.uniform(0.2, 0.8))  # the moment is what is random here
        end(child)
        return phase
    await judge.fault(*dice.sample(FAULTS, 4))
    served = serve(folder, environ)
    talks = [asyncio.create_task(talk(served, known, dice)) for _ in range(SESSIONS)]
    await asyncio.sleep(dice.uniform(0.05, 0.7))
    if phase == "stop":
        served.child.terminate()
        await asyncio.sleep(dice.uniform(0, 0.3))
    end(served.child)
    await asyncio.gather(*talks)
    return phase


@dataclass
class After:
    """Every account, when all is over."""

    export: Export
    requests: list[Said]
    page: dict[str, Any]
    known: Known


@pytest.mark.timeout(60 + KILLS * SECONDS_PER_KILL)
async def test_no_kill_loses_doubles_or_invents_anything(judge: Judge, tmp_path: Path) -> None:
    """Nothing is billed without an intent, answered without an end, written twice, or left open."""
    print(f"EXAI_KILLS={KILLS} EXAI_SEED={SEED}")  # noqa: T201 - what repeats a failure must be seen
    dice, known = random.Random(SEED), Known()  # noqa: S311 - moments, not secrets
    environ = {**ENVIRON, **judge.base_urls}
    phases = Counter([await kill_under_load(tmp_path, environ, judge, dice, known) for _ in range(KILLS)])
    after = await _aftermath(judge, tmp_path, environ, known)
    outcomes = dict(after.export.outcomes())
    print(  # noqa: T201 - as above
        f"killed in {dict(phases)}; calls begun {known.begun}, answered {len(known.receipts)},"
        f" turned away {known.turned_away}; requests {len(after.requests)}; attempts {outcomes}"
    )
    _nothing_is_billed_without_an_intent(after)
    _nothing_is_answered_without_an_end(after)
    _nothing_is_doubled(after)
    _nothing_is_left_open(after)
    _every_settlement_is_its_bill(after)


async def _aftermath(judge: Judge, folder: Path, environ: dict[str, str], known: Known) -> After:
    """Start once more, see that calls are served, and take every account."""
    await judge.fault()
    served = serve(folder, environ)
    try:
        async with speaking(served.socket) as speaker:
            result = await speaker.call(prompt="Is all well?")
            assert not result["isError"]
            known.receipts.append(receipt_of(result))
        page = await get_json(f"{served.url}/console/calls.json")
        reasons = (await get_json(f"{served.url}/health"))["reasons"]
        assert [] == [reason for reason in reasons if not reason.startswith("provider ")]  # their faults are told
        assert 0 == await served.stop()
    finally:
        end(served.child)
    status, said = await served.verify()
    assert 0 == status, said
    return After(Export(await served.export()), await judge.requests(), page, known)


def _nothing_is_billed_without_an_intent(after: After) -> None:
    intended = {unique(intent) for intent in after.export.intents.values()}
    assert [] == [request for request in after.requests if unique(request) not in intended]


def _nothing_is_answered_without_an_end(after: After) -> None:
    export = after.export
    for receipt in after.known.receipts:
        assert receipt["tool_call_id"] in export.answers
        for attempt in receipt["attempts"]:
            ended, place = export.ends[attempt["attempt_id"]], attempt["ledger"]
            assert attempt["outcome"] == OUTCOME_OF[ended["kind"]]
            assert (ended["index"], export.leaves[ended["index"]]) == (place["index"], place["leaf_hash"])


def _nothing_is_doubled(after: After) -> None:
    export = after.export
    for names in (
        [unique(request) for request in after.requests],
        [unique(intent) for intent in export.intents.values()],
        [entry["attempt_id"] for entry in export.of("intent")],
        [entry["attempt_id"] for entry in export.of("settlement", "refusal", "unsent", "doubt")],
        [entry["tool_call_id"] for entry in export.of("tool_call")],
        [entry["tool_call_id"] for entry in export.of("answer")],
        [receipt["tool_call_id"] for receipt in after.known.receipts],
    ):
        assert [] == [name for name, count in Counter(names).items() if count > 1]


def _nothing_is_left_open(after: After) -> None:
    export, page = after.export, after.page
    assert set(export.intents) == set(export.ends)
    assert {entry["tool_call_id"] for entry in export.of("tool_call")} == set(export.answers)
    shown = [attempt for call in page["calls"] for attempt in call["attempts"]]
    assert export.outcomes() == Counter(attempt["outcome"] for attempt in shown)
    assert export.outcomes()["in_doubt"] == sum(total["in_doubt"] for total in page["totals"])
    crashed = [entry for entry in export.of("doubt") if entry["cause"] == "crash"]
    assert all(entry["epoch"] > export.intents[entry["attempt_id"]]["epoch"] for entry in crashed)
    epochs = [entry["epoch"] for entry in export.entries]
    assert sorted(epochs) == epochs


def _every_settlement_is_its_bill(after: After) -> None:
    ends, dead = after.export.by_unique(), set()
    for request in after.requests:
        ended = ends[unique(request)]
        if ended["kind"] == "settlement":
            assert Decimal(request["billed"]["amount"]) == Decimal(ended["cost"]["amount"])
        elif ended["kind"] == "doubt":
            dead.add(unique(request))
        else:
            assert Decimal(request["billed"]["amount"]) == 0
    settled = {key: amount for key, amount in after.export.settled().items() if amount}
    assert settled == billed([request for request in after.requests if unique(request) not in dead])
