"""Tests of proofs, against simulators that bill honestly and otherwise; only pauses move the clock."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.core.entries import IntentEntry, SettlementEntry
from service.core.money import decimal_text, pico
from service.core.pricing import PriceTable
from service.core.words import ReadingOutcome, VerdictWord
from service.errors import InvalidArgumentsError, MayNotSeeError, NoWalletError
from service.proving.between import by_whom
from service.proving.prover import CallProver
from service.simulator.faults import BillingLag, CutStream, Error, SecondSpender, Undercharge, WrongModel
from tests.proving.conftest import Lab, Laboratory, laboratory
from tests.proving.trying import limited, means, said, tried

KIMI = ("kimi", "kimi", "sim-lab")
GLM = ("glm", "glm", "sim-lab")


async def test_a_balance_of_five_decimals_is_proven_by_one_call(lab: Lab) -> None:
    """One small call moves the counter by enough; both sides and the verdict are entries of the log."""
    proof = (await tried(lab)).proof
    assert (VerdictWord.PROVEN, "P1", 1) == said(proof)
    assert proof.verdict is not None
    assert proof.opening is not None
    assert proof.closing is not None
    assert proof.spent is not None
    assert pico("0.0005") <= pico(proof.spent) < pico("0.002")
    assert ("USD", True, "kimi-k2.6") == (proof.unit, proof.simulated, proof.model)
    assert 0 <= proof.opening.index < proof.closing.index < proof.verdict.index
    assert (proof.opening.index, proof.closing.index) == (proof.verdict.opened, proof.verdict.closed)
    assert ["P1"] == lab.verdicts


async def test_every_line_of_a_simulator_begins_with_the_word(lab: Lab) -> None:
    """Progress tells the opening balance, each call and each wait, in lines, SIMULATED first."""
    lines = (await tried(lab)).lines
    assert all(line.startswith("SIMULATED: ") and line.endswith("\n") for line in lines)
    assert "opening balance 50 USD at 2026-11-22T" in lines[0]
    assert lines[1].startswith("SIMULATED: call 1: 0.00")
    assert "SIMULATED: waited 0 s: no reading after the calls yet\n" == lines[2]
    assert any(" s: moved 0.00" in line and " of 0.00" in line for line in lines)
    assert "s: moved 0.001 of 0.00" in lines[-1]


async def test_nothing_of_it_is_cached(lab: Lab) -> None:
    """A second proof asks with another first word, so it pays for all of its input, too."""
    first, second = (await tried(lab)).proof, (await tried(lab)).proof
    assert (VerdictWord.PROVEN, "P1", 1) == said(first) == said(second)
    assert pico(second.spent or "0") > pico(first.spent or "0") * 9 // 10


async def test_the_books_may_lag(lab: Lab) -> None:
    """It waits until the balance shows the call, and until two readings in a row say the same."""
    lab.fault(BillingLag(seconds=20))
    proof = await tried(lab)
    assert "P1" == proof.proof.code
    assert "SIMULATED: waited 10 s: moved 0 of 0.0" in "".join(proof.lines)


async def test_time_is_up_before_the_books_show_it(lab: Lab) -> None:
    """Where the wait is over first, the verdict says when it is looked at again."""
    lab.fault(BillingLag(seconds=20))
    proof = (await tried(lab, wait_s=5)).proof
    assert (VerdictWord.UNVERIFIED, "U2", 1) == said(proof)


async def test_an_undercharge_is_a_mismatch(lab: Lab) -> None:
    """Once the books are final and short, it says so: two numbers that disagree."""
    lab.fault(Undercharge(factor=0.5))
    proof = (await tried(lab)).proof
    assert (VerdictWord.MISMATCH, "M2", 1) == said(proof)


async def test_somebody_else_spends(lab: Lab) -> None:
    """More moved than the calls explain: that is no proof."""
    lab.fault(SecondSpender(amount="0.25"))
    proof = (await tried(lab)).proof
    assert (VerdictWord.UNVERIFIED, "U3", 1) == said(proof)


async def test_recent_calls_are_outweighed_or_waited_for(lab: Lab) -> None:
    """A dear call a moment ago would blur the movement: it waits until the books hold it."""
    await lab.call(wait_s=0)
    proof = await tried(lab, max_cost="0.02")
    assert "waiting: calls of this wallet may not be in its books yet" in proof.lines[0]
    assert (VerdictWord.PROVEN, "P1", 1) == said(proof.proof)


async def test_the_cap_holds_before_the_first_call(lab: Lab) -> None:
    """Under a cap that no call that helps fits in, none is made."""
    proof = (await tried(lab, max_cost="0.0001")).proof
    assert (VerdictWord.UNVERIFIED, "U12", 0) == said(proof)
    assert "--max-cost" in proof.sentence
    assert [] == lab.entries(IntentEntry)


@pytest.mark.parametrize("max_cost", ["0.002", "0.004", "0.01", "0.05"])
async def test_worst_cases_never_exceed_the_cap(lab: Lab, max_cost: str) -> None:
    """What is settled and the worst case of the next call never come to more than the cap."""
    proof = (await tried(lab, max_cost=max_cost)).proof
    spent = 0
    for intent in lab.entries(IntentEntry):
        assert spent + pico(intent.worst_case.amount) <= pico(max_cost)
        spent += pico(proof.spent or "0") // max(proof.calls, 1)


async def test_a_report_of_nine_decimals_needs_next_to_nothing(open_lab: Laboratory) -> None:
    """The finer the counter, the smaller the call."""
    async with open_lab(keys=[GLM]) as lab:
        proof = (await tried(lab)).proof
    assert (VerdictWord.PROVEN, "P1", 1) == said(proof)
    assert pico(proof.spent or "0") < pico("0.0001")


async def test_a_plan_is_proven_by_its_credits(open_lab: Laboratory) -> None:
    """A counter of whole credits needs some sixty; the plan's default model is one that it rates."""
    async with open_lab(keys=[("plan", "glm", "sim-plan-1")]) as lab:
        lab.move("credits", "1")
        lab.clock.pass_s(3)
        proof = (await tried(lab)).proof
        models = {intent.model for intent in lab.entries(IntentEntry)}
    assert (VerdictWord.PROVEN, "P2", "credits") == (proof.word, proof.code, proof.unit)
    assert {proof.model} == models
    assert pico("50") < pico(proof.spent or "0") < pico("80")


