"""The reconciler, against simulators that bill honestly and otherwise."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from service.core.books import VerdictEntry
from service.core.entries import ResolutionEntry
from service.core.words import ReadingCause
from service.errors import LedgerClosedError
from service.proving import holdings
from service.simulator.faults import (
    BillingLag,
    CutStream,
    DoubleBill,
    Overcharge,
    SameId,
    SecondSpender,
    Undercharge,
)
from tests.proving.conftest import LONG

if TYPE_CHECKING:
    from tests.proving.conftest import Lab, Laboratory, Played


async def test_a_call_is_proven_by_the_reading_after_it(lab: "Lab") -> None:
    """One honest call between two readings is PROVEN, and the verdict's numbers are those of entries."""
    call = await lab.call()
    assert "U1" == lab.code(call)
    found = await lab.later(3)
    assert found is not None
    assert "P1" == found.code
    assert "P1" == lab.code(call)
    assert found.sums is not None
    assert 1 == found.sums.attempts
    assert found.sentence.startswith("SIMULATED")
    assert abs(lab.billed - type(lab.billed)(found.sums.surely)) < type(lab.billed)("0.00001")


async def test_an_idle_wallet_writes_readings_alone(lab: "Lab") -> None:
    """Where nothing is called and nothing moves, no verdict is written, however often the counters are read."""
    for _ in range(5):
        assert await lab.later(900) is None
    assert [] == lab.verdicts


async def test_a_proven_window_is_told_once(lab: "Lab") -> None:
    """Reading again says nothing new of what is proven."""
    await lab.call()
    await lab.later(3)
    for _ in range(3):
        assert await lab.later(60) is None
    assert ["P1"] == lab.verdicts


async def test_a_lag_longer_than_usual_is_waited_out(lab: "Lab") -> None:
    """A call that the books do not show yet is U2, with the time of the next look; then it is proven."""
    lab.fault(BillingLag(seconds=20))
    call = await lab.call()
    found = await lab.later(3)
    assert found is not None
    assert "U2" == found.code
    assert lab.proving.reconciler.due_ns(lab.wallet) is not None
    await lab.later(20)
    assert "P1" == lab.code(call)


async def test_an_undercharge_is_a_mismatch_once_the_books_are_final(lab: "Lab") -> None:
    """The balance moved by less than the tokens told: U2 while it may still move, then M2, and never again."""
    lab.fault(Undercharge(factor=0.5))
    call = await lab.call()
    await lab.later(3)
    assert "U2" == lab.code(call)
    await lab.later(31)
    assert "M2" == lab.code(call)
    await lab.later(60)
    assert ["U2", "M2"] == lab.verdicts


async def test_calls_that_nobody_bills_on_a_busy_wallet(lab: "Lab") -> None:
    """Although new calls go on, those that must be in the books by now are a MISMATCH; the others wait."""
    lab.fault(Undercharge(factor=0))
    calls = []
    for _ in range(10):
        calls.append(await lab.call(wait_s=2))
        await lab.later(5)
    codes = [lab.code(call) for call in calls]
    assert ["M2"] * 5 == codes[:5]
    assert {"U2", "U1"} >= set(codes[6:])
    lab.fault()
    await lab.later(40)
    assert {"M2"} == {lab.code(call) for call in calls}


async def test_a_mismatch_is_not_covered_by_its_neighbour(lab: "Lab") -> None:
    """A later window holds it again, beside a call of the same window, and credit that was used elsewhere."""
    lab.fault(Undercharge(factor=0, next=1))
    first = await lab.call(text=LONG * 3)
    lab.clock.pass_s(32)
    second = await lab.call()
    await lab.later(3)
    assert "M2" == lab.code(first)
    lab.move("elsewhere", "5")
    await lab.later(40)
    assert ("M2", "U3") == (lab.code(first), lab.code(second))
    assert "MISMATCH before" in lab.entries(VerdictEntry)[-1].sentence


async def test_a_mismatch_is_laid_to_no_other(lab: "Lab") -> None:
    """A call that has no window without it is told why nothing more can be said; later ones are proven."""
    lab.fault(Undercharge(factor=0, next=1))
    first = await lab.call(text=LONG * 3)
    lab.clock.pass_s(32)
    second = await lab.call()
    await lab.later(3)
    third = await lab.call()
    for _ in range(3):
        await lab.later(40)
    assert ["M2", "U12", "P1"] == [lab.code(call) for call in (first, second, third)]
    told = lab.verdicts
    await lab.later(40)
    assert told == lab.verdicts


