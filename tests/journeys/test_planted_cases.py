"""Planted cases: what is wrong at the provider, or only looks so, and what must be said of it.

A whole service with one wallet and a simulator beside it: a client calls, something happens, counters are read.
Each case says which codes its calls must bear then, and which verdicts the wallet's windows must have had.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import service.app
from service.calling.inquiring import Inquirer
from service.calling.wire import Deadlines, Wire
from service.core.shapes import Tool, ToolResult
from service.core.verdict import word_of
from service.equipment import load_providers, load_tools
from service.pricelist import load_prices
from service.proving.doctor import examine
from tests.accounts import Said
from tests.deriving import Derived, numbers
from tests.planting import (
    GLM,
    KIMI,
    LONG,
    MISPLACED,
    PLAN,
    REAL,
    REAL_PLAN,
    MovingClock,
    Paying,
    Plot,
    planted,
    stubbing,
)
from tests.plants import (
    OF_PLAN,
    WORDY,
    Plant,
    asks_twice,
    calls,
    calls_after_a_theft,
    calls_before_and_after_a_theft,
    doubts,
    doubts_beside_another,
    draws_a_package,
    hides_the_balance,
    lived,
    miscounts,
    moves,
    repeats_its_id,
    replays_a_signature,
    revokes,
    steals,
    uses_up,
)


class Case(NamedTuple):
    """What is planted, and what must be said.

    Attributes:
        told: at each stage, the codes of the calls, and those of the windows, in order.
    """

    paying: Paying
    plant: Plant
    told: tuple[tuple[str, str], ...]


LAG = {"kind": "billing_lag", "seconds": 20}
OVER, UNDER, TWICE = ({"kind": kind} for kind in ("overcharge", "undercharge", "double_bill"))
CASES = {
    "honest": Case(KIMI, calls(), (("P1", "P1"),)),
    "honest, at GLM": Case(GLM, calls(), (("P1", "P1"),)),
    "a plan whose quota moves": Case(PLAN, calls(**OF_PLAN), (("P2", "P2"),)),
    "a plan, and a small call": Case(PLAN, calls(model="glm-5.3"), (("U8", "U8"),)),
    "a plan that is used up": Case(PLAN, uses_up, (("U8", "U3 U8"),)),
    "a package of tokens": Case(GLM, draws_a_package, (("P3", "P3"),)),
    "a small call": Case(KIMI, calls(prompt="hello", max_output_tokens=10), (("U12", "U12"),)),
    "overcharge": Case(KIMI, calls(OVER, stages=2), (("U3", "U3"), ("U3", "U3"))),
    "overcharge of a plan": Case(PLAN, calls(OVER, stages=2, **OF_PLAN), (("U3", "U3"), ("M9", "U3 M9"))),
    "undercharge": Case(KIMI, calls(UNDER, stages=2), (("U2", "U2"), ("M2", "U2 M2"))),
    "undercharge, at GLM": Case(GLM, calls(UNDER, stages=2), (("U2", "U2"), ("M2", "U2 M2"))),
    "undercharge of a plan": Case(PLAN, calls(UNDER, stages=2, **OF_PLAN), (("U2", "U2"), ("M2", "U2 M2"))),
    "double bill": Case(KIMI, calls(TWICE, stages=2), (("U3", "U3"), ("U3", "U3"))),
    "double bill of a plan": Case(PLAN, calls(TWICE, stages=2, **OF_PLAN), (("U3", "U3"), ("M9", "U3 M9"))),
    "second spender": Case(KIMI, calls({"kind": "second_spender"}, stages=2), (("U3", "U3"), ("U3", "U3"))),
    "stolen key": Case(KIMI, steals(), (("", "U3"),)),
    "stolen plan key": Case(PLAN, steals("credits", amount="300"), (("", "U3"),)),
    "stolen key, between calls": Case(KIMI, calls_after_a_theft, (("P1 P1", "P1 U3 P1"),)),
    "second spender, for a while": Case(KIMI, calls_before_and_after_a_theft, (("U3 P1", "U3 P1"),)),
    "top-up": Case(KIMI, moves("topup", amount="10"), (("P1", "P1"),)),
    "top-up, at GLM": Case(GLM, moves("topup", amount="10"), (("P1", "P1"),)),
    "voucher": Case(KIMI, moves("voucher", amount="10"), (("U13", "U13"),)),
    "voucher, at GLM": Case(GLM, moves("voucher", amount="10"), (("P1", "P1"),)),
    "lag longer than usual": Case(KIMI, calls(LAG, stages=2), (("U2", "U2"), ("P1", "U2 P1"))),
    "lag of a plan": Case(PLAN, calls(LAG, stages=2, **OF_PLAN), (("U2", "U2"), ("P2", "U2 P2"))),
    "plan key where nothing pays": Case(MISPLACED, calls(), (("N3", ""),)),
    "free model": Case(GLM, calls(model="glm-4.7-flash"), (("N4", ""),)),
    "revoked key": Case(KIMI, revokes, (("U4 N3", "U4"),)),
    "no balance route": Case(KIMI, hides_the_balance, (("U4", "U4"),)),
    "stored answer": Case(KIMI, asks_twice, (("P1 N12", "P1"),)),
    "one id twice": Case(KIMI, repeats_its_id, (("M4 M4", "P1"),)),
    "one id twice, at GLM": Case(GLM, repeats_its_id, (("M4 M4", "P1"),)),
    "wrong model": Case(KIMI, calls({"kind": "wrong_model"}), (("M3", ""),)),
    "implausible usage": Case(KIMI, calls({"kind": "wrong_usage", "factor": 1000}), (("M1", ""),)),
    "other counts": Case(PLAN, miscounts, (("U2", "U2"), ("M7", "U2 M7"))),
    "no signature": Case(KIMI, calls({"kind": "no_headers"}), (("P1", "P1"),)),
    "invalid signature": Case(KIMI, replays_a_signature(after_s=0), (("P1 M8", "P1"),)),
    "replayed signature": Case(KIMI, replays_a_signature(after_s=1000), (("P1 M8", "P1"),)),
    "in doubt, billed": Case(KIMI, doubts(WORDY, billed=True), (("U6", ""), ("U16", ""))),
    "in doubt, billed, at GLM": Case(GLM, doubts("hello", billed=True), (("U6", ""), ("U16", ""))),
    "in doubt, not billed": Case(KIMI, doubts(WORDY, billed=False), (("U6", ""), ("N14", ""))),
    "in doubt, too small": Case(KIMI, doubts("hello", billed=True), (("U6", ""), ("U6", ""))),
    "in doubt, two alike": Case(GLM, doubts("hello", "hullo", billed=True), (("U6 U6", ""), ("U6 U6", ""))),
    "in doubt beside another": Case(KIMI, doubts_beside_another, (("U12 U6", "U12"), ("P1 N14", "U12 P1"))),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_is_planted_is_said(name: str, tmp_path: Path) -> None:
    """And nothing else, at each stage; each number said is one of the log's."""
    paying, plant, told = CASES[name]
    async with planted(tmp_path / "data", paying) as plot:
        found = [await said(plot) async for _ in plant(plot)]
    assert list(told) == found


