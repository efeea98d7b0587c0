"""Counters: after hundreds of calls at one time, with every kind of trouble, all accounts of them are the same."""

import asyncio
import csv
import io
import json
import random
from collections import Counter, defaultdict
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import pytest

from tests.accounts import OUTCOME_OF, Export, Said, Sums, agree, unique, without_zeros
from tests.counting import Counted, of_call, of_settlement, total
from tests.processes import Judge, Served, Serving
from tests.speaking import receipt_of, speaking
from tests.stories import Witness, witnessing
from tests.troubles import BODY_BYTES_MAX, DEADLINE_S, FAULTS, REFUSALS, Case, cases, switched

SEED = 20261122
CALLS = 300
UNTROUBLED, CANCELLED = 0.3, 0.06  # parts of them
SESSIONS = 6
AT_ONCE = 32
SWITCHES = 90  # the simulators hold a hundred
FREE_OR_WRONG: tuple[Said, ...] = ({"model": "glm-4.7-flash"}, {"model": "gpt-9"}, {"model": "kimi-k3"}, {})


class Call(NamedTuple):
    """One call of the load: its arguments, whether it is streamed, and whether it is cancelled on its way."""

    arguments: Said
    streamed: bool
    cancelled: bool


class Load(NamedTuple):
    """Every account of the load, taken when all its calls were closed."""

    receipts: list[Said]
    counters: Counted
    calls: dict[str, Any]
    rows: list[dict[str, str]]
    export: Export
    books: dict[str, Any]
    conserved: str


def planned(chance: random.Random) -> tuple[list[Said], list[Call]]:
    """Draw the switches, and the calls that will meet them or nothing."""
    refusals = [case for provider, told in REFUSALS.items() for case in cases(told, provider)]
    drawn: list[Case] = chance.sample([*cases(FAULTS), *refusals], SWITCHES)
    marks = [f"[case {number}]" for number in range(100, 100 + SWITCHES)]
    calls = []
    for number in range(CALLS):
        case, mark = chance.choice([*zip(drawn, marks, strict=True)])
        met = chance.random()
        arguments: Said = {"prompt": f"{case.told.prompt} {mark}", "provider": case.provider}
        if met < UNTROUBLED:
            arguments = {"prompt": f"Call {number}, please.", **chance.choice(FREE_OR_WRONG)}
        calls.append(Call(arguments, streamed=case.way == "streamed", cancelled=chance.random() < CANCELLED))
    return list(map(switched, drawn, marks)), calls


