"""The scales, against a provider that means ill, a machine that is set up anew, and clocks that are wrong."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from service.core.words import ReadingCause
from service.simulator.faults import BillingLag, CutStream, Undercharge

if TYPE_CHECKING:
    from service.calling.inquiring import Heard
    from service.core.shapes import Prepared
    from service.core.wallet import Wallet
    from tests.proving.conftest import Lab, Laboratory, Played

GLM = [("glm", "glm", "sim-lab")]
MODEL = "glm-5.2"


class Altering:
    """A way to the simulator that alters some answers.

    Args:
        lab: whose readers use it from now on.
        path: of the answers that are altered: a part of it.
        alter: how.
    """

    def __init__(self, lab: "Lab", path: str, alter: Callable[["Heard"], "Heard"]) -> None:
        self._inner: Any = lab.proving.readers._inquirer
        self._path = path
        self._alter = alter
        self.on = True
        lab.proving.readers._inquirer = self

    async def ask(self, wallet: "Wallet", prepared: "Prepared") -> "Heard":
        """Ask, and alter the answer."""
        heard: Heard = await self._inner.ask(wallet, prepared)
        return self._alter(heard) if self.on and self._path in prepared.path else heard


def saying(body: object, status: int = 200) -> Callable[["Heard"], "Heard"]:
    """Say something else."""
    return lambda heard: msgspec.structs.replace(heard, status=status, body=json.dumps(body).encode())


async def test_one_garbage_answer_does_not_switch_judgement_off(open_lab: "Laboratory") -> None:
    """Packages beyond all bounds at the beginning; what is taken too little later is still told."""
    wild = {"status": "EFFECTIVE", "tokenBalance": 9 * 10**17}
    async with open_lab(keys=GLM) as lab:
        altering = Altering(lab, "tokenAccounts", saying({"code": 200, "success": True, "rows": [wild, wild]}))
        await lab.read(cause=ReadingCause.START)
        altering.on = False
        await lab.later(1)
        lab.fault(Undercharge(factor=0))
        call = await lab.call(model=MODEL)
        await lab.later(3)
        await lab.later(40)
        assert "M2" == lab.code(call)


@pytest.mark.parametrize(("provider", "model"), [("glm", MODEL), ("kimi", None)])
async def test_a_key_that_was_exchanged_compares_no_two_accounts(
    provider: str, model: str | None, open_lab: "Laboratory", played: "Played"
) -> None:
    """What the old account billed is not missed in the new one; later calls are judged by the new one alone."""
    async with open_lab(keys=[("w", provider, "sim-aaa")], played=played) as lab:
        await lab.read(cause=ReadingCause.START)
        lab.fault(BillingLag(seconds=1))
        old = await lab.call(model=model)
        lab.fault()
        await lab.read()
    async with open_lab(keys=[("w", provider, "sim-bbb")], played=played) as lab:
        await lab.read(cause=ReadingCause.START)
        new = await lab.call(model=model)
        await lab.later(3)
        assert ["U1", "P1"] == [lab.code(old), lab.code(new)]
        await lab.later(40)
        assert "U1" == lab.code(old)


@pytest.mark.parametrize("status", [500, 404])
async def test_packages_that_cannot_be_seen_may_have_paid(status: int, open_lab: "Laboratory") -> None:
    """A short window is no MISMATCH while their counter only fails; where there is none, it is."""
    async with open_lab(keys=GLM) as lab:
        lab.move("package", tokens=1_000_000)
        Altering(lab, "tokenAccounts", saying({}, status))
        await lab.read(cause=ReadingCause.START)
        call = await lab.call(model=MODEL)
        await lab.later(3)
        await lab.later(40)
        assert {500: "U15", 404: "M2"}[status] == lab.code(call)


async def test_a_package_that_was_bought_and_used_up_meanwhile(open_lab: "Laboratory") -> None:
    """It is nothing at both ends, and yet it paid: the list tells that it was there."""
    async with open_lab(keys=GLM) as lab:
        await lab.read(cause=ReadingCause.START)
        await lab.call(model=MODEL)
        await lab.later(3)
        await lab.later(40)
        (row,) = lab.reading.attempts_of(["glm"], since="2026-11-22T00:00:00Z")
        tokens = (row.uncached_input_tokens or 0) + (row.cached_input_tokens or 0) + (row.output_tokens or 0)
        lab.move("package", tokens=tokens)
        call = await lab.call(model=MODEL)
        await lab.later(3)
        await lab.later(40)
        assert "U15" == lab.code(call)


async def test_a_late_bill_proves_nothing_although_nobody_judged_its_own_call_yet(open_lab: "Laboratory") -> None:
    """As where a reading in between was a proof's: the wide window says at once that it came short."""
    async with open_lab(keys=GLM) as lab:
        await lab.read(cause=ReadingCause.START)
        lab.fault(BillingLag(seconds=8))
        first = await lab.call(model=MODEL)
        lab.clock.pass_s(3)
        await lab.proving.readers.read(lab.wallet, cause=ReadingCause.PROOF)
        lab.fault(Undercharge(factor=0))
        second = await lab.call(model=MODEL)
        await lab.later(10)
        assert ["U2", "U2"] == [lab.code(first), lab.code(second)]


