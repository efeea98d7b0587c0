"""The proving room as it runs: turns by the schedule, what it says at the start, and how it stops."""

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec
import pytest

from service.core.books import ReadingEntry, VerdictEntry
from service.core.words import ReadingCause, ReadingOutcome
from service.proving.proving import settling_of
from service.simulator.faults import BillingLag, Error, Hang, Undercharge
from tests.proving.conftest import LONG
from tests.rig import PROVIDERS, WAIT_S

if TYPE_CHECKING:
    from tests.proving.conftest import Lab, Laboratory, Played


def causes(lab: "Lab", counter: str = "balance") -> list[str]:
    """Say why a counter was read, each time."""
    return [one.cause.value for one in lab.readings if one.counter == counter]


async def test_turns_follow_calls(open_lab: "Laboratory") -> None:
    """A wallet is read at the start, after a call has settled, and then seldom."""
    async with open_lab() as lab:
        assert 3600 == await lab.turn()
        call = await lab.call()
        assert 3 == await lab.turn()
        assert 3600 == await lab.turn(3)
        assert "P1" == lab.code(call)
        assert ["start", "activity"] == causes(lab)


async def test_a_busy_wallet_is_read_at_intervals(open_lab: "Laboratory") -> None:
    """While calls go on, the counters are read each interval although the last call has not settled."""
    async with open_lab(settling_s=600.0) as lab:
        await lab.turn()
        for _ in range(8):
            await lab.call(text="hi", wait_s=100)
            await lab.turn()
        assert ["start", "schedule", "schedule"] == causes(lab)


async def test_an_idle_hour_writes_readings_alone(open_lab: "Laboratory") -> None:
    """Without calls one reading an hour is written, and nothing else."""
    async with open_lab() as lab:
        await lab.turn()
        before = lab.reading.head().next_index
        for _ in range(60):
            await lab.turn(60)
        assert before + 1 == lab.reading.head().next_index
        assert ["start", "schedule"] == causes(lab)


async def test_a_short_window_is_read_when_it_is_due(open_lab: "Laboratory") -> None:
    """A window that came short is read again when the books are final, not at the next idle hour."""
    async with open_lab() as lab:
        await lab.turn()
        lab.fault(Undercharge(factor=0.5))
        call = await lab.call()
        await lab.turn(3)
        assert "U2" == lab.code(call)
        assert 28 == await lab.turn()
        await lab.turn(28)
        assert "M2" == lab.code(call)


async def test_no_reading_and_its_recovery(open_lab: "Laboratory") -> None:
    """Calls whose counter cannot be read are U4 with status and remedy, told once; a reading mends it."""
    async with open_lab() as lab:
        await lab.turn()
        lab.fault(Error(on="account", status=503, type="server_unavailable"))
        call = await lab.call()
        await lab.turn(3)
        assert "U4" == lab.code(call)
        await lab.turn(300)
        await lab.turn(300)
        assert ["U4"] == lab.verdicts
        lab.fault()
        await lab.turn(3600)
        assert "P1" == lab.code(call)


async def test_a_wallet_that_can_never_be_read(open_lab: "Laboratory") -> None:
    """A key that the provider refuses has no readings; its calls, refused as well, cost nothing."""
    async with open_lab(keys=[("kimi", "kimi", "sim-revoked-lab")]) as lab:
        await lab.turn()
        call = await lab.call()
        await lab.turn(3)
        assert "N3" == lab.code(call)
        assert {ReadingOutcome.REFUSED} == {one.outcome for one in lab.readings}
        assert [] == lab.verdicts


async def test_a_restart_goes_on_where_the_log_ends(open_lab: "Laboratory") -> None:
    """The last call of an earlier start is still read after it has settled."""
    async with open_lab() as lab:
        await lab.turn()
        await lab.call()
        await lab.proving.recall(lab.wallet)
        seen = lab.proving.activity.seen(lab.wallet.name)
        assert (lab.clock.now_ns(), 0) == (seen.at_ns, seen.open)


async def test_a_restart_before_a_call_has_settled(open_lab: "Laboratory", played: "Played") -> None:
    """What the log holds of the last call is enough to read once it has settled, not at the next idle hour."""
    async with open_lab(played=played) as lab:
        await lab.turn()
        call = await lab.call()
    async with open_lab(played=played) as lab:
        await lab.proving.recall(lab.wallet)
        assert 3 == await lab.turn()
        await lab.turn(3)
        assert "P1" == lab.code(call)


async def test_a_clock_that_is_set_back_keeps_the_schedule(open_lab: "Laboratory") -> None:
    """Times to come, of readings and of calls, count as now: nobody waits until the clock is there again."""
    async with open_lab() as lab:
        await lab.turn()
        await lab.call()
        lab.clock.set_back_s = 86_400
        assert 3 == await lab.turn()


