"""Proof: each state can come, and each that is not well says what to do."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.checks.against import Against
from service.checks.proving import Cadence, last_read, proofs
from service.core.books import Figure, ReadingEntry, VerdictEntry
from service.core.entries import AnyEntry
from service.core.times import NS_PER_S, utc_ns
from service.core.wallet import Wallet, wallet
from service.core.words import ReadingCause, ReadingOutcome, VerdictWord
from service.equipment import load_providers
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore
from service.ledger.writer import Writer
from service.web.health import Check, State

AT = "2026-11-22T16:21:00.000000Z"
AT_NS = utc_ns(AT)
KNOWN = load_providers()
KIMI = wallet(KNOWN["kimi"], "sk-canary-0123456789", base_url="https://api.moonshot.ai/v1", name="kimi-main")
PLAYED = wallet(KNOWN["kimi"], "sim-a", base_url="http://127.0.0.1:9/v1", name="kimi-main")
PLAN = wallet(
    KNOWN["glm"], "sk-canary-0123456789", base_url="https://api.z.ai/api/coding/paas/v4", name="kimi-main"
)
CADENCE = Cadence(is_on=True, interval_s=300, idle_s=3600)
AVAILABLE = Figure(name="available", amount="9.5", unit="USD", resolution="0.00001")
Entries = tuple[AnyEntry, int]
"""An entry, and how many seconds before now it is written."""


class Stepping:
    """A clock that is set."""

    def __init__(self) -> None:
        self.at_ns = AT_NS

    def now_ns(self) -> int:
        """Say the time that was set."""
        return self.at_ns

    def monotonic_ns(self) -> int:
        """Say the same."""
        return self.at_ns


def read(**changed: Any) -> ReadingEntry:  # noqa: ANN401 - any field
    """Read Kimi's balance."""
    entry = ReadingEntry(
        provider="kimi",
        wallet="kimi-main",
        counter="balance",
        endpoint="https://api.moonshot.ai/v1/users/me/balance",
        cause=ReadingCause.SCHEDULE,
        outcome=ReadingOutcome.READ,
        status=200,
        asked_at=AT,
        figures=(AVAILABLE,),
        tells={},
        message="",
        provider_ids={},
        fingerprint=KIMI.fingerprint,
        simulated=False,
    )
    return msgspec.structs.replace(entry, **changed)


def of_wallet(entry: ReadingEntry, one: Wallet, **changed: Any) -> ReadingEntry:  # noqa: ANN401 - any field
    """Have it read for another wallet, by that one's key and at its host."""
    there = {"provider": one.provider, "endpoint": f"{one.base_url}/x", "fingerprint": one.fingerprint}
    return msgspec.structs.replace(entry, simulated=one.simulated, **there, **changed)


def failed(outcome: ReadingOutcome, **changed: Any) -> ReadingEntry:  # noqa: ANN401 - any field
    """Fail to read it; the message is a stranger's."""
    return read(**{"outcome": outcome, "status": 401, "figures": (), "message": "canary text", **changed})


def verdict(word: VerdictWord, code: str) -> VerdictEntry:
    """Judge a window."""
    return VerdictEntry(
        rule=1,
        provider="kimi",
        wallet="kimi-main",
        simulated=False,
        word=word,
        code=code,
        sentence=f"Said of {code}.",
        after=0,
        until=0,
    )


@pytest.fixture
def looked(tmp_path: Path) -> Iterator[Callable[..., Check]]:
    """Write entries into a new ledger, each so many seconds ago, and look."""
    opened: list[Reading] = []

    async def write(folder: Path, *entries: Entries) -> None:
        clock, feed = Stepping(), Feed((), reread=lambda _first, _count: (), next_index=0)
        feed.start()
        clock.at_ns -= 10**7 * NS_PER_S
        ledger = Ledger(Writer(SqliteStore(folder, new_origin="o")), feed, clock=clock)
        await ledger.start({})
        for entry, ago_s in entries:
            clock.at_ns = AT_NS - ago_s * NS_PER_S
            await ledger.append(entry)
        await ledger.close()

    def look(*entries: Entries, cadence: Cadence = CADENCE, one: Wallet = KIMI) -> Check:
        folder = tmp_path / str(len(opened))
        asyncio.run(write(folder, *entries))
        opened.append(Reading(folder))
        (found,) = proofs((one,), opened[-1], KNOWN, cadence, now_ns=AT_NS, against=Against())
        assert "canary" not in found.sentence
        assert ("proof", "kimi-main") == (found.name, found.of)
        return found

    yield look
    for reading in opened:
        reading.close()