async def test_a_second_spender_is_told(lab: "Lab") -> None:
    """The balance moved by more than our calls explain: somebody else spends here, or we are overcharged."""
    lab.fault(SecondSpender(amount="0.25"))
    call = await lab.call()
    await lab.later(3)
    assert "U3" == lab.code(call)


async def test_an_overcharge_is_not_proven(lab: "Lab") -> None:
    """A bill above what was metered is no proof."""
    lab.fault(Overcharge(factor=1.5))
    call = await lab.call()
    await lab.later(3)
    assert "U3" == lab.code(call)


async def test_credit_used_without_calls(lab: "Lab") -> None:
    """Money that leaves while nothing is called is told once for each movement, and bears no attempt."""
    lab.move("elsewhere", "1")
    found = await lab.later(60)
    assert found is not None
    assert found.sums is not None
    assert ("U3", 0) == (found.code, found.sums.attempts)
    assert await lab.later(60) is None
    lab.move("elsewhere", "2")
    assert await lab.later(60) is not None
    assert ["U3", "U3"] == lab.verdicts


async def test_a_later_window_is_proven_after_a_foreign_one(lab: "Lab") -> None:
    """What somebody else spent earlier does not keep later calls from being proven."""
    lab.move("elsewhere", "1")
    first = await lab.call()
    await lab.later(3)
    second = await lab.call()
    await lab.later(3)
    assert ("U3", "P1") == (lab.code(first), lab.code(second))


async def test_what_an_edge_blurs_hides_no_foreign_credit(lab: "Lab") -> None:
    """A call at an edge would explain what another was billed too much; a wider window says that it was."""
    await lab.call(wait_s=0.5)
    await lab.read()
    calls = [await lab.call() for _ in range(25)]
    lab.fault(DoubleBill(next=1))
    calls.append(await lab.call())
    await lab.later(3)
    assert {"U3"} == {lab.code(call) for call in calls}
    assert "P1" not in lab.verdicts


async def test_a_call_does_not_wait_behind_a_blurred_reading(lab: "Lab") -> None:
    """Where a reading came too soon after a call, the window begins with one at which nothing was new."""
    for _ in range(25):
        await lab.call()
    await lab.call(wait_s=0.5)
    await lab.read()
    last = await lab.call(wait_s=0.5)
    lab.clock.pass_s(2)
    last = await lab.call(wait_s=0.5)
    await lab.read()
    assert "U1" == lab.code(last)
    await lab.later(10)
    assert "P1" == lab.code(last)


async def test_a_topup_in_mid_window(lab: "Lab") -> None:
    """A payment that can be told apart from consumption keeps nothing from being proven."""
    call = await lab.call()
    lab.move("topup", "20")
    await lab.later(3)
    assert "P1" == lab.code(call)


async def test_an_attempt_in_doubt_that_was_not_billed(open_lab: "Laboratory") -> None:
    """A stream that broke unbilled is resolved at nothing by the readings around it, once they are final."""
    async with open_lab(keys=[("glm", "glm", "sim-lab")]) as lab:
        await lab.read(cause=ReadingCause.START)
        lab.fault(CutStream(chunks=1, billed=False))
        doubtful = await lab.call(on_text=lambda _text: None, model="glm-5.2")
        lab.fault()
        await lab.call(model="glm-5.2")
        await lab.later(3)
        assert [] == lab.entries(ResolutionEntry)
        await lab.later(40)
        (resolved,) = lab.entries(ResolutionEntry)
        assert ("0", "readings") == (resolved.amount, resolved.source)
        assert "N14" == lab.code(doubtful)


async def test_an_attempt_in_doubt_that_was_billed(open_lab: "Laboratory") -> None:
    """One that was billed is resolved at exactly what the provider took."""
    async with open_lab(keys=[("glm", "glm", "sim-lab")]) as lab:
        await lab.read(cause=ReadingCause.START)
        lab.fault(CutStream(chunks=1, billed=True))
        doubtful = await lab.call(on_text=lambda _text: None, model="glm-5.2")
        lab.fault()
        await lab.later(40)
        (resolved,) = lab.entries(ResolutionEntry)
        assert abs(lab.billed - type(lab.billed)(resolved.amount)) <= type(lab.billed)("0.00000001")
        assert "U16" == lab.code(doubtful)