async def test_somebody_else_asks_just_before_a_call_has_settled(
    open_lab: "Laboratory", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A counter that may not be asked so soon is asked when it may, and the loop does not spin until then."""
    monkeypatch.setattr("service.proving.readings.AGAIN_SIMULATED_S_MIN", 5.0)  # as of a provider's own
    async with open_lab() as lab:
        await lab.turn()
        lab.clock.pass_s(5)
        call = await lab.call()
        await lab.read(cause=ReadingCause.DEMAND)
        assert 2 == await lab.turn(3)
        assert 3600 == await lab.turn(2)
        assert (["start", "demand", "activity"], "P1") == (causes(lab), lab.code(call))


async def test_a_plan_that_nothing_was_drawn_from_yet(
    open_lab: "Laboratory", caplog: pytest.LogCaptureFixture
) -> None:
    """It is read as any other; what comes after its first calls is proven, and the sentences are true."""
    caplog.set_level(logging.INFO, logger="service.proving.proving")
    async with open_lab(keys=[("plan", "glm", "sim-plan-1")]) as lab:
        assert 3600 == await lab.turn()
        (line,) = [one for one in caplog.records if one.name == "service.proving.proving"]
        assert (logging.INFO, True) == (line.levelno, "credits_5h 0 of 2000" in line.getMessage())
        lab.fault(BillingLag(seconds=86_400))
        await lab.call(model="glm-5.3")
        await lab.turn(3)
        lab.fault()
        first = await lab.call(model="glm-5.3")
        await lab.turn(3)
        assert ["U4"] == lab.verdicts
        (said,) = lab.entries(VerdictEntry)
        assert "nothing was drawn from the plan's window yet" in said.sentence
        calls = [await lab.call(model="glm-5.3", text=LONG * 10) for _ in range(3)]
        await lab.turn(3)
        assert ({"P2"}, "U1") == ({lab.code(call) for call in calls}, lab.code(first))
        assert ["start", *["activity"] * 3] == causes(lab, "quota")


async def test_the_start_says_what_a_wallet_is(open_lab: "Laboratory", caplog: pytest.LogCaptureFixture) -> None:
    """One line for each wallet: host, plan, currency, tier and balance, with SIMULATED where it is so."""
    caplog.set_level(logging.INFO, logger="service.proving.proving")
    async with open_lab() as lab:
        await lab.turn()
        await lab.turn(3600)
        (line,) = [record.getMessage() for record in caplog.records if record.name == "service.proving.proving"]
        for word in (
            "SIMULATED",
            lab.wallet.host,
            "pay as you go",
            "USD",
            "enterprise-tier-1",
            "available 50 USD",
            "default model kimi-k2.6: priced",
            "key valid",
        ):
            assert word in line


async def test_the_start_says_why_nothing_can_be_read(
    open_lab: "Laboratory", caplog: pytest.LogCaptureFixture
) -> None:
    """A wallet whose books cannot be read is told with status and remedy, as a warning."""
    async with open_lab(keys=[("kimi", "kimi", "sim-revoked-lab")]) as lab:
        await lab.turn()
        (record,) = [one for one in caplog.records if one.name == "service.proving.proving"]
        assert logging.WARNING == record.levelno
        assert "401" in record.getMessage()
        assert "key refused" in record.getMessage()
        assert lab.wallet.key.reveal() not in record.getMessage()


async def test_it_runs_by_itself_and_stops_at_once(open_lab: "Laboratory") -> None:
    """In the background a wallet is read at the start; a question that hangs does not hold up the stop."""
    async with open_lab() as lab:
        heard = asyncio.Event()
        lab.fault(Hang(on="account", billed=False))
        ask = lab.proving.readers._inquirer.ask

        async def tell(*asked: object) -> object:
            heard.set()
            return await ask(*asked)  # type: ignore[arg-type] # passed on as they came

        lab.proving.readers._inquirer.ask = tell  # type: ignore[method-assign,assignment] # a double around it
        async with asyncio.timeout(WAIT_S), lab.proving.running():
            await heard.wait()
        assert [] == lab.entries(ReadingEntry)


async def test_it_is_woken_by_a_call(open_lab: "Laboratory") -> None:
    """A step that ends an attempt wakes the wallet's watch."""
    async with open_lab() as lab:
        woken = lab.proving.activity.woken(lab.wallet.name)
        await lab.call(text="hi")
        async with asyncio.timeout(WAIT_S):
            await woken.wait()
        assert 0 == lab.proving.activity.seen(lab.wallet.name).open


async def test_how_books_follow(open_lab: "Laboratory") -> None:
    """A simulator's books follow at once and are final soon; a provider's as it says, or as the operator does."""
    async with open_lab() as lab:
        played = settling_of(lab.wallet, PROVIDERS["kimi"], None)
        assert (2, 30) == (played.usual_s, played.final_s)
        real = msgspec.structs.replace(lab.wallet, simulated=False)
        stated = settling_of(real, PROVIDERS["kimi"], None)
        assert (600, None) == (stated.usual_s, stated.final_s)
        assert 5 == settling_of(real, PROVIDERS["kimi"], 5).usual_s


async def test_readings_may_be_switched_off(open_lab: "Laboratory") -> None:
    """With EXAI_READINGS=0 nothing is asked on a schedule, and calls are told so once; on demand it still is."""
    async with open_lab(readings=False, verify_signatures=False) as lab:
        first = await lab.call()
        lab.clock.pass_s(3)
        async with lab.proving.running(), asyncio.timeout(WAIT_S):
            while "U4" != lab.code(first):  # noqa: ASYNC110 - the log knows no event
                await asyncio.sleep(0.001)
        await lab.proving.reconciler.tell_unwatched(lab.wallet)
        second = await lab.call(wait_s=1)
        await lab.proving.reconciler.tell_unwatched(lab.wallet)
        assert (["U4"], "U1") == (lab.verdicts, lab.code(second))
        lab.clock.pass_s(2)
        await lab.proving.reconciler.tell_unwatched(lab.wallet)
        assert (["U4", "U4"], "U4") == (lab.verdicts, lab.code(second))
        (said, _) = lab.entries(VerdictEntry)
        assert "readings are switched off (EXAI_READINGS=0)" in said.sentence
        assert [] == lab.readings
        await lab.read(cause=ReadingCause.DEMAND)
        assert [] != lab.readings
