"""A proof's window is judged as the log's own: by earlier calls, other wallets, packages, earlier findings."""

import secrets
from typing import TYPE_CHECKING

import msgspec
import pytest

from service.core.books import ReadingEntry, VerdictEntry
from service.core.entries import IntentEntry, SettlementEntry
from service.core.money import pico
from service.core.times import NS_PER_S
from service.core.usage import Usage
from service.core.words import ReadingCause, VerdictWord
from service.proving.between import committed
from service.simulator.faults import BillingLag, CutStream, SecondSpender, Undercharge
from tests.proving.conftest import LONG
from tests.proving.test_scales import Altering, saying
from tests.proving.trying import limited, means, said, tried

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.core.wallet import Wallet
    from service.core.window import Found
    from tests.proving.conftest import Lab, Laboratory

KIMI = ("kimi", "kimi", "sim-lab")
GLM = ("glm", "glm", "sim-lab")
PLAN = ("plan", "glm", "sim-plan-1")
BEIJING_PEAK_NS = 1_795_413_600_000_000_000  # 2026-11-23T06:00:00Z, 14:00 in Beijing, a Monday


def only_show_until_now(lab: "Lab") -> None:
    """Let the counters say what they said just before the last call's bill, and what comes now later still."""
    billed_ns, _, _ = lab.account.moves[-1]
    lag_s = (lab.clock.at_ns - billed_ns) / 1e9 + 3
    lab.fault(BillingLag(seconds=lag_s), Undercharge(factor=0))


@pytest.mark.parametrize("key", [KIMI, GLM])
@pytest.mark.parametrize("was", ["judged", "not judged"])
async def test_a_late_bill_proves_no_call_that_nobody_billed(
    key: tuple[str, str, str], was: str, open_lab: "Laboratory"
) -> None:
    """It comes in the proof's window, as high as its own call's would be; the proof says what the log says."""
    async with open_lab(keys=[key]) as lab:
        await lab.read(cause=ReadingCause.START)
        lab.fault(BillingLag(seconds=300))
        # Its window comes short: the log says so, or only a wider window that ends with the next proof does.
        by = means(lab) if was == "judged" else means(lab, reconciler=Watched(lab, writes=False))
        assert "U2" == (await tried(lab, by=by, wait_s=4.0)).proof.code
        assert (["U2"] if was == "judged" else []) == lab.verdicts
        lab.clock.pass_s(3)
        only_show_until_now(lab)
        proof = (await tried(lab)).proof
        assert (VerdictWord.UNVERIFIED, 1) == (proof.word, proof.calls)
        for seconds in (5, 30, 60):
            await lab.later(seconds)
        assert not {"P1", "P2"}.intersection(lab.verdicts)
        assert "M2" == lab.verdicts[-1]


def at_peak(lab: "Lab", model: str, usage: Usage) -> int:
    """Say what the plan counts for a usage at peak hours."""
    counters = lab.proving.providers["glm"].counters
    drawn = counters.drawn_pico(plan="coding", model=model, usage=usage, at_ns=BEIJING_PEAK_NS)
    assert drawn is not None
    return drawn


class Watched:
    """A reconciler that is watched.

    Args:
        lab: whose.
        writes: whether what it finds is written down.
        proven: is called once a window was PROVEN for the first time.
    """

    def __init__(self, lab: "Lab", *, writes: bool = True, proven: "Callable[[], None] | None" = None) -> None:
        self._inner = lab.proving.reconciler
        self._writes = writes
        self._proven = proven
        self.proven = 0

    async def reconcile(self, wallet: "Wallet") -> VerdictEntry | None:
        """Pass it on, or forget it."""
        return await self._inner.reconcile(wallet) if self._writes else None

    async def between(
        self, wallet: "Wallet", opening: tuple[ReadingEntry, ...], closing: tuple[ReadingEntry, ...]
    ) -> "Found | None":
        """Pass it on."""
        found = await self._inner.between(wallet, opening, closing)
        if found is not None and found.verdict.word is VerdictWord.PROVEN:
            self.proven += 1
            if self.proven == 1 and self._proven is not None:
                self._proven()
        return found