async def test_a_model_that_a_plan_does_not_rate(open_lab: Laboratory) -> None:
    """What nobody can compare is not asked: U7, and the models that would do."""
    async with open_lab(keys=[("plan", "glm", "sim-plan-1")]) as lab:
        proof = (await tried(lab, model="glm-5.3-flash")).proof
    assert (VerdictWord.UNVERIFIED, "U7", 0) == said(proof)
    assert "glm-5.3" in proof.sentence


async def test_a_free_model_proves_nothing(open_lab: Laboratory) -> None:
    """NO CREDIT USED, no call, and the name of a model that is paid for; its provider is the one that is read."""
    async with open_lab(keys=[KIMI, GLM]) as lab:
        proof = (await tried(lab, model="glm-4.7-flash")).proof
        assert [] == lab.entries(IntentEntry)
    assert (VerdictWord.NO_CREDIT_USED, "N4", 0) == said(proof)
    assert "such as glm-5.3-flash" in proof.sentence
    assert "glm" == proof.wallet


async def test_a_model_without_a_price(lab: Lab) -> None:
    """Where no price is known nothing can be compared, so nothing is asked."""
    proof = (await tried(lab, by=means(lab, prices=PriceTable(())))).proof
    assert (VerdictWord.UNVERIFIED, "U7", 0) == said(proof)


async def test_a_revoked_key(tmp_path: Path) -> None:
    """No reading can be had, so no call is made; the remedy is said."""
    async with laboratory(tmp_path, keys=[("kimi", "kimi", "sim-revoked-1")]) as lab:
        proof = (await tried(lab)).proof
        assert {ReadingOutcome.REFUSED} == {reading.outcome for reading in lab.readings}
    assert (VerdictWord.UNVERIFIED, "U4", 0) == said(proof)
    assert "HTTP 401" in proof.sentence
    assert "KIMI_API_KEY" in proof.sentence


