"""The readers: what is asked, how often, and what is written down of answers of every kind."""

import asyncio
import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from service.calling.connection import LostError
from service.calling.inquiring import Heard
from service.calling.wire import UnsentError
from service.core.books import ReadingEntry
from service.core.entries import AnyEntry, encode
from service.core.record import Step
from service.core.shapes import Prepared
from service.core.wallet import Wallet, wallet
from service.core.words import DoubtCause, ReadingCause, ReadingOutcome, UnsentReason
from service.errors import LedgerClosedError
from service.proving.readings import NOT_OFFERED_AGAIN_S, REFUSED_AGAIN_S, Readers, account_of
from tests.proving.conftest import Moving
from tests.rig import PROVIDERS

if TYPE_CHECKING:
    from tests.proving.conftest import Lab, Laboratory

KEY = "sk-0123456789abcdefghijklmnop"
BALANCE = {"available_balance": 49.58894, "voucher_balance": 46.58893, "cash_balance": 3.00001}
ME = {"organization": {"id": "org-123", "max_concurrency": 100}, "user_group_id": "enterprise-tier-1"}


class Answers:
    """An inquirer that answers by path, or fails."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.said: dict[str, Heard | Exception] = {}
        self.gate: asyncio.Event | None = None

    def say(self, path: str, body: object, status: int = 200) -> None:
        """Answer a path from now on."""
        self.said[path] = Heard(
            status=status,
            headers={"date": "Sun, 22 Nov 2026 16:21:00 GMT", "msh-request-id": "m-1", "set-cookie": "secret"},
            body=json.dumps(body).encode(),
            tls=None,
            asked_ns=0,
            came_ns=0,
        )

    async def ask(self, wallet: Wallet, prepared: Prepared) -> Heard:  # noqa: ARG002 - the shape of an inquirer
        """Answer."""
        self.asked.append(prepared.path)
        if self.gate is not None:
            await self.gate.wait()
        found = self.said[prepared.path]
        if isinstance(found, Exception):
            raise found
        return found


class Written:
    """A ledger that keeps what it is given, or refuses it; and what was read before."""

    def __init__(self) -> None:
        self.entries: list[AnyEntry] = []
        self.fault: Exception | None = None
        self.before: tuple[ReadingEntry, ...] = ()

    def append(self, *of: AnyEntry) -> asyncio.Future[tuple[Step, ...]]:
        """Keep entries."""
        future: asyncio.Future[tuple[Step, ...]] = asyncio.get_running_loop().create_future()
        if self.fault is not None:
            future.set_exception(self.fault)
            return future
        self.entries.extend(of)
        future.set_result(tuple(Step(entry, None) for entry in of))
        return future

    def latest_readings(self, wallet: str) -> tuple[ReadingEntry, ...]:
        """Give what was read before."""
        return tuple(one for one in self.before if one.wallet == wallet)


class Bench:
    """Readers among doubles, and one wallet at Kimi."""

    def __init__(self) -> None:
        self.answers = Answers()
        self.answers.say("/users/me/balance", {"code": 0, "data": BALANCE, "status": True})
        self.answers.say("/users/me", {"code": 0, "data": ME, "status": True})
        self.written = Written()
        self.clock = Moving()
        self.wallet = wallet(PROVIDERS["kimi"], KEY, base_url="https://api.moonshot.ai/v1", name="main")
        self.readers = Readers(self.answers, self.written, self.written, self.clock, PROVIDERS)

    async def read(self, cause: ReadingCause = ReadingCause.SCHEDULE) -> dict[str, ReadingEntry]:
        """Read all counters, by name."""
        found = await self.readers.read(self.wallet, cause=cause)
        return {one.counter: one for one in found}

    async def later(self, seconds: float, cause: ReadingCause = ReadingCause.SCHEDULE) -> list[str]:
        """Let time pass, read, and give the paths that were asked."""
        self.clock.pass_s(seconds)
        self.answers.asked.clear()
        await self.read(cause)
        return list(self.answers.asked)


@pytest.fixture
def bench() -> Bench:
    """Readers among doubles."""
    return Bench()


async def test_a_balance_is_written_down_exactly(bench: Bench) -> None:
    """Figures are the provider's own decimals; the organisation is hashed, no other header is kept."""
    found = await bench.read(ReadingCause.START)
    balance, account = found["balance"], found["account"]
    assert ["49.58894", "46.58893", "3.00001"] == [figure.amount for figure in balance.figures]
    assert ("https://api.moonshot.ai/v1/users/me/balance", 200) == (balance.endpoint, balance.status)
    assert ("Sun, 22 Nov 2026 16:21:00 GMT", {"msh-request-id": "m-1"}) == (balance.date, balance.provider_ids)
    assert account_of("org-123") == account.account
    assert "enterprise-tier-1" == account.tells["tier"]
    text = b"".join(map(encode, bench.written.entries)).decode()
    assert not any(secret in text for secret in ("org-123", "secret", KEY))