async def test_a_plan_is_judged_by_its_credits(open_lab: "Laboratory") -> None:
    """A plan's calls are proven by its own counter, and no money is spoken of."""
    async with open_lab(keys=[("plan", "glm", "sim-plan-lab")]) as lab:
        lab.move("credits", "1")
        await lab.read(cause=ReadingCause.START)
        calls = [await lab.call(model="glm-5.2", text=LONG * 10) for _ in range(3)]
        found = await lab.later(3)
        assert found is not None
        assert found.sums is not None
        assert ("P2", "credits") == (found.code, found.sums.unit)
        assert {"P2"} == {lab.code(call) for call in calls}


async def test_a_package_that_pays_first(open_lab: "Laboratory") -> None:
    """Tokens of a package are drawn before cash: the verdict is on them."""
    async with open_lab(keys=[("glm", "glm", "sim-lab")]) as lab:
        lab.move("package", tokens=1_000_000)
        await lab.read(cause=ReadingCause.START)
        call = await lab.call(model="glm-5.2")
        await lab.later(40)
        assert lab.code(call) in {"P3", "U15"}


async def test_wallets_of_one_account_are_judged_together(open_lab: "Laboratory") -> None:
    """Two names for one account explain its movement together; each has a verdict entry of its own."""
    async with open_lab(keys=[("one", "kimi", "sim-lab"), ("two", "kimi", "sim-lab")]) as lab:
        for name in ("one", "two"):
            await lab.read(name, ReadingCause.START)
        first, second = await lab.call(wallet="one"), await lab.call(wallet="two")
        await lab.later(3, "one")
        assert ("P1", "P1") == (lab.code(first), lab.code(second))
        found = {one.wallet: one.shared_with for one in lab.entries(VerdictEntry)}
        assert {"one": ("two",), "two": ("one",)} == found


async def test_a_restart_in_the_middle(open_lab: "Laboratory", played: "Played") -> None:
    """A window may begin before a restart and end after it."""
    async with open_lab(played=played) as lab:
        await lab.read(cause=ReadingCause.START)
        call = await lab.call()
    played.clock.pass_s(10)
    async with open_lab(played=played) as lab:
        assert "U1" == lab.code(call)
        await lab.read(cause=ReadingCause.START)
        assert "P1" == lab.code(call)


async def test_one_provider_id_on_two_attempts(lab: "Lab") -> None:
    """An id that comes twice is a MISMATCH of both attempts, told once."""
    first = await lab.call()
    lab.fault(SameId())
    second = await lab.call()
    lab.fault()
    await lab.later(3)
    assert ("M4", "M4") == (lab.code(first), lab.code(second))
    await lab.later(60)
    assert 1 == lab.verdicts.count("M4")


async def test_what_is_left_out_explains_nothing(lab: "Lab", monkeypatch: pytest.MonkeyPatch) -> None:
    """With more attempts than can be weighed no window begins before one that is left out: nobody is blamed."""
    monkeypatch.setattr(holdings, "ATTEMPTS_MAX", 2)
    for _ in range(5):
        await lab.call()
    await lab.later(3)
    last = await lab.call()
    await lab.later(3)
    assert "P1" == lab.code(last)
    assert ["P1"] == lab.verdicts


async def test_a_mismatch_is_not_covered_up(lab: "Lab") -> None:
    """A later window that somebody else's spending blurs leaves an earlier MISMATCH as it is."""
    lab.fault(Undercharge(factor=0.5))
    short = await lab.call()
    await lab.later(40)
    lab.fault(SecondSpender(amount="0.25"))
    blurred = await lab.call()
    await lab.later(40)
    assert ("M2", "U3") == (lab.code(short), lab.code(blurred))


async def test_a_full_ledger_keeps_the_room_alive(lab: "Lab", monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written is logged, and found again when there is room."""
    call = await lab.call()

    def refuse(*_of: object) -> "asyncio.Future[object]":
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        future.set_exception(LedgerClosedError("closed"))
        return future

    lab.clock.pass_s(3)
    await lab.proving.readers.read(lab.wallet, cause=ReadingCause.SCHEDULE)
    with monkeypatch.context() as patched:
        patched.setattr(lab.proving.reconciler, "_ledger", type("Full", (), {"append": staticmethod(refuse)}))
        assert await lab.proving.reconciler.reconcile(lab.wallet) is None
    assert "U1" == lab.code(call)
    assert await lab.proving.reconciler.reconcile(lab.wallet) is not None
    assert "P1" == lab.code(call)