def test_a_fresh_reading_is_well(looked: Callable[..., Check]) -> None:
    """Its age and the newest verdict are said, in words and in numbers."""
    found = looked((read(), 40), (verdict(VerdictWord.PROVEN, "P1"), 30))
    assert (
        "The counter balance was read 40 s ago."
        " The newest verdict (2026-11-22T16:20:30.000000Z): PROVEN, P1. Said of P1."
    ) == found.sentence
    assert State.OK is found.state
    assert {
        "provider": "kimi",
        "simulated": False,
        "plan": None,
        "last_reading": "balance",
        "last_reading_at": "2026-11-22T16:20:20.000000Z",
        "last_reading_age_s": 40,
        "last_failure": None,
        "last_failure_at": None,
        "last_failure_status": None,
        "verdict": "PROVEN",
        "verdict_code": "P1",
        "verdict_at": "2026-11-22T16:20:30.000000Z",
    } == found.detail


def test_nothing_read_is_unknown(looked: Callable[..., Check]) -> None:
    """What nobody tried yet is neither well nor bad."""
    found = looked()
    assert (State.UNKNOWN, True) == (found.state, "nothing can be proven" in found.sentence)


def test_readings_that_are_off_say_so(looked: Callable[..., Check]) -> None:
    """Nobody asked for them; the variable is named."""
    found = looked((read(), 40), cadence=msgspec.structs.replace(CADENCE, is_on=False))
    assert (State.OFF, True) == (found.state, "EXAI_READINGS" in found.sentence)


def test_a_plan_of_which_nothing_was_drawn_is_well(looked: Callable[..., Check]) -> None:
    """Its counter is read, though no window begins with it: of a new plan, and of one that was idle for a week."""
    fresh = of_wallet(read(counter="quota", figures=(), tells={"credits_5h": "0 of 12000"}), PLAN)
    week = Figure(name="credits_week", amount="5", unit="credits", resolution="1")
    used = msgspec.structs.replace(fresh, figures=(week,), tells={})
    for entries in ([(fresh, 40)], [(used, 20_000), (fresh, 3600), (fresh, 40)]):
        found = looked(*entries, one=PLAN)
        assert (State.OK, "The counter quota was read 40 s ago.") == (found.state, found.sentence)


@pytest.mark.parametrize(
    "changed",
    [
        {"fingerprint": "00000000"},
        {"simulated": True},
        {"provider": "glm"},
        {"endpoint": "https://api.moonshot.cn/v1/users/me/balance"},
    ],
)
def test_a_reading_of_another_key_is_none_of_this_one(
    looked: Callable[..., Check], changed: dict[str, Any]
) -> None:
    """A simulator's, another key's and another host's bear the same name; they hide no reading of this key."""
    assert State.UNKNOWN is looked((read(**changed), 60)).state
    others = [(read(**changed), ago_s) for ago_s in range(1500, 900, -20)]
    found = looked((read(), 2000), *others, (failed(ReadingOutcome.REFUSED, **changed), 10))
    assert (State.OK, "The counter balance was read 2000 s ago.") == (found.state, found.sentence)


def test_a_simulators_windows_are_none_of_a_real_wallet(looked: Callable[..., Check]) -> None:
    """Nor do they hide a MISMATCH of its own."""
    played = msgspec.structs.replace(verdict(VerdictWord.MISMATCH, "M2"), simulated=True, sentence="SIMULATED: x")
    found = looked((read(), 60), (played, 50))
    assert (State.OK, "The counter balance was read 60 s ago.") == (found.state, found.sentence)
    found = looked((verdict(VerdictWord.MISMATCH, "M9"), 70), (read(), 60), (played, 50))
    assert (State.DEGRADED, "M9") == (found.state, found.detail["verdict_code"])
    assert "SIMULATED" not in found.sentence


def test_what_is_long_past_is_not_looked_for(looked: Callable[..., Check]) -> None:
    """So a look stays quick, however long nothing could be read; what is said stays true."""
    month_s = 30 * 24 * 3600
    lost = (failed(ReadingOutcome.UNREACHABLE), 10)
    proven = verdict(VerdictWord.PROVEN, "P1")
    found = looked((proven, month_s - 60), (read(), month_s - 60), lost)
    assert (True, "PROVEN") == (f"was read {month_s - 60} s ago." in found.sentence, found.detail["verdict"])
    found = looked((proven, month_s + 60), (read(), month_s + 60), lost)
    assert (State.DEGRADED, None) == (found.state, found.detail["verdict"])
    assert found.sentence.startswith("No counter was read in the last 30 days, so nothing can be proven.")