async def test_what_a_relay_echoes_is_masked(bench: Bench) -> None:
    """Neither key nor organisation is kept where it comes back as a tier, a date, an id, or in a sentence."""
    organisation, key = "acme-and-sons", "canary-of-no-known-form"
    bench.wallet = wallet(PROVIDERS["kimi"], key, base_url="https://api.moonshot.ai/v1", name="main")
    said = {"organization": {"id": organisation, "max_concurrency": key}, "user_group_id": f"of-{organisation}"}
    bench.answers.say("/users/me", {"code": 0, "data": said, "status": True})
    answer = bench.answers.said["/users/me"]
    assert isinstance(answer, Heard)
    ids = {"date": f"at {key}", "msh-request-id": key, "x-msh-trace-id": organisation}
    bench.answers.said["/users/me"] = msgspec.structs.replace(answer, headers=ids)
    account = (await bench.read())["account"]
    assert {"max_concurrency": "[redacted]", "tier": "of-[redacted]"} == account.tells
    assert {"msh-request-id": "[redacted]", "x-msh-trace-id": "[redacted]"} == account.provider_ids
    assert "at [redacted]" == account.date
    text = encode(account).decode()
    assert not any(secret in text for secret in (organisation, key))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UnsentError(UnsentReason.CONNECTION_REFUSED, "refused"), "refused"),
        (LostError(DoubtCause.FIRST_BYTE_TIMEOUT, f"lost {KEY}"), "lost [redacted]"),
    ],
)
async def test_no_answer_is_an_entry_too(bench: Bench, error: Exception, message: str) -> None:
    """A counter that was not reached is written down as such; nothing is raised, nothing secret is kept."""
    bench.answers.said["/users/me/balance"] = error
    balance = (await bench.read())["balance"]
    assert (ReadingOutcome.UNREACHABLE, None, message) == (balance.outcome, balance.status, balance.message)


async def test_a_key_in_an_error_is_masked(bench: Bench) -> None:
    """What a provider says is redacted before it is written."""
    error = {"error": {"message": f"key {KEY} of org-0123456789ab is revoked", "type": "incorrect_api_key_error"}}
    bench.answers.say("/users/me/balance", error, 401)
    balance = (await bench.read())["balance"]
    assert (ReadingOutcome.REFUSED, 401) == (balance.outcome, balance.status)
    assert "key [redacted] of [redacted] is revoked" == balance.message


async def test_an_answer_that_nobody_expects(bench: Bench) -> None:
    """A page that is no JSON is unreadable, and an entry."""
    bench.answers.say("/users/me/balance", "<html>")
    assert ReadingOutcome.UNREADABLE is (await bench.read())["balance"].outcome


async def test_a_second_asker_gets_the_newest_entries(bench: Bench) -> None:
    """Within five seconds of a question a real counter is not asked again, whatever the cause."""
    first = await bench.read(ReadingCause.DEMAND)
    assert [] == await bench.later(4.9, ReadingCause.PROOF)
    assert first == await bench.read(ReadingCause.DEMAND)
    assert ["/users/me/balance", "/users/me"] == await bench.later(0.1, ReadingCause.DEMAND)


async def test_two_askers_at_once_ask_once(bench: Bench) -> None:
    """One question at a time for each wallet: who waited gets what the other one read."""
    bench.answers.gate = asyncio.Event()
    both = asyncio.gather(bench.read(ReadingCause.DEMAND), bench.read(ReadingCause.DEMAND))
    await asyncio.sleep(0)
    bench.answers.gate.set()
    first, second = await both
    assert first == second
    assert 2 == len(bench.answers.asked)


async def test_what_only_tells_limits_is_asked_once_a_day(bench: Bench) -> None:
    """On a schedule the balance is read each time, the account's limits seldom; on demand both."""
    await bench.read(ReadingCause.START)
    assert ["/users/me/balance"] == await bench.later(300)
    assert ["/users/me/balance", "/users/me"] == await bench.later(300, ReadingCause.DEMAND)
    assert ["/users/me/balance", "/users/me"] == await bench.later(86_400)


