"""Inquiries: what they ask costs nothing, and the counters that they read say what the simulator's books say."""

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec
import pytest

from service.calling.connection import LostError
from service.calling.inquiring import Heard, Inquirer, PaidInquiryError
from service.calling.routing import Router
from service.calling.wire import Deadlines, UnsentError, Wire
from service.core.entries import SettlementEntry
from service.core.shapes import Prepared, Stated
from service.core.wallet import Wallet, wallet
from service.core.words import DoubtCause, ReadingOutcome
from service.simulator.faults import Error, Fault, Hang
from service.simulator.rates import NANO
from tests.rig import BEGUN_NS, KEY, PRICES, PROVIDERS, Rig, ask

Servers = Callable[..., Any]  # of conftest.py
BALANCE = Prepared(path="/users/me/balance", headers=(("Accept", "application/json"),), body=b"", method="GET")
ROOTED = Prepared(path="/api/biz/x?a=1", headers=(), body=b"", method="GET", rooted=True)
PLAN_URL = "/api/coding/paas/v4"


@pytest.fixture
async def inquirer() -> AsyncIterator[Inquirer]:
    """One that knows what time it is: 1, then 2, and so on."""
    wire = Wire(Deadlines())
    yield Inquirer(wire, now_ns=count(1).__next__)
    await wire.close()


def opened(lab: Rig, name: str, *, key: str = KEY, path: str | None = None) -> Wallet:
    """Open a wallet at the simulator."""
    provider = PROVIDERS[name]
    base_url = lab.simulator.urls[provider.base_url_variable] if path is None else lab.simulator.url + path
    return wallet(provider, key, base_url=base_url)


async def readings(inquirer: Inquirer, owner: Wallet) -> dict[str, Stated]:
    """Read every counter of a wallet."""
    counters, at_ns = PROVIDERS[owner.provider].counters, BEGUN_NS
    found = {}
    for inquiry in counters.inquiries(plan=owner.plan, at_ns=at_ns):
        heard = await inquirer.ask(owner, inquiry.prepared)
        found[inquiry.counter] = counters.stated(
            inquiry.counter, heard.status, heard.headers, heard.body, currency=owner.currency, at_ns=at_ns
        )
    return found


def amounts(stated: Stated) -> dict[str, Decimal]:
    """Give a reading's numbers."""
    assert ReadingOutcome.READ is stated.outcome, stated
    return {figure.name: Decimal(figure.amount) for figure in stated.figures}


async def test_the_bytes_of_a_question(server: Servers, inquirer: Inquirer) -> None:
    """It is a GET without a body, with the key in its place; one that is rooted leaves the base URL's path."""
    answer = b"HTTP/1.1 200 OK\r\nX-One: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"

    async def answered(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
        writer.write(answer)

    async with server(answered) as scripted:
        heard = await inquirer.ask(scripted.wallet(), BALANCE)
        await inquirer.ask(scripted.wallet(), ROOTED)
    first, second = (request.split(b"\r\n") for request in scripted.requests)
    assert b"GET /v1/users/me/balance HTTP/1.1" == first[0]
    assert b"GET /api/biz/x?a=1 HTTP/1.1" == second[0]
    assert f"Authorization: Bearer {KEY}".encode() in first
    assert [] == [line for line in first if line.lower().startswith(b"content-length")]
    assert (
        Heard(
            status=200,
            headers={"x-one": "a", "content-length": "2", "connection": "close"},
            body=b"{}",
            tls=None,
            asked_ns=1,
            came_ns=2,
        )
        == heard
    )


@pytest.mark.parametrize(
    "path", ["/chat/completions", "/chat/completions/", "/Chat/Completions?x=1", "/v1/messages", "/batches"]
)
async def test_what_may_cost_is_never_asked(lab: Rig, inquirer: Inquirer, path: str) -> None:
    """A request that makes a model work has an intent, or it is not sent."""
    with pytest.raises(PaidInquiryError):
        await inquirer.ask(opened(lab, "kimi"), Prepared(path=path, headers=(), body=b"{}"))
    assert [] == lab.books


async def test_an_inquiry_has_limits_of_its_own(lab: Rig, server: Servers) -> None:
    """A body beyond them, and an answer that never comes, are lost; where nobody is, nothing is sent."""

    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b" " * 1000)

    short = Inquirer(lab.wire, deadlines=Deadlines(first_byte_s=0.2, total_s=5), body_bytes_max=100)
    async with server(endless) as scripted:
        with pytest.raises(LostError) as large:
            await short.ask(scripted.wallet(), BALANCE)
        gone = scripted.wallet()
    with pytest.raises(UnsentError):
        await short.ask(gone, BALANCE)
    lab.fault(Hang(on="account"))
    with pytest.raises(LostError) as late:
        await short.ask(opened(lab, "kimi"), BALANCE)
    assert (DoubtCause.BODY_TOO_LARGE, DoubtCause.FIRST_BYTE_TIMEOUT) == (large.value.cause, late.value.cause)