async def said(plot: Plot) -> tuple[str, str]:
    """Give the codes of calls and windows, once all else that is said of them was held against the log."""
    derived = Derived(plot.entries())
    windows = (await plot.reconciled())["windows"][::-1]
    of_windows = set[Decimal]()
    for entry in derived.windows:
        derived.sentence(entry)
        of_windows |= derived.window(entry)
    for shown in windows:
        check_verdict(shown, simulated=shown["simulated"])
        assert shown["wallet"] == "main"
    await check_page(plot, "/console/reconcile", simulated=plot.wallet.simulated)
    for receipt in [await plot.receipt(one) for one in plot.called]:
        await check_page(plot, f"/console/calls/{receipt['tool_call_id']}", simulated=receipt["simulated"])
        check_verdict(receipt["verdict"], simulated=receipt["simulated"])
        assert numbers(receipt["verdict"]["sentence"]) <= of_windows | derived.call(receipt["tool_call_id"])
    return " ".join(await plot.codes()), " ".join(shown["code"] for shown in windows)


async def check_page(plot: Plot, path: str, *, simulated: bool) -> None:
    """The page can be read, and what was simulated bears its mark there, too."""
    assert ("SIMULATED" in await plot.page(path)) >= simulated


def check_verdict(verdict: Said, *, simulated: bool) -> None:
    """The word is that of the code, and whatever a simulator says bears its mark."""
    assert word_of(verdict["code"]).value == verdict["word"]
    assert simulated is verdict["sentence"].startswith("SIMULATED: ")


