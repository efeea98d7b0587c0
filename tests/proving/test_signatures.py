"""Signatures, verified by the simulator's own seal, and by providers that say otherwise or nothing."""

import asyncio
import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from service.calling.connection import LostError
from service.calling.inquiring import Heard
from service.core.books import VerdictEntry, VerificationEntry
from service.core.shapes import Prepared
from service.core.wallet import Wallet
from service.core.words import DoubtCause, VerificationOutcome
from service.proving.readings import Inquires
from service.proving.signatures import AGAIN_S, Verifier
from service.simulator.faults import ClockSkew, NoHeaders, ReplayedSignature
from tests.rig import PROVIDERS, WAIT_S

if TYPE_CHECKING:
    from tests.proving.conftest import Lab


class Says:
    """An inquirer that gives one answer, and keeps what it was asked."""

    def __init__(self, answer: Heard | Exception) -> None:
        self.answer = answer
        self.asked: list[Prepared] = []

    async def ask(self, wallet: Wallet, prepared: Prepared) -> Heard:  # noqa: ARG002 - the shape of an inquirer
        """Answer."""
        self.asked.append(prepared)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def heard(status: int, body: object) -> Heard:
    """Answer with JSON."""
    return Heard(status=status, headers={}, body=json.dumps(body).encode(), tls=None, asked_ns=0, came_ns=0)


def verifier(lab: "Lab", inquirer: Inquires | None = None) -> Verifier:
    """Make a verifier that waits no time between questions."""

    async def at_once(seconds: float) -> None:
        lab.clock.pass_s(seconds)

    asked = inquirer or lab.proving.readers._inquirer
    return Verifier(asked, lab.ledger, lab.reading, lab.clock, lab.wallets, PROVIDERS, pause=at_once)


def outcomes(lab: "Lab") -> list[str]:
    """Give what was said, in order."""
    return [one.outcome.value for one in lab.entries(VerificationEntry)]


async def test_an_honest_signature_is_valid_once(lab: "Lab") -> None:
    """What the provider calls its own is written down and not asked again, not even by a new start."""
    await lab.call(text="hi")
    one = verifier(lab)
    assert (1, 0) == (await one.verify(), await one.verify())
    assert 0 == await verifier(lab).verify()
    assert ["valid"] == outcomes(lab)


async def test_an_earlier_answers_signature(lab: "Lab") -> None:
    """A signature that was given before does not belong to the new nonce: a MISMATCH of this attempt."""
    await lab.call(text="hi")
    lab.fault(ReplayedSignature())
    call = await lab.call(text="hi")
    await verifier(lab).verify()
    assert sorted(["valid", "invalid"]) == sorted(outcomes(lab))
    assert "M8" == lab.code(call)
    (found,) = lab.entries(VerdictEntry)
    assert found.attempts == (call.attempts[0].intent.attempt_id,)


async def test_no_signature_is_nothing_to_verify(lab: "Lab") -> None:
    """A relay that leaves the headers out is no MISMATCH, and nothing is asked."""
    lab.fault(NoHeaders())
    await lab.call(text="hi")
    says = Says(heard(200, {"valid": True}))
    assert 0 == await verifier(lab, says).verify()
    assert [] == says.asked


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (heard(500, {"error": {"message": "later", "type": "server_error"}}), 500),
        (heard(200, {"valid": "yes"}), 200),
        (LostError(DoubtCause.FIRST_BYTE_TIMEOUT, "nothing came"), None),
    ],
)
async def test_three_tries_with_growing_pauses(lab: "Lab", answer: Heard | Exception, status: int | None) -> None:
    """Where the provider says neither yes nor no, it is asked three times in all; that is no MISMATCH."""
    call = await lab.call(text="hi")
    says = Says(answer)
    one = verifier(lab, says)
    assert (1, 0) == (await one.verify(), await one.verify())
    for pause_s in AGAIN_S:
        lab.clock.pass_s(pause_s)
        assert 1 == await one.verify()
    lab.clock.pass_s(86_400 / 2)
    assert 0 == await one.verify()
    assert [VerificationOutcome.UNAVAILABLE] * 3 == [each.outcome for each in lab.entries(VerificationEntry)]
    assert {status} == {each.status for each in lab.entries(VerificationEntry)}
    assert "U1" == lab.code(call)


async def test_a_signature_of_another_time(lab: "Lab") -> None:
    """The record itself says that it is a MISMATCH, so nobody is asked and nothing is written."""
    call = await lab.call(text="hi")
    attempt = call.attempts[0]
    assert attempt.intent.provider == "kimi"
    one = verifier(lab, says := Says(heard(200, {"valid": True})))
    old = msgspec.structs.replace(attempt.end.signature, timestamp="1700000000000")  # type: ignore[union-attr,type-var] # it was signed
    changed = msgspec.structs.replace(attempt, end=msgspec.structs.replace(attempt.end, signature=old))  # type: ignore[type-var] # as above
    assert ((), []) == (await one._judge(changed), says.asked)


async def test_a_wrong_clock_here_is_no_mismatch(lab: "Lab") -> None:
    """If this machine's clock is off, the answer's own date tells that the signature is of its time."""
    lab.fault(ClockSkew(seconds=3600))
    await lab.call(text="hi")
    await verifier(lab).verify()
    assert ["valid"] == outcomes(lab)


async def test_it_is_woken_by_a_signed_settlement(lab: "Lab") -> None:
    """In the background a signature is verified as soon as it is written."""
    says = Says(heard(200, {"valid": True}))
    one = verifier(lab, says)
    running = asyncio.create_task(one.run(lab.proving.activity.signed))
    try:
        await lab.call(text="hi")
        async with asyncio.timeout(WAIT_S):
            while not lab.entries(VerificationEntry):  # noqa: ASYNC110 - the log knows no event
                await asyncio.sleep(0.001)
    finally:
        running.cancel()
        await asyncio.wait({running})
    assert ["valid"] == outcomes(lab)
