"""The scales, where a window's attempts are not all that its counter tells of."""

from typing import TYPE_CHECKING

import msgspec

from service.core.words import ReadingCause
from service.simulator.faults import BillingLag, CutStream
from tests.proving.conftest import LONG
from tests.proving.test_scales import GLM, MODEL, Altering, saying

if TYPE_CHECKING:
    from service.calling.inquiring import Heard
    from tests.proving.conftest import Lab, Laboratory, Played

PLAN = [("plan", "glm", "sim-plan-1")]


class Still:
    """What a counter said first, said again."""

    def __init__(self) -> None:
        self._first: Heard | None = None

    def __call__(self, heard: "Heard") -> "Heard":
        """Alter an answer."""
        self._first = self._first or heard
        return msgspec.structs.replace(heard, body=self._first.body)


async def test_counts_that_disagreed_once_are_not_forgotten(open_lab: "Laboratory") -> None:
    """The credits alone would prove it; the provider's own tokens spoke against it while they could be read."""
    async with open_lab(keys=PLAN) as lab:
        lab.move("credits", "1")
        lab.clock.pass_s(3)
        altering = Altering(lab, "usage-detail", Still())
        await lab.read(cause=ReadingCause.START)
        call = await lab.call(model=MODEL, text=LONG * 20)
        await lab.later(3)
        assert "U2" == lab.code(call)
        altering.on = False
        Altering(lab, "usage-detail", saying({}, 500))
        await lab.later(3)
        assert "P2" not in lab.verdicts
        assert lab.code(call) in {"U2", "U12"}


async def test_what_another_provider_was_asked_under_the_name_is_no_piece(
    open_lab: "Laboratory", played: "Played"
) -> None:
    """A wallet's name may come to be another provider's: what the old one billed blurs nothing of the new one."""
    async with open_lab(keys=[("w", "glm", "sim-aaa")], played=played) as lab:
        old = await lab.call(model=MODEL, text=LONG * 4, wait_s=0)
    async with open_lab(keys=[("w", "kimi", "sim-bbb")], played=played) as lab:
        await lab.read(cause=ReadingCause.START)
        new = await lab.call()
        await lab.later(3)
        assert ["U1", "P1"] == [lab.code(old), lab.code(new)]


async def test_a_call_that_is_proven_blurs_no_later_doubt(open_lab: "Laboratory") -> None:
    """Its bill was seen before the window begins, so what an attempt in doubt was billed can be told."""
    async with open_lab(keys=GLM) as lab:
        await lab.read(cause=ReadingCause.START)
        first = await lab.call(model=MODEL)
        await lab.later(3)
        assert "P1" == lab.code(first)
        lab.fault(CutStream(chunks=1, billed=False))
        doubt = await lab.call(on_text=lambda _text: None, model=MODEL)
        lab.fault()
        await lab.later(40)
        assert "N14" == lab.code(doubt)


async def test_a_window_of_ones_own_choice_is_judged_by_the_wider_ones_alone(lab: "Lab") -> None:
    """A reading between two of its calls begins a narrower one: what seems too much there says nothing of it."""
    opening = await lab.proving.readers.read(lab.wallet, cause=ReadingCause.PROOF)
    lab.fault(BillingLag(seconds=10))
    calls = [await lab.call()]
    lab.clock.pass_s(4)
    await lab.proving.readers.read(lab.wallet, cause=ReadingCause.SCHEDULE)
    calls.append(await lab.call(wait_s=1))
    lab.clock.pass_s(15)
    closing = await lab.proving.readers.read(lab.wallet, cause=ReadingCause.PROOF)
    found = await lab.proving.reconciler.between(lab.wallet, opening, closing)
    assert found is not None
    assert "P1" == found.verdict.code
    assert {call.attempts[0].intent.attempt_id for call in calls} == found.decided
    assert [] == lab.verdicts
