"""Verdicts in sums: the SQL says of every record what the rule itself says."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.entries import Cost, DoubtEntry, IntentEntry, OfBooks, OfCall, SettlementEntry
from service.core.money import pico
from service.core.verdict import CODES, RULE, verdict, word_of
from service.core.words import (
    CostStatus,
    DoubtCause,
    ResolutionSource,
    ToolOutcome,
    UnsentReason,
    VerdictWord,
    ZeroReason,
)
from service.ledger.choosing import CallFilter
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.ledger.reading import Reading
from service.ledger.rows import AMOUNT_PICO_MAX
from service.ledger.schema import SCHEMA_VERSION
from service.ledger.sqlite import SqliteStore
from service.ledger.verdicts import codes_of
from service.ledger.writer import Writer
from tests.conftest import Made
from tests.ledger import shelf

MADE = Made()
EVEN = 0.5
NO_ATTEMPT = 0.2
NO_PRICE = Cost(status=CostStatus.UNKNOWN_PRICE, currency=None, amount=None, price_version="v")
COSTS = st.sampled_from(
    [
        MADE.cost(),
        MADE.cost(currency="CNY", amount="1.75"),
        MADE.cost(amount=str(AMOUNT_PICO_MAX // 10**12)),
        MADE.cost(status=CostStatus.FREE, amount="0"),
        MADE.cost(status=CostStatus.PLAN, currency=None, amount=None),
        NO_PRICE,
    ]
)
MODELS = st.sampled_from(
    [("kimi-k3", True), ("kimi-k9", False), (None, False), ('"model_known":false', True), (None, True)]
)


def settlement(number: int, cost: Cost, model: tuple[str | None, bool]) -> SettlementEntry:
    """Settle an attempt."""
    return MADE.settlement(number, cost=cost, model_reported=model[0], model_known=model[1])


def ends(number: int) -> st.SearchStrategy[OfCall | None]:
    """Give every way an attempt can end, or none."""
    return st.one_of(
        st.none(),
        st.builds(settlement, st.just(number), COSTS, MODELS),
        st.just(MADE.refusal(number)),
        st.sampled_from(UnsentReason).map(lambda reason: MADE.unsent(number, reason=reason)),
        st.sampled_from(DoubtCause).map(lambda cause: MADE.doubt(number, cause=cause)),
    )


@st.composite
def records(draw: st.DrawFn) -> list[OfCall]:
    """Write one call: up to three attempts of any end, closed if it can be and the draw says so."""
    client, needs_model = draw(st.sampled_from(["a", "b"])), draw(st.booleans())
    found: list[OfCall] = [MADE.tool_call(client=client, needs_model=needs_model)]
    ended = True
    for number in range(1, draw(st.integers(0, 3)) + 1):
        own_host = draw(st.sampled_from([None, True, False]))
        found.append(MADE.intent(number, simulated=draw(st.booleans()), own_host=own_host))
        end = draw(ends(number))
        ended = ended and end is not None
        found += [] if end is None else [end]
        if isinstance(end, DoubtEntry) and draw(st.booleans()):
            said = [
                MADE.resolution(number, source=source, amount=amount)
                for source in ResolutionSource
                for amount in ("0", "1")
            ]
            found.append(draw(st.sampled_from([*said, MADE.written_off(number)])))
    if ended and draw(st.booleans()):
        reason = draw(st.sampled_from(ZeroReason)) if len(found) == 1 else None
        found.append(
            MADE.answer(zero_reason=reason, outcome=draw(st.sampled_from(["ok", "failed"]).map(ToolOutcome)))
        )
    return found


async def written(
    folder: Path, calls: list[list[OfCall]], clock: "FixedTick", of_books: Sequence[OfBooks] = ()
) -> Reading:
    """Write calls into a ledger of their own, then entries of the provider's books."""
    store = SqliteStore(folder, new_origin="o-test")
    reading = Reading(folder)
    feed = Feed([], reread=reading.steps, next_index=store.next_index, steps_max=1000)
    feed.start()
    ledger = Ledger(Writer(store), feed, clock=clock)
    await ledger.start({})
    await ledger.append(*(placed(entry, number) for number, entries in enumerate(calls) for entry in entries))
    for entry in of_books:
        await ledger.append(entry)
    await ledger.close()
    return reading


def placed(entry: OfCall, number: int) -> OfCall:
    """Make an entry one of the call with a number."""
    changes = {"tool_call_id": f"{number:032x}"}
    if (attempt_id := getattr(entry, "attempt_id", None)) is not None:
        changes["attempt_id"] = f"{number:08x}{attempt_id[8:]}"
    return msgspec.structs.replace(entry, **changes)


class FixedTick:
    """A clock that goes on by a second."""

    def __init__(self) -> None:
        self.at_ns = 1_795_364_460_000_000_000

    def now_ns(self) -> int:
        """Say the time."""
        self.at_ns += 1_000_000_000
        return self.at_ns

    monotonic_ns = now_ns


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A new folder for each example."""

    def fresh() -> Iterator[Path]:
        while True:
            yield tmp_path_factory.mktemp("verdicts")

    return fresh()


@st.composite
def books(draw: st.DrawFn, calls: list[list[OfCall]]) -> list[OfBooks]:
    """Say something about these calls' attempts."""
    told = [placed(entry, number) for number, entries in enumerate(calls) for entry in entries]
    attempts = [(one.tool_call_id, one.attempt_id) for one in told if isinstance(one, IntentEntry)]
    one = shelf.books(attempts, len(told) + 2)
    whole = st.builds(
        shelf.window, st.just(-1), st.just(len(told)), st.sampled_from(["P1", "P2", "P3", "U2", "M2"])
    )
    return draw(st.lists(one | whole, max_size=8))