async def test_a_replay_says_when_it_was_signed(tmp_path: Path) -> None:
    """An old signature is known by its time, one of a moment ago by the provider's own word."""
    sentences = []
    for after_s in (0, 1000):
        async with planted(tmp_path / str(after_s), KIMI) as plot:
            await lived(replays_a_signature(after_s=after_s), plot)
            receipt = await plot.receipt(plot.called[-1])
        (attempt,) = receipt["attempts"]
        assert "fail" == state_of(attempt, "answered")
        sentences.append(attempt["verdict"]["sentence"])
    assert "The provider says that the signature on this answer is not its own" in sentences[0]
    assert "an old answer may have been given again" in sentences[1]


async def test_a_missing_signature_is_no_mismatch(tmp_path: Path) -> None:
    """It is not available, and money is judged all the same."""
    async with planted(tmp_path / "data", KIMI) as plot:
        await lived(calls({"kind": "no_headers"}), plot)
        (attempt,) = (await plot.receipt(plot.called[0]))["attempts"]
    assert (None, "not available", "pass") == (
        attempt["signature"],
        state_of(attempt, "answered"),
        state_of(attempt, "settled"),
    )


@pytest.mark.parametrize("billed", [True, False])
async def test_a_doubt_is_resolved_by_what_was_billed(billed: bool, tmp_path: Path) -> None:  # noqa: FBT001 - parametrized
    """To the digit where the counter shows every digit; the call's page says by which readings."""
    async with planted(tmp_path / "data", GLM) as plot:
        await lived(doubts("hello", billed=billed), plot)
        (attempt,) = (await plot.receipt(plot.called[0]))["attempts"]
        (account,) = plot.simulator.world.books.accounts.values()
        (resolution,) = [entry for entry in plot.entries() if entry["kind"] == "resolution"]
    assert Decimal(account.totals["billed"]) / 10**9 == Decimal(attempt["cost"]["amount"])
    assert ("reconciled", "readings") == (attempt["outcome"], attempt["resolution"]["source"])
    assert resolution["by"] == attempt["resolution"]["by"]


PRICES = """
[[price]]
provider = "glm"
host = "api.z.ai"
model = "glm-5.3"
currency = "USD"
uncached_input = "0.7"
cached_input = "0.13"
output = "2.2"
valid_to = "2027-03-01T03:10:00Z"
source = "the first weeks, at half price"

[[price]]
provider = "glm"
host = "api.z.ai"
model = "glm-5.3"
currency = "USD"
uncached_input = "1.4"
cached_input = "0.26"
output = "4.4"
valid_from = "2027-03-01T03:10:00Z"
source = "afterwards"
"""


async def test_a_price_change_between_two_calls(tmp_path: Path) -> None:
    """Each call costs what held when it was made, and one window proves both."""
    (tmp_path / "prices.toml").write_text(PRICES)
    async with planted(tmp_path / "data", GLM, prices=tmp_path / "prices.toml") as plot:
        plot.fault({"kind": "undercharge", "factor": 0.5, "next": 1})  # the provider's own half price
        await plot.call(model="glm-5.3")
        plot.clock.move(600)
        await plot.call(model="glm-5.3")
        await plot.read()
        assert ("P1 P1", "P1") == await said(plot)
        receipts = [await plot.receipt(one) for one in plot.called]
        amounts = [Decimal(receipt["totals"][0]["amount"]) for receipt in receipts]
        usages = [receipt["attempts"][0]["usage"] for receipt in receipts]
    assert usages[0] == usages[1]
    assert amounts[0] * 2 == amounts[1]