async def test_a_plan_that_nothing_was_drawn_from_is_asked_each_time(bench: Bench) -> None:
    """Its quota makes no figure then, and does as soon as something is drawn: it is no counter of limits."""
    bench.wallet = wallet(PROVIDERS["glm"], KEY, base_url="https://api.z.ai/api/coding/paas/v4", name="plan")
    path = "/api/monitor/usage/quota/limit"
    untouched = {"type": "CREDIT_LIMIT", "unit": 3, "number": 5, "usage": 2000, "currentValue": 0}
    questions = PROVIDERS["glm"].counters.inquiries(plan="coding", at_ns=bench.clock.now_ns())
    for one in questions:
        bench.answers.say(one.prepared.path, {"code": 200, "success": True, "data": {"limits": [untouched]}})
    quota = (await bench.read(ReadingCause.START))["quota"]
    assert (ReadingOutcome.READ, ()) == (quota.outcome, quota.figures)
    assert path in await bench.later(300)


@pytest.mark.parametrize(("status", "pause_s"), [(404, NOT_OFFERED_AGAIN_S), (401, REFUSED_AGAIN_S)])
async def test_who_says_no_is_left_alone(bench: Bench, status: int, pause_s: int) -> None:
    """A counter that is not offered or refused is asked again seldom, and on demand."""
    error = {"error": {"message": "no", "type": "incorrect_api_key_error"}}
    bench.answers.say("/users/me/balance", error, status)
    await bench.read(ReadingCause.START)
    assert [] == await bench.later(300)
    assert "/users/me/balance" in await bench.later(300, ReadingCause.DEMAND)
    assert "/users/me/balance" not in await bench.later(pause_s - 1)
    assert "/users/me/balance" in await bench.later(1)


@pytest.mark.parametrize(("status", "kind"), [(429, "rate_limit_reached_error"), (500, "server_error")])
async def test_what_passes_is_asked_again_in_its_turn(bench: Bench, status: int, kind: str) -> None:
    """A moment's crowd or fault is an answer like none: the next turn asks again."""
    bench.answers.say("/users/me/balance", {"error": {"message": "try again", "type": kind}}, status)
    assert ReadingOutcome.REFUSED is (await bench.read(ReadingCause.START))["balance"].outcome
    assert ["/users/me/balance"] == await bench.later(300)


async def test_a_clock_that_was_put_back_leaves_no_counter_alone(bench: Bench) -> None:
    """A reading of a time to come says nothing of how long ago it was."""
    await bench.read(ReadingCause.START)
    bench.clock.set_back_s = 3600
    assert ["/users/me/balance", "/users/me"] == await bench.later(300)


async def test_a_start_asks_all(bench: Bench) -> None:
    """What an earlier start was refused is asked anew; what it read is given if the ledger takes nothing."""
    bench.answers.say("/users/me/balance", {}, 404)
    await bench.read()
    again = Bench()
    again.written.before = tuple(one for one in bench.written.entries if isinstance(one, ReadingEntry))
    again.written.fault = LedgerClosedError("closed")
    found = await again.read(ReadingCause.SCHEDULE)
    assert ["/users/me/balance", "/users/me"] == again.answers.asked
    assert list(again.written.before) == list(found.values())


async def test_a_reading_of_another_host_is_not_this_wallets(bench: Bench) -> None:
    """A name that was another wallet's before does not hand its readings on."""
    await bench.read()
    moved = Bench()
    moved.written.before = tuple(one for one in bench.written.entries if isinstance(one, ReadingEntry))
    moved.wallet = wallet(PROVIDERS["kimi"], KEY, base_url="https://api.moonshot.cn/v1", name="main")
    moved.written.fault = LedgerClosedError("closed")
    assert {} == await moved.read()


async def test_only_the_counters_that_are_meant(bench: Bench) -> None:
    """A caller may name counters; others are not asked."""
    (found,) = await bench.readers.read(bench.wallet, cause=ReadingCause.PROOF, counters=["balance"])
    assert ("balance", ["/users/me/balance"]) == (found.counter, bench.answers.asked)


async def test_a_simulator_may_be_asked_often(lab: "Lab") -> None:
    """A simulator's counters are asked again after a fifth of a second."""
    before = len(lab.readings)
    await lab.read()
    assert before == len(lab.readings)
    await lab.later(0.2)
    assert before < len(lab.readings)


async def test_a_rooted_question_names_its_own_path(open_lab: "Laboratory") -> None:
    """GLM's account services stand beside the base URL, not below it; queries are not kept."""
    async with open_lab(keys=[("glm", "glm", "sim-lab")]) as lab:
        await lab.read(cause=ReadingCause.START)
        root = lab.simulator.url
        assert {
            f"{root}/api/biz/account/query-customer-account-report",
            f"{root}/api/biz/tokenAccounts/list/my",
        } == {one.endpoint for one in lab.readings}