async def test_the_first_wallet_that_can_be_proved(tmp_path: Path) -> None:
    """Where nobody names a wallet, one that cannot be read is passed over."""
    async with laboratory(tmp_path, keys=[("revoked", "kimi", "sim-revoked-1"), GLM]) as lab:
        proof = (await tried(lab)).proof
    assert ("glm", "P1") == (proof.wallet, proof.code)


async def test_the_second_wallet_of_a_provider(tmp_path: Path) -> None:
    """The wallet that is named pays, whichever comes first."""
    async with laboratory(tmp_path, keys=[KIMI, ("other", "kimi", "sim-other")]) as lab:
        proof = (await tried(lab, wallet="other")).proof
        assert {"other"} == {intent.wallet for intent in lab.entries(IntentEntry)}
    assert ("other", "P1") == (proof.wallet, proof.code)


async def test_an_empty_account(tmp_path: Path) -> None:
    """The refusal is the answer: no credit was used; it may be a plan's key on the pay-as-you-go host."""
    async with laboratory(tmp_path, keys=[("empty", "glm", "sim-empty-1")]) as lab:
        proof = (await tried(lab)).proof
    assert (VerdictWord.NO_CREDIT_USED, "N3", 1) == said(proof)
    assert 'set base_url = "http://127.0.0.1:' in proof.sentence
    assert "/api/coding/paas/v4" in proof.sentence


async def test_a_call_in_doubt_is_held_against_the_counter(lab: Lab) -> None:
    """A lost answer ends the calls; what may have been billed is judged, not repeated."""
    lab.fault(CutStream(chunks=1))
    proof = (await tried(lab)).proof
    assert VerdictWord.UNVERIFIED is proof.word
    (intent,) = lab.entries(IntentEntry)
    assert (1, None, intent.worst_case.amount) == (proof.calls, proof.spent, proof.at_most)


async def test_what_was_spent_is_what_the_receipt_says(lab: Lab) -> None:
    """The amount is the settlements', not a sum of the proof's own; each line of progress has its own."""
    told = await tried(lab)
    settled = [entry.cost.amount for entry in lab.entries(SettlementEntry)]
    assert decimal_text(sum(map(pico, settled))) == told.proof.spent
    assert [f"SIMULATED: call {at}: {amount} USD\n" for at, amount in enumerate(settled, 1)] == [
        line for line in told.lines if line.startswith("SIMULATED: call ")
    ]


async def test_the_opening_is_no_reading_after_the_calls(lab: Lab) -> None:
    """Where the counter may not be asked again in the time given, there is no closing reading; that is said."""
    still = means(lab, pause=asyncio.sleep)
    told = await tried(lab, by=still, wait_s=0)
    assert (VerdictWord.UNVERIFIED, "U1", 1) == said(told.proof)
    assert told.proof.opening is not None
    assert told.proof.closing is None
    assert "No reading after the calls was had in the time given" in told.proof.sentence
    assert "waited 0 s: no reading after the calls yet\n" in told.lines[-1]


async def test_a_counter_that_fails_after_the_calls(lab: Lab) -> None:
    """What it said before stands as the opening alone; the failure is named."""

    async def pause(seconds: float) -> None:
        lab.clock.pass_s(seconds + 0.01)
        lab.fault(Error(status=500, on="account"))

    told = await tried(lab, by=means(lab, pause=pause), wait_s=1)
    assert (VerdictWord.UNVERIFIED, "U4", None) == (told.proof.word, told.proof.code, told.proof.closing)
    assert "HTTP 500" in told.proof.sentence


async def test_a_refused_second_reading_keeps_the_first(lab: Lab) -> None:
    """Where the counter answers no more, what it said before stands, and nothing is PROVEN by it."""
    lab.fault(Error(status=500, on="account"))
    lab.clock.pass_s(1)
    proof = (await tried(lab)).proof
    assert (VerdictWord.UNVERIFIED, "U4", 0) == said(proof)


@pytest.mark.parametrize("asked", [{"max_cost": "0"}, {"max_cost": "much"}, {"wait_s": -1.0}, {"wallet": "none"}])
async def test_what_makes_no_sense_is_refused(lab: Lab, asked: dict[str, Any]) -> None:
    """Before anything is read or sent."""
    with pytest.raises(InvalidArgumentsError):
        await tried(lab, **asked)
    assert [] == lab.entries(IntentEntry)