async def test_one_reading_that_proves_is_not_enough(lab: "Lab") -> None:
    """The next one must say the same: what comes after the first is told."""

    def spend() -> None:
        lab.fault()
        lab.move("elsewhere", "0.25")

    lab.fault(BillingLag(seconds=5))
    watched = Watched(lab, proven=spend)
    proof = (await tried(lab, by=means(lab, reconciler=watched))).proof
    assert 1 == watched.proven
    assert (VerdictWord.UNVERIFIED, "U3", 1) == said(proof)


async def test_wallets_of_one_account_are_waited_for_and_counted_in(open_lab: "Laboratory") -> None:
    """What another name of the same account was billed for a moment ago is no movement of the proof's."""
    async with open_lab(keys=[("one", "kimi", "sim-lab"), ("two", "kimi", "sim-lab")]) as lab:
        for name in ("one", "two"):
            await lab.read(name, ReadingCause.START)
        await lab.call(wallet="two", wait_s=0, text=LONG * 4)
        told = await tried(lab, wallet="one", max_cost="0.02")
        assert "waiting: calls of this wallet may not be in its books yet" in told.lines[0]
        assert (VerdictWord.PROVEN, "P1", 1) == said(told.proof)
        assert told.proof.verdict is not None
        assert ("two",) == told.proof.verdict.shared_with


@pytest.mark.parametrize(("status", "code"), [(500, "U15"), (404, "M2")])
async def test_packages_that_cannot_be_seen_may_have_paid(status: int, code: str, open_lab: "Laboratory") -> None:
    """Where their counter fails a shortage is no MISMATCH of the proof's; where there is none, it is."""
    async with open_lab(keys=[GLM]) as lab:
        lab.move("package", tokens=1_000_000)
        Altering(lab, "tokenAccounts", saying({}, status))
        proof = (await tried(lab)).proof
    assert code == proof.code


async def test_what_was_judged_before_is_laid_to_no_proof(lab: "Lab") -> None:
    """After a MISMATCH that is final a proof is one of its own calls alone."""
    lab.fault(Undercharge(factor=0))
    short = await lab.call()
    await lab.later(3)
    await lab.later(32)
    assert "M2" == lab.code(short)
    lab.fault()
    assert "P1" == (await tried(lab)).proof.code
    assert "M2" == lab.code(short)


async def test_a_plans_doubt_a_moment_ago_blurs_a_proof_no_more_than_it_may_have_drawn(
    open_lab: "Laboratory",
) -> None:
    """Its record bounds it: once the usual lag is over the window is its own."""
    async with open_lab(keys=[PLAN]) as lab:
        lab.move("credits", "1")
        lab.clock.pass_s(3)
        await lab.read(cause=ReadingCause.START)
        lab.fault(CutStream(chunks=1, billed=False))
        await lab.call(on_text=lambda _text: None, model="glm-5.2", text="word", max_output_tokens=20, wait_s=0)
        lab.fault()
        told = await tried(lab)
    assert (VerdictWord.PROVEN, "P2") == (told.proof.word, told.proof.code)


async def test_what_its_edge_may_hide_is_not_proven(lab: "Lab") -> None:
    """Around it more moved than all calls explain, and not before it: a call at its edge may hide that."""
    await lab.call(text="word", max_output_tokens=20, wait_s=0.5)
    lab.fault(SecondSpender(amount="0.0001", next=1))
    proof = (await tried(lab)).proof
    assert proof.verdict is not None
    assert (VerdictWord.UNVERIFIED, "U3", 1) == said(proof)
    assert "cannot be told that none of that is in this movement" in proof.sentence
    assert "P1" not in lab.verdicts


async def test_the_log_is_cited_only_where_it_proves_the_calls(lab: "Lab") -> None:
    """A PROVEN window does, where the proof's own is too small to tell; not where that tells otherwise."""
    lab.fault(SecondSpender(amount="0.25"))
    blurred = await lab.call()
    await lab.later(3)
    lab.fault()
    clear = await lab.call()
    await lab.later(3)
    assert ("U3", "P1") == (lab.code(blurred), lab.code(clear))
    proven = lab.entries(VerdictEntry)[-1]
    own = msgspec.structs.replace(proven, opened=0, closed=1, index=-1)
    by = means(lab)
    assert own == committed(by, blurred.tool_call_id, own)
    assert proven == committed(by, clear.tool_call_id, own)
    assert proven == committed(by, blurred.tool_call_id, msgspec.structs.replace(proven, index=-1))
    assert own == committed(by, "f" * 32, own)
    for code, word in (("U2", "UNVERIFIED"), ("U3", "UNVERIFIED"), ("M7", "MISMATCH")):
        tells = msgspec.structs.replace(own, code=code, word=VerdictWord(word))
        assert tells == committed(by, clear.tool_call_id, tells)
    too_small = msgspec.structs.replace(own, code="U12", word=VerdictWord.UNVERIFIED)
    assert proven == committed(by, clear.tool_call_id, too_small)


