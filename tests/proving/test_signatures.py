"""Signatures, verified by the simulator's own seal, and by providers that say otherwise or nothing."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from service.calling.connection import LostError
from service.calling.inquiring import Heard
from service.core.books import VerdictEntry, VerificationEntry
from service.core.shapes import Prepared
from service.core.wallet import Wallet
from service.core.words import DoubtCause, VerificationOutcome
from service.proving import signatures
from service.proving.findings import forged
from service.proving.readings import Inquires
from service.proving.signatures import AGAIN_S, Verifier
from service.simulator.faults import ClockSkew, NoHeaders, ReplayedSignature
from tests.rig import PROVIDERS, WAIT_S

if TYPE_CHECKING:
    from tests.proving.conftest import Lab, Laboratory


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


async def test_those_that_cannot_be_asked_keep_nobody_waiting(lab: "Lab", monkeypatch: pytest.MonkeyPatch) -> None:
    """However many stay without an answer, the next is asked; whole pages of them are read once in a start."""
    monkeypatch.setattr(signatures, "JOBS_MAX", 2)
    calls = [await lab.call(text="hi") for _ in range(6)]
    for call in calls[:5]:
        await lab.ledger.append(forged(lab.wallet, call.attempts[0].intent.attempt_id))
    one, pages = verifier(lab), []
    unverified = lab.reading.unverified

    def counting(wallet: str, **how: Any) -> list[tuple[str, str, int]]:  # noqa: ANN401 - as it takes it
        pages.append(how["after"])
        return unverified(wallet, **how)

    monkeypatch.setattr(lab.reading, "unverified", counting)
    while await one.verify():
        pass
    assert ["valid"] == outcomes(lab)
    assert calls[5].tool_call_id == lab.entries(VerificationEntry)[0].tool_call_id
    pages.clear()
    assert (0, 1) == (await one.verify(), len(pages))


async def test_tries_are_remembered_beyond_one_page(lab: "Lab", monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody answers, each is asked three times, as far apart as one alone, twice a second at most."""
    monkeypatch.setattr(signatures, "JOBS_MAX", 2)
    for _ in range(3):
        await lab.call(text="hi")
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    says = Says(heard(500, {"error": {"message": "later", "type": "server_error"}}))
    one = Verifier(says, lab.ledger, lab.reading, lab.clock, lab.wallets, PROVIDERS, pause=pause)
    for pause_s in (1, *AGAIN_S):
        lab.clock.pass_s(pause_s - 1)
        assert pause_s == 1 or await one.verify() == 0
        lab.clock.pass_s(1)
        assert [2, 1, 0] == [await one.verify() for _ in range(3)]
    lab.clock.pass_s(86_400 / 2)
    assert (0, 9) == (await one.verify(), len(says.asked))
    assert [0.5] * 9 == paused


@pytest.mark.parametrize("changed", [{"base_url": "http://127.0.0.1:9/v1"}, {"simulated": False}, {"name": "new"}])
async def test_a_signature_of_another_wallet_is_left_alone(lab: "Lab", changed: dict[str, Any]) -> None:
    """Another wallet bore this name, or bears another one now: no key of its own goes out with the question."""
    await lab.call(text="hi")
    says, other = Says(heard(200, {"valid": False})), msgspec.structs.replace(lab.wallet, **changed)
    one = Verifier(says, lab.ledger, lab.reading, lab.clock, [other], PROVIDERS, pause=asyncio.sleep)
    await one.verify()
    assert ([], []) == (says.asked, outcomes(lab))


async def test_a_key_that_comes_back_is_masked(open_lab: "Laboratory") -> None:
    """What a relay says of a question is redacted before it is written, and so are its ids."""
    key = "sim-lab.no-known-form"
    async with open_lab(keys=[("kimi", "kimi", key)]) as lab:
        await lab.call(text="hi")
        answer = heard(500, {"error": {"message": f"what is {key}?", "type": "server_error"}})
        says = Says(msgspec.structs.replace(answer, headers={"msh-request-id": key}))
        await verifier(lab, says).verify()
        (found,) = lab.entries(VerificationEntry)
        assert ("what is [redacted]?", {"msh-request-id": "[redacted]"}) == (found.message, found.provider_ids)


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