async def test_no_wallet_at_all(lab: Lab) -> None:
    """Says which variables to set."""
    with pytest.raises(NoWalletError) as caught:
        await tried(lab, by=means(lab, wallets=()))
    assert "KIMI_API_KEY" in caught.value.remedy


async def test_no_window_outweighs_the_calls_own_record(lab: Lab) -> None:
    """Where another model answered, the proof says what the receipt says, however the balance moved."""
    lab.fault(WrongModel())
    proof = (await tried(lab)).proof
    assert proof.verdict is not None
    assert VerdictWord.PROVEN is proof.verdict.word
    assert (VerdictWord.MISMATCH, "M3", 1) == said(proof)


async def test_a_relay_proves_nothing(lab: Lab) -> None:
    """What a real key's calls at another host than the provider's own come to is U14, not PROVEN."""
    verdict = (await tried(lab)).proof.verdict
    assert verdict is not None
    relay = msgspec.structs.replace(lab.wallet, simulated=False, own_host=False)
    own = msgspec.structs.replace(relay, own_host=True)
    word, code, sentence = by_whom(relay, verdict)
    assert (VerdictWord.UNVERIFIED, "U14") == (word, code)
    assert verdict.sentence in sentence
    assert (VerdictWord.PROVEN, "P1", verdict.sentence) == by_whom(own, verdict)


async def test_balances_and_receipts(lab: Lab) -> None:
    """A caller's prover tells the newest readings of each wallet, and the receipts of its own calls alone."""
    call = await lab.call()
    await lab.later(3)
    mine = CallProver(means(lab), owner="owner", tool_call_id="0" * 32)
    other = CallProver(means(lab), owner="somebody", tool_call_id="0" * 32)
    sees_all = CallProver(means(lab), owner=None, tool_call_id="0" * 32)
    with pytest.raises(MayNotSeeError) as caught:
        await mine.balances(None, fresh=True)
    assert "the scope read" in caught.value.remedy
    (balance,) = await sees_all.balances(None, fresh=False)
    assert ("kimi", "kimi", "USD", True) == (balance.wallet, balance.provider, balance.currency, balance.simulated)
    assert ["balance", "account"] == [reading.counter for reading in balance.readings]
    lab.clock.pass_s(1)
    (fresh,) = await sees_all.balances("kimi", fresh=True)
    assert fresh.readings[0].index > balance.readings[0].index
    receipt = await mine.receipt(call.tool_call_id)
    assert "P1" == receipt["verdict"]["code"]
    with pytest.raises(InvalidArgumentsError):
        await other.receipt(call.tool_call_id)


async def test_a_limited_client_proves_without_a_balance(lab: Lab) -> None:
    """What moved between its own two readings is told; what the account holds is neither there nor in any line."""
    await lab.call()  # a wider window, which tells of others' calls, begins before
    proof, lines = await limited(lab)
    assert (VerdictWord.PROVEN, "P1", 1) == said(proof)
    assert proof.verdict is not None
    assert proof.verdict.sums is not None
    assert proof.opening is not None
    assert proof.closing is not None
    assert (proof.opening.index, proof.closing.index) == (proof.verdict.opened, proof.verdict.closed)
    assert 1 == proof.verdict.sums.attempts
    held = {
        figure.amount
        for index in (proof.opening.index, proof.closing.index)
        for figure in (lab.reading.reading(index) or proof.opening).figures
    }
    told = msgspec.json.encode(proof).decode() + "".join(lines)
    assert [] == [amount for amount in held - {"0"} if f'"{amount}"' in told or f" {amount} " in told]
    assert any("opening balance read at" in line for line in lines)


async def test_balances_that_are_asked_for_are_judged(lab: Lab) -> None:
    """A fresh reading decides what waited for it; else a better one would wait for the next call."""
    await tried(lab)
    call = await lab.call()
    lab.clock.pass_s(3)
    await CallProver(means(lab), owner=None, tool_call_id="0" * 32).balances("kimi", fresh=True)
    assert "U1" != lab.code(call)
