"""What speaks against the record: each kind is found, as it is heard and after a start, and is told for a day."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from service.checks.against import Against
from service.checks.proving import proofs
from service.checks.watching import Watching
from service.core.entries import AnyEntry
from service.core.times import NS_PER_S
from service.core.words import VerdictWord, ZeroReason
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.reading import Reading
from service.ledger.sqlite import SqliteStore
from service.ledger.writer import Writer
from service.web.health import Check, State
from tests.checks.test_proving import AT_NS, CADENCE, KIMI, KNOWN, PLAYED, Stepping, read, verdict

if TYPE_CHECKING:
    from tests.conftest import Made

Looks = Callable[..., tuple[Check, ...]]
Batch = tuple[int, tuple[AnyEntry, ...]]
"""How many seconds ago, and what is written then."""


@pytest.fixture
def looked(tmp_path: Path) -> Iterator[Looks]:
    """Write entries, each so many seconds ago, and look: with what was heard of them, or after a new start."""
    opened: list[Reading] = []

    async def write(watching: Watching, batches: Sequence[Batch]) -> None:
        clock, feed = Stepping(), Feed((watching,), reread=lambda _first, _count: (), next_index=0)
        feed.start()
        clock.at_ns = AT_NS - batches[0][0] * NS_PER_S
        ledger = Ledger(Writer(SqliteStore(tmp_path, new_origin="o")), feed, clock=clock)
        await ledger.start({})
        for ago_s, entries in batches:
            clock.at_ns = AT_NS - ago_s * NS_PER_S
            await ledger.append(*entries)
        assert await asyncio.to_thread(feed.wait, 10)
        await ledger.close()

    def look(
        *entries: AnyEntry,
        before: Sequence[Batch] = (),
        ago_s: int = 60,
        restarted: bool,
        simulated: bool = False,
    ) -> tuple[Check, ...]:
        watching = Watching()
        asyncio.run(write(watching, [*before, (ago_s, entries)]))
        opened.append(Reading(tmp_path))
        one = PLAYED if simulated else KIMI
        against = Against() if restarted else watching.against
        return proofs((one,), opened[-1], KNOWN, CADENCE, now_ns=AT_NS, against=against)

    yield look
    for reading in opened:
        reading.close()


def wrong(made: "Made", **changed: Any) -> tuple[AnyEntry, ...]:  # noqa: ANN401 - any field of an intent
    """Make a call that another model answered."""
    settled = made.settlement(model_reported="canary-model", model_known=False)
    return read(), made.tool_call(), made.intent(**changed), settled, made.answer()


def numbered(made: "Made", number: int, **settled: Any) -> tuple[AnyEntry, ...]:  # noqa: ANN401 - any field of a settlement
    """Make a call with ids of its own."""
    call: dict[str, Any] = {"tool_call_id": f"{number:032x}"}
    attempt = call | {"attempt_id": f"{2**64 + number:032x}"}
    ended = made.settlement(**attempt, **settled)
    return made.tool_call(**call), made.intent(**attempt), ended, made.answer(**call)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_call_whose_record_contradicts_is_degraded(looked: Looks, made: "Made", *, restarted: bool) -> None:
    """It is named by its code and its id; the provider's own words are not repeated."""
    (found,) = looked(*wrong(made), restarted=restarted)
    assert State.DEGRADED is found.state
    assert f"MISMATCH, M3 (2026-11-22T16:20:00.000000Z), of {made.tool_call().tool_call_id}." in found.sentence
    assert "canary" not in found.sentence


@pytest.mark.parametrize("restarted", [False, True])
def test_a_verdict_on_attempts_is_degraded(looked: Looks, made: "Made", *, restarted: bool) -> None:
    """Two attempts of one provider id, or a signature that is not the provider's: no window tells of these."""
    single = msgspec.structs.replace(verdict(VerdictWord.MISMATCH, "M4"), attempts=(made.attempt_id(), "b"))
    call = (read(), made.tool_call(), made.intent(), made.settlement(), made.answer())
    (found,) = looked(*call, single, restarted=restarted)
    assert State.DEGRADED is found.state
    assert f"M4 (2026-11-22T16:20:00.000000Z), of {made.attempt_id()} and 1 more." in found.sentence


@pytest.mark.parametrize("restarted", [False, True])
def test_an_answer_without_a_request_is_degraded(looked: Looks, made: "Made", *, restarted: bool) -> None:
    """It belongs to no wallet, so it has a line of its own."""
    end = made.answer(zero_reason=ZeroReason.NO_MODEL_STEP)
    of_wallet, phantom = looked(read(), made.tool_call(needs_model=True), end, restarted=restarted)
    assert (State.OK, State.DEGRADED, "no wallet") == (of_wallet.state, phantom.state, phantom.of)
    assert "MISMATCH, M5" in phantom.sentence