async def _call(served: Served, calls: list[Call]) -> list[Said]:
    """Make some calls in one session, a few at a time; give the receipts of those that are answered."""
    places = asyncio.Semaphore(AT_ONCE // SESSIONS)
    async with speaking(served.socket) as speaker:

        async def one(number: int, call: Call) -> Said | None:
            async with places:
                token = f"t{number}" if call.streamed else None
                sent, answer = await speaker.begin(token, **call.arguments)
                if call.cancelled:
                    await speaker.cancel(sent)
                    return None
                return receipt_of((await speaker.hear(answer))["result"])

        receipts = await asyncio.gather(*(one(number, call) for number, call in enumerate(calls)))
    return [receipt for receipt in receipts if receipt is not None]


async def _look(witness: Witness, served: Served, judge: Judge, receipts: list[Said]) -> Load:
    counters = await witness.counted(CALLS)
    calls = json.loads(await witness.read("/console/calls.json"))
    rows = list(csv.DictReader(io.StringIO(await witness.read("/console/calls.csv"))))
    conserved = await witness.conserved()
    return Load(receipts, counters, calls, rows, Export(await served.export()), await judge.books(), conserved)


@pytest.fixture(scope="module")
def load(serving_long: Serving, simulated: Judge) -> Load:
    """Load a service by some sessions at one time, and ask everybody about it."""

    async def run() -> Load:
        switches, calls = planned(random.Random(SEED))  # noqa: S311 - a plan that can be made again
        await simulated.reset()
        await simulated.fault(*switches)
        served = serving_long(
            EXAI_FIRST_BYTE_TIMEOUT_S=str(DEADLINE_S),
            EXAI_IDLE_TIMEOUT_S=str(DEADLINE_S),
            EXAI_BODY_BYTES_MAX=str(BODY_BYTES_MAX),
            EXAI_ATTEMPTS_MAX="2",
            EXAI_CLIENT_CALLS_IN_FLIGHT_MAX="64",
        )
        shares = [calls[first::SESSIONS] for first in range(SESSIONS)]
        receipts = await asyncio.gather(*(_call(served, share) for share in shares))
        async with witnessing(served) as witness:
            return await _look(witness, served, simulated, [receipt for part in receipts for receipt in part])

    return asyncio.run(run())


def test_ledger_and_books_are_equal(load: Load) -> None:
    """Every request of the books is an attempt, every settlement is its bill, to the last digit."""
    agree(load.export, load.books["requests"])
    assert CALLS == len(load.export.of("tool_call")) == len(load.export.answers)
    ends = load.export.outcomes()
    assert ends.total() == len(load.export.intents)
    assert len(load.books["requests"]) == ends.total() - ends["unsent"]
    assert min(ends[end] for end in ("settled", "refused", "in_doubt")) > CALLS // 10  # the load was a mixed one


def test_doubts_hold_what_was_billed(load: Load) -> None:
    """Wallet by wallet, what is held for attempts in doubt is at least what the books billed for them."""
    arrived = {unique(request): request for request in load.books["requests"]}
    for doubt in load.export.of("doubt"):
        intent = load.export.intents[doubt["attempt_id"]]
        request = arrived[unique(intent)]
        assert Decimal(intent["worst_case"]["amount"]) >= Decimal(request["billed"]["amount"])


def test_counters_are_those_of_the_ledger_and_the_books(load: Load) -> None:
    """Calls and attempts move as the ledger says; tokens and money as the judge's own lines of them say."""
    intents, ends = load.export.intents, load.export.ends
    of: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for attempt_id, end in ends.items():
        intent = intents[attempt_id]
        of[end["tool_call_id"]].append((intent["provider"], intent["model"], OUTCOME_OF[end["kind"]]))
    parts: list[dict[tuple[str, ...], Fraction]] = [
        {key: Fraction(count) for key, count in of_call("chat", answer["outcome"], of[tool_call_id]).items()}
        for tool_call_id, answer in load.export.answers.items()
    ]
    by_unique = load.export.by_unique()
    settled = [one for one in load.books["requests"] if by_unique[unique(one)]["kind"] == "settlement"]
    assert total([*parts, *map(of_settlement, settled)]) == pytest.approx(load.counters, rel=1e-9)
    assert "Entries, counters and spans agree." == load.conserved


def test_json_is_the_ledger(load: Load) -> None:
    """The list of calls has every call with its end, and its totals are the ledger's, wallet by wallet."""
    listed = {call["tool_call_id"]: call for call in load.calls["calls"]}
    assert set(listed) == set(load.export.answers)
    for tool_call_id, answer in load.export.answers.items():
        call = listed[tool_call_id]
        assert (answer["outcome"], answer["zero_reason"]) == (call["outcome"], call["zero_reason"])
    told = {attempt["attempt_id"]: attempt["outcome"] for call in listed.values() for attempt in call["attempts"]}
    assert {name: OUTCOME_OF[end["kind"]] for name, end in load.export.ends.items()} == told
    totals = load.calls["totals"]
    sums = {(one["wallet"], one["currency"]): Decimal(one["cost"]) for one in totals}
    assert without_zeros(load.export.settled()) == without_zeros(sums)
    assert load.export.outcomes()["in_doubt"] == sum(one["in_doubt"] for one in totals)


def test_csv_is_the_ledger(load: Load) -> None:
    """The lines have every attempt with its end and its cost, and every call without attempts once."""
    assert load.export.outcomes() == Counter(row["attempt_outcome"] for row in load.rows if row["attempt_outcome"])
    zeros = Counter(answer["zero_reason"] for answer in load.export.answers.values() if answer["zero_reason"])
    assert zeros == Counter(row["zero_reason"] for row in load.rows if row["zero_reason"])
    sums: Sums = defaultdict(Decimal)
    for row in load.rows:
        if row["cost"]:
            sums[row["wallet"], row["currency"]] += Decimal(row["cost"])
    assert without_zeros(load.export.settled()) == without_zeros(sums)


def test_receipts_are_the_ledger(load: Load) -> None:
    """What each client was told stands in the ledger, at the index and under the hash that it was told."""
    assert CALLS * 0.9 < len(load.receipts)  # all but the cancelled ones
    for receipt in load.receipts:
        answer = load.export.answers[receipt["tool_call_id"]]
        assert (answer["zero_reason"] is None) == bool(receipt["provider_calls"])
        for attempt in receipt["attempts"]:
            place = attempt["ledger"]
            assert load.export.leaves[place["index"]] == place["leaf_hash"]
            assert OUTCOME_OF[load.export.ends[attempt["attempt_id"]]["kind"]] == attempt["outcome"]