@pytest.mark.parametrize(("keys", "model"), [(GLM, MODEL), ([("kimi", "kimi", "sim-lab")], None)])
async def test_a_late_bill_proves_no_call_that_nobody_billed(
    keys: list[tuple[str, str, str]], model: str | None, open_lab: "Laboratory"
) -> None:
    """It comes in the next call's window and is as high as that one's would be; who lacks one, nobody knows."""
    async with open_lab(keys=keys) as lab:
        await lab.read(cause=ReadingCause.START)
        lab.fault(BillingLag(seconds=20))
        first = await lab.call(model=model)
        await lab.later(3)
        lab.clock.pass_s(5)
        lab.fault(BillingLag(seconds=20), Undercharge(factor=0))
        second = await lab.call(model=model)
        for seconds in (3, 15):
            await lab.later(seconds)
            assert ["U2", "U2"] == [lab.code(first), lab.code(second)]
        await lab.later(15)
        await lab.later(60)
        assert ["M2", "M2"] == [lab.code(first), lab.code(second)]


async def test_a_late_bill_is_not_laid_to_an_attempt_in_doubt(open_lab: "Laboratory") -> None:
    """No verdict tells that the earlier call was billed, so what moved may be its bill."""
    async with open_lab(keys=GLM) as lab:
        lab.fault(BillingLag(seconds=25))
        await lab.call(model=MODEL)
        await lab.later(4)
        lab.fault(CutStream(chunks=1, billed=False))
        doubt = await lab.call(on_text=lambda _text: None, model=MODEL)
        lab.fault()
        await lab.later(3)
        await lab.later(45)
        assert "U6" == lab.code(doubt)


async def test_a_clock_that_is_set_back_hides_no_call(open_lab: "Laboratory") -> None:
    """What nobody billed is not proven by a window that covers it, although by the clock it was long before."""
    async with open_lab() as lab:
        await lab.read(cause=ReadingCause.START)
        lab.clock.pass_s(-40)
        lab.fault(Undercharge(factor=0))
        unbilled = await lab.call()
        lab.fault()
        lab.clock.pass_s(45)
        await lab.call()
        await lab.later(3)
        await lab.later(60)
        assert "U1" == lab.code(unbilled)
        billed = await lab.call()
        await lab.later(3)
        assert "P1" == lab.code(billed)


async def test_two_keys_that_seem_to_be_of_one_account_are_told_at_the_start(
    open_lab: "Laboratory", caplog: pytest.LogCaptureFixture
) -> None:
    """Their reports say the same to the last digit; they are judged apart all the same."""
    async with open_lab(keys=[("one", "glm", "sim-one"), ("two", "glm", "sim-two")]) as lab:
        body = {"code": 200, "success": True, "data": {"totalSpendAmount": 1.234567891}}
        Altering(lab, "customer-account-report", saying(body))
        for wallet in lab.wallets:
            await lab.proving.turn(wallet)
    told = [one for one in caplog.records if "seem to be of one account" in one.message]
    assert [("two", "one")] == [(one.wallet, one.other) for one in told]  # type: ignore[attr-defined] # extras