async def test_a_limited_clients_proof_is_judged_by_all_calls(open_lab: "Laboratory") -> None:
    """What others are owed keeps its own window from being PROVEN, too; none of their amounts is told."""
    async with open_lab(keys=[KIMI]) as lab:
        await lab.read(cause=ReadingCause.START)
        lab.fault(BillingLag(seconds=300))
        by = means(lab, reconciler=Watched(lab, writes=False))
        await tried(lab, by=by, wait_s=4.0)
        lab.clock.pass_s(3)
        only_show_until_now(lab)
        proof, _ = await limited(lab)
    assert VerdictWord.UNVERIFIED is proof.word
    assert proof.verdict is not None
    assert proof.verdict.sums is not None
    assert 1 == proof.verdict.sums.attempts


async def test_a_plans_cap_holds_whatever_hour_comes(open_lab: "Laboratory") -> None:
    """Chosen a moment before the peak hours, its calls are bounded by what they may count in these."""
    async with open_lab(keys=[PLAN]) as lab:
        lab.move("credits", "1")
        lab.clock.at_ns = BEIJING_PEAK_NS - NS_PER_S // 2

        def entropy(count: int) -> bytes:  # asked for before each call: then it is 14:00
            lab.clock.pass_s(0.5)
            return secrets.token_bytes(count)

        proof = (await tried(lab, by=means(lab, entropy=entropy), max_cost="250")).proof
        left = pico("250")
        for intent, settled in zip(lab.entries(IntentEntry), lab.entries(SettlementEntry), strict=True):
            worst = intent.worst_case
            most = Usage(
                uncached_input_tokens=worst.input_tokens,
                cached_input_tokens=0,
                cache_write_tokens=0,
                output_tokens=worst.output_tokens,
                reasoning_tokens=0,
            )
            assert 0 < at_peak(lab, intent.model, most) <= left
            left -= at_peak(lab, intent.model, settled.usage)
    assert 0 < proof.calls


async def test_a_plan_that_nothing_was_drawn_from_yet(open_lab: "Laboratory") -> None:
    """Its window has no begin: no call is made, and that is said; one call, and the next proof is PROVEN."""
    async with open_lab(keys=[PLAN]) as lab:
        proof = (await tried(lab)).proof
        assert (VerdictWord.UNVERIFIED, "U4", 0) == said(proof)
        assert "Nothing was drawn from the plan's window yet" in proof.sentence
        await lab.call(model="glm-5.2", text="word", wait_s=3)
        proof = (await tried(lab)).proof
        assert (VerdictWord.PROVEN, "P2") == (proof.word, proof.code)
        lab.clock.pass_s(6 * 3600)  # the short window is untouched again, the week's is not
        assert "P2" == (await tried(lab)).proof.code


@pytest.mark.parametrize("key", [KIMI, GLM])
async def test_a_wide_window_that_holds_proves_no_call_that_nobody_billed(
    key: tuple[str, str, str], open_lab: "Laboratory"
) -> None:
    """In the day's traffic one small call is within the tolerance; between the proof's own readings it is not."""
    async with open_lab(keys=[key]) as lab:
        await lab.read(cause=ReadingCause.START)
        lab.fault(CutStream(billed=True, next=1, chunks=0))
        await lab.call(text="x")
        lab.fault()
        for _ in range(12):
            await lab.call(text=LONG * 4)
        await lab.later(5)
        lab.fault(Undercharge(factor=0))
        proof = (await tried(lab)).proof
        assert VerdictWord.PROVEN is not proof.word
        assert proof.opening is not None
        assert proof.verdict is not None
        assert proof.opening.index == proof.verdict.opened