async def test_kimis_balance_falls_by_the_bill(lab: Rig, inquirer: Inquirer) -> None:
    """To the counter's step; the account is told without a number of money."""
    owner = opened(lab, "kimi")
    before = await readings(inquirer, owner)
    await lab.end_of(SettlementEntry, ask("sim:words=300", provider="kimi"))
    after = await readings(inquirer, owner)
    fallen = amounts(before["balance"])["available"] - amounts(after["balance"])["available"]
    assert abs(fallen - lab.billed()) <= Decimal("0.00001")
    assert fallen > 0
    account = after["account"]
    assert (ReadingOutcome.READ, ()) == (account.outcome, account.figures)
    assert account.organisation is not None
    assert "enterprise-tier-1" == account.tells["tier"]


async def test_glms_spending_grows_by_the_bill(lab: Rig, inquirer: Inquirer) -> None:
    """To the last digit; there are no packages, and that is read, too."""
    owner = opened(lab, "glm")
    before = await readings(inquirer, owner)
    await lab.end_of(SettlementEntry, ask("sim:words=30", provider="glm"))
    after = await readings(inquirer, owner)
    grown = amounts(after["account_report"])["spent"] - amounts(before["account_report"])["spent"]
    assert lab.billed() == grown > 0
    assert {"package_tokens": 0} == amounts(after["packages"])


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Error(on="account", status=404), ReadingOutcome.NOT_OFFERED),
        (Error(on="account", status=500), ReadingOutcome.REFUSED),
        (Error(on="account", status=429), ReadingOutcome.REFUSED),
    ],
)
@pytest.mark.parametrize("name", ["kimi", "glm"])
async def test_a_counter_that_cannot_be_read(
    lab: Rig, inquirer: Inquirer, name: str, fault: Fault, outcome: ReadingOutcome
) -> None:
    """It is said why, and no number is made up."""
    lab.fault(fault)
    found = await readings(inquirer, opened(lab, name))
    assert {(outcome, ())} == {(stated.outcome, stated.figures) for stated in found.values()}


async def test_a_key_that_is_revoked(lab: Rig, inquirer: Inquirer) -> None:
    """One provider says so with a 401, the other with a 200."""
    for name, code in (("kimi", "invalid_authentication_error"), ("glm", "401")):
        found = await readings(inquirer, opened(lab, name, key="sim-revoked-1"))
        assert {(ReadingOutcome.REFUSED, code)} == {(one.outcome, one.provider_code) for one in found.values()}


async def test_who_has_no_plan_has_none_of_its_counters(lab: Rig, inquirer: Inquirer) -> None:
    """It is not offered, which is no error."""
    found = await readings(inquirer, opened(lab, "glm", path=PLAN_URL))
    assert {ReadingOutcome.NOT_OFFERED} == {stated.outcome for stated in found.values()}


async def test_a_plans_counters_say_what_its_books_drew(lab: Rig, inquirer: Inquirer) -> None:
    """Whole credits in both windows, and the tokens of each class."""
    owner = opened(lab, "glm", key="sim-plan-1", path=PLAN_URL)
    world = lab.simulator.world
    world.clock = world.books._clock = lambda: BEGUN_NS  # no window may begin anew meanwhile
    lab.counter = msgspec.structs.replace(lab.counter, router=Router(PROVIDERS, [owner], PRICES))
    untouched = (await readings(inquirer, owner))["quota"]
    assert ({}, {"level": "lite", "credits_5h": "0 of 2000", "credits_week": "0 of 10000"}) == (
        amounts(untouched),
        untouched.tells,
    )
    world.books.account("glm", owner.key.reveal()).draw_credits(BEGUN_NS, NANO)
    before = await readings(inquirer, owner)
    asked = ask("sim:words=400 " + "long " * 200, model="glm-5.3")
    await lab.end_of(SettlementEntry, asked)
    settled = await lab.end_of(SettlementEntry, asked)  # with input from the cache
    after = await readings(inquirer, owner)
    drawn = sum(entry.credits_nano or 0 for entry in lab.books) // 10**9
    assert {"credits_5h": 1 + drawn, "credits_week": 1 + drawn} == amounts(after["quota"])
    assert {"credits_5h": 1, "credits_week": 1} == amounts(before["quota"])
    assert drawn > 0
    billed = [entry.usage for entry in lab.books if entry.usage is not None]
    assert {
        "uncached_input_tokens": sum(usage.prompt - usage.cached for usage in billed),
        "cached_input_tokens": settled.usage.cached_input_tokens,
        "output_tokens": sum(usage.completion for usage in billed),
    } == amounts(after["credit_usage"])
    begins = [{figure.since for figure in reading["credit_usage"].figures} for reading in (before, after)]
    assert begins[0] == begins[1] == {"2026-11-22T16:00:00.000000Z"}


async def test_a_signature_is_its_own_providers(lab: Rig, inquirer: Inquirer) -> None:
    """The provider knows its own, and no other."""
    settled = await lab.end_of(SettlementEntry, ask(provider="kimi"))
    assert settled.signature is not None
    counters, owner = PROVIDERS["kimi"].counters, opened(lab, "kimi")
    told = []
    for signature in (settled.signature, msgspec.structs.replace(settled.signature, nonce="another")):
        inquiry = counters.verification(signature)
        assert inquiry is not None
        heard = await inquirer.ask(owner, inquiry.prepared)
        told.append(counters.verified(heard.status, heard.body))
    assert [True, False] == told