@pytest.mark.parametrize("restarted", [False, True])
def test_after_a_day_it_is_history(looked: Looks, made: "Made", *, restarted: bool) -> None:
    """The console goes on telling it."""
    (found,) = looked(*wrong(made), ago_s=86_500, restarted=restarted)
    assert "MISMATCH" not in found.sentence


def test_a_simulators_contradiction_is_no_real_wallets(looked: Looks, made: "Made") -> None:
    """The name is the same, the wallet is not."""
    (found,) = looked(*wrong(made, simulated=True), restarted=False)
    assert State.OK is found.state


def test_what_holds_is_nothing(looked: Looks, made: "Made") -> None:
    """A call that nothing contradicts, and a single attempt that is only unverified, leave the state well."""
    single = msgspec.structs.replace(verdict(VerdictWord.UNVERIFIED, "U4"), attempts=(made.attempt_id(),))
    call = (read(), made.tool_call(), made.intent(), made.settlement(), made.answer())
    (found,) = looked(*call, single, restarted=False)
    assert State.OK is found.state


@pytest.mark.parametrize("restarted", [False, True])
def test_a_verdict_counts_by_its_own_time(looked: Looks, made: "Made", *, restarted: bool) -> None:
    """It is told for a day of its own, whatever the age of the call that it is on."""
    single = msgspec.structs.replace(verdict(VerdictWord.MISMATCH, "M8"), attempts=(made.attempt_id(),))
    old = (90_000, (made.tool_call(), made.intent(), made.settlement(), made.answer()))
    (found,) = looked(read(), single, before=[old], restarted=restarted)
    assert (State.DEGRADED, True) == (found.state, "MISMATCH, M8 (2026-11-22T16:20:00.000000Z)" in found.sentence)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_call_counts_by_its_answer(looked: Looks, made: "Made", *, restarted: bool) -> None:
    """It may have been opened before the day that is told began."""
    opened = (87_000, (made.tool_call(),))
    _, _, *rest = wrong(made)
    (found,) = looked(*rest, before=[opened], ago_s=86_000, restarted=restarted)
    assert "MISMATCH, M3 (2026-11-21T16:27:40.000000Z)" in found.sentence


@pytest.mark.parametrize("restarted", [False, True])
def test_the_newest_is_told(looked: Looks, made: "Made", *, restarted: bool) -> None:
    """Of several of one wallet, in whatever order they are found."""
    other = {"model_reported": "another", "model_known": False}
    before = [(ago_s, numbered(made, ago_s, **other)) for ago_s in (4000, 3000, 2000)]
    (found,) = looked(read(), before=before, restarted=restarted)
    assert f"(2026-11-22T15:47:40.000000Z), of {2000:032x}." in found.sentence


def test_calls_of_a_window_hide_none(looked: Looks, made: "Made", monkeypatch: pytest.MonkeyPatch) -> None:
    """However many calls a MISMATCH window holds, and however many contradict: all of a day are looked through."""
    monkeypatch.setattr("service.checks.against._PAGE", 2)
    phantom = (made.tool_call(needs_model=True), made.answer(zero_reason=ZeroReason.NO_MODEL_STEP))
    other = {"model_reported": "another", "model_known": False}
    calls = [entry for number in range(5) for entry in numbered(made, number, **other)]
    held = [entry for number in range(5, 210) for entry in numbered(made, number)]
    window = msgspec.structs.replace(verdict(VerdictWord.MISMATCH, "M2"), until=2 + len(calls) + len(held))
    before: list[Batch] = [(80_000, phantom), (70_000, tuple(calls)), (60_000, tuple(held))]
    of_wallet, nobodys = looked(read(), window, before=before, restarted=True)
    assert ("no wallet", True) == (nobodys.of, "M5" in nobodys.sentence)
    assert ("M2. See" in of_wallet.sentence, "MISMATCH, M3" in of_wallet.sentence) == (True, True)


def test_verdicts_are_paged(looked: Looks, made: "Made", monkeypatch: pytest.MonkeyPatch) -> None:
    """Those on one wallet hide none on another."""
    monkeypatch.setattr("service.ledger.bookshelf.PAGE_ROWS_MAX", 2)
    on = msgspec.structs.replace(verdict(VerdictWord.MISMATCH, "M4"), attempts=(made.attempt_id(), "b"))
    others = [msgspec.structs.replace(on, wallet=f"w-{number}") for number in range(3)]
    call = (made.tool_call(), made.intent(), made.settlement(), made.answer())
    (found,) = looked(read(), *call, on, *others, restarted=True)
    assert State.DEGRADED is found.state