class Phantom:
    """A tool that answers without asking anybody."""

    name = "phantom"
    title = "A phantom"
    description = "Answers from nowhere."
    input_schema: Mapping[str, Any] = {"type": "object", "additionalProperties": False}
    output_schema: Mapping[str, Any] | None = None
    annotations: Mapping[str, bool] = {}
    needs_model = True

    async def run(self, *_asked: object, **_ways: object) -> ToolResult:
        """Make an answer up."""
        return ToolResult(text="It is 42.")


async def test_a_revoked_key_leaves_its_wallet_blind(tmp_path: Path) -> None:
    """The page of windows says so, since when, and what helps."""
    async with planted(tmp_path / "data", KIMI) as plot:
        await lived(revokes, plot)
        (wallet,) = (await plot.reconciled())["wallets"]
    assert (True, None, {"balance", "account"}) == (
        wallet["blind"],
        wallet["read_at"],
        {failure["counter"] for failure in wallet["failures"]},
    )
    assert all("401" in failure["said"] and failure["remedy"] for failure in wallet["failures"])
    assert "U4" == wallet["verdict"]["code"]


async def test_a_phantom_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good answer that only a model can give, without a request, is a MISMATCH from its first receipt on."""
    tools: dict[str, Tool] = {**load_tools(), "phantom": Phantom()}
    monkeypatch.setattr(service.app, "load_tools", lambda: tools)
    async with planted(tmp_path / "data", KIMI) as plot:
        result = await plot.call(tool="phantom")
        await plot.read()
        assert ("M5", "") == await said(plot)
        assert [] == plot.simulator.world.books.requests
    assert "It is 42." == result["content"][0]["text"]
    assert ("MISMATCH", 0) == (
        result["_meta"]["exai/receipt"]["verdict"]["word"],
        result["_meta"]["exai/receipt"]["provider_calls"],
    )


@pytest.mark.parametrize(
    ("paying", "key", "asked"),
    [(REAL, "sim-stub", {"prompt": LONG}), (REAL_PLAN, "sim-plan-stub", OF_PLAN)],
    ids=["by tokens", "by plan"],
)
async def test_a_stub_is_never_proven(paying: Paying, key: str, asked: dict[str, Any], tmp_path: Path) -> None:
    """Its answers, signatures and counters agree to the last digit; it is not the provider's host all the same."""
    clock = MovingClock()
    async with stubbing(key, clock) as root, planted(tmp_path / "data", paying, clock=clock, root=root) as plot:
        await plot.call(**asked)
        for after_s in (1000, 3 * 86_400):
            await plot.read(after_s=after_s)
            assert ("U14", "") == await said(plot)
        receipt = await plot.receipt(plot.called[0])
    assert receipt["simulated"] is False
    assert "not available" == state_of(receipt["attempts"][0], "sent")
    assert "which is not" in receipt["verdict"]["sentence"]


async def test_a_plan_key_on_the_other_path_is_told_its_own(tmp_path: Path) -> None:
    """The call cost nothing, and the doctor names the address where the plan pays."""
    async with planted(tmp_path / "data", MISPLACED) as plot:
        await plot.call()
        wire = Wire(Deadlines(), body_bytes_max=2**20)
        provider = load_providers()["glm"]
        seen = await examine(Inquirer(wire), plot.wallet, provider, load_prices(), plot.clock)
        await wire.close()
        own = f"{plot.simulator.url}{PLAN.path}"
    assert any(own in finding.remedy for finding in seen.findings), seen.findings


def state_of(attempt: Said, check: str) -> str:
    """Say how one of the six checks of an attempt ended."""
    state: str = next(one["state"] for one in attempt["checks"] if one["name"] == check)
    return state