@pytest.mark.parametrize(
    ("outcome", "remedy"),
    [
        (ReadingOutcome.REFUSED, "Check KIMI_API_KEY"),
        (ReadingOutcome.UNREACHABLE, "KIMI"),
        (ReadingOutcome.UNREADABLE, "KIMI"),
    ],
)
def test_a_counter_that_never_could_be_read_is_degraded(
    looked: Callable[..., Check], outcome: ReadingOutcome, remedy: str
) -> None:
    """The failure, its status and what to do are said, not the provider's words."""
    found = looked((failed(outcome), 40))
    assert (State.DEGRADED, str(outcome), 401) == (
        found.state,
        found.detail["last_failure"],
        found.detail["last_failure_status"],
    )
    assert f"balance is {outcome}, status 401." in found.sentence
    assert remedy in found.sentence


def test_a_counter_that_is_not_offered_is_off(looked: Callable[..., Check]) -> None:
    """It is no failure; another counter that holds nothing of consumption does not make it one."""
    found = looked((read(counter="account", figures=()), 40), (failed(ReadingOutcome.NOT_OFFERED), 40))
    assert (State.OFF, True) == (found.state, "offers no counter" in found.sentence)


@pytest.mark.parametrize(("ago_s", "state"), [(900, State.OK), (902, State.DEGRADED)])
def test_a_counter_that_fails_is_degraded_after_three_intervals(
    looked: Callable[..., Check], ago_s: int, state: State
) -> None:
    """Until then the reading before it is still good; the failure is said at once."""
    found = looked((read(), ago_s), (failed(ReadingOutcome.UNREACHABLE), 10))
    assert state is found.state
    assert f"was read {ago_s} s ago. Since 2026-11-22T16:20:50.000000Z balance is unreachable" in found.sentence


def test_another_counters_failure_is_no_failure_of_this_one(looked: Callable[..., Check]) -> None:
    """Where money can be read, what cannot be read beside it stands in the numbers alone."""
    found = looked((read(), 2000), (failed(ReadingOutcome.REFUSED, counter="account"), 10))
    assert (State.OK, "refused") == (found.state, found.detail["last_failure"])


def test_a_later_failure_beside_hides_none(looked: Callable[..., Check]) -> None:
    """The counter that was read before and fails now is the one that is told."""
    unread = failed(ReadingOutcome.UNREACHABLE, status=None)
    found = looked((read(), 2000), (unread, 20), (failed(ReadingOutcome.REFUSED, counter="account"), 10))
    assert (State.DEGRADED, True) == (found.state, "balance is unreachable." in found.sentence)


@pytest.mark.parametrize(("ago_s", "state"), [(10_800, State.OK), (10_802, State.DEGRADED)])
def test_an_idle_wallet_is_read_now_and_then(looked: Callable[..., Check], ago_s: int, state: State) -> None:
    """Three of the long intervals without any reading are too many."""
    assert state is looked((read(), ago_s)).state


def test_a_mismatch_is_degraded_for_a_day(looked: Callable[..., Check]) -> None:
    """A window that is proven after it does not hide it."""
    found = looked(
        (verdict(VerdictWord.MISMATCH, "M2"), 80_000), (read(), 40), (verdict(VerdictWord.PROVEN, "P1"), 30)
    )
    assert State.DEGRADED is found.state
    assert "MISMATCH (2026-11-21T18:07:40.000000Z): Said of M2. See the console" in found.sentence
    assert "PROVEN, P1." in found.sentence


def test_an_old_mismatch_is_history(looked: Callable[..., Check]) -> None:
    """After a day the console alone tells it, unless it is the newest verdict."""
    old = (verdict(VerdictWord.MISMATCH, "M2"), 90_000)
    assert State.OK is looked(old, (read(), 40)).state


def test_a_verdict_that_repeats_the_provider_is_named_by_its_code(looked: Callable[..., Check]) -> None:
    """Its sentence may hold the provider's own words."""
    found = looked((read(), 40), (verdict(VerdictWord.UNVERIFIED, "U4"), 30))
    assert found.sentence.endswith("UNVERIFIED, U4.")


def test_a_simulator_proves_no_money(looked: Callable[..., Check]) -> None:
    """The sentence begins with it."""
    found = looked((of_wallet(read(), PLAYED), 40), one=PLAYED)
    assert (True, True) == (found.sentence.startswith("SIMULATED"), found.detail["simulated"])


def test_the_last_that_was_read_is_found_behind_failures(looked: Callable[..., Check], tmp_path: Path) -> None:
    """One of each counter; a counter that never was read gives none."""
    looked(
        (read(counter="account"), 50),
        (read(figures=()), 45),
        (read(), 40),
        *((failed(ReadingOutcome.UNREACHABLE), ago_s) for ago_s in (30, 20)),
        (failed(ReadingOutcome.REFUSED, counter="never"), 10),
    )
    reading = Reading(tmp_path / "0")
    found = list(last_read(reading, "kimi-main"))
    reading.close()
    assert {("account", 1), ("balance", 3)} == {(entry.counter, entry.index) for entry in found}