@given(data=st.data(), calls=st.lists(records(), min_size=1, max_size=12))
def test_sql_and_rule_agree(folders: Iterator[Path], data: st.DataObject, calls: list[list[OfCall]]) -> None:
    """Over generated records, counts by verdict and chosen calls are those of the rule, one by one."""
    _compare(asyncio.run(written(next(folders), calls, FixedTick(), data.draw(books(calls)))))


def _compare(reading: Reading) -> Counter[str]:
    """Compare every call's verdict by SQL and by the rule; give how many have which."""
    try:
        judged = {
            line.call.tool_call_id: _judged(reading, line.call.tool_call_id)
            for line in reading.calls(CallFilter(), limit=100)
        }
        counts: Counter[str] = Counter()
        for count in reading.verdict_counts(CallFilter()):
            counts[count.code] += count.calls
        assert Counter(judged.values()) == counts
        for wanted in (*VerdictWord, *CODES):
            chosen = reading.calls(CallFilter(verdict=(wanted,)), limit=100)
            expected = {call_id for call_id, code in judged.items() if wanted in (code, word_of(code))}
            assert expected == {line.call.tool_call_id for line in chosen}
        _compare_sums(reading, judged)
        return counts
    finally:
        reading.close()


def usual(dice: random.Random) -> list[OfCall]:
    """Write one call as most are: settled at a price, or without an attempt."""
    if dice.random() < NO_ATTEMPT:
        reason, outcome = dice.choice([*ZeroReason]), dice.choice([ToolOutcome.OK, ToolOutcome.FAILED])
        opened = MADE.tool_call(needs_model=dice.random() < EVEN)
        return [opened, MADE.answer(zero_reason=reason, outcome=outcome)]
    wallet, simulated = dice.choice([shelf.WALLET, "other"]), dice.random() < EVEN
    return [MADE.tool_call(), MADE.intent(wallet=wallet, simulated=simulated), MADE.settlement(), MADE.answer()]


@pytest.mark.parametrize("seed", range(3))
async def test_windows_and_phantoms_agree_too(tmp_path: Path, seed: int) -> None:
    """Over many usual calls and verdicts on windows of them, SQL and rule agree; all that is meant occurs."""
    dice = random.Random(seed)  # noqa: S311 - a history, no secret
    calls = [usual(dice) for _ in range(80)]
    last = sum(map(len, calls))
    told = [placed(entry, number) for number, entries in enumerate(calls) for entry in entries]
    attempts = [one.attempt_id for one in told if isinstance(one, IntentEntry)]
    said: list[OfBooks] = [shelf.own(dice.choice(attempts), code="M8")]
    for _ in range(12):
        after, code = dice.randrange(last), dice.choice(["P1", "P2", "U2", "U3", "M2"])
        whose = {"wallet": dice.choice([shelf.WALLET, "other"]), "simulated": dice.random() < EVEN}
        said.append(shelf.window(after, after + dice.randrange(last), code, **whose))
    counts = _compare(await written(tmp_path, calls, FixedTick(), said))
    assert {"P1", "M8", "M5", "U1", "N7"} <= set(counts)
    assert counts.total() == len(calls)


def _judged(reading: Reading, call_id: str) -> str:
    call = reading.call(call_id)
    assert call is not None
    return verdict(call, as_of="", judged=reading.judged([call_id])).code


def _compare_sums(reading: Reading, judged: dict[str, str]) -> None:
    spent: Counter[tuple[str, str | None, bool]] = Counter()
    held: Counter[tuple[str, str | None, bool]] = Counter()
    for line in reading.calls(CallFilter(), limit=100):
        for attempt in line.attempts:
            key = (judged[line.call.tool_call_id], attempt.currency, attempt.simulated)
            spent[key] += attempt.cost_pico or 0
            held[key] += (attempt.held_pico or 0) if attempt.outcome == "in_doubt" else 0
    sums = reading.verdict_sums(CallFilter())
    assert dict(spent) == {(one.code, one.currency, one.simulated): one.cost_pico for one in sums}
    assert dict(held) == {(one.code, one.currency, one.simulated): one.held_pico for one in sums}


async def test_a_sum_beyond_64_bits_is_exact(tmp_path: Path, made: "Made") -> None:
    """A dozen of the dearest attempts add up to more than SQLite's integers hold, to the last digit."""
    dearest = made.cost(amount=str(AMOUNT_PICO_MAX // 10**12))
    calls: list[list[OfCall]] = [
        [made.tool_call(), made.intent(model=f"m-{number}"), made.settlement(cost=dearest)] for number in range(12)
    ]
    reading = await written(tmp_path, calls, FixedTick())
    (one,) = reading.verdict_sums(CallFilter())
    reading.close()
    assert 12 * AMOUNT_PICO_MAX == one.cost_pico > 2**63
    assert 12 * pico(str(dearest.amount)) == one.cost_pico


def test_the_tables_are_of_this_rule() -> None:
    """Rows hold codes of one version of the rule: another one needs another schema, so that they are made anew."""
    assert (3, 2) == (SCHEMA_VERSION, RULE)


def test_words_stand_for_their_codes() -> None:
    """A verdict's word stands for all its codes, a code for itself, and any other text for nothing."""
    assert ["M3"] == codes_of(["M3", "nonsense"])
    assert {"M"} == {code[0] for code in codes_of(["MISMATCH"])}
    assert ["P1", "P2", "P3"] == codes_of(["PROVEN"])
    assert set(CODES) == set(codes_of(VerdictWord))
